//! What is configured of a peer, for its session and in the RIB, out of the fields of its object.

use std::collections::BTreeSet;
use std::num::NonZeroU8;
use std::sync::Arc;

use bgp::fsm::{BfdConfig, Config, LimitRestart, PrefixLimit, RemoteAsn};
use bgp::settings::{SessionConfig, Transport, Ttl};
use bgp::types::{Afi, Family};
use bgp::wire::capability::{AddPathMode, LongLivedFamily, Role};
use rib::{AdvertisementId, DEFAULT_MAX_NEXT_HOPS, DEFAULT_MAX_PATHS, PeerConfig, PeerKind};
use routelet_api::peer::{BfdSpec, PasswordSpec, RoleSpec};
use routelet_api::{PeerSpec, RestartAfter};

use super::{Context, Session};
use crate::cluster::{ClusterState, SecretText};
use crate::intent::{
    BfdDistance, BfdIntent, MissingSecret, PasswordSource, PeerIntent, PeerTarget, Warning,
    WarningKind, policies, types,
};

/// The percentage of a prefix limit beyond which the agent warns, where the Peer does not say.
const PREFIX_WARNING: u8 = 75;

/// How many peers a listen range may have unless it says so.
const MAX_PEERS: u32 = 100;

impl Context<'_> {
    /// Puts a peer together. All peers pass here, so that none forgets a field.
    pub(super) fn peer(
        &self,
        spec: &PeerSpec,
        session: Session,
        warnings: &mut Vec<Warning>,
    ) -> PeerIntent {
        let mut warn = |kind| {
            warnings.push(Warning {
                object: session.object.clone(),
                kind,
            });
        };
        let external = match session.remote_asn {
            RemoteAsn::Number(asn) => asn != self.settings.asn,
            RemoteAsn::Internal => false,
            RemoteAsn::External | RemoteAsn::Any => true,
        };
        self.warn_without_effect(spec, external, &mut warn);
        let advertisements: BTreeSet<AdvertisementId> = self
            .active
            .iter()
            .filter(|a| a.tells(&session.labels, session.same_as_node))
            .map(|a| a.id)
            .collect();
        if advertisements.is_empty() {
            warn(WarningKind::NothingAdvertised);
        }
        let object = &session.object;
        let config = PeerConfig {
            kind: kind(external, session.client),
            import: policies::named(self.policies, object, "import", &spec.import, warnings),
            export: policies::named(self.policies, object, "export", &spec.export, warnings),
            advertisements,
            knows_services: session.knows_services,
            transit: self.settings.transit,
            allow_own_as: spec.allow_own_as,
            next_hop_self: spec.next_hop_self && !external,
            remove_private_as: spec.remove_private_as && external,
            multihop: external && may_be_distant(spec),
            enforce_first_as: spec.role != Some(RoleSpec::RouteServerClient),
            attribute_filter: spec.attribute_filter.filter(),
            max_prefixes: spec.max_prefixes,
            max_received: spec.max_received_prefixes,
            max_paths: spec.max_paths_per_prefix.unwrap_or(DEFAULT_MAX_PATHS),
            max_next_hops: spec.max_next_hops.unwrap_or(DEFAULT_MAX_NEXT_HOPS),
            prefix_warning: spec.max_prefixes.map(|max| prefix_warning(spec, max)),
            long_lived_max: spec
                .max_long_lived_stale_time
                .unwrap_or(self.router.graceful_restart.max_long_lived_stale_time)
                .0,
        };
        PeerIntent {
            session: self.session(spec, &session, external),
            name: session.name,
            object: session.object,
            requested_by: session.requested_by,
            labels: session.labels,
            target: session.target,
            password: spec.password.as_ref().and_then(|p| password(self.state, p)),
            bfd: spec.bfd.map(|bfd| bfd_intent(&bfd, spec, external)),
            max_peers: spec.max_peers.unwrap_or(MAX_PEERS),
            is_doubtful: false,
            config,
        }
    }

    fn warn_without_effect(
        &self,
        spec: &PeerSpec,
        external: bool,
        warn: &mut impl FnMut(WarningKind),
    ) {
        const INTERNAL: &str = "the peer is internal";
        const EXTERNAL: &str = "the peer is external";
        let fields = [
            (spec.role.is_some() && !external, "spec.role", INTERNAL),
            (
                spec.ebgp_multihop.is_some() && !external,
                "spec.ebgpMultihop",
                INTERNAL,
            ),
            (
                spec.remove_private_as && !external,
                "spec.removePrivateAS",
                INTERNAL,
            ),
            (spec.next_hop_self && external, "spec.nextHopSelf", EXTERNAL),
            (
                spec.max_peers.is_some() && spec.range.is_none(),
                "spec.maxPeers",
                "the peer is no range",
            ),
            (
                spec.route_reflector_client && external,
                "spec.routeReflectorClient",
                EXTERNAL,
            ),
            (
                !spec.attribute_filter.accept.is_empty() && !external,
                "spec.attributeFilter.accept",
                INTERNAL,
            ),
            (
                spec.role_strict && spec.role.is_none(),
                "spec.roleStrict",
                "there is no role",
            ),
            (
                spec.max_long_lived_stale_time.is_some()
                    && self.router.graceful_restart.long_lived_stale_time.is_none(),
                "spec.maxLongLivedStaleTime",
                "the Router has no gracefulRestart.longLivedStaleTime",
            ),
            (
                spec.bfd.is_some_and(|bfd| bfd.minimum_ttl.is_some())
                    && matches!(
                        ttl(spec, external),
                        Ttl::Hops(1) | Ttl::Security { hops: 1 }
                    ),
                "spec.bfd.minimumTTL",
                "the peer is directly connected",
            ),
        ];
        for (_, field, why) in fields.into_iter().filter(|(applies, ..)| *applies) {
            warn(WarningKind::NoEffect { field, why });
        }
    }

    /// What a session is made with.
    fn session(&self, spec: &PeerSpec, session: &Session, external: bool) -> SessionConfig {
        SessionConfig {
            port: session.port,
            transport: Transport {
                ttl: ttl(spec, external),
                local: session.local_address,
                device: spec.source_interface.clone(),
            },
            attribute_filter: spec.attribute_filter.filter(),
            protocol: self.protocol(spec, session, external),
        }
    }

    fn protocol(&self, spec: &PeerSpec, session: &Session, external: bool) -> Config {
        let mut families: Vec<Family> = spec.families.iter().map(|f| f.unicast()).collect();
        families.sort_unstable();
        families.dedup();
        if families.is_empty() {
            families = Family::ALL.to_vec();
        }
        let restart = match spec.graceful_restart {
            Some(false) => None,
            Some(true) => Some(self.router.graceful_restart.restart_time.0),
            None => self.settings.restart_time,
        };
        let stale = self.router.graceful_restart.long_lived_stale_time;
        let long_lived = stale.filter(|_| restart.is_some()).map(|stale| {
            // RFC 9494 section 3.2: 24 bits of seconds.
            let seconds = stale.0.as_secs().min(0x00ff_ffff) as u32;
            let family = |family: &Family| LongLivedFamily {
                family: *family,
                forwarding: true,
                stale_time: seconds,
            };
            families.iter().map(family).collect()
        });
        let ipv6_session = match &session.target {
            PeerTarget::Address { address, .. } => address.is_ipv6(),
            PeerTarget::Interface { .. } => true,
            PeerTarget::Range { net } => net.addr().is_ipv6(),
        };
        let over_ipv6 = spec.extended_next_hop.unwrap_or(ipv6_session)
            && families.contains(&Family::IPV4_UNICAST);
        let seed = crate::intent::stable_hash64(&format!("{}/{}", self.node.name, session.name));
        Config {
            passive: session.passive,
            hold_time: Some(spec.timers.hold.0).filter(|hold| !hold.is_zero()),
            keepalive: spec.timers.keepalive.map(|keepalive| keepalive.0),
            connect_retry: spec.timers.connect_retry.0,
            idle_hold_max: spec.timers.idle_hold.0,
            prefix_limit: Some(prefix_limit(spec)),
            add_path: if spec.add_path.receive {
                families
                    .iter()
                    .map(|f| (*f, AddPathMode::Receive))
                    .collect()
            } else {
                Vec::new()
            },
            extended_next_hop: if over_ipv6 {
                vec![(Family::IPV4_UNICAST, Afi::IPV6)]
            } else {
                Vec::new()
            },
            graceful_restart: restart.map(|time| types::graceful_restart(time, &families)),
            long_lived: long_lived.unwrap_or_default(),
            bfd: spec.bfd.map(|bfd| BfdConfig {
                strict: bfd.strict,
                hold_time: Some(bfd.hold_time.0),
            }),
            role: spec.role.filter(|_| external).map(role),
            role_strict: spec.role_strict && spec.role.is_some() && external,
            host: Some((self.node.name.clone(), String::new())),
            families,
            ..Config::new(
                self.settings.asn,
                self.settings.router_id,
                session.remote_asn,
                seed,
            )
        }
    }
}

