//! Autonomous system numbers (RFC 6793), written as RFC 5396 asplain.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A four-octet autonomous system number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Asn(pub u32);

impl Asn {
    /// Stands for a four-octet AS number in two-octet fields (RFC 6793 section 9).
    pub const TRANS: Self = Self(23456);

    /// The value of a two-octet field: the number itself, or [`Asn::TRANS`] if it does not fit.
    pub const fn to_two_octets(self) -> u16 {
        if self.0 > 0xffff {
            23456
        } else {
            self.0 as u16
        }
    }

    /// AS 0 must not be used by any speaker (RFC 7607).
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The number of no AS: 0, AS_TRANS (RFC 6793), and the last of two and of four octets (RFC 7300).
    pub const fn is_reserved(self) -> bool {
        matches!(self.0, 0 | 65535 | u32::MAX) || self.0 == Self::TRANS.0
    }

    /// Private use: 64512-65534 and 4200000000-4294967294 (RFC 6996).
    pub const fn is_private(self) -> bool {
        matches!(self.0, 64512..=65534 | 4_200_000_000..=4_294_967_294)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that is no AS number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an AS number: expected 0 to 4294967295, or asdot such as 64512.1")]
pub struct ParseAsnError(String);

impl FromStr for Asn {
    type Err = ParseAsnError;

    /// Reads asplain (`4200000000`) and asdot (`64086.59904`) notation, with or without a leading `AS`.
    fn from_str(s: &str) -> Result<Self, ParseAsnError> {
        let digits = s
            .strip_prefix("AS")
            .or_else(|| s.strip_prefix("as"))
            .unwrap_or(s);
        let asn = match digits.split_once('.') {
            Some((high, low)) => high
                .parse::<u16>()
                .and_then(|high| Ok(u32::from(high) << 16 | u32::from(low.parse::<u16>()?))),
            None => digits.parse(),
        };
        asn.map(Self).map_err(|_| ParseAsnError(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn asplain_and_asdot_name_the_same_number() {
        for text in ["4200000000", "AS4200000000", "as64086.59904"] {
            assert_eq!(text.parse::<Asn>().unwrap(), Asn(4_200_000_000));
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_what_was_expected() {
        for text in [
            "",
            "AS",
            "4294967296",
            "65536.1",
            "1.65536",
            "-1",
            "1.2.3",
            "x",
        ] {
            let error = text.parse::<Asn>().unwrap_err().to_string();
            assert!(
                error.contains("expected 0 to 4294967295"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn two_octet_fields_carry_as_trans_for_what_does_not_fit() {
        assert_eq!(Asn(65535).to_two_octets(), 65535);
        assert_eq!(Asn(65536).to_two_octets(), 23456);
    }

    #[test]
    fn private_ranges_are_those_of_rfc_6996() {
        for (asn, private) in [
            (64511, false),
            (64512, true),
            (65534, true),
            (65535, false),
            (4_199_999_999, false),
            (4_200_000_000, true),
            (4_294_967_294, true),
            (4_294_967_295, false),
        ] {
            assert_eq!(Asn(asn).is_private(), private, "{asn}");
        }
    }
}
