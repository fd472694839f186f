//! Two OPENs into what a session runs on, or the NOTIFICATION that says why not (RFC 4271 section 6.2).

use std::sync::Arc;
use std::time::Duration;

use super::{Config, Negotiated};
use crate::types::{Asn, Family, PeerText};
use crate::wire::capability::{AddPathMode, GracefulRestart, LongLivedFamily, Role};
use crate::wire::{Capability, Notification, NotificationCode, Open};

/// RFC 4271 section 4.2: a hold time is 0 or at least this.
const MIN_HOLD_TIME: u16 = 3;

/// The OPEN that `config` makes. `restarting` is the R bit: this process has started and holds no session of before.
pub(super) fn open(config: &Config, restarting: bool) -> Open {
    let mut capabilities: Vec<Capability> = config
        .families
        .iter()
        .map(|family| Capability::Multiprotocol(*family))
        .collect();
    capabilities.push(Capability::RouteRefresh);
    capabilities.push(Capability::EnhancedRouteRefresh);
    capabilities.push(Capability::FourOctetAs(config.local_asn));
    if config.extended_message {
        capabilities.push(Capability::ExtendedMessage);
    }
    if !config.extended_next_hop.is_empty() {
        capabilities.push(Capability::ExtendedNextHop(
            config.extended_next_hop.clone(),
        ));
    }
    if !config.add_path.is_empty() {
        capabilities.push(Capability::AddPath(config.add_path.clone()));
    }
    if let Some(graceful) = &config.graceful_restart {
        capabilities.push(Capability::GracefulRestart(GracefulRestart {
            restarting,
            notification: graceful.notification,
            // Twelve bits in the message (RFC 4724 section 3).
            restart_time: graceful.restart_time.as_secs().min(4095) as u16,
            families: graceful.families.clone(),
        }));
        if !config.long_lived.is_empty() {
            capabilities.push(Capability::LongLivedGracefulRestart(
                config.long_lived.clone(),
            ));
        }
    }
    if let Some(role) = config.role_to_announce() {
        capabilities.push(Capability::Role(role));
    }
    if config.bfd.is_some_and(|bfd| bfd.strict) {
        capabilities.push(Capability::BfdStrictMode);
    }
    if let Some((host, domain)) = &config.host {
        capabilities.push(Capability::Fqdn {
            host: PeerText::from(host.as_str()),
            domain: PeerText::from(domain.as_str()),
        });
    }
    Open {
        asn: config.local_asn,
        hold_time: config.hold_time.map_or(0, |time| {
            (time.as_secs().min(u64::from(u16::MAX)) as u16).max(MIN_HOLD_TIME)
        }),
        identifier: config.local_id,
        capabilities,
    }
}

/// What our OPEN of `local` and the peer's agree on. The only maker of [`Negotiated`].
///
/// # Errors
///
/// The NOTIFICATION to send when the peer's OPEN is not acceptable: Bad Peer AS, Bad BGP Identifier (RFC 6286),
/// Unacceptable Hold Time, Unsupported Capability (no family in common; RFC 5492 section 3), Role Mismatch (RFC 9234).
pub fn negotiate(local: &Config, remote: &Open) -> Result<Negotiated, Notification> {
    let their = Capabilities::of(remote);
    let external = remote.asn != local.local_asn;
    let families: Vec<Family> = local
        .families
        .iter()
        .filter(|family| their.families.contains(family))
        .copied()
        .collect();
    check(local, remote, &their, &families)?;

    let hold_time = open(local, false).hold_time.min(remote.hold_time);
    let hold_time = (hold_time != 0).then(|| Duration::from_secs(hold_time.into()));
    let graceful_restart = local
        .graceful_restart
        .as_ref()
        .and(their.graceful_restart.clone());
    let add_path = |wants: fn(AddPathMode) -> bool, offers: fn(AddPathMode) -> bool| {
        let ours = local.add_path.iter().filter(|(_, mode)| wants(*mode));
        ours.map(|(family, _)| *family)
            .filter(|family| families.contains(family))
            .filter(|family| {
                their
                    .add_path
                    .iter()
                    .any(|(f, m)| f == family && offers(*m))
            })
            .collect::<Vec<_>>()
    };
    Ok(Negotiated {
        peer_asn: remote.asn,
        peer_id: remote.identifier,
        local_asn: local.local_asn,
        local_id: local.local_id,
        hold_time,
        keepalive: hold_time.map(|hold| keepalive(local.keepalive, hold)),
        four_octet_as: their.four_octet_as,
        add_path_receive: add_path(receives, sends),
        add_path_send: add_path(sends, receives),
        extended_next_hop: local
            .extended_next_hop
            .iter()
            .filter(|(family, _)| families.contains(family))
            .filter(|pair| their.extended_next_hop.contains(pair))
            .copied()
            .collect(),
        extended_message: local.extended_message && their.extended_message,
        route_refresh: their.route_refresh,
        enhanced_route_refresh: their.enhanced_route_refresh,
        notification_retains: graceful_restart
            .as_ref()
            .is_some_and(|peer| peer.notification)
            && local
                .graceful_restart
                .as_ref()
                .is_some_and(|ours| ours.notification),
        // RFC 9494 section 4.2: without graceful restart the capability is ignored.
        long_lived: if graceful_restart.is_some() && !local.long_lived.is_empty() {
            their.long_lived.clone()
        } else {
            Vec::new()
        },
        graceful_restart,
        first_as: first_as(local, remote),
        // RFC 9234 section 4.2: the local role is used, whether or not the peer sends one.
        peer_role: local.role.filter(|_| external).and_then(Role::counterpart),
        announced_role: their.roles.first().copied().filter(|_| external),
        bfd_strict: local.bfd.is_some_and(|bfd| bfd.strict) && their.bfd_strict,
        peer_host: their.host.clone(),
        peer_open: Arc::new(remote.clone()),
        families,
    })
}