/// What the peer may send. The memory of one peer is limited in any case.
fn prefix_limit(spec: &PeerSpec) -> PrefixLimit {
    PrefixLimit {
        max: spec.max_prefixes,
        received: spec.max_received_prefixes,
        restart: match spec.max_prefixes_restart {
            RestartAfter::After(time) => LimitRestart::After(time.0),
            RestartAfter::Never => LimitRestart::Never,
        },
    }
}

/// The number of prefixes beyond which the peer is near its limit.
fn prefix_warning(spec: &PeerSpec, max: u32) -> u32 {
    let percent = spec.max_prefixes_warning_percent.unwrap_or(PREFIX_WARNING);
    let share = u64::from(max) * u64::from(percent) / 100;
    u32::try_from(share).unwrap_or(max)
}

fn role(role: RoleSpec) -> Role {
    match role {
        RoleSpec::Provider => Role::Provider,
        RoleSpec::RouteServer => Role::RouteServer,
        RoleSpec::RouteServerClient => Role::RouteServerClient,
        RoleSpec::Customer => Role::Customer,
        RoleSpec::Peer => Role::Peer,
    }
}

/// Whether an external peer may be several hops away: then its next hops need not be on a link either.
fn may_be_distant(spec: &PeerSpec) -> bool {
    spec.ebgp_multihop.is_some() || spec.ttl_security.is_some_and(|security| security.hops > 1)
}

