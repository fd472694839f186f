//! A document of a file: identified, read and validated for itself.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::atom::Atoms;
use super::super::kubernetes::{MetaOnly, RawEndpointSlice, RawNode, RawService};
use super::super::state::{EndpointSlice, Node, Object, ObjectRef, Service};
use super::super::validate::{self, Finding};
use super::split::Document;
use super::tree::{ReadError, Tree, Value};
use crate::crd::selector::Labels;
use crate::crd::{
    API_VERSION, AddressPoolSpec, AdvertisementSpec, GROUP, PeerSpec, RoutePolicySpec, RouterSpec,
};

/// An object that was read and is valid.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Router(Arc<Object<RouterSpec>>),
    Peer(Arc<Object<PeerSpec>>),
    Advertisement(Arc<Object<AdvertisementSpec>>),
    Policy(Arc<Object<RoutePolicySpec>>),
    Pool(Arc<Object<AddressPoolSpec>>),
    Node(Arc<Node>),
    /// `None`: its labels cannot be read.
    Namespace(Arc<Option<Labels>>),
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
}

/// A document, or an item of a List.
#[derive(Clone, Debug)]
pub(super) enum Parsed {
    /// An object, its first line, and for our own kinds the tree to look up lines in.
    Good(ObjectRef, Item, u32, Option<Arc<Tree>>),
    /// Not usable. The reference is there if kind and name could be read.
    Bad(Option<ObjectRef>, Fault),
    /// An entry of a usable object that is left out.
    LeftOut(ObjectRef, Fault),
    /// A kind that is not ours, or nothing.
    Other,
    /// Usable, but not as the operator may think.
    Odd(Option<ObjectRef>, Fault),
}

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: u32,
    pub(super) path: String,
    pub(super) reason: String,
}

/// Reads one document.
pub(super) fn parse(document: &Document, atoms: &mut Atoms) -> Vec<Parsed> {
    let mut parsed = Vec::new();
    match Tree::parse(&document.text) {
        Ok(mut tree) => {
            tree.shift(document.line);
            each(tree, &mut |tree| object(tree, atoms, &mut parsed));
        }
        Err(error) => {
            let line = error.location().map_or(1, |l| l.line());
            parsed.push(Parsed::Bad(
                guess(&document.text, atoms),
                Fault {
                    line: document.line + u32::try_from(line).unwrap_or(1),
                    path: String::new(),
                    reason: format!("not valid YAML: {}", syntax_reason(&error)),
                },
            ));
        }
    }
    parsed
}

/// The parser's words without the place, which stands before them already.
fn syntax_reason(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(first);
    match first.rfind(" at line ") {
        Some(at) => first[..at].to_owned(),
        None => first.to_owned(),
    }
}

/// Kind and name of a document that is no YAML, from its lines: enough to know which object it is about.
fn guess(text: &str, atoms: &mut Atoms) -> Option<ObjectRef> {
    let value = |line: &str, key: &str| {
        let value = line.strip_prefix(key)?.trim();
        let value = value.trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    };
    let kind = text.lines().find_map(|l| value(l, "kind:"))?;
    let metadata = text.lines().skip_while(|l| !l.starts_with("metadata:"));
    let (mut name, mut namespace) = (None, None);
    for line in metadata.skip(1).take_while(|l| l.starts_with(' ')) {
        name = name.or_else(|| value(line.trim_start(), "name:"));
        namespace = namespace.or_else(|| value(line.trim_start(), "namespace:"));
    }
    let flow = text.lines().find(|l| l.starts_with("metadata: {"));
    let inline = flow.and_then(|l| {
        let rest = l.split("name:").nth(1)?;
        let name = rest.split([',', '}']).next()?.trim();
        (!name.is_empty()).then(|| name.trim_matches(['"', '\'']).to_owned())
    });
    Some(reference(
        &kind,
        namespace.as_deref(),
        &name.or(inline)?,
        atoms,
    ))
}

/// The kinds that are read.
const KINDS: [&str; 9] = [
    "Router",
    "Peer",
    "Advertisement",
    "RoutePolicy",
    "AddressPool",
    "Node",
    "Namespace",
    "Service",
    "EndpointSlice",
];

/// Only kinds in namespaces get one.
fn reference(kind: &str, namespace: Option<&str>, name: &str, atoms: &mut Atoms) -> ObjectRef {
    let namespace = match kind {
        "Service" | "EndpointSlice" => namespace.filter(|n| !n.is_empty()).unwrap_or("default"),
        _ => "",
    };
    ObjectRef {
        kind: KINDS
            .into_iter()
            .find(|known| *known == kind)
            .map_or_else(|| kind.to_owned().into(), Into::into),
        namespace: atoms.atom(namespace),
        name: atoms.atom(name),
    }
}

/// The items of a List; they leave the tree.
fn list_items(tree: &mut Tree) -> Option<Vec<Tree>> {
    let is_list = tree.field("kind")?.text()?.ends_with("List");
    (is_list && tree.field("apiVersion").is_some())
        .then(|| tree.take_list("items"))
        .flatten()
}

/// Takes the object of a document, or each item of a List. An empty document has none.
pub(super) fn each(mut tree: Tree, take: &mut impl FnMut(Tree)) {
    if tree.value == Value::Null {
        return;
    }
    match list_items(&mut tree) {
        Some(items) => items.into_iter().for_each(|item| each(item, take)),
        None => take(tree),
    }
}