/// The AS that paths of the peer must begin with.
fn first_as(local: &Config, remote: &Open) -> Option<Asn> {
    let external = remote.asn != local.local_asn;
    // RFC 7947 section 2.2.2.1: a route server does not put its own AS in front. That the peer is one has to be
    // configured here: a peer cannot switch the check off by what it says of itself.
    let is_server = local.role == Some(Role::RouteServerClient);
    (external && local.enforce_first_as && !is_server).then_some(remote.asn)
}

/// Whether the peer's OPEN is acceptable; `families`: those in common.
fn check(
    local: &Config,
    remote: &Open,
    their: &Capabilities,
    families: &[Family],
) -> Result<(), Notification> {
    if !local.remote_asn.accepts(local.local_asn, remote.asn) {
        return Err(Notification::new(NotificationCode::BAD_PEER_AS));
    }
    let external = remote.asn != local.local_asn;
    // RFC 6286 section 2.2: only within an AS must identifiers differ.
    if remote.identifier.is_zero() || (!external && remote.identifier == local.local_id) {
        return Err(Notification::new(NotificationCode::BAD_BGP_IDENTIFIER));
    }
    if matches!(remote.hold_time, 1..MIN_HOLD_TIME) {
        return Err(Notification::new(NotificationCode::UNACCEPTABLE_HOLD_TIME));
    }
    if families.is_empty() {
        return Err(unsupported_families(&local.families));
    }
    if external && !roles_agree(local, &their.roles) {
        return Err(Notification::new(NotificationCode::ROLE_MISMATCH));
    }
    Ok(())
}

fn unsupported_families(wanted: &[Family]) -> Notification {
    let missing: Vec<_> = wanted
        .iter()
        .map(|family| Capability::Multiprotocol(*family))
        .collect();
    Notification::unsupported_capability(&missing)
}

fn receives(mode: AddPathMode) -> bool {
    matches!(mode, AddPathMode::Receive | AddPathMode::Both)
}

fn sends(mode: AddPathMode) -> bool {
    matches!(mode, AddPathMode::Send | AddPathMode::Both)
}

/// RFC 4271 section 4.4: at most a third of the hold time, and no more than one a second.
fn keepalive(configured: Option<Duration>, hold_time: Duration) -> Duration {
    let third = hold_time / 3;
    configured
        .map_or(third, |time| time.min(third))
        .max(Duration::from_secs(1))
}

/// RFC 9234 section 4.2, between external peers.
fn roles_agree(local: &Config, remote: &[Role]) -> bool {
    // Several that differ are a mismatch, whatever ours is.
    if remote.iter().any(|role| Some(role) != remote.first()) {
        return false;
    }
    let Some(ours) = local.role else {
        return true;
    };
    match remote.first() {
        Some(theirs) => Some(*theirs) == ours.counterpart(),
        None => !local.role_strict,
    }
}

/// The peer's capabilities by kind. If one is repeated and must not differ, the first counts.
#[derive(Default)]
struct Capabilities {
    families: Vec<Family>,
    four_octet_as: bool,
    route_refresh: bool,
    enhanced_route_refresh: bool,
    extended_message: bool,
    extended_next_hop: Vec<(Family, crate::types::Afi)>,
    add_path: Vec<(Family, AddPathMode)>,
    graceful_restart: Option<GracefulRestart>,
    long_lived: Vec<LongLivedFamily>,
    roles: Vec<Role>,
    bfd_strict: bool,
    host: Option<PeerText>,
}

impl Capabilities {
    fn of(open: &Open) -> Self {
        let mut found = Self::default();
        for capability in &open.capabilities {
            found.add(capability);
        }
        if found.families.is_empty() {
            // RFC 4760 section 8: a peer that announces no family speaks IPv4 unicast.
            found.families.push(Family::IPV4_UNICAST);
        }
        found
    }

    fn add(&mut self, capability: &Capability) {
        match capability {
            Capability::Multiprotocol(family) => self.families.push(*family),
            Capability::RouteRefresh => self.route_refresh = true,
            Capability::EnhancedRouteRefresh => self.enhanced_route_refresh = true,
            Capability::FourOctetAs(Asn(_)) => self.four_octet_as = true,
            Capability::GracefulRestart(value) => {
                self.graceful_restart.get_or_insert_with(|| value.clone());
            }
            Capability::LongLivedGracefulRestart(families) => self.long_lived.extend(families),
            Capability::AddPath(families) => self.add_path.extend(families),
            Capability::ExtendedNextHop(pairs) => self.extended_next_hop.extend(pairs),
            Capability::ExtendedMessage => self.extended_message = true,
            Capability::Role(role) => self.roles.push(*role),
            Capability::BfdStrictMode => self.bfd_strict = true,
            Capability::Fqdn { host, .. } => {
                self.host.get_or_insert_with(|| host.clone());
            }
            Capability::Unknown { .. } => {}
        }
    }
}
