//! What a BGP speaker of a lab is to do, said once for every kind of daemon.
//!
//! The description is deliberately small: what every one of the daemons can be configured to do. [`Speaker::extra`]
//! adds text of the daemon's own configuration language where a test needs more. Each [`crate::Subject`] writes its
//! configuration from it; what a daemon cannot do is an error there, never left out silently.

mod bfd;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::answers::{Community, LargeCommunity};

pub use bfd::{Bfd, BfdSession};

/// An address family that routes are exchanged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4 unicast.
    Ipv4,
    /// IPv6 unicast.
    Ipv6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of a prefix.
    pub fn of(prefix: IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::Ipv4,
            IpNet::V6(_) => Self::Ipv6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

/// Where a speaker listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On every address of its namespace, at this port.
    Port(u16),
    /// Not at all: it only dials. BIRD and OpenBGPD do not support this, and listen.
    Never,
}

/// Who dials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// This side dials and accepts; if both sides do, connections collide (RFC 4271 6.8).
    #[default]
    Both,
    /// This side only accepts.
    Passive,
}

/// Whether several paths of a prefix are exchanged (RFC 7911).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddPath {
    /// One path per prefix.
    #[default]
    Off,
    /// Several are understood.
    Receive,
    /// Several are sent and understood.
    Both,
}

/// What is advertised to a neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Export {
    /// Everything: what this speaker originates, and what it learned from others.
    #[default]
    Everything,
    /// Nothing.
    Nothing,
}

/// A neighbour of a speaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: u32,
    /// Who dials.
    pub mode: Mode,
    /// The port to dial; 179 if absent.
    pub port: Option<u16>,
    /// An eBGP neighbour that is this many hops away at most; one hop if absent.
    pub multihop: Option<u8>,
    /// The TCP-MD5 password (RFC 2385).
    pub password: Option<String>,
    /// The families to negotiate.
    pub families: Vec<Family>,
    /// Whether several paths are exchanged.
    pub add_path: AddPath,
    /// The restart time to advertise (RFC 4724); graceful restart is off if absent.
    pub graceful_restart: Option<Duration>,
    /// The address of this side.
    pub local_address: Option<IpAddr>,
    /// What is advertised to it.
    pub export: Export,
    /// Routes sent to it carry this speaker as the next hop, also over iBGP.
    pub next_hop_self: bool,
    /// It is a client of this route reflector (RFC 4456).
    pub route_reflector_client: bool,
    /// Packets from farther away than this many hops do not count (RFC 5082). Not configured on OpenBGPD.
    pub ttl_security: Option<u8>,
    /// Lines of the daemon's own language about this neighbour: inside its block for BIRD and OpenBGPD, with
    /// `{address}` for its address in FRR's `router bgp`; fields of the Peer as a JSON object for Routelet.
    pub extra: String,
}

impl Neighbour {
    /// A neighbour with both families and nothing special.
    ///
    /// # Panics
    /// `address` is no IP address: a mistake in the test.
    pub fn new(address: &str, asn: u32) -> Self {
        let Ok(address) = address.parse() else {
            panic!("\"{address}\" is no IP address");
        };
        Self {
            address,
            asn,
            mode: Mode::Both,
            port: None,
            multihop: None,
            password: None,
            families: Family::ALL.to_vec(),
            add_path: AddPath::Off,
            graceful_restart: None,
            local_address: None,
            export: Export::Everything,
            next_hop_self: false,
            route_reflector_client: false,
            ttl_security: None,
            extra: String::new(),
        }
    }

    /// This side only accepts.
    pub fn passive(mut self) -> Self {
        self.mode = Mode::Passive;
        self
    }

    /// Dials this port instead of 179.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Up to `hops` away.
    pub fn multihop(mut self, hops: u8) -> Self {
        self.multihop = Some(hops);
        self
    }

    /// With a TCP-MD5 password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Only these families.
    pub fn families(mut self, families: &[Family]) -> Self {
        self.families = families.to_vec();
        self
    }

    /// With several paths per prefix.
    pub fn add_path(mut self, add_path: AddPath) -> Self {
        self.add_path = add_path;
        self
    }

    /// With graceful restart.
    pub fn graceful_restart(mut self, restart_time: Duration) -> Self {
        self.graceful_restart = Some(restart_time);
        self
    }

    /// Advertises nothing to it.
    pub fn export_nothing(mut self) -> Self {
        self.export = Export::Nothing;
        self
    }

    /// Given this speaker as the next hop.
    pub fn next_hop_self(mut self) -> Self {
        self.next_hop_self = true;
        self
    }

