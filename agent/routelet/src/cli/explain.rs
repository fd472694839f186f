//! `routelet explain`: why a prefix or a Service is treated as it is, as a tree of facts.

use std::str::FromStr;

use routelet_control::Client;
use routelet_control::model::{
    ExplainPrefix, ExplainService, KernelLookup, OriginatedFact, PeerAdvertisement, Reason, Route,
    ServiceAddress, ServiceAddressKind, TrafficPolicy,
};

use super::fib;
use super::prefix::PrefixArg;
use super::routes;
use super::screen::Screen;
use super::tree::Tree;
use super::words::{commas, count};

/// Explain the state of a prefix or a Service
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(super) struct Explain {
    #[command(subcommand)]
    what: Option<Target>,

    /// A prefix or an address: the same as "explain prefix"
    prefix: Option<PrefixArg>,
}

#[derive(Debug, clap::Subcommand)]
enum Target {
    /// The peers it is advertised to and why, its paths and why one is the best, and the kernel route
    Prefix {
        /// The prefix, or an address
        prefix: PrefixArg,
    },
    /// Each address of a Service: advertised or not, by which rule, and to which peers
    Service {
        /// The Service
        #[arg(value_name = "NAMESPACE/NAME")]
        service: ServiceArg,
    },
}

#[derive(Clone, Debug)]
struct ServiceArg {
    namespace: String,
    name: String,
}

#[derive(Debug, thiserror::Error)]
#[error("expected NAMESPACE/NAME, such as default/web")]
struct NotAService;

impl FromStr for ServiceArg {
    type Err = NotAService;

    fn from_str(text: &str) -> Result<Self, NotAService> {
        match text.split_once('/') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
            {
                Ok(Self {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => Err(NotAService),
        }
    }
}

impl Explain {
    pub(super) fn run(&self, client: &Client, screen: &mut Screen) -> anyhow::Result<()> {
        let asked = match &self.what {
            Some(Target::Service { service }) => {
                let answer =
                    client.explain_service(service.namespace.clone(), service.name.clone())?;
                if !screen.data(&answer)? {
                    service_tree(&answer).draw(screen)?;
                }
                return Ok(());
            }
            Some(Target::Prefix { prefix }) => Some(*prefix),
            None => self.prefix,
        };
        // clap shows the help if there is neither.
        let Some(asked) = asked else { return Ok(()) };
        let answer = client.explain_prefix(asked.0)?;
        if !screen.data(&answer)? {
            prefix_tree(&answer).draw(screen)?;
        }
        Ok(())
    }
}

fn prefix_tree(answer: &ExplainPrefix) -> Tree {
    let mut tree = match answer.prefix {
        Some(prefix) if prefix == answer.asked => Tree::new(prefix.to_string()),
        Some(prefix) => Tree::new(format!("{prefix}, the longest match of {}", answer.asked)),
        None => Tree::new(format!(
            "{}: no route, and no route that covers it",
            answer.asked
        )),
    };
    if answer.prefix.is_some() {
        tree.add(origin(&answer.originated));
        tree.add(paths(&answer.paths));
        tree.add(peers(&answer.peers));
    }
    tree.add(kernel(&answer.kernel));
    tree
}

/// An Advertisement, or what is advertised without one: no object has a name with a space.
fn asked_by(name: &str) -> String {
    match name.contains(' ') {
        true => format!("the {name}"),
        false => format!("Advertisement {name}"),
    }
}

fn origin(facts: &[OriginatedFact]) -> Tree {
    let active = facts.iter().any(|fact| fact.active);
    let mut tree = Tree::new(if active {
        "Originated by this node: yes"
    } else {
        "Originated by this node: no"
    });
    for fact in facts {
        // What is suppressed names the object, and belongs to no Advertisement.
        let mut text = match fact.advertisement.as_str() {
            "" => commas(&fact.objects),
            advertisement if fact.objects.is_empty() => asked_by(advertisement),
            advertisement => {
                let objects = commas(&fact.objects);
                format!("{}, for {objects}", asked_by(advertisement))
            }
        };
        if let Some(reason) = &fact.reason {
            match fact.active {
                true => text.push_str(&format!(": {reason}")),
                false => text.push_str(&format!(": suppressed: {}", by_rule(reason))),
            }
        }
        tree.add(text);
    }
    tree
}

/// What is not done, with the rule that decided so.
fn by_rule(reason: &Reason) -> String {
    format!("{reason} (rule {})", reason.code)
}

fn paths(paths: &[Route]) -> Tree {
    if paths.is_empty() {
        return Tree::new("Paths: none");
    }
    let mut tree = Tree::new(format!("Paths: {}", paths.len()));
    for path in paths {
        let mut text = format!("{}: from {}", routes::state(path), routes::from(path));
        if let Some(next_hop) = path.next_hop {
            text.push_str(&format!(" via {next_hop}"));
        }
        if let Some(reason) = &path.reason {
            text.push_str(&format!(": {reason}"));
        }
        let mut node = Tree::new(text);
        node.add(attributes(path));
        tree.add(node);
    }
    tree
}

/// Everything that a route carries, in one line.
fn attributes(route: &Route) -> String {
    let mut parts = Vec::new();
    let mut part = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            parts.push(format!("{name} {value}"));
        }
    };
    let list = |values: &[String]| (!values.is_empty()).then(|| values.join(" "));
    part(
        "AS path",
        Some(match route.as_path.as_str() {
            "" => "empty".to_owned(),
            path => path.to_owned(),
        }),
    );
    part("origin", Some(route.origin.to_string()));
    part(
        "local preference",
        route.local_preference.map(|v| v.to_string()),
    );
    part("MED", route.med.map(|v| v.to_string()));
    part("communities", list(&route.communities));
    part("large communities", list(&route.large_communities));
    part("extended communities", list(&route.extended_communities));
    part("aggregator", route.aggregator.clone());
    part("originator", route.originator_id.map(|v| v.to_string()));
    part(
        "clusters",
        (!route.cluster_list.is_empty()).then(|| commas(&route.cluster_list)),
    );
    part(
        "only to customer",
        route.only_to_customer.map(|v| v.to_string()),
    );
    part(
        "link-local next hop",
        route.next_hop_link_local.map(|v| v.to_string()),
    );
    part("IGP cost", route.igp_cost.map(|v| v.to_string()));
    part("weight", route.weight.map(|v| v.to_string()));
    parts.join(", ")
}

