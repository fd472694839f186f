//! Which addresses Services would get from the AddressPools, as the controller would decide.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use routelet_api::API_VERSION;
use routelet_api::address_pool::PoolUsage;
use routelet_core::cluster::kubernetes::MetaOnly;
use routelet_core::cluster::manifests::Files;
use routelet_core::cluster::{
    Atoms, ClusterState, Metadata, ObjectKey, ObjectRef, Problem, Service, Severity,
};
use routelet_core::pools::{
    self, Allocation, Created, Decision, ExternalIps, NotOurs, Outcome, Pool, PoolReport,
    RawPoolService, Request, Reserved, State,
};
use serde::Serialize;

use super::section;
use crate::cli::screen::Screen;
use crate::cli::table::{Pages, prose, text};
use crate::cli::words::{commas, group, or_dash};

/// How many things of a kind a note names.
const NAMED: usize = 5;

/// What comes of the pools.
#[derive(Debug, Serialize)]
pub(super) struct Addresses {
    /// Services of type LoadBalancer.
    addresses: Vec<ServiceReport>,
    pools: Vec<PoolRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceReport {
    service: String,
    addresses: Vec<AddressRow>,
    /// Addresses that stand in its status and that it loses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    released: Vec<IpAddr>,
    /// Why it has not all that it wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AddressRow {
    address: IpAddr,
    pool: String,
    /// Whether it is not in the status yet.
    new: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolRow {
    name: String,
    ipv4: PoolUsage,
    ipv6: PoolUsage,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overlaps: Vec<String>,
    /// What of its addresses is somebody's, and never assigned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reserved: Vec<String>,
    /// Services that have such an address all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holding_reserved: Vec<String>,
    /// Services that ask for it, or an address of it, and get nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
    /// Services that wait for an address of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<String>,
}

/// Allocates, and makes a state the one that there is once every status is written.
pub(super) fn allocate(files: &Files, state: &mut ClusterState) -> Addresses {
    let before = read(files, state);
    let allocation = pools::allocate(&before);
    for (key, decision) in &allocation.services {
        let (Some(request), Some(service)) = (before.services.get(key), state.services.get(key))
        else {
            continue;
        };
        let ingress = decision.ingress(request).into_boxed_slice();
        if ingress != service.ingress {
            let service = Service {
                ingress,
                ..Service::clone(service)
            };
            state.services.insert(key.clone(), Arc::new(service));
        }
    }
    report(&before, &allocation)
}

/// The input of the allocation: the valid Services and pools, as often as the manifests have them.
fn read(files: &Files, state: &ClusterState) -> State {
    let mut created: BTreeMap<String, Created> = BTreeMap::new();
    for pool in files.objects::<MetaOnly<ObjectMeta>>((API_VERSION, "AddressPool")) {
        let name = pool.metadata.name().to_owned();
        created
            .entry(name)
            .or_insert(Created(pool.metadata.created()));
    }
    let pools = state.pools.iter().map(|(name, object)| {
        let pool = Pool {
            name: name.clone(),
            created: created.get(name).copied().unwrap_or_default(),
            spec: object.spec.clone(),
        };
        (name.clone(), Arc::new(pool))
    });
    let mut atoms = Atoms::default();
    let mut services: BTreeMap<ObjectKey, Arc<Request>> = BTreeMap::new();
    for service in files.objects::<RawPoolService<ObjectMeta>>(("v1", "Service")) {
        let request = service.into_request(&mut atoms);
        if state.services.contains_key(&request.key) {
            services
                .entry(request.key.clone())
                .or_insert_with(|| Arc::new(request));
        }
    }
    let namespaces = services.keys().filter_map(|key| {
        let name = key.namespace.to_string();
        let labels = state.labels_of(&name)?.into_owned();
        Some((name, Arc::new(labels)))
    });
    let namespaces = namespaces.collect();
    let unknown = created
        .keys()
        .filter(|name| !state.pools.contains_key(*name));
    State {
        pools: pools.collect(),
        unknown_pools: unknown.cloned().collect(),
        services,
        namespaces,
        reserved: reserved(state),
        external_ips: external_ips(state),
    }
}

fn external_ips(state: &ClusterState) -> Vec<ExternalIps> {
    let all = state.advertisements.values();
    all.filter_map(|object| ExternalIps::of_advertisement(&object.spec))
        .collect()
}

fn reserved(state: &ClusterState) -> Vec<Reserved> {
    let nodes = state
        .nodes
        .values()
        .flat_map(|node| Reserved::of_node(node));
    let peers = state.peers.values();
    let peers = peers.flat_map(|peer| Reserved::of_peer(&peer.name, &peer.spec));
    nodes.chain(peers).collect()
}

fn report(state: &State, allocation: &Allocation) -> Addresses {
    let services = allocation
        .services
        .iter()
        .filter_map(|(key, decision)| service_report(key, state.services.get(key)?, decision));
    let pools = allocation
        .pools
        .iter()
        .map(|(name, report)| pool_row(name, report));
    Addresses {
        addresses: services.collect(),
        pools: pools.collect(),
    }
}

/// Services of other types are left out, unless they lose something.
fn service_report(
    key: &ObjectKey,
    request: &Request,
    decision: &Decision,
) -> Option<ServiceReport> {
    let reason = match &decision.outcome {
        Outcome::NotOurs(NotOurs::Type(_)) if decision.release.is_empty() => return None,
        Outcome::NotOurs(why) => Some(why.to_string()),
        Outcome::Refused(why) => Some(why.to_string()),
        Outcome::Assigned { missing, .. } => match decision.kept_of_deleted_pool() {
            Some(pool) => Some(format!("kept, although AddressPool {pool} does not exist")),
            None => missing.as_ref().map(ToString::to_string),
        },
    };
    let addresses = match &decision.outcome {
        Outcome::Assigned { addresses, .. } => &**addresses,
        Outcome::NotOurs(_) | Outcome::Refused(_) => &[],
    };
    let has = request.ingress.iter().filter(|entry| !entry.proxy);
    let has: Vec<IpAddr> = has.map(|entry| entry.ip).collect();
    Some(ServiceReport {
        service: key.to_string(),
        addresses: addresses
            .iter()
            .map(|assignment| AddressRow {
                address: assignment.address,
                pool: assignment.pool.to_string(),
                new: !has.contains(&assignment.address),
            })
            .collect(),
        released: decision.release.to_vec(),
        reason,
    })
}

fn pool_row(name: &str, report: &PoolReport) -> PoolRow {
    PoolRow {
        name: name.to_owned(),
        ipv4: report.ipv4,
        ipv6: report.ipv6,
        overlaps: report.overlaps.iter().map(ToString::to_string).collect(),
        reserved: report.reserved.iter().map(ToString::to_string).collect(),
        holding_reserved: report
            .holding_reserved
            .iter()
            .map(|(service, address)| format!("{service} ({address})"))
            .collect(),
        refused: report
            .refused
            .iter()
            .map(|(service, _)| service.to_string())
            .collect(),
        waiting: report.waiting.iter().map(ToString::to_string).collect(),
    }
}

impl Addresses {
    /// What is wrong with the pools, as they stand beside Nodes, Peers and Services.
    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> + '_ {
        let pools = self.pools.iter().filter(|pool| !pool.reserved.is_empty());
        pools.map(|pool| Problem {
            severity: Severity::Warning,
            file: None,
            line: None,
            object: Some(ObjectRef::cluster("AddressPool", &pool.name)),
            path: "spec.addresses".to_owned(),
            reason: format!(
                "{}; they are not assigned: remove them from the pool",
                some(&pool.reserved)
            ),
            meanwhile: None,
        })
    }

    /// Shows both tables.
    pub(super) fn show(&self, screen: &mut Screen) -> anyhow::Result<()> {
        section(
            screen,
            "Addresses that the controller assigns",
            self.addresses.is_empty(),
        )?;
        let columns = [
            text("SERVICE"),
            text("ADDRESS"),
            text("POOL"),
            prose("NOTE"),
        ];
        let mut pages = Pages::new(&columns);
        for service in &self.addresses {
            for row in service.rows() {
                pages.row(screen, row)?;
            }
        }
        pages.end(screen)?;
        section(screen, "Pools", false)?;
        let columns = [text("POOL"), text("IPV4"), text("IPV6"), prose("NOTE")];
        let mut pages = Pages::new(&columns);
        for pool in &self.pools {
            let mut notes = pool.overlaps.clone();
            if !pool.reserved.is_empty() {
                notes.push(format!("not assigned: {}", some(&pool.reserved)));
            }
            if !pool.holding_reserved.is_empty() {
                notes.push(format!(
                    "Services that keep such an address: {}",
                    some(&pool.holding_reserved)
                ));
            }
            if !pool.refused.is_empty() {
                notes.push(format!("requests refused: {}", some(&pool.refused)));
            }
            if !pool.waiting.is_empty() {
                notes.push(format!("waiting for an address: {}", commas(&pool.waiting)));
            }
            let row = vec![
                pool.name.clone(),
                used(pool.ipv4),
                used(pool.ipv6),
                notes.join("; "),
            ];
            pages.row(screen, row)?;
        }
        pages.end(screen)?;
        Ok(())
    }
}

impl ServiceReport {
    /// A row for each address, and one for what it has not.
    fn rows(&self) -> Vec<Vec<String>> {
        let row = |address: Option<&IpAddr>, pool: Option<&str>, note: &str| {
            let (address, pool) = (or_dash(address), or_dash(pool));
            vec![self.service.clone(), address, pool, note.to_owned()]
        };
        let has = self.addresses.iter().map(|found| {
            let note = if found.new { "new" } else { "in its status" };
            row(Some(&found.address), Some(&found.pool), note)
        });
        let loses = self
            .released
            .iter()
            .map(|address| row(Some(address), None, "is removed from it"));
        let reason = self.reason.iter().map(|reason| row(None, None, reason));
        has.chain(loses).chain(reason).collect()
    }
}

/// The first few of a list, and how many more there are.
fn some(all: &[String]) -> String {
    let named = commas(&all[..all.len().min(NAMED)]);
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// `3 of 256`; nothing of a family that the pool does not have.
fn used(usage: PoolUsage) -> String {
    match (u64::try_from(usage.assigned), u64::try_from(usage.total)) {
        (Ok(assigned), Ok(total)) if total > 0 => {
            format!("{} of {}", group(assigned), group(total))
        }
        _ => "-".to_owned(),
    }
}
