//! What each side announced in its OPEN: the peer's as the peer sent it, whatever came of it.

use bgp::fsm::{Config, Negotiated};
use bgp::types::Family;
use bgp::wire::Capability;
use bgp::wire::capability::{AddPathMode, GracefulRestart, LongLivedFamily, Role};

use routelet_control::model::{CapabilityState, RestartFamily, RestartState};

/// Octets of an unknown capability that are shown.
const SHOWN: usize = 16;

fn row(name: impl Into<String>, ours: bool, theirs: bool, detail: String) -> CapabilityState {
    CapabilityState {
        name: name.into(),
        ours,
        theirs,
        detail: (!detail.is_empty()).then_some(detail),
    }
}

/// The first of the peer's capabilities for which `find` has a value.
fn first<'a, T>(theirs: &'a [Capability], find: impl Fn(&'a Capability) -> Option<T>) -> Option<T> {
    theirs.iter().find_map(find)
}

fn list<T>(values: impl IntoIterator<Item = T>, text: impl Fn(T) -> String) -> String {
    let texts: Vec<String> = values.into_iter().map(text).collect();
    texts.join(", ")
}

/// The families that the peer announced (RFC 4760). Without any it is one of IPv4 unicast (section 8).
pub(super) fn families(theirs: &[Capability]) -> Vec<Family> {
    let family = |one: &Capability| match one {
        Capability::Multiprotocol(family) => Some(*family),
        _ => None,
    };
    theirs.iter().filter_map(family).collect()
}

/// What each side announced, ours first in each row; what only the peer announced, too.
pub(super) fn capabilities(ours: &Config, negotiated: &Negotiated) -> Vec<CapabilityState> {
    let theirs = &negotiated.peer_open.capabilities;
    let has = |one: fn(&Capability) -> bool| theirs.iter().any(one);
    let plain = |name: &str, is_ours, is_theirs| row(name, is_ours, is_theirs, String::new());
    let mut rows = multiprotocol(ours, theirs);
    let four_octets = has(|one| matches!(one, Capability::FourOctetAs(_)));
    rows.push(plain("4-octet AS", true, four_octets));
    let refresh = has(|one| matches!(one, Capability::RouteRefresh));
    rows.push(plain("route refresh", true, refresh));
    let enhanced = has(|one| matches!(one, Capability::EnhancedRouteRefresh));
    rows.push(plain("enhanced route refresh", true, enhanced));
    rows.extend(restart_rows(ours, theirs));
    let extended = has(|one| matches!(one, Capability::ExtendedMessage));
    rows.push(plain("extended message", ours.extended_message, extended));
    rows.push(add_path(ours, theirs));
    rows.push(extended_next_hop(ours, theirs));
    rows.extend(role(ours, negotiated));
    rows.extend(host_name(ours, theirs));
    rows.extend(theirs.iter().filter_map(unknown));
    rows
}

/// The families of either side (RFC 4760).
fn multiprotocol(ours: &Config, theirs: &[Capability]) -> Vec<CapabilityState> {
    let announced = families(theirs);
    let only_theirs = announced
        .iter()
        .filter(|family| !ours.families.contains(family));
    let all = ours.families.iter().chain(only_theirs);
    all.map(|family| {
        // RFC 4760 section 8.
        let silent = *family == Family::IPV4_UNICAST && announced.is_empty();
        let detail = match silent {
            true => "used, since the peer announces no family".to_owned(),
            false => String::new(),
        };
        row(
            format!("multiprotocol {family}"),
            ours.families.contains(family),
            announced.contains(family),
            detail,
        )
    })
    .collect()
}

/// Graceful restart (RFC 4724), and the long-lived one (RFC 9494) where a side has it.
fn restart_rows(ours: &Config, theirs: &[Capability]) -> Vec<CapabilityState> {
    let restart = restart_of(theirs);
    let restarts_ours = ours.graceful_restart.is_some();
    let mut rows = vec![row(
        "graceful restart",
        restarts_ours,
        restart.is_some(),
        restart.map(restarts).unwrap_or_default(),
    )];
    let long_ours = restarts_ours && !ours.long_lived.is_empty();
    let long = first(theirs, long_lived);
    if long_ours || long.is_some() {
        let detail = list(long.into_iter().flatten(), |one| {
            let kept = forwarding(one.forwarding);
            format!("{} {} s{kept}", one.family, one.stale_time)
        });
        rows.push(row(
            "long-lived graceful restart",
            long_ours,
            long.is_some(),
            detail,
        ));
    }
    rows
}

/// The host name that the peer announced.
fn host_name(ours: &Config, theirs: &[Capability]) -> Option<CapabilityState> {
    let (host, domain) = first(theirs, |one| match one {
        Capability::Fqdn { host, domain } => Some((host, domain)),
        _ => None,
    })?;
    let domain = domain.to_string();
    let dot = if domain.is_empty() { "" } else { "." };
    Some(row(
        "host name",
        ours.host.is_some(),
        true,
        format!("{host}{dot}{domain}"),
    ))
}

