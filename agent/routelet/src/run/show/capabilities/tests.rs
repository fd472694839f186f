#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bgp::fsm::{GracefulRestartConfig, RemoteAsn, negotiate};
use bgp::types::{Afi, Asn, BgpIdentifier, PeerText, Safi};
use bgp::wire::Open;

use super::*;

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;
const VPN: Family = Family {
    afi: Afi(1),
    safi: Safi(128),
};

/// One of AS 64501 that announces a lot, and agrees with our side on little of it.
fn open() -> Open {
    Open {
        asn: Asn(64501),
        hold_time: 180,
        identifier: BgpIdentifier(2),
        capabilities: vec![
            Capability::Multiprotocol(V4),
            Capability::Multiprotocol(VPN),
            Capability::FourOctetAs(Asn(64501)),
            Capability::GracefulRestart(GracefulRestart {
                restarting: true,
                notification: true,
                restart_time: 77,
                families: vec![(V4, true), (VPN, false)],
            }),
            Capability::LongLivedGracefulRestart(vec![LongLivedFamily {
                family: V4,
                forwarding: false,
                stale_time: 3600,
            }]),
            Capability::ExtendedMessage,
            Capability::AddPath(vec![(V4, AddPathMode::Both), (VPN, AddPathMode::Send)]),
            Capability::ExtendedNextHop(vec![(V4, Afi::IPV6)]),
            Capability::Role(Role::Provider),
            Capability::Fqdn {
                host: PeerText::from("tor-a"),
                domain: PeerText::from("example.net"),
            },
            Capability::Unknown {
                code: 73,
                value: vec![1, 0xab].into(),
            },
        ],
    }
}

fn local() -> Config {
    let mut config = Config::new(Asn(64512), BgpIdentifier(1), RemoteAsn::Any, 1);
    config.families = vec![V4, V6];
    config.extended_message = false;
    config.host = None;
    config
}

fn shown(config: &Config, open: &Open) -> String {
    let negotiated = negotiate(config, open).unwrap();
    let yes = |announced| if announced { "yes" } else { "-" };
    let rows = capabilities(config, &negotiated);
    let lines = rows.iter().map(|one| {
        let detail = one.detail.as_deref().unwrap_or_default();
        let (ours, theirs) = (yes(one.ours), yes(one.theirs));
        format!("{:28}{ours:4}{theirs:4}{detail}", one.name)
            .trim_end()
            .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_the_peer_announced_is_shown_whether_or_not_we_have_it() {
    insta::assert_snapshot!(shown(&local(), &open()), @"
    multiprotocol ipv4-unicast  yes yes
    multiprotocol ipv6-unicast  yes -
    multiprotocol afi1/safi128  -   yes
    4-octet AS                  yes yes
    route refresh               yes -
    enhanced route refresh      yes -
    graceful restart            -   yes 77 s, has restarted, also after NOTIFICATIONs, ipv4-unicast (forwarding kept), afi1/safi128
    long-lived graceful restart -   yes ipv4-unicast 3600 s
    extended message            -   yes
    add-path                    -   yes ipv4-unicast send and receive, afi1/safi128 send
    extended next hop           -   yes ipv4-unicast over IPv6
    role                        -   yes peer sends provider; not used: no role is configured here
    host name                   -   yes tor-a.example.net
    capability 73               -   yes 01ab
    ");
    let nothing = Open {
        capabilities: Vec::new(),
        ..open()
    };
    insta::assert_snapshot!(shown(&local(), &nothing), @"
    multiprotocol ipv4-unicast  yes -   used, since the peer announces no family
    multiprotocol ipv6-unicast  yes -
    4-octet AS                  yes -
    route refresh               yes -
    enhanced route refresh      yes -
    graceful restart            -   -
    extended message            -   -
    add-path                    -   -
    extended next hop           -   -
    ");
}

#[test]
fn graceful_restart_is_shown_as_announced_and_said_to_be_unused_where_it_is_off_here() {
    for on in [false, true] {
        let mut config = local();
        config.graceful_restart = on.then(|| GracefulRestartConfig {
            restart_time: Duration::from_secs(120),
            notification: false,
            families: vec![(V4, true), (V6, true)],
        });
        let negotiated = negotiate(&config, &open()).unwrap();
        assert!(!negotiated.notification_retains, "not on our side");
        let family = |family: Family, forwarding| RestartFamily {
            family: family.to_string(),
            forwarding,
        };
        let expected = RestartState {
            restart_time_seconds: 77,
            notification: true,
            restarting: true,
            families: vec![family(V4, true), family(VPN, false)],
            used: on,
            long_lived_seconds: Some(3600),
            long_lived_kept_seconds: Some(60),
        };
        assert_eq!(graceful_restart(&negotiated, 60), Some(expected));
    }
}
