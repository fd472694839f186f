//! Claims about the allocation. Services and specs are written as YAML, since that is what people write.
#![allow(clippy::unwrap_used)]

mod allocator;
mod deleted;
mod families;
mod ownership;
mod pools;
mod properties;
mod release;
mod requests;
mod reserved;
mod sharing;
mod stability;
mod tenancy;

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use routelet_api::IpFamily;

use super::books::{Books, Choice};
use super::space::Space;
use super::*;
use crate::cluster::{Atoms, LoadBalancerIngress};

/// A cluster that is built up. What is added later is younger.
#[derive(Clone, Default)]
struct Cluster {
    state: State,
    added: i64,
}

/// A Service as YAML, in namespace `d`.
#[derive(Clone, Default)]
struct Yaml<'a> {
    namespace: Option<&'a str>,
    labels: &'a str,
    annotations: &'a str,
    spec: &'a str,
    ingress: &'a str,
}

impl Yaml<'_> {
    fn read(&self, name: &str, second: i64) -> Request {
        let text = format!(
            "metadata:\n  name: {name}\n  namespace: {}\n  creationTimestamp: \"2026-01-01T{:02}:{:02}:{:02}Z\"\n  labels: {{{}}}\n  \
             annotations: {{{}}}\nspec: {{{}}}\nstatus: {{loadBalancer: {{ingress: [{}]}}}}\n",
            self.namespace.unwrap_or("d"),
            second / 3600,
            second / 60 % 60,
            second % 60,
            self.labels,
            self.annotations,
            self.spec,
            self.ingress,
        );
        let raw: RawPoolService<ObjectMeta> = serde_saphyr::from_str(&text).unwrap();
        raw.into_request(&mut Atoms::default())
    }
}

const V4: &str = "type: LoadBalancer, ipFamilies: [IPv4]";
const V6: &str = "type: LoadBalancer, ipFamilies: [IPv6]";
const REQUIRE: &str =
    "type: LoadBalancer, ipFamilies: [IPv4, IPv6], ipFamilyPolicy: RequireDualStack";
const PREFER: &str =
    "type: LoadBalancer, ipFamilies: [IPv4, IPv6], ipFamilyPolicy: PreferDualStack";

/// The key of a Service as the tests write it: `web`, or `shop/web`.
fn key(name: &str) -> ObjectKey {
    let (namespace, name) = name.split_once('/').unwrap_or(("d", name));
    ObjectKey::new(namespace, name)
}

impl Cluster {
    fn new(pools: &[(&str, &str)]) -> Self {
        let mut cluster = Self::default();
        for (name, spec) in pools {
            cluster.pool(name, spec);
        }
        cluster
    }

    fn tick(&mut self) -> i64 {
        self.added += 1;
        self.added
    }

    /// Adds a pool, or changes the spec of one.
    fn pool(&mut self, name: &str, spec: &str) {
        let second = self.tick();
        let before = self.state.pools.get(name);
        let pool = Pool {
            name: name.to_owned(),
            created: before.map_or(Created(Some(second)), |p| p.created),
            spec: serde_saphyr::from_str(&format!("{{{spec}}}")).unwrap(),
        };
        self.state.pools.insert(pool.name.clone(), Arc::new(pool));
    }

    fn namespace(&mut self, name: &str, labels: &[(&str, &str)]) {
        let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let labels = Arc::new(labels.collect());
        self.state.namespaces.insert(name.to_owned(), labels);
    }

    /// Adds a Service, or replaces one as if it had been there from its beginning.
    fn add(&mut self, name: &str, yaml: &Yaml<'_>) {
        let second = self.tick();
        let key = key(name);
        let yaml = Yaml {
            namespace: Some(&key.namespace),
            ..yaml.clone()
        };
        let mut request = yaml.read(&key.name, second);
        if let Some(before) = self.state.services.get(&key) {
            request.created = before.created;
        }
        let namespaces = &mut self.state.namespaces;
        namespaces
            .entry(key.namespace.to_string())
            .or_insert_with(|| {
                let name = "kubernetes.io/metadata.name".to_owned();
                Arc::new([(name, key.namespace.to_string())].into())
            });
        self.state.services.insert(key, Arc::new(request));
    }

    fn service(&mut self, name: &str, spec: &str) {
        self.annotated(name, spec, "");
    }

    fn annotated(&mut self, name: &str, spec: &str, annotations: &str) {
        let yaml = Yaml {
            annotations,
            spec,
            ..Yaml::default()
        };
        self.add(name, &yaml);
    }

    fn holding(&mut self, name: &str, spec: &str, addresses: &[&str]) {
        let ingress: Vec<String> = addresses
            .iter()
            .map(|a| format!("{{ip: \"{a}\"}}"))
            .collect();
        let yaml = Yaml {
            spec,
            ingress: &ingress.join(", "),
            ..Yaml::default()
        };
        self.add(name, &yaml);
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Request)) {
        let request = self.state.services.get_mut(&key(name)).unwrap();
        change(Arc::make_mut(request));
    }

    fn decision(&self, name: &str) -> Decision {
        allocate(&self.state).services[&key(name)].clone()
    }

    /// Addresses and pools of a Service; of one without, the reason.
    fn shown(&self, name: &str) -> String {
        shown(&self.decision(name))
    }

    /// Writes the allocation to the statuses, as the controller does.
    fn settle(&mut self) -> Allocation {
        let allocation = allocate(&self.state);
        write(&mut self.state, &allocation);
        allocation
    }
}

fn shown(decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Assigned { addresses, missing } => {
            let mut all: Vec<String> = addresses
                .iter()
                .map(|a| format!("{} {}", a.address, a.pool))
                .collect();
            all.extend(missing.iter().map(ToString::to_string));
            all.join(", ")
        }
        Outcome::Refused(refusal) => refusal.to_string(),
        Outcome::NotOurs(why) => why.to_string(),
    }
}

fn write(state: &mut State, allocation: &Allocation) {
    for (key, decision) in &allocation.services {
        let request = Arc::make_mut(state.services.get_mut(key).unwrap());
        let written = decision.is_written(request);
        let kept = request.ingress.iter().copied();
        let mut ingress: Vec<LoadBalancerIngress> = kept
            .filter(|i| i.proxy || !decision.release.contains(&i.ip))
            .collect();
        for ip in decision.addresses() {
            if !ingress.iter().any(|i| !i.proxy && i.ip == ip) {
                ingress.push(LoadBalancerIngress { ip, proxy: false });
            }
        }
        assert_eq!(written, *ingress == *request.ingress, "{key}");
        request.ingress = ingress.into();
        if !request.deleting && !allocation.keeps_condition(request, decision) {
            let statement = decision.statement(request);
            request.condition = statement.map(|statement| {
                Box::new(Condition {
                    holds: statement.holds,
                    reason: statement.reason.into(),
                    message: statement.message.into(),
                    ..Condition::default()
                })
            });
        }
    }
}