/// Reads one object.
fn object(tree: Tree, atoms: &mut Atoms, parsed: &mut Vec<Parsed>) {
    let line = tree.line;
    let fault = |path: &str, reason: String| Fault {
        line: tree.line_of(path),
        path: path.to_owned(),
        reason,
    };
    if !matches!(tree.value, Value::Map(_)) {
        let reason = "no object: expected a map with apiVersion, kind and metadata".to_owned();
        parsed.push(Parsed::Bad(None, fault("", reason)));
        return;
    }
    let text = |key: &str| tree.field(key).and_then(Tree::text);
    let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        let path = if text("apiVersion").is_none() {
            "apiVersion"
        } else {
            "kind"
        };
        let reason = "missing: every object says apiVersion and kind".to_owned();
        parsed.push(Parsed::Bad(None, fault(path, reason)));
        return;
    };
    let is_ours = api_version == GROUP || api_version.starts_with(&format!("{GROUP}/"));
    let known = matches!(
        (api_version, kind),
        ("v1", "Node" | "Namespace" | "Service") | ("discovery.k8s.io/v1", "EndpointSlice")
    );
    if !is_ours && !known {
        tracing::debug!(api_version, kind, line, "a kind that is not used");
        parsed.push(Parsed::Other);
        return;
    }
    let metadata = tree.field("metadata");
    let meta = |key: &str| metadata.and_then(|m| m.field(key)).and_then(Tree::text);
    let Some(name) = meta("name").filter(|name| !name.is_empty()) else {
        let reason = "missing: every object has a name".to_owned();
        parsed.push(Parsed::Bad(None, fault("metadata.name", reason)));
        return;
    };
    let reference = reference(kind, meta("namespace"), name, atoms);
    let mut left_out = Vec::new();
    let found = match (is_ours, kind) {
        (false, _) => kubernetes(kind, &tree, atoms, &mut left_out),
        (true, "Router" | "Peer" | "Advertisement" | "RoutePolicy" | "AddressPool")
            if api_version != API_VERSION =>
        {
            Err(fault(
                "apiVersion",
                format!("\"{api_version}\" is not known: expected {API_VERSION}"),
            ))
        }
        (true, "Router") => ours(&tree, validate::router).map(|o| Some(Item::Router(o))),
        (true, "Peer") => ours(&tree, validate::peer).map(|o| Some(Item::Peer(o))),
        (true, "Advertisement") => {
            ours(&tree, validate::advertisement).map(|o| Some(Item::Advertisement(o)))
        }
        (true, "RoutePolicy") => ours(&tree, validate::policy).map(|o| Some(Item::Policy(o))),
        (true, "AddressPool") => ours(&tree, validate::address_pool).map(|o| Some(Item::Pool(o))),
        // What agents write of themselves, in a dump of a cluster.
        (true, "RouterState") => Ok(None),
        (true, _) => {
            let reason = format!(
                "kind {kind} of {GROUP} is not read from manifests: expected Router, Peer, Advertisement, RoutePolicy or AddressPool"
            );
            parsed.push(Parsed::Odd(Some(reference), fault("kind", reason)));
            return;
        }
    };
    if found.is_ok() {
        parsed.extend(left_out.into_iter().map(|finding| {
            let fault = fault(&finding.path, finding.reason);
            Parsed::LeftOut(reference.clone(), fault)
        }));
    }
    parsed.push(match found {
        Ok(Some(item)) => {
            let tree = is_ours.then(|| Arc::new(tree));
            Parsed::Good(reference, item, line, tree)
        }
        Ok(None) => Parsed::Other,
        Err(fault) => Parsed::Bad(Some(reference), fault),
    });
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Self {
            line: error.line,
            path: error.path,
            reason: error.reason,
        }
    }
}

/// An object of ours as it stands in a file. Unknown fields at any depth are errors, but for those of `status`.
#[derive(Deserialize)]
struct Ours<S> {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    #[serde(default)]
    spec: S,
    #[serde(default, rename = "status")]
    _status: serde::de::IgnoredAny,
}

fn ours<S: DeserializeOwned + Default>(
    tree: &Tree,
    validate: fn(&S) -> Vec<Finding>,
) -> Result<Arc<Object<S>>, Fault> {
    let read: Ours<S> = tree.read(true)?;
    if let Some(finding) = validate(&read.spec).into_iter().next() {
        return Err(Fault {
            line: tree.line_of(&finding.path),
            path: finding.path,
            reason: finding.reason,
        });
    }
    Ok(Arc::new(Object {
        name: read.metadata.name.unwrap_or_default(),
        labels: read.metadata.labels.unwrap_or_default(),
        spec: read.spec,
    }))
}

fn kubernetes(
    kind: &str,
    tree: &Tree,
    atoms: &mut Atoms,
    left_out: &mut Vec<Finding>,
) -> Result<Option<Item>, Fault> {
    Ok(match kind {
        "Node" => Some(Item::Node(Arc::new(
            tree.read::<RawNode>(false)?.into_node(atoms, left_out),
        ))),
        "Namespace" => Some(Item::Namespace(Arc::new(Some(
            tree.read::<MetaOnly>(false)?.into_namespace(),
        )))),
        "Service" => Some(Item::Service(Arc::new(
            tree.read::<RawService>(false)?
                .into_service(atoms, left_out),
        ))),
        _ => tree
            .read::<RawEndpointSlice>(false)?
            .into_slice(atoms, left_out)
            .map(|slice| Item::EndpointSlice(Arc::new(slice))),
    })
}