fn restart_of(theirs: &[Capability]) -> Option<&GracefulRestart> {
    first(theirs, |one| match one {
        Capability::GracefulRestart(value) => Some(value),
        _ => None,
    })
}

fn long_lived(one: &Capability) -> Option<&Vec<LongLivedFamily>> {
    match one {
        Capability::LongLivedGracefulRestart(families) => Some(families),
        _ => None,
    }
}

fn forwarding(kept: bool) -> &'static str {
    if kept { " (forwarding kept)" } else { "" }
}

/// RFC 4724 section 3: the time, the flags R and N (RFC 8538), and the families with their flag F.
fn restarts(value: &GracefulRestart) -> String {
    let mut parts = vec![format!("{} s", value.restart_time)];
    if value.restarting {
        parts.push("has restarted".to_owned());
    }
    if value.notification {
        parts.push("also after NOTIFICATIONs".to_owned());
    }
    parts.push(match value.families.is_empty() {
        true => "of no family".to_owned(),
        false => list(&value.families, |(family, kept)| {
            format!("{family}{}", forwarding(*kept))
        }),
    });
    parts.join(", ")
}

fn add_path(ours: &Config, theirs: &[Capability]) -> CapabilityState {
    let announced = first(theirs, |one| match one {
        Capability::AddPath(families) => Some(families),
        _ => None,
    });
    let detail = list(announced.into_iter().flatten(), |(family, mode)| {
        let mode = match mode {
            AddPathMode::Receive => "receive",
            AddPathMode::Send => "send",
            AddPathMode::Both => "send and receive",
        };
        format!("{family} {mode}")
    });
    row(
        "add-path",
        !ours.add_path.is_empty(),
        announced.is_some(),
        detail,
    )
}

fn extended_next_hop(ours: &Config, theirs: &[Capability]) -> CapabilityState {
    let announced = first(theirs, |one| match one {
        Capability::ExtendedNextHop(pairs) => Some(pairs),
        _ => None,
    });
    let detail = list(
        announced.into_iter().flatten(),
        |(family, over)| match over.0 {
            1 => format!("{family} over IPv4"),
            2 => format!("{family} over IPv6"),
            number => format!("{family} over AFI {number}"),
        },
    );
    let is_ours = !ours.extended_next_hop.is_empty();
    row("extended next hop", is_ours, announced.is_some(), detail)
}

/// RFC 9234. A role that an internal peer sends decides nothing, and is shown all the same.
fn role(ours: &Config, negotiated: &Negotiated) -> Option<CapabilityState> {
    let announced = first(&negotiated.peer_open.capabilities, |one| match one {
        Capability::Role(role) => Some(*role),
        _ => None,
    });
    let used: Option<Role> = negotiated.peer_role;
    let detail = match (used, announced) {
        (None, None) => return None,
        (None, Some(role)) if ours.role.is_none() => {
            format!("peer sends {role}; not used: no role is configured here")
        }
        (None, Some(role)) => format!("peer sends {role}; not used between internal peers"),
        (Some(role), None) => format!("peer is {role}, as configured here"),
        (Some(role), Some(_)) => format!("peer is {role}"),
    };
    Some(row("role", used.is_some(), announced.is_some(), detail))
}

fn unknown(one: &Capability) -> Option<CapabilityState> {
    let Capability::Unknown { code, value } = one else {
        return None;
    };
    let octets = value.iter().take(SHOWN);
    let mut detail: String = octets.map(|octet| format!("{octet:02x}")).collect();
    if value.len() > SHOWN {
        detail.push_str("...");
    }
    Some(row(format!("capability {code}"), false, true, detail))
}

/// Graceful restart as the peer announced it, and whether it is used. `most`: for how many seconds long-lived stale routes are kept
/// at most.
pub(super) fn graceful_restart(negotiated: &Negotiated, most: u64) -> Option<RestartState> {
    let theirs = &negotiated.peer_open.capabilities;
    let peer = restart_of(theirs)?;
    let long = first(theirs, long_lived).into_iter().flatten();
    let long = long.map(|family| u64::from(family.stale_time)).max();
    Some(RestartState {
        restart_time_seconds: peer.restart_time.into(),
        notification: peer.notification,
        restarting: peer.restarting,
        families: peer
            .families
            .iter()
            .map(|(family, forwarding)| RestartFamily {
                family: family.to_string(),
                forwarding: *forwarding,
            })
            .collect(),
        used: negotiated.graceful_restart.is_some(),
        long_lived_seconds: long,
        long_lived_kept_seconds: long.map(|asked| asked.min(most)),
    })
}

#[cfg(test)]
mod tests {
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
}
