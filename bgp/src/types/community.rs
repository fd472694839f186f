//! Communities of RFC 1997 and large communities (RFC 8092). In JSON and YAML they are strings in their notation.

use std::fmt;
use std::str::FromStr;

use super::text::serde_as_text;

/// A community (RFC 1997), written `64512:100` or by its well-known name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

impl Community {
    /// Traffic to the route should be drained (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// Stale under long-lived graceful restart (RFC 9494).
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// Not to be retained under long-lived graceful restart (RFC 9494).
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// Discard traffic to the prefix (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// Not to be advertised outside the AS or confederation (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// Not to be advertised to any peer (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// Not to be advertised to external peers (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// Not to be advertised to bilateral peers (RFC 3765).
    pub const NO_PEER: Self = Self(0xffff_ff04);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::GRACEFUL_SHUTDOWN, "graceful-shutdown"),
        (Self::LLGR_STALE, "llgr-stale"),
        (Self::NO_LLGR, "no-llgr"),
        (Self::BLACKHOLE, "blackhole"),
        (Self::NO_EXPORT, "no-export"),
        (Self::NO_ADVERTISE, "no-advertise"),
        (Self::NO_EXPORT_SUBCONFED, "no-export-subconfed"),
        (Self::NO_PEER, "no-peer"),
    ];
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(known, _)| known == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff),
        }
    }
}

/// Text that is no community of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a {expected}")]
pub struct ParseCommunityError {
    pub(super) text: String,
    pub(super) expected: &'static str,
}

impl FromStr for Community {
    type Err = ParseCommunityError;

    /// Reads `high:low` of two 16-bit numbers, or a well-known name.
    fn from_str(s: &str) -> Result<Self, ParseCommunityError> {
        if let Some((known, _)) = Self::NAMES.iter().find(|(_, name)| *name == s) {
            return Ok(*known);
        }
        s.split_once(':')
            .and_then(|(high, low)| {
                Some(u32::from(high.parse::<u16>().ok()?) << 16 | u32::from(low.parse::<u16>().ok()?))
            })
            .map(Self)
            .ok_or_else(|| ParseCommunityError {
                text: s.to_owned(),
                expected: "community: expected 64512:100 (two numbers up to 65535) or a well-known name such as no-export",
            })
    }
}

/// A large community (RFC 8092), written `64512:1:2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity {
    /// Global administrator: an AS number.
    pub global: u32,
    /// First part of the local data.
    pub local1: u32,
    /// Second part of the local data.
    pub local2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

impl FromStr for LargeCommunity {
    type Err = ParseCommunityError;

    fn from_str(s: &str) -> Result<Self, ParseCommunityError> {
        let mut parts = s.split(':').map(|part| part.parse::<u32>().ok());
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(global)), Some(Some(local1)), Some(Some(local2)), None) => Ok(Self {
                global,
                local1,
                local2,
            }),
            _ => Err(ParseCommunityError {
                text: s.to_owned(),
                expected: "large community: expected 64512:1:2 (three numbers up to 4294967295)",
            }),
        }
    }
}

serde_as_text!(Community, LargeCommunity);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn communities_are_read_as_they_are_written() {
        for text in [
            "64512:100",
            "0:0",
            "65535:65535",
            "no-export",
            "blackhole",
            "graceful-shutdown",
        ] {
            assert_eq!(text.parse::<Community>().unwrap().to_string(), text);
        }
        assert_eq!(
            "65535:65281".parse::<Community>().unwrap(),
            Community::NO_EXPORT
        );
        assert_eq!(
            "64512:1:2".parse::<LargeCommunity>().unwrap().to_string(),
            "64512:1:2"
        );
    }

    #[test]
    fn what_is_no_community_is_refused_with_an_example() {
        for text in ["", "1", "65536:1", "1:65536", "1:2:3", "no-exports"] {
            let error = text.parse::<Community>().unwrap_err().to_string();
            assert!(error.contains("64512:100"), "{error}");
        }
        for text in ["1:2", "1:2:3:4", "4294967296:1:1", "a:b:c"] {
            let error = text.parse::<LargeCommunity>().unwrap_err().to_string();
            assert!(error.contains("64512:1:2"), "{error}");
        }
    }

    #[test]
    fn communities_are_strings_in_json() {
        let all = vec![Community::NO_EXPORT, Community(64512 << 16 | 100)];
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(json, r#"["no-export","64512:100"]"#);
        assert_eq!(serde_json::from_str::<Vec<Community>>(&json).unwrap(), all);
    }
}
