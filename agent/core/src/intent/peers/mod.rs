//! The peers of a node: those of Peer objects, other nodes by selector, and the mesh.
//!
//! A pair of nodes has at most one session of its own. Both ends compute it from the same state and come to the same
//! answer: which family carries it ([`nodes`]), who dials, and which AS each expects.

mod duplicates;
mod nodes;

pub(super) use nodes::seen;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::fsm::{Config, LimitRestart, PrefixLimit, RemoteAsn};
use bgp::settings::Ttl;
use bgp::types::{Afi, Asn, Family};
use bgp::wire::capability::{AddPathMode, LongLivedFamily, Role};
use ipnet::IpNet;
use rib::policy::Policy;
use rib::{AdvertisementId, PeerConfig, PeerKind};
use rib::{DEFAULT_MAX_NEXT_HOPS, DEFAULT_MAX_PATHS};
use routelet_api::peer::{PasswordSpec, RoleSpec, Timers};
use routelet_api::selector::{self, Labels};
use routelet_api::{IpFamily, PeerAs, PeerSpec, RestartAfter, RouterSpec};

use self::duplicates::Duplicates;
use super::advertise::Active;
use super::router::{address_from, value_from};
use super::{
    BfdIntent, Consequence, LocalFacts, MissingSecret, PasswordSource, PeerIntent, PeerTarget,
    RequestedBy, RouterSettings, Warning, WarningKind, policies, types,
};
use crate::cluster::{ClusterState, Node, Object, ObjectRef, SecretText};

/// The percentage of a prefix limit beyond which the agent warns, where the Peer does not say.
const PREFIX_WARNING: u8 = 75;

/// How many peers a listen range may have unless it says so.
const MAX_PEERS: u32 = 100;

/// What peers are computed from.
pub(super) struct Context<'a> {
    pub(super) state: &'a ClusterState,
    pub(super) node: &'a Node,
    pub(super) facts: &'a LocalFacts,
    pub(super) settings: &'a RouterSettings,
    pub(super) router: &'a RouterSpec,
    pub(super) policies: &'a BTreeMap<String, Arc<Policy>>,
    pub(super) active: &'a [Active<'a>],
}

/// All peers, ascending by name.
pub(super) fn peers(context: &Context<'_>, warnings: &mut Vec<Warning>) -> Vec<PeerIntent> {
    let mut list = Vec::new();
    for object in context.state.peers.values() {
        if object.spec.nodes.is_some() {
            continue;
        }
        if selector::selects(object.spec.node_selector.as_ref(), &context.node.labels) {
            list.extend(context.explicit(object, warnings));
        }
    }
    let mut duplicates = Duplicates::default();
    list.extend(nodes::peers(context, &mut duplicates, warnings));
    let mut peers = duplicates.without(list);
    warnings.extend(duplicates.warnings(&peers));
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    peers
}

/// What is particular to one session of a Peer object or of the mesh.
struct Session {
    name: String,
    object: ObjectRef,
    requested_by: RequestedBy,
    labels: Labels,
    target: PeerTarget,
    port: u16,
    local_address: Option<IpAddr>,
    remote_asn: RemoteAsn,
    passive: bool,
    client: bool,
    /// The peer is another node of our AS.
    same_as_node: bool,
    /// It is another node of the cluster, and passes nothing on to anybody who is none: see [`PeerConfig::knows_services`].
    knows_services: bool,
}

