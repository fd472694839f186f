//! What the decision process and the built-in rules need of an attribute set, read from its canonical bytes once.

use bgp::types::{Asn, BgpIdentifier, Community};
use bgp::wire::AttributeSetRef;
use bgp::wire::attribute::{AttributeCode, AttributeCodes, Origin};

/// Index of a next hop among the distinct ones of the interner. Valid while a set with it is interned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NextHopIndex(pub(crate) u32);

/// Set of facts about an attribute set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// Carries NO_EXPORT (RFC 1997).
    pub const NO_EXPORT: Self = Self(1);
    /// Carries NO_ADVERTISE (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(1 << 1);
    /// Carries NO_EXPORT_SUBCONFED (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(1 << 2);
    /// Carries LLGR_STALE (RFC 9494).
    pub const LLGR_STALE: Self = Self(1 << 3);
    /// Carries NO_LLGR (RFC 9494).
    pub const NO_LLGR: Self = Self(1 << 4);
    /// Carries GRACEFUL_SHUTDOWN (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(1 << 5);
    /// CLUSTER_LIST contains our cluster ID (RFC 4456 section 8).
    pub const OWN_CLUSTER: Self = Self(1 << 6);
    /// ORIGINATOR_ID is our own identifier (RFC 4456 section 8).
    pub const OWN_ORIGINATOR: Self = Self(1 << 7);
    /// MULTI_EXIT_DISC is present.
    pub const HAS_MED: Self = Self(1 << 8);
    /// LOCAL_PREF is present.
    pub const HAS_LOCAL_PREF: Self = Self(1 << 9);
    /// Carries NO_PEER (RFC 3765).
    pub const NO_PEER: Self = Self(1 << 10);
    /// Carries BLACKHOLE (RFC 7999).
    pub const BLACKHOLE: Self = Self(1 << 11);
    /// ORIGINATOR_ID is present.
    pub const HAS_ORIGINATOR: Self = Self(1 << 12);

    /// Has an attribute that few sets have: see [`Flags::is_uncommon`].
    pub const UNCOMMON: Self = Self(1 << 13);

    /// Whether the attribute makes a set uncommon.
    pub(crate) const fn is_uncommon(code: AttributeCode) -> bool {
        !COMMON.contains(code)
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The attributes that most sets have, or many: a set with others is uncommon.
const COMMON: AttributeCodes = AttributeCodes::of(&[
    AttributeCode::ORIGIN,
    AttributeCode::AS_PATH,
    AttributeCode::MULTI_EXIT_DISC,
    AttributeCode::LOCAL_PREF,
    AttributeCode::ATOMIC_AGGREGATE,
    AttributeCode::AGGREGATOR,
    AttributeCode::COMMUNITIES,
    AttributeCode::ORIGINATOR_ID,
    AttributeCode::CLUSTER_LIST,
    AttributeCode::EXTENDED_COMMUNITIES,
    AttributeCode::IPV6_EXTENDED_COMMUNITIES,
    AttributeCode::LARGE_COMMUNITIES,
    AttributeCode::ONLY_TO_CUSTOMER,
]);

/// Who we are: what loops are recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP identifier.
    pub router_id: BgpIdentifier,
    /// Our cluster ID as a route reflector (RFC 4456).
    pub cluster_id: BgpIdentifier,
}

/// The LOCAL_PREF of a route that has none: the value that all implementations use.
pub const DEFAULT_LOCAL_PREF: u32 = 100;

/// What the decision process compares, in 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// LOCAL_PREF, [`DEFAULT_LOCAL_PREF`] if absent.
    pub local_pref: u32,
    /// MULTI_EXIT_DISC; absent is 0, the lowest (RFC 4271 9.1.2.2 c).
    pub med: u32,
    /// First AS of the AS_PATH (its leading AS_SEQUENCE); AS 0 if there is none.
    pub neighbour_as: Asn,
    /// ORIGINATOR_ID; meaningful with [`Flags::HAS_ORIGINATOR`].
    pub originator_id: BgpIdentifier,
    /// The next hop, among the interner's.
    pub next_hop: NextHopIndex,
    /// AS_PATH length: an AS_SET counts 1 (RFC 4271 9.1.2.2 a), confederation segments 0 (RFC 5065).
    pub as_path_length: u16,
    /// Facts.
    pub flags: Flags,
    /// ORIGIN; absent is INCOMPLETE.
    pub origin: Origin,
    /// Entries of the CLUSTER_LIST, at most 255.
    pub cluster_list_length: u8,
    /// How often our own AS stands in the AS_PATH, at most 255.
    pub own_as_count: u8,
}

/// Iterator over the attributes of a canonical set: type code and value.
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(crate) fn of(set: &'a AttributeSetRef<'_>) -> Self {
        Self(set.as_bytes())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        /// Flag bit: the length field has two octets.
        const EXTENDED_LENGTH: u8 = 0x10;
        let (&[flags, code], rest) = self.0.split_first_chunk()?;
        let (length, rest) = if flags & EXTENDED_LENGTH == 0 {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        } else {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((code, value))
    }
}

