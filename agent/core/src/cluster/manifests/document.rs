//! A document of a file: identified, read and validated for itself.

use std::sync::Arc;

use routelet_api::{API_VERSION, GROUP, KINDS};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::item::Item;
use super::split::Document;
use super::tree::{Tree, Value};
use crate::cluster::atom::Atoms;
use crate::cluster::kubernetes::{MetaOnly, RawEndpointSlice, RawNode, RawService};
use crate::cluster::reading::{self, Cuts, Reading};
use crate::cluster::state::{Object, ObjectRef};
use crate::cluster::validate::{Finding, Validate};

/// A document, or an item of a List.
#[derive(Clone, Debug)]
pub(super) enum Parsed {
    /// An object, its first line, and for our own kinds the tree to look up lines in.
    Good(ObjectRef, Item, u32, Option<Arc<Tree>>),
    /// Not usable, for all that is wrong with it. The reference is there if kind and name could be read.
    Bad(Option<ObjectRef>, Vec<Fault>),
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
    match Tree::parse(&document.text, document.line) {
        Ok(tree) => each(tree, &mut |tree| object(tree, atoms, &mut parsed)),
        Err(error) => {
            let fault = Fault {
                line: error.line,
                path: String::new(),
                reason: format!("not valid YAML: {error}"),
            };
            parsed.push(Parsed::Bad(guess(&document.text, atoms), vec![fault]));
        }
    }
    parsed
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

/// The kinds of Kubernetes that are read.
const KUBERNETES: [&str; 4] = ["Node", "Namespace", "Service", "EndpointSlice"];

/// Only kinds in namespaces get one.
fn reference(kind: &str, namespace: Option<&str>, name: &str, atoms: &mut Atoms) -> ObjectRef {
    let namespace = match kind {
        "Service" | "EndpointSlice" => namespace.filter(|n| !n.is_empty()).unwrap_or("default"),
        _ => "",
    };
    ObjectRef {
        kind: KINDS
            .iter()
            .chain(&KUBERNETES)
            .find(|known| **known == kind)
            .map_or_else(|| kind.to_owned().into(), |known| (*known).into()),
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
fn object(mut tree: Tree, atoms: &mut Atoms, parsed: &mut Vec<Parsed>) {
    let line = tree.line;
    let identity = match identity(&tree) {
        Ok(identity) => identity,
        Err(fault) => return parsed.push(Parsed::Bad(None, vec![fault])),
    };
    let Identity { api_version, kind } = &identity;
    let is_ours = api_version == GROUP || api_version.starts_with(&format!("{GROUP}/"));
    let known = matches!(
        (api_version.as_str(), kind.as_str()),
        ("v1", "Node" | "Namespace" | "Service") | ("discovery.k8s.io/v1", "EndpointSlice")
    );
    if !is_ours && !known {
        tracing::debug!(api_version, kind, line, "a kind that is not used");
        return parsed.push(Parsed::Other);
    }
    let metadata = |key: &str| tree.field("metadata").and_then(|m| m.field(key));
    // A name that is read as a number or a boolean still says which object it is about.
    let written = |key: &str| metadata(key).and_then(Tree::written);
    let Some(name) = written("name").filter(|name| !name.is_empty()) else {
        let reason = match metadata("name").map(|name| &name.value) {
            Some(Value::Bad(reason)) => reason.clone(),
            Some(Value::List(_) | Value::Map(_)) => {
                "is not text: every object has a name".to_owned()
            }
            _ => "missing: every object has a name".to_owned(),
        };
        return parsed.push(Parsed::Bad(
            None,
            vec![fault(&tree, "metadata.name", reason)],
        ));
    };
    let reference = reference(kind, written("namespace"), name, atoms);
    let mut left_out = Vec::new();
    let found = match (is_ours, kind.as_str()) {
        (false, _) => kubernetes(kind, &mut tree, atoms, &mut left_out),
        (true, kind) if KINDS.contains(&kind) && api_version != API_VERSION => {
            let reason = format!("\"{api_version}\" is not known: expected {API_VERSION}");
            Err(vec![fault(&tree, "apiVersion", reason)])
        }
        // What agents write of themselves, in a dump of a cluster.
        (true, "RouterState") => Ok(None),
        (true, kind) => match Item::read(kind, &mut tree) {
            Some(found) => found.map(Some),
            None => {
                let expected = any_of_ours();
                let reason = format!(
                    "kind {kind} of {GROUP} is not read from manifests: expected {expected}"
                );
                let fault = fault(&tree, "kind", reason);
                return parsed.push(Parsed::Odd(Some(reference), fault));
            }
        },
    };
    if found.is_ok() {
        parsed.extend(left_out.into_iter().map(|finding| {
            let fault = fault(&tree, &finding.path, finding.reason);
            Parsed::LeftOut(reference.clone(), fault)
        }));
    }
    parsed.push(match found {
        Ok(Some(item)) => {
            let tree = is_ours.then(|| Arc::new(tree));
            Parsed::Good(reference, item, line, tree)
        }
        Ok(None) => Parsed::Other,
        Err(faults) => Parsed::Bad(Some(reference), faults),
    });
}

/// `Router, Peer or AddressPool`.
fn any_of_ours() -> String {
    match KINDS {
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
        [] => String::new(),
    }
}

/// What every object says of itself.
struct Identity {
    api_version: String,
    kind: String,
}

fn identity(tree: &Tree) -> Result<Identity, Fault> {
    if !matches!(tree.value, Value::Map(_)) {
        let reason = "not an object: expected a map with apiVersion, kind and metadata";
        return Err(fault(tree, "", reason.to_owned()));
    }
    let text = |key: &str| match tree.field(key).map(|field| (field, &field.value)) {
        Some((_, Value::Text(text))) => Ok(text.clone()),
        Some((field, value)) if *value != Value::Null => {
            let unfit = field.read::<String>(true).err();
            let reason = unfit.map_or_else(String::new, |unfit| unfit.reason(""));
            Err(fault(tree, key, reason))
        }
        _ => {
            let reason = "missing: every object has apiVersion and kind";
            Err(fault(tree, key, reason.to_owned()))
        }
    };
    Ok(Identity {
        api_version: text("apiVersion")?,
        kind: text("kind")?,
    })
}

fn fault(tree: &Tree, path: &str, reason: String) -> Fault {
    Fault {
        line: tree.line_of(path),
        path: path.to_owned(),
        reason,
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
    spec: S,
    #[serde(default, rename = "status")]
    _status: serde::de::IgnoredAny,
}

type Found = Result<Option<Item>, Vec<Fault>>;

/// Reads an object of this kind; all that is wrong with it is in the error.
fn read<T: DeserializeOwned>(
    tree: &mut Tree,
    kind: &str,
    strict: bool,
) -> (Option<T>, Cuts, Vec<Fault>) {
    let Reading {
        value,
        faults,
        cuts,
    } = reading::all(tree, kind, |tree| tree.read(strict));
    let line = tree.line;
    let faults = faults.into_iter().map(|fault| Fault {
        line: fault.line.unwrap_or(line),
        path: fault.path,
        reason: fault.reason,
    });
    (value, cuts, faults.collect())
}

/// Reads an object of ours.
pub(super) fn ours<S: DeserializeOwned + Validate>(
    tree: &mut Tree,
    kind: &str,
) -> Result<Arc<Object<S>>, Vec<Fault>> {
    // Without a spec every field has its default, not the type.
    if tree
        .field("spec")
        .is_none_or(|spec| spec.value == Value::Null)
        && let Value::Map(fields) = &mut tree.value
    {
        let line = tree.line;
        let value = Value::Map(Vec::new());
        fields.retain(|(key, ..)| key != "spec");
        fields.push(("spec".to_owned(), line, Tree { line, value }));
    }
    let (value, cuts, mut faults) = read::<Ours<S>>(tree, kind, true);
    let findings = value
        .as_ref()
        .map_or_else(Vec::new, |read| read.spec.validate());
    let findings = cuts.findings(findings).into_iter();
    faults.extend(findings.map(|finding| fault(tree, &finding.path, finding.reason)));
    match value {
        Some(read) if faults.is_empty() => Ok(Arc::new(Object::new(read.metadata, read.spec))),
        _ => Err(faults),
    }
}

/// The same for a kind that needs no validation.
fn whole<T: DeserializeOwned>(tree: &mut Tree, kind: &str) -> Result<T, Vec<Fault>> {
    match read(tree, kind, false) {
        (Some(value), _, faults) if faults.is_empty() => Ok(value),
        (.., faults) => Err(faults),
    }
}

fn kubernetes(
    kind: &str,
    tree: &mut Tree,
    atoms: &mut Atoms,
    left_out: &mut Vec<Finding>,
) -> Found {
    Ok(match kind {
        "Node" => {
            let node = whole::<RawNode>(tree, kind)?.into_node(atoms, left_out);
            Some(Item::Node(Arc::new(node)))
        }
        "Namespace" => {
            let labels = whole::<MetaOnly>(tree, kind)?.into_namespace();
            Some(Item::Namespace(Arc::new(Some(labels))))
        }
        "Service" => {
            let service = whole::<RawService>(tree, kind)?.into_service(atoms, left_out);
            Some(Item::Service(Arc::new(service)))
        }
        _ => whole::<RawEndpointSlice>(tree, kind)?
            .into_slice(atoms, left_out)
            .map(|slice| Item::EndpointSlice(Arc::new(slice))),
    })
}