impl Context<'_> {
    /// The peer of an object that names one (or a range of them).
    fn explicit(
        &self,
        object: &Object<PeerSpec>,
        warnings: &mut Vec<Warning>,
    ) -> Option<PeerIntent> {
        let reference = ObjectRef::cluster("Peer", &object.name);
        let found = self.explicit_session(object, &reference);
        let session = found
            .map_err(|kind| {
                warnings.push(Warning {
                    object: reference.clone(),
                    kind,
                });
            })
            .ok()?;
        Some(self.peer(&object.spec, session, warnings))
    }

    fn explicit_session(
        &self,
        object: &Object<PeerSpec>,
        reference: &ObjectRef,
    ) -> Result<Session, WarningKind> {
        let spec = &object.spec;
        let target = self.target(spec)?;
        if let PeerTarget::Address { address, .. } = target
            && (self.node.internal_ips.contains(&address) || self.node.other_ips.contains(&address))
        {
            return Err(WarningKind::OwnAddress(address));
        }
        let local_address = match (&spec.local_address, &spec.local_address_from) {
            (Some(address), _) => Some(address.0),
            (None, Some(from)) => Some(address_from(from, self.node).map_err(|e| {
                e.warning(
                    "spec.localAddressFrom",
                    self.node,
                    "an address",
                    Consequence::PeerLeftOut,
                )
            })?),
            (None, None) => None,
        };
        Ok(Session {
            name: object.name.clone(),
            object: reference.clone(),
            requested_by: RequestedBy::Peer,
            labels: object.labels.clone(),
            passive: spec.passive || matches!(target, PeerTarget::Range { .. }),
            target,
            port: spec.port.unwrap_or(179),
            local_address,
            remote_asn: self.remote_asn(spec)?,
            client: spec.route_reflector_client,
            same_as_node: false,
            knows_services: false,
        })
    }

    fn target(&self, spec: &PeerSpec) -> Result<PeerTarget, WarningKind> {
        let at = |address: IpAddr, interface: Option<&String>| PeerTarget::Address {
            address,
            interface: match address {
                IpAddr::V6(a) if a.is_unicast_link_local() => interface.cloned(),
                _ => None,
            },
        };
        if let Some(address) = spec.address {
            Ok(at(address.0, spec.source_interface.as_ref()))
        } else if let Some(from) = &spec.address_from {
            address_from(from, self.node)
                .map(|address| at(address, spec.source_interface.as_ref()))
                .map_err(|e| {
                    e.warning(
                        "spec.addressFrom",
                        self.node,
                        "an address",
                        Consequence::PeerLeftOut,
                    )
                })
        } else if let Some(name) = &spec.interface {
            Ok(PeerTarget::Interface { name: name.clone() })
        } else if let Some(family) = spec.gateway {
            let gateway = self.facts.gateway(family);
            gateway
                .map(|g| at(g.address, Some(&g.interface)))
                .ok_or(WarningKind::NoGateway(family))
        } else if let Some(range) = spec.range {
            Ok(PeerTarget::Range { net: range.net() })
        } else {
            Err(WarningKind::Unusable(
                "it has none of address, addressFrom, interface, gateway, nodes and range"
                    .to_owned(),
            ))
        }
    }

    fn remote_asn(&self, spec: &PeerSpec) -> Result<RemoteAsn, WarningKind> {
        let asn = match (&spec.asn, &spec.asn_from) {
            (Some(asn), _) => *asn,
            (None, Some(from)) => value_from(from, self.node, is_peer_as).map_err(|e| {
                e.warning(
                    "spec.asnFrom",
                    self.node,
                    "an AS number, internal or external",
                    Consequence::PeerLeftOut,
                )
            })?,
            (None, None) => {
                return Err(WarningKind::Unusable(
                    "it has neither asn nor asnFrom".to_owned(),
                ));
            }
        };
        Ok(match asn {
            PeerAs::Number(asn) => RemoteAsn::Number(asn),
            PeerAs::Internal => RemoteAsn::Internal,
            PeerAs::External => RemoteAsn::External,
        })
    }

    /// Puts a peer together. All peers pass here, so that none forgets a field.
    fn peer(&self, spec: &PeerSpec, session: Session, warnings: &mut Vec<Warning>) -> PeerIntent {
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
        if spec.bfd.is_some() {
            warn(WarningKind::NotYet("spec.bfd"));
        }
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
            protocol: self.protocol(spec, &session, external),
            ttl: ttl(spec, external),
            name: session.name,
            object: session.object,
            requested_by: session.requested_by,
            labels: session.labels,
            target: session.target,
            port: session.port,
            local_address: session.local_address,
            device: spec.source_interface.clone(),
            password: spec.password.as_ref().and_then(|p| password(self.state, p)),
            bfd: spec.bfd.map(|bfd| BfdIntent {
                interval: bfd.interval.0,
                multiplier: bfd.multiplier,
            }),
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
        ];
        for (_, field, why) in fields.into_iter().filter(|(applies, ..)| *applies) {
            warn(WarningKind::NoEffect { field, why });
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
        let seed = super::stable_hash64(&format!("{}/{}", self.node.name, session.name));
        Config {
            passive: session.passive,
            hold_time: Some(spec.timers.hold.0).filter(|hold| !hold.is_zero()),
            keepalive: spec.timers.keepalive.map(|keepalive| keepalive.0),
            connect_retry: spec.timers.connect_retry.0,
            idle_hold_max: spec.timers.idle_hold.0,
            // The memory of one peer is limited in any case.
            prefix_limit: Some(PrefixLimit {
                max: spec.max_prefixes,
                received: spec.max_received_prefixes,
                restart: match spec.max_prefixes_restart {
                    RestartAfter::After(time) => LimitRestart::After(time.0),
                    RestartAfter::Never => LimitRestart::Never,
                },
            }),
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

/// Whether this can be the AS of a peer.
fn is_peer_as(asn: &PeerAs) -> bool {
    !matches!(asn, PeerAs::Number(asn) if asn.is_reserved())
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

/// Settings of the mesh in the words of a Peer, so that all peers are put together in one place.
fn mesh_spec(password: Option<PasswordSpec>, timers: Timers) -> PeerSpec {
    PeerSpec {
        password,
        timers,
        families: IpFamily::ALL.to_vec(),
        ..PeerSpec::default()
    }
}

/// The addresses that two nodes use towards each other.
fn common_addresses(ours: &Node, theirs: &Node, preferred: IpFamily) -> Option<(IpAddr, IpAddr)> {
    let other = match preferred {
        IpFamily::Ipv4 => IpFamily::Ipv6,
        IpFamily::Ipv6 => IpFamily::Ipv4,
    };
    [preferred, other]
        .into_iter()
        .find_map(|family| Some((ours.internal_ip(family)?, theirs.internal_ip(family)?)))
}

/// Whether an AS is what a Peer says, seen from a node of another (or the same) AS.
fn fits(asn: Option<PeerAs>, ours: Asn, theirs: Asn) -> bool {
    match asn {
        Some(PeerAs::Number(asn)) => asn == theirs,
        Some(PeerAs::Internal) | None => ours == theirs,
        Some(PeerAs::External) => ours != theirs,
    }
}

/// A single address as a target, for nodes.
fn at(address: IpAddr) -> PeerTarget {
    PeerTarget::Address {
        address: IpNet::from(address).addr(),
        interface: None,
    }
}
