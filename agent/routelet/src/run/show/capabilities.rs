//! What each side announced in its OPEN: the peer's as the peer sent it, whatever came of it.

#[cfg(test)]
mod tests;

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
    for (name, is_theirs) in [
        (
            "4-octet AS",
            has(|one| matches!(one, Capability::FourOctetAs(_))),
        ),
        (
            "route refresh",
            has(|one| matches!(one, Capability::RouteRefresh)),
        ),
        (
            "enhanced route refresh",
            has(|one| matches!(one, Capability::EnhancedRouteRefresh)),
        ),
    ] {
        rows.push(plain(name, true, is_theirs));
    }
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

/// Graceful restart as the peer announced it, and whether it is used. `most`: for how many seconds long-lived stale
/// routes are kept at most.
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
