//! The HTTP port of the controller: `/healthz`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use routelet_api::address_pool::PoolUsage;
use routelet_core::pools::{Allocation, Outcome};
use tokio::net::TcpListener;

use super::requests::Failure;
use crate::http::{Limited, plain};
use crate::metrics::{self, Metric, Process, counter, gauge};

/// How long the Lease may not have been seen until the replica is not ready any more.
const BLIND: Duration = Duration::from_secs(30);

/// What the controller says of itself.
#[derive(Debug, Default)]
pub(super) struct Page(Mutex<Snapshot>);

/// What one scrape is made of.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    active: bool,
    lease_seen: Option<Instant>,
    waiting_for: Vec<String>,
    pools: BTreeMap<String, [PoolUsage; 2]>,
    assigned: u64,
    waiting: u64,
    /// Of `assigned`: those that get their address once others have lost it.
    promised: u64,
    contested: u64,
    written: BTreeMap<(&'static str, &'static str), u64>,
    process: Option<Process>,
}

const NONE: &[&str] = &[];

/// Every metric of the controller.
// One metric is one row; rustfmt would make six lines of each.
#[rustfmt::skip]
pub const METRICS: &[Metric<Snapshot>] = &[
    gauge("routelet_controller_active", NONE, "Whether this replica is active (holds the Lease)",
        |s, out| out.add([], s.active)),
    gauge("routelet_controller_synced", NONE, "Whether every kind is listed and watched; 0 on standby replicas",
        |s, out| out.add([], s.active && s.waiting_for.is_empty())),
    gauge("routelet_pool_addresses", &["pool", "family", "state"], "Addresses of a pool by state: assigned or available",
        |s, out| for (pool, usage) in &s.pools {
            for (family, usage) in ["ipv4", "ipv6"].iter().zip(usage) {
                out.add([pool, family, "assigned"], usage.assigned);
                out.add([pool, family, "available"], usage.available);
            }
        }),
    gauge("routelet_controller_services", &["state"],
        "Services of type LoadBalancer of Routelet's class: assigned (with all addresses that they need) or \
         waiting; contested are those of them that are left to another controller, which overwrites their addresses",
        |s, out| if s.active {
            out.add(["assigned"], s.assigned.saturating_sub(s.promised));
            out.add(["waiting"], s.waiting + s.promised.min(s.assigned));
            out.add(["contested"], s.contested);
        }),
    counter("routelet_controller_writes", &["what", "result"],
        "Statuses written, of Services or of Routelet's objects, by result: ok, outdated (retried with the newer \
         object) or failed",
        |s, out| for ((what, result), count) in &s.written {
            out.add([what, result], *count);
        }),
    gauge("process_resident_memory_bytes", NONE, "Memory of the controller in RAM",
        |s, out| if let Some(p) = &s.process { out.add([], p.resident_bytes) }),
    counter("process_cpu_seconds", NONE, "CPU time used by the controller, user and system",
        |s, out| if let Some(p) = &s.process { out.add([], p.cpu_seconds) }),
];

impl Page {
    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replica works, or stands by.
    pub(super) fn set_active(&self, active: bool) {
        let mut page = self.lock();
        page.active = active;
        if !active {
            page.waiting_for.clear();
            page.pools.clear();
        }
    }

    /// The Lease was seen.
    pub(super) fn lease_seen(&self) {
        self.lock().lease_seen = Some(Instant::now());
    }

    /// What the watches wait for.
    pub(super) fn set_waiting_for(&self, waiting_for: Vec<String>) {
        self.lock().waiting_for = waiting_for;
    }

    /// What was handed out.
    pub(super) fn set_allocation(&self, allocation: &Allocation) {
        let ours = allocation.services.values();
        let (mut assigned, mut waiting) = (0, 0);
        for decision in ours.filter(|d| !matches!(d.outcome, Outcome::NotOurs(_))) {
            match decision.refusal() {
                None => assigned += 1,
                Some(_) => waiting += 1,
            }
        }
        let pools = allocation.pools.iter();
        let pools = pools.map(|(name, report)| (name.clone(), [report.ipv4, report.ipv6]));
        let mut page = self.lock();
        page.pools = pools.collect();
        (page.assigned, page.waiting) = (assigned, waiting);
    }

    /// How many Services wait for others to lose an address, and how many are left to another controller.
    pub(super) fn set_held_up(&self, promised: usize, contested: usize) {
        let mut page = self.lock();
        (page.promised, page.contested) = (promised as u64, contested as u64);
    }

    /// Counts something that was written, or not.
    pub(super) fn count<T>(&self, what: &'static str, answer: &Result<T, Failure>) {
        let result = match answer {
            Ok(_) => "ok",
            Err(Failure::Outdated) => "outdated",
            Err(Failure::Other(_)) => "failed",
        };
        *self.lock().written.entry((what, result)).or_default() += 1;
    }

    /// Why the replica is not ready: it cannot see the Lease, or not the cluster.
    fn troubles(&self) -> Vec<String> {
        let page = self.lock();
        let mut troubles = page.waiting_for.clone();
        if page.lease_seen.is_none_or(|at| at.elapsed() > BLIND) {
            troubles.insert(
                0,
                "the Lease cannot be read: does the API server answer?".to_owned(),
            );
        }
        troubles
    }
}

/// Serves until the future is dropped.
pub(super) async fn serve(listener: TcpListener, page: Arc<Page>) {
    let router = Router::new()
        .route("/", get(index))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .with_state(page);
    // axum's accept loop retries by itself and has no error to return.
    let _ = axum::serve(Limited::new(listener), router).await;
}

async fn index() -> &'static str {
    "routelet controller\n\n/healthz  whether it answers\n/readyz   whether it sees the cluster, and why not\n/metrics  for Prometheus\n"
}

async fn healthz() -> Response {
    plain(StatusCode::OK, "ok\n")
}

async fn readyz(State(page): State<Arc<Page>>) -> Response {
    let troubles = page.troubles();
    if troubles.is_empty() {
        return plain(StatusCode::OK, "ok\n");
    }
    let lines: String = troubles.iter().map(|t| format!("- {t}\n")).collect();
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready\n{lines}"),
    )
}

async fn metrics_page(State(page): State<Arc<Page>>) -> Response {
    let mut snapshot = page.lock().clone();
    snapshot.process = Process::this();
    let text = metrics::render(METRICS, snapshot);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}
