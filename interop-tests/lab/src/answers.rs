//! What subjects answer: sessions and routes, in one shape whatever tool was asked.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Error, Result};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::speaker::Family;

/// The state of a session (RFC 4271 8.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Not trying.
    Idle,
    /// Dialling.
    Connect,
    /// Waiting for the neighbour, or for the next try.
    Active,
    /// OPEN sent.
    OpenSent,
    /// OPEN received and confirmed.
    OpenConfirm,
    /// Exchanging routes.
    Established,
}

impl FromStr for State {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s.to_ascii_lowercase().replace(['_', ' '], "").as_str() {
            // What BIRD calls a protocol that does not run, and FRR a neighbour that is shut down.
            "idle" | "down" | "shutdown" | "clearing" | "deleted" | "passive" | "close" => {
                Ok(Self::Idle)
            }
            "connect" => Ok(Self::Connect),
            "active" => Ok(Self::Active),
            "opensent" => Ok(Self::OpenSent),
            "openconfirm" => Ok(Self::OpenConfirm),
            "established" => Ok(Self::Established),
            _ => Err(Error::msg(format!("\"{s}\" is no state of a session"))),
        }
    }
}

/// A session as the subject sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The neighbour's address.
    pub neighbour: IpAddr,
    /// The neighbour's AS, if known.
    pub asn: Option<u32>,
    /// How far it is.
    pub state: State,
    /// How long it has been Established, as exactly as the subject reports (seconds, most do).
    pub uptime: Option<Duration>,
    /// The families that routes are exchanged for; empty unless Established.
    pub families: Vec<Family>,
    /// Routes received from the neighbour and kept, over all families, if the subject reports them.
    pub received: Option<u64>,
    /// Why it last fell, in the subject's words.
    pub last_error: Option<String>,
}

/// ORIGIN (RFC 4271 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Interior to the originating AS.
    Igp,
    /// Learned by EGP.
    Egp,
    /// Learned by other means.
    Incomplete,
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s.to_ascii_lowercase().as_str() {
            "igp" | "i" => Ok(Self::Igp),
            "egp" | "e" => Ok(Self::Egp),
            "incomplete" | "?" => Ok(Self::Incomplete),
            _ => Err(Error::msg(format!("\"{s}\" is no ORIGIN"))),
        }
    }
}

/// A community (RFC 1997) as its two halves; well-known ones are numbers like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Community(pub u16, pub u16);

impl Community {
    /// Not to be advertised outside the AS (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff, 0xff01);
    /// Not to be advertised to anyone (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff, 0xff02);
    /// To be drained (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff, 0);

    const NAMES: [(&'static str, u32); 14] = [
        ("noexport", 0xffff_ff01),
        ("noadvertise", 0xffff_ff02),
        ("localas", 0xffff_ff03),
        ("noexportsubconfed", 0xffff_ff03),
        ("nopeer", 0xffff_ff04),
        ("gracefulshutdown", 0xffff_0000),
        ("gshut", 0xffff_0000),
        ("acceptown", 0xffff_0001),
        ("llgrstale", 0xffff_0006),
        ("nollgr", 0xffff_0007),
        ("blackhole", 0xffff_029a),
        ("internet", 0),
        ("plannedshut", 0xffff_0000),
        ("localasn", 0xffff_ff03),
    ];
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

impl FromStr for Community {
    type Err = Error;

    /// Reads `64512:100` and the names that the daemons give to well-known communities (`no-export`, `noExport`).
    fn from_str(s: &str) -> Result<Self> {
        let plain = s.to_ascii_lowercase().replace(['-', '_'], "");
        let named = Self::NAMES.iter().find(|(name, _)| *name == plain);
        if let Some((_, value)) = named {
            return Ok(Self((value >> 16) as u16, (value & 0xffff) as u16));
        }
        let (high, low) = s
            .split_once([':', ','])
            .with_context(|| format!("\"{s}\" is no community"))?;
        let half = |text: &str| -> Result<u16> {
            text.trim()
                .parse()
                .with_context(|| format!("\"{s}\" is no community"))
        };
        Ok(Self(half(high)?, half(low)?))
    }
}

/// A large community (RFC 8092).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LargeCommunity(pub u32, pub u32, pub u32);

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.0, self.1, self.2)
    }
}