fn word(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*value.first_chunk()?))
}

/// Type codes of the attributes that are read here.
pub(crate) mod code {
    pub(crate) const ORIGIN: u8 = 1;
    pub(crate) const AS_PATH: u8 = 2;
    pub(crate) const MED: u8 = 4;
    pub(crate) const LOCAL_PREF: u8 = 5;
    pub(crate) const COMMUNITIES: u8 = 8;
    pub(crate) const ORIGINATOR_ID: u8 = 9;
    pub(crate) const CLUSTER_LIST: u8 = 10;
}

impl Summary {
    /// Reads a canonical set.
    pub(crate) fn of(set: AttributeSetRef<'_>, next_hop: NextHopIndex, me: &Identity) -> Self {
        let mut summary = Self {
            local_pref: DEFAULT_LOCAL_PREF,
            med: 0,
            neighbour_as: Asn(0),
            originator_id: BgpIdentifier(0),
            next_hop,
            as_path_length: 0,
            flags: Flags::default(),
            origin: Origin::Incomplete,
            cluster_list_length: 0,
            own_as_count: 0,
        };
        for (code, value) in Attributes::of(&set) {
            summary.read(code, value, me);
        }
        summary
    }

    fn read(&mut self, code: u8, value: &[u8], me: &Identity) {
        match code {
            code::ORIGIN => {
                self.origin = match value.first() {
                    Some(0) => Origin::Igp,
                    Some(1) => Origin::Egp,
                    _ => Origin::Incomplete,
                };
            }
            code::AS_PATH => self.read_as_path(value, me.asn),
            code::MED => {
                if let Some(med) = word(value) {
                    self.med = med;
                    self.flags = self.flags.with(Flags::HAS_MED);
                }
            }
            code::LOCAL_PREF => {
                if let Some(local_pref) = word(value) {
                    self.local_pref = local_pref;
                    self.flags = self.flags.with(Flags::HAS_LOCAL_PREF);
                }
            }
            code::COMMUNITIES => {
                for community in value.chunks_exact(4).filter_map(word) {
                    self.flags = self.flags.with(match Community(community) {
                        Community::NO_EXPORT => Flags::NO_EXPORT,
                        Community::NO_ADVERTISE => Flags::NO_ADVERTISE,
                        Community::NO_EXPORT_SUBCONFED => Flags::NO_EXPORT_SUBCONFED,
                        Community::NO_PEER => Flags::NO_PEER,
                        Community::LLGR_STALE => Flags::LLGR_STALE,
                        Community::NO_LLGR => Flags::NO_LLGR,
                        Community::GRACEFUL_SHUTDOWN => Flags::GRACEFUL_SHUTDOWN,
                        Community::BLACKHOLE => Flags::BLACKHOLE,
                        _ => Flags::default(),
                    });
                }
            }
            code::ORIGINATOR_ID => {
                if let Some(id) = word(value) {
                    self.originator_id = BgpIdentifier(id);
                    self.flags = self.flags.with(Flags::HAS_ORIGINATOR);
                    if self.originator_id == me.router_id {
                        self.flags = self.flags.with(Flags::OWN_ORIGINATOR);
                    }
                }
            }
            code::CLUSTER_LIST => {
                for id in value.chunks_exact(4).filter_map(word) {
                    self.cluster_list_length = self.cluster_list_length.saturating_add(1);
                    if BgpIdentifier(id) == me.cluster_id {
                        self.flags = self.flags.with(Flags::OWN_CLUSTER);
                    }
                }
            }
            other => {
                if Flags::is_uncommon(AttributeCode(other)) {
                    self.flags = self.flags.with(Flags::UNCOMMON);
                }
            }
        }
    }

    fn read_as_path(&mut self, mut value: &[u8], own: Asn) {
        const AS_SET: u8 = 1;
        const AS_SEQUENCE: u8 = 2;
        let mut first = true;
        while let Some((&[kind, count], rest)) = value.split_first_chunk() {
            let Some((asns, rest)) = rest.split_at_checked(usize::from(count) * 4) else {
                return;
            };
            self.as_path_length = self.as_path_length.saturating_add(match kind {
                AS_SET => 1,
                AS_SEQUENCE => u16::from(count),
                _ => 0,
            });
            if first && kind == AS_SEQUENCE {
                self.neighbour_as = Asn(word(asns).unwrap_or(0));
            }
            first = false;
            let own_here = asns
                .chunks_exact(4)
                .filter_map(word)
                .filter(|asn| *asn == own.0);
            self.own_as_count = self
                .own_as_count
                .saturating_add(own_here.count().min(255) as u8);
            value = rest;
        }
    }
}
