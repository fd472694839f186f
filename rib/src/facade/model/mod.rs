//! Operations on a RIB, and the RIB beside the oracle to whom they happen: for property tests and for the fuzz target.
#![allow(clippy::unwrap_used)]
// The fuzz target needs less of it than the tests do.
#![cfg_attr(not(test), allow(dead_code, unused_imports))]

mod apply;
mod check;
mod heard;
mod ops;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::fsm::{Config, Down, Negotiated, RemoteAsn, negotiate};
use bgp::types::{Asn, BgpIdentifier, Community, Family, NextHop, Nlri, PathId, RoutePrefix};
use bgp::wire::attribute::{AsPath, AttributeCode, AttributeFilter, Origin, UnknownAttribute};
use bgp::wire::capability::{GracefulRestart, LongLivedFamily};
use bgp::wire::{
    AttributeSet, Capability, Open, PathAttributes, Reach, RouteRefresh, RouteRefreshSubtype,
    Update,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub(crate) use heard::Heard;
pub(crate) use ops::*;
pub(crate) use world::World;
pub(crate) use world::run;

use super::{Expected, FibRoute, Multipath, Rib, RibConfig, RibEvent};
use crate::attrs::{NextHopResolver, Resolution};
use crate::oracle::{Oracle, Reachable, family_of};
use crate::originate::{AdvertisementId, Offer, Originated};
use crate::peer::{PeerConfig, PeerId, PeerKind, SessionInfo};
use crate::policy::{Action, Matches, Policy, PrefixRange, Rule as PolicyRule, Set};
use crate::table::{PathStatus, Rejection};
