//! BFD sessions of a speaker.

use std::net::IpAddr;
use std::time::Duration;

/// A BFD session that a speaker is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bfd {
    /// The address of this side.
    pub local: IpAddr,
    /// That of the other.
    pub remote: IpAddr,
    /// The interface between them; without it the session is multihop.
    pub interface: Option<String>,
    /// Between packets, in both directions. BIRD uses the interval, the multiplier and the keys of its first session
    /// for all.
    pub interval: Duration,
    /// How many packets may be lost.
    pub mult: u8,
    /// Waits for the other side to begin.
    pub passive: bool,
    /// Held down by the operator. BIRD has no such thing, and then has no session.
    pub disabled: bool,
    /// Keys of keyed SHA1 with their numbers, of which the first is sent with. BIRD only.
    pub keys: Vec<(u8, String)>,
    /// The keys are of meticulous keyed SHA1.
    pub meticulous: bool,
}

impl Bfd {
    /// 3 x 50 ms over `eth0`.
    ///
    /// # Panics
    /// An address is none: a mistake in the test.
    pub fn new(local: &str, remote: &str) -> Self {
        let parse = |text: &str| match text.parse() {
            Ok(address) => address,
            Err(_) => panic!("\"{text}\" is no IP address"),
        };
        Self {
            local: parse(local),
            remote: parse(remote),
            interface: Some("eth0".to_owned()),
            interval: Duration::from_millis(50),
            mult: 3,
            passive: false,
            disabled: false,
            keys: Vec::new(),
            meticulous: false,
        }
    }

    /// Over any number of hops.
    pub fn multihop(mut self) -> Self {
        self.interface = None;
        self
    }
}

/// A BFD session as a speaker shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdSession {
    /// The address of the other side.
    pub remote: IpAddr,
    /// In small letters: `up`, `down`, `init`; FRR calls what it holds down itself `shutdown`.
    pub state: String,
}