impl FromStr for LargeCommunity {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let parts: Vec<u32> = s
            .split([':', ','])
            .map(|part| part.trim().parse())
            .collect::<Result<_, _>>()
            .with_context(|| format!("\"{s}\" is no large community"))?;
        match parts[..] {
            [global, local1, local2] => Ok(Self(global, local1, local2)),
            _ => Err(Error::msg(format!("\"{s}\" is no large community"))),
        }
    }
}

/// One path of a prefix, as the subject shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The prefix.
    pub prefix: IpNet,
    /// Whether it is the subject's best path.
    pub best: bool,
    /// The neighbour it came from; `None` for what the subject originates, and where the subject does not tell.
    pub from: Option<IpAddr>,
    /// Its next hops: for IPv6 possibly a global and a link-local one.
    pub next_hops: Vec<IpAddr>,
    /// AS_PATH in one notation: numbers with single spaces, sets as `{64501,64502}`.
    pub as_path: String,
    /// ORIGIN.
    pub origin: Option<Origin>,
    /// MULTI_EXIT_DISC, where present. FRR and OpenBGPD show an absent one as 0.
    pub med: Option<u32>,
    /// LOCAL_PREF, where present or assumed by the subject.
    pub local_pref: Option<u32>,
    /// Communities.
    pub communities: BTreeSet<Community>,
    /// Large communities.
    pub large_communities: BTreeSet<LargeCommunity>,
    /// Extended communities: route targets as `rt:64512:1`, others in the subject's notation.
    pub extended_communities: BTreeSet<String>,
    /// ORIGINATOR_ID (RFC 4456).
    pub originator_id: Option<IpAddr>,
    /// CLUSTER_LIST (RFC 4456), nearest first.
    pub cluster_list: Vec<IpAddr>,
    /// The path identifier received (RFC 7911).
    pub path_id: Option<u32>,
    /// Kept from a session that fell (RFC 4724).
    pub stale: bool,
}

impl Route {
    /// A path without any attribute, for the parsers to fill.
    pub(crate) fn new(prefix: IpNet) -> Self {
        Self {
            prefix,
            best: false,
            from: None,
            next_hops: Vec::new(),
            as_path: String::new(),
            origin: None,
            med: None,
            local_pref: None,
            communities: BTreeSet::new(),
            large_communities: BTreeSet::new(),
            extended_communities: BTreeSet::new(),
            originator_id: None,
            cluster_list: Vec::new(),
            path_id: None,
            stale: false,
        }
    }
}

/// An AS_PATH in the notation of [`Route::as_path`], from the daemons' ways to write one.
pub(crate) fn as_path(text: &str) -> String {
    let mut shown = String::new();
    let mut in_set = false;
    for word in text
        .replace('{', " { ")
        .replace('}', " } ")
        .replace([',', '[', ']'], " ")
        .split_whitespace()
    {
        match word {
            "{" => in_set = true,
            "}" => in_set = false,
            _ => {}
        }
        let glue = match word {
            "}" => "",
            _ if shown.is_empty() || shown.ends_with('{') => "",
            _ if in_set && word != "{" => ",",
            _ => " ",
        };
        shown.push_str(glue);
        shown.push_str(word);
    }
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn as_paths_are_written_one_way() {
        assert_eq!(as_path("64501  64502"), "64501 64502");
        assert_eq!(as_path("64501 { 64502 64503 }"), "64501 {64502,64503}");
        assert_eq!(as_path("64501 {64502,64503} 1"), "64501 {64502,64503} 1");
        assert_eq!(as_path(""), "");
    }

    #[test]
    fn communities_are_read_in_every_daemons_notation() {
        for (text, community) in [
            ("64512:100", Community(64512, 100)),
            ("64512,100", Community(64512, 100)),
            ("no-export", Community::NO_EXPORT),
            ("noExport", Community::NO_EXPORT),
            ("NO_EXPORT", Community::NO_EXPORT),
            ("graceful-shutdown", Community::GRACEFUL_SHUTDOWN),
        ] {
            assert_eq!(text.parse::<Community>().unwrap(), community, "{text}");
        }
        assert!("64512".parse::<Community>().is_err());
        assert!("1:2:3".parse::<Community>().is_err());
        let large = LargeCommunity(4_200_000_000, 1, 2);
        assert_eq!("4200000000:1:2".parse::<LargeCommunity>().unwrap(), large);
    }
}
