//! What is wrong with a Router.

use routelet_api::RouterSpec;
use routelet_api::router::LONGEST_LEAVE_WAIT;

use super::findings::{Findings, seconds};
use super::{Finding, Validate};

impl Validate for RouterSpec {
    fn validate(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        let f = &mut findings;
        f.selector("spec.nodeSelector", self.node_selector.as_ref());
        numbers(self, f);
        f.check(self.listen.port != 0, "spec.listen.port", || {
            "0 is no port: expected 1 to 65535; to not listen, set enabled: false".to_owned()
        });
        f.range("spec.multipath.maxPaths", self.multipath.max_paths, 1, 128);
        let restart = self.graceful_restart.restart_time.0;
        f.lapse(
            "spec.gracefulRestart.restartTime",
            restart,
            seconds(1),
            seconds(4095),
        );
        leave(self, f);
        long_lived(self, f);
        fib(self, f);
        f.timers("spec.mesh.timers", &self.mesh.timers);
        f.password("spec.mesh.password", self.mesh.password.as_ref());
        f.bfd("spec.mesh.bfd", self.mesh.bfd.as_ref());
        findings.list
    }
}

/// The AS and the identifiers.
fn numbers(spec: &RouterSpec, f: &mut Findings) {
    if let Some(asn) = spec.asn {
        f.asn("spec.asn", asn);
        f.check(spec.asn_from.is_none(), "spec.asnFrom", || {
            "contradicts asn: set only one of them".to_owned()
        });
    }
    f.value_from("spec.asnFrom", spec.asn_from.as_ref());
    f.value_from("spec.routerIDFrom", spec.router_id_from.as_ref());
    f.check(
        spec.router_id.is_none() || spec.router_id_from.is_none(),
        "spec.routerIDFrom",
        || "contradicts routerID: set only one of them".to_owned(),
    );
    for (path, id) in [
        ("spec.routerID", spec.router_id),
        ("spec.clusterID", spec.cluster_id),
    ] {
        f.check(id.is_none_or(|id| !id.is_unspecified()), path, || {
            "0.0.0.0 is not an identifier (RFC 6286)".to_owned()
        });
    }
}

fn leave(spec: &RouterSpec, f: &mut Findings) {
    f.lapse(
        "spec.leave.wait",
        spec.leave.wait.0,
        seconds(0),
        LONGEST_LEAVE_WAIT,
    );
    for (index, key) in spec.leave.taints.iter().enumerate() {
        let path = format!("spec.leave.taints[{index}]");
        f.check(!key.is_empty() && !key.contains(['=', ':']), &path, || {
            format!(
                "{key:?} is not the key of a taint: expected it without value and effect, such as \
                example.com/maintenance"
            )
        });
    }
}

/// Long-lived graceful restart (RFC 9494).
fn long_lived(spec: &RouterSpec, f: &mut Findings) {
    f.lapse(
        "spec.gracefulRestart.maxLongLivedStaleTime",
        spec.graceful_restart.max_long_lived_stale_time.0,
        seconds(1),
        seconds(0x00ff_ffff),
    );
    if let Some(stale) = spec.graceful_restart.long_lived_stale_time {
        let path = "spec.gracefulRestart.longLivedStaleTime";
        f.lapse(path, stale.0, seconds(1), seconds(0x00ff_ffff));
        f.check(spec.graceful_restart.enabled, path, || {
            "needs gracefulRestart.enabled: true (RFC 9494)".to_owned()
        });
    }
}

fn fib(spec: &RouterSpec, f: &mut Findings) {
    f.check(spec.fib.table != 0, "spec.fib.table", || {
        "0 is no routing table: expected 1 or more; the main table is 254".to_owned()
    });
    f.check(spec.fib.table != 255, "spec.fib.table", || {
        "255 is the kernel's own local table; the main table is 254".to_owned()
    });
    f.check(spec.fib.metric != 0, "spec.fib.metric", || {
        "0 is no metric: expected 1 or more".to_owned()
    });
    let refusing = spec.fib.refuse.table;
    f.check(
        refusing != 0 && !(253..=255).contains(&refusing) && refusing != spec.fib.table,
        "spec.fib.refuse.table",
        || {
            format!(
                "{refusing} has other routes: expected a table that is not used otherwise, such as the default {}",
                routelet_fib::refusal::DEFAULT_TABLE
            )
        },
    );
}
