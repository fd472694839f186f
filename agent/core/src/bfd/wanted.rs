//! What is wanted of BFD with one peer.

use std::net::IpAddr;

use bgp::settings::PeerSettings;
use routelet_bfd::packet::Interval;
use routelet_bfd::{Hops, Parameters, Request, Role};

use crate::intent::{BfdDistance, BfdIntent, PeerIntent};

/// What is wanted of a peer that has BFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How.
    pub bfd: BfdIntent,
    /// The peer's address.
    pub remote: IpAddr,
    /// Our own address, if configured.
    pub local: Option<IpAddr>,
    /// The interface that the peer is bound to, or that its link-local address is on.
    pub interface: Option<u32>,
    /// Whether the peer came out of a listen range.
    pub is_dynamic: bool,
}

/// What of it decides on the path: the peer's address, ours, the interface, the distance.
pub(super) type Place = (IpAddr, Option<IpAddr>, Option<u32>, BfdDistance);

impl Wanted {
    /// What is wanted of a peer with these settings; `None`: no BFD.
    pub fn new(intent: &PeerIntent, settings: &PeerSettings) -> Option<Self> {
        Some(Self {
            bfd: intent.bfd?,
            remote: settings.remote,
            local: settings.session.transport.local,
            interface: settings
                .scope
                .map(|scope| scope.0)
                .or(settings.device_index),
            is_dynamic: intent.requested_by.range().is_some(),
        })
    }

    pub(super) fn place(&self) -> Place {
        (self.remote, self.local, self.interface, self.bfd.distance)
    }

    /// The request for a session over so many hops.
    pub(super) fn request(&self, hops: Hops) -> Request {
        // 60 s at most: see the validation of objects.
        let micros = u32::try_from(self.bfd.interval.as_micros()).unwrap_or(u32::MAX);
        let mut parameters = Parameters::new(Interval::from_micros(micros), self.bfd.multiplier);
        if self.bfd.passive {
            parameters.role = Role::Passive;
        }
        match hops {
            Hops::Single => Request::new(parameters),
            Hops::Multi => Request::multihop(parameters, self.bfd.least_ttl),
        }
    }
}