    /// At most `hops` away, by the TTL of its packets.
    pub fn ttl_security(mut self, hops: u8) -> Self {
        self.ttl_security = Some(hops);
        self
    }

    /// With lines of the daemon's own language.
    pub fn extra(mut self, text: &str) -> Self {
        self.extra.push_str(text);
        self
    }

    /// A client of this route reflector.
    pub fn route_reflector_client(mut self) -> Self {
        self.route_reflector_client = true;
        self
    }
}

/// A prefix that a speaker originates, with the attributes it is sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origination {
    /// The prefix.
    pub prefix: IpNet,
    /// Communities (RFC 1997).
    pub communities: Vec<Community>,
    /// Large communities (RFC 8092).
    pub large_communities: Vec<LargeCommunity>,
    /// Route targets: extended communities (RFC 4360) with a two-octet AS.
    pub route_targets: Vec<(u16, u32)>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF: seen over iBGP only.
    pub local_pref: Option<u32>,
}

impl Origination {
    /// A prefix without optional attributes.
    ///
    /// # Panics
    /// `prefix` is none: a mistake in the test.
    pub fn new(prefix: &str) -> Self {
        let Ok(prefix) = prefix.parse() else {
            panic!("\"{prefix}\" is no prefix");
        };
        Self {
            prefix,
            communities: Vec::new(),
            large_communities: Vec::new(),
            route_targets: Vec::new(),
            med: None,
            local_pref: None,
        }
    }

    /// With a community.
    pub fn community(mut self, high: u16, low: u16) -> Self {
        self.communities.push(Community(high, low));
        self
    }

    /// With a large community.
    pub fn large_community(mut self, global: u32, local1: u32, local2: u32) -> Self {
        self.large_communities
            .push(LargeCommunity(global, local1, local2));
        self
    }

    /// With a route target.
    pub fn route_target(mut self, asn: u16, number: u32) -> Self {
        self.route_targets.push((asn, number));
        self
    }

    /// With a MED.
    pub fn med(mut self, med: u32) -> Self {
        self.med = Some(med);
        self
    }

    /// With a local preference.
    pub fn local_pref(mut self, local_pref: u32) -> Self {
        self.local_pref = Some(local_pref);
        self
    }
}

/// What a speaker is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Its AS.
    pub asn: u32,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// Where it listens.
    pub listen: Listen,
    /// The hold time it offers; the daemon's default if absent.
    pub hold_time: Option<Duration>,
    /// Its neighbours.
    pub neighbours: Vec<Neighbour>,
    /// What it originates.
    pub originate: Vec<Origination>,
    /// Whether it installs what it learns into the kernel, with ECMP. GoBGP cannot.
    pub install: bool,
    /// How many learned routes it installs at most. Routelet only.
    pub max_routes: usize,
    /// BFD sessions without another protocol. BIRD and FRR only.
    pub bfd: Vec<Bfd>,
    /// Text for the end of the daemon's own configuration.
    pub extra: String,
}

impl Speaker {
    /// A speaker on port 179 without neighbours.
    ///
    /// # Panics
    /// `router_id` is no IPv4 address: a mistake in the test.
    pub fn new(asn: u32, router_id: &str) -> Self {
        let Ok(router_id) = router_id.parse() else {
            panic!("\"{router_id}\" is no router ID: it is written as an IPv4 address");
        };
        Self {
            asn,
            router_id,
            listen: Listen::Port(179),
            hold_time: None,
            neighbours: Vec::new(),
            originate: Vec::new(),
            install: false,
            // A lab may bring a full table in.
            max_routes: 2_000_000,
            bfd: Vec::new(),
            extra: String::new(),
        }
    }

    /// With one more neighbour.
    pub fn neighbour(mut self, neighbour: Neighbour) -> Self {
        self.neighbours.push(neighbour);
        self
    }

    /// Originating one more prefix.
    pub fn originate(mut self, origination: Origination) -> Self {
        self.originate.push(origination);
        self
    }

    /// Listening elsewhere, or not at all.
    pub fn listen(mut self, listen: Listen) -> Self {
        self.listen = listen;
        self
    }

    /// Offering this hold time.
    pub fn hold_time(mut self, hold_time: Duration) -> Self {
        self.hold_time = Some(hold_time);
        self
    }

    /// Installing what it learns.
    pub fn install(mut self) -> Self {
        self.install = true;
        self
    }

    /// With one more BFD session.
    pub fn bfd(mut self, session: Bfd) -> Self {
        self.bfd.push(session);
        self
    }

    /// With text for the end of the daemon's own configuration.
    pub fn extra(mut self, text: &str) -> Self {
        self.extra.push_str(text);
        self
    }
}
