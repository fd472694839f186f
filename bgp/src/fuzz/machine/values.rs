//! Configurations, messages and reasons out of the input of a run.

use std::time::Duration;

use super::super::Octets;
use super::{OTHER, OWN};
use crate::fsm::{BfdConfig, BfdState, Cease, Config, GracefulRestartConfig, RemoteAsn, Stop};
use crate::types::{Afi, Asn, BgpIdentifier, Family};
use crate::wire::capability::{AddPathMode, GracefulRestart, LongLivedFamily, Role};
use crate::wire::{Capability, Notification, NotificationCode, Open};

pub(super) fn config(octets: &mut Octets<'_>) -> Config {
    let remote = *octets.one_of(&[
        RemoteAsn::Any,
        RemoteAsn::External,
        RemoteAsn::Internal,
        RemoteAsn::Number(OTHER),
    ]);
    let bits = octets.octet();
    let bit = |at: u8| bits & (1 << at) != 0;
    let mut config = Config::new(OWN, BgpIdentifier(octets.below(3) as u32 + 1), remote, 1);
    config.passive = bit(0);
    config.hold_time = octets
        .one_of(&[Some(90), Some(3), None])
        .map(Duration::from_secs);
    if bit(1) {
        config.graceful_restart = Some(GracefulRestartConfig {
            restart_time: Duration::from_secs(120),
            notification: bit(2),
            families: vec![(Family::IPV4_UNICAST, true)],
        });
    }
    if bit(3) {
        config.families = vec![Family::IPV6_UNICAST];
    }
    if bit(4) {
        config.role = Some(Role::Provider);
        config.role_strict = bit(5);
    }
    if bit(6) {
        config.add_path = vec![(Family::IPV4_UNICAST, AddPathMode::Both)];
        config.extended_next_hop = vec![(Family::IPV4_UNICAST, Afi::IPV6)];
    }
    if bit(7) {
        config.send_hold_time = Some(Duration::from_secs(10));
        config.connect_retry = Duration::from_secs(300);
    }
    if octets.flag() {
        config.bfd = Some(BfdConfig {
            strict: octets.flag(),
            ..BfdConfig::default()
        });
    }
    config
}

pub(super) fn bfd(octets: &mut Octets<'_>) -> BfdState {
    *octets.one_of(&[
        BfdState::Unknown,
        BfdState::Down { retain: false },
        BfdState::Down { retain: true },
        BfdState::Up,
        BfdState::AdminDown,
    ])
}

pub(super) fn open(octets: &mut Octets<'_>) -> Open {
    let bits = octets.octet();
    let mut capabilities = Vec::new();
    let all = [
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::Multiprotocol(Family::IPV6_UNICAST),
        Capability::GracefulRestart(GracefulRestart {
            restarting: octets.flag(),
            notification: bits & 1 != 0,
            restart_time: 60,
            families: vec![(Family::IPV4_UNICAST, true)],
        }),
        Capability::LongLivedGracefulRestart(vec![LongLivedFamily {
            family: Family::IPV4_UNICAST,
            forwarding: true,
            stale_time: 100,
        }]),
        Capability::Role(Role::Customer),
        Capability::Role(Role::Peer),
        Capability::AddPath(vec![(Family::IPV4_UNICAST, AddPathMode::Both)]),
        Capability::ExtendedMessage,
    ];
    for (at, capability) in all.into_iter().enumerate() {
        if bits & (1 << at) != 0 {
            capabilities.push(capability);
        }
    }
    if octets.flag() {
        capabilities.push(Capability::BfdStrictMode);
    }
    Open {
        asn: *octets.one_of(&[OTHER, OWN, Asn::TRANS, Asn(0)]),
        hold_time: *octets.one_of(&[90, 3, 0, 2, u16::MAX]),
        identifier: BgpIdentifier(octets.below(4) as u32),
        capabilities,
    }
}

/// What a router that suits this configuration says.
pub(super) fn router(config: &Config) -> Open {
    let internal = matches!(config.remote_asn, RemoteAsn::Internal);
    let asn = if internal { OWN } else { OTHER };
    let mut capabilities = Family::ALL.map(Capability::Multiprotocol).to_vec();
    capabilities.push(Capability::FourOctetAs(asn));
    if let Some(role) = config.role.and_then(Role::counterpart) {
        capabilities.push(Capability::Role(role));
    }
    Open {
        asn,
        hold_time: 90,
        identifier: BgpIdentifier(77),
        capabilities,
    }
}

pub(super) fn stop(octets: &mut Octets<'_>) -> Stop {
    match octets.below(4) {
        0 => Stop::Silent,
        _ => Stop::Cease(cease(octets)),
    }
}

pub(super) fn cease(octets: &mut Octets<'_>) -> Cease {
    match octets.below(7) {
        0 => Cease::Shutdown("text".to_owned()),
        1 => Cease::Reset(String::new()),
        2 => Cease::Deconfigured,
        3 => Cease::ConfigurationChange,
        4 => Cease::MaximumPrefixes {
            family: Family::IPV4_UNICAST,
            limit: 9,
        },
        5 => Cease::OutOfResources,
        _ => Cease::BfdDown {
            retain: octets.flag(),
        },
    }
}

pub(super) fn notification(octets: &mut Octets<'_>) -> Notification {
    let all = [
        NotificationCode::CONNECTION_COLLISION,
        NotificationCode::OTHER_CONFIGURATION_CHANGE,
        NotificationCode::HOLD_TIMER_EXPIRED,
        NotificationCode::BAD_PEER_AS,
        NotificationCode::PEER_DECONFIGURED,
        NotificationCode::OUT_OF_RESOURCES,
    ];
    let message = Notification::new(*octets.one_of(&all));
    if octets.flag() {
        message.into_hard_reset()
    } else {
        message
    }
}