fn peers(peers: &[PeerAdvertisement]) -> Tree {
    let advertised = peers.iter().filter(|peer| peer.advertised).count();
    let mut tree = Tree::new(format!(
        "Advertised to {advertised} of {}",
        count(peers.len() as u64, "peer")
    ));
    for peer in peers {
        let mut node = Tree::new(match peer.advertised {
            true => format!("{}: {}", peer.peer, peer.reason),
            false => format!("{}: not advertised: {}", peer.peer, peer.reason),
        });
        if let Some(route) = &peer.route {
            let next_hop = route.next_hop.map(|n| format!("next hop {n}, "));
            node.add(format!(
                "{}{}",
                next_hop.unwrap_or_default(),
                attributes(route)
            ));
        }
        tree.add(node);
    }
    tree
}

fn kernel(kernel: &KernelLookup) -> Tree {
    let Some(entry) = &kernel.entry else {
        let why = kernel.reason.as_ref().map(|reason| format!(": {reason}"));
        return Tree::new(format!(
            "Kernel: no route of ours{}",
            why.unwrap_or_default()
        ));
    };
    let mut tree = Tree::new(format!("Kernel: {}", entry.state));
    if let Some(why) = fib::why(entry) {
        tree.add(why);
    }
    if let Some(refuses) = &entry.refuses {
        tree.add(format!(
            "with an ICMP error, by table {0} (ip route show table {0}); not for traffic of the node itself",
            refuses.table
        ));
    }
    for nexthop in &entry.nexthops {
        tree.add(nexthop.to_string());
    }
    if let Some(id) = entry.nexthop_id {
        tree.add(format!("nexthop group {id} (ip nexthop show id {id})"));
    }
    tree
}

fn service_tree(answer: &ExplainService) -> Tree {
    let mut tree = Tree::new(format!(
        "Service {}/{}, type {}",
        answer.namespace, answer.name, answer.service_type
    ));
    if let Some(reason) = &answer.excluded {
        tree.add(format!("no address of it can be advertised: {reason}"));
    }
    if let Some(assignment) = &answer.assignment {
        let verdict = match assignment.assigned {
            true => "addresses assigned",
            false => "waiting for an address",
        };
        tree.add(format!("{verdict}: {}", assignment.text));
    }
    if answer.addresses.is_empty() && answer.excluded.is_none() {
        tree.add("it has no addresses");
    }
    for address in &answer.addresses {
        tree.add(address_tree(address));
    }
    tree
}

fn address_tree(address: &ServiceAddress) -> Tree {
    let kind = match address.kind {
        ServiceAddressKind::LoadBalancer => "LoadBalancer",
        ServiceAddressKind::External => "external IP",
        ServiceAddressKind::Cluster => "cluster IP",
    };
    let verdict = match address.advertised {
        true => format!("advertised: {}", address.reason),
        false => format!("not advertised: {}", by_rule(&address.reason)),
    };
    let mut tree = Tree::new(format!("{} ({kind}): {verdict}", address.address));
    let policy = match address.traffic_policy {
        TrafficPolicy::Cluster => "traffic policy Cluster: endpoints anywhere count",
        TrafficPolicy::Local => "traffic policy Local: endpoints on this node count",
    };
    let e = address.endpoints;
    tree.add(policy);
    let mut endpoints = format!(
        "endpoints in {}: {} ready ({} on this node)",
        count(u64::from(e.slices), "EndpointSlice"),
        e.ready,
        e.ready_here
    );
    if e.terminating > 0 {
        endpoints.push_str(&format!(
            ", {} serving while terminating ({} on this node)",
            e.terminating, e.terminating_here
        ));
    }
    if e.not_ready > 0 {
        endpoints.push_str(&format!(", {} not ready", e.not_ready));
    }
    tree.add(endpoints);
    if !address.advertisements.is_empty() {
        let names = address.advertisements.iter();
        let names: Vec<String> = names.map(|name| asked_by(name)).collect();
        tree.add(format!("asked for by {}", commas(&names)));
    }
    if !address.prefixes.is_empty() {
        tree.add(format!("as {}", commas(&address.prefixes)));
    }
    if !address.peers.is_empty() {
        tree.add(peers(&address.peers));
    }
    tree
}