/// BFD with the peer.
fn bfd_intent(bfd: &BfdSpec, spec: &PeerSpec, external: bool) -> BfdIntent {
    let hops = match ttl(spec, external) {
        Ttl::System => None,
        Ttl::Hops(hops) | Ttl::Security { hops } => Some(hops),
    };
    // Packets are sent with TTL 255, and each router between takes one off.
    let default = hops.map_or(1, |hops| u8::MAX - (hops - 1));
    let least_ttl = bfd.minimum_ttl.unwrap_or(default);
    BfdIntent {
        interval: bfd.interval.0,
        multiplier: NonZeroU8::new(bfd.multiplier).unwrap_or(NonZeroU8::MIN),
        passive: bfd.passive,
        least_ttl: NonZeroU8::new(least_ttl).unwrap_or(NonZeroU8::MIN),
        distance: match hops {
            // Whoever says how far away an internal peer may be means that it is multihop.
            None if bfd.minimum_ttl.is_some() => BfdDistance::Routed,
            None => BfdDistance::ByLink,
            Some(1) => BfdDistance::Direct,
            Some(_) => BfdDistance::Routed,
        },
        strict: bfd.strict.then_some(bfd.hold_time.0),
    }
}

fn kind(external: bool, client: bool) -> PeerKind {
    match (external, client) {
        (true, _) => PeerKind::External,
        (false, false) => PeerKind::Internal,
        (false, true) => PeerKind::ReflectorClient,
    }
}

/// An external peer is directly connected unless said otherwise; an internal one may be anywhere.
fn ttl(spec: &PeerSpec, external: bool) -> Ttl {
    match (spec.ttl_security, spec.ebgp_multihop, external) {
        (Some(security), _, _) => Ttl::Security {
            hops: security.hops.max(1),
        },
        (None, Some(hops), true) => Ttl::Hops(hops.max(1)),
        (None, None, true) => Ttl::Hops(1),
        (None, _, false) => Ttl::System,
    }
}

fn password(state: &ClusterState, spec: &PasswordSpec) -> Option<PasswordSource> {
    match (&spec.secret_ref, &spec.file) {
        (Some(secret), _) => Some(PasswordSource::Secret {
            name: match &state.secrets_namespace {
                Some(namespace) => format!("{namespace}/{}", secret.name),
                None => secret.name.clone(),
            },
            key: secret.key.clone(),
            found: secret_text(state, &secret.name, &secret.key),
        }),
        (None, Some(file)) => Some(PasswordSource::File(file.into())),
        (None, None) => None,
    }
}

fn secret_text(state: &ClusterState, name: &str, key: &str) -> Result<SecretText, MissingSecret> {
    let secret = state.secrets.get(name).ok_or_else(|| {
        let unread = state.unread_secrets.get(name);
        unread.map_or(MissingSecret::NoSecret, |unread| {
            let why = Arc::clone(&unread.why);
            match unread.is_refused {
                true => MissingSecret::Refused(why),
                false => MissingSecret::Later(why),
            }
        })
    })?;
    let octets = secret.value(key).ok_or(MissingSecret::NoKey)?;
    std::str::from_utf8(octets)
        .map(SecretText::new)
        .map_err(|_| MissingSecret::NotText)
}
