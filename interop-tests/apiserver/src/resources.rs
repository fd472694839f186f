//! The resources that are served: a table of built-in ones, and those of the custom resource definitions in the store.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1 as apps, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, rbac::v1 as rbac,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::qualified;

/// Reads an object as its type and writes it again, which drops the fields that the type does not have.
type Decode = fn(Value) -> Result<Value, serde_json::Error>;

/// How objects are decoded and checked.
#[derive(Clone, Debug)]
pub(crate) enum Nature {
    /// By the types of the published API.
    Builtin(Decode),
    /// By the schema of a definition, with the columns of its table.
    Custom {
        schema: Arc<Value>,
        columns: Arc<Vec<Value>>,
    },
}

/// A served resource.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) namespaced: bool,
    pub(crate) status: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    /// Whether changes of its spec are counted in `metadata.generation`.
    pub(crate) generation: bool,
    pub(crate) nature: Nature,
}

impl Resource {
    /// Where its objects lie in the store: all versions of a resource, and both event APIs, share theirs.
    pub(crate) fn room(&self) -> String {
        if self.kind == "Event" {
            return "events".to_owned();
        }
        qualified(&self.group, &self.plural)
    }

    /// `v1`, `routelet.dev/v1alpha1`
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.nature, Nature::Custom { .. })
    }
}

fn typed<T: Serialize + DeserializeOwned>(value: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(value)?)
}

/// Group, version, plural, kind, namespaced, status, short names, generation counted, decoder.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
    bool,
    &'static str,
    bool,
    Decode,
);

const BUILTIN: &[Row] = &[
    (
        "",
        "v1",
        "namespaces",
        "Namespace",
        false,
        true,
        "ns",
        false,
        typed::<core::Namespace>,
    ),
    (
        "",
        "v1",
        "nodes",
        "Node",
        false,
        true,
        "no",
        false,
        typed::<core::Node>,
    ),
    (
        "",
        "v1",
        "services",
        "Service",
        true,
        true,
        "svc",
        false,
        typed::<core::Service>,
    ),
    (
        "",
        "v1",
        "secrets",
        "Secret",
        true,
        false,
        "",
        false,
        typed::<core::Secret>,
    ),
    (
        "",
        "v1",
        "configmaps",
        "ConfigMap",
        true,
        false,
        "cm",
        false,
        typed::<core::ConfigMap>,
    ),
    (
        "",
        "v1",
        "serviceaccounts",
        "ServiceAccount",
        true,
        false,
        "sa",
        false,
        typed::<core::ServiceAccount>,
    ),
    (
        "",
        "v1",
        "pods",
        "Pod",
        true,
        true,
        "po",
        false,
        typed::<core::Pod>,
    ),
    (
        "",
        "v1",
        "events",
        "Event",
        true,
        false,
        "ev",
        false,
        typed::<core::Event>,
    ),
    (
        "events.k8s.io",
        "v1",
        "events",
        "Event",
        true,
        false,
        "ev",
        false,
        typed::<k8s_openapi::api::events::v1::Event>,
    ),
    (
        "discovery.k8s.io",
        "v1",
        "endpointslices",
        "EndpointSlice",
        true,
        false,
        "",
        true,
        typed::<discovery::EndpointSlice>,
    ),
    (
        "coordination.k8s.io",
        "v1",
        "leases",
        "Lease",
        true,
        false,
        "",
        false,
        typed::<coordination::Lease>,
    ),
    (
        "apps",
        "v1",
        "daemonsets",
        "DaemonSet",
        true,
        true,
        "ds",
        true,
        typed::<apps::DaemonSet>,
    ),
    (
        "apps",
        "v1",
        "deployments",
        "Deployment",
        true,
        true,
        "deploy",
        true,
        typed::<apps::Deployment>,
    ),
    (
        RBAC,
        "v1",
        "clusterroles",
        "ClusterRole",
        false,
        false,
        "",
        false,
        typed::<rbac::ClusterRole>,
    ),
    (
        RBAC,
        "v1",
        "clusterrolebindings",
        "ClusterRoleBinding",
        false,
        false,
        "",
        false,
        typed::<rbac::ClusterRoleBinding>,
    ),
    (
        RBAC,
        "v1",
        "roles",
        "Role",
        true,
        false,
        "",
        false,
        typed::<rbac::Role>,
    ),
    (
        RBAC,
        "v1",
        "rolebindings",
        "RoleBinding",
        true,
        false,
        "",
        false,
        typed::<rbac::RoleBinding>,
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        false,
        true,
        "crd,crds",
        true,
        typed::<apiextensions::CustomResourceDefinition>,
    ),
];

/// The group of roles and bindings.
pub(crate) const RBAC: &str = "rbac.authorization.k8s.io";
/// Where definitions lie in the store.
pub(crate) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The built-in resources.
pub(crate) fn builtin() -> Vec<Arc<Resource>> {
    BUILTIN
        .iter()
        .map(
            |&(group, version, plural, kind, namespaced, status, short, generation, decode)| {
                Arc::new(Resource {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    plural: plural.to_owned(),
                    singular: kind.to_lowercase(),
                    kind: kind.to_owned(),
                    namespaced,
                    status,
                    short_names: short
                        .split(',')
                        .filter(|s| !s.is_empty())
                        .map(str::to_owned)
                        .collect(),
                    categories: Vec::new(),
                    generation,
                    nature: Nature::Builtin(decode),
                })
            },
        )
        .collect()
}

/// What a definition makes the server serve, once it is established: one resource per served version.
pub(crate) fn of_definition(definition: &Value) -> Vec<Arc<Resource>> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| {
        value
            .as_array()
            .into_iter()
            .flatten()
            .map(&text)
            .collect::<Vec<_>>()
    };
    let versions = spec["versions"].as_array().into_iter().flatten();
    versions
        .filter(|version| version["served"] == true)
        .map(|version| {
            let columns = version["additionalPrinterColumns"].as_array().cloned();
            Arc::new(Resource {
                group: text(&spec["group"]),
                version: text(&version["name"]),
                plural: text(&names["plural"]),
                singular: match text(&names["singular"]) {
                    none if none.is_empty() => text(&names["kind"]).to_lowercase(),
                    given => given,
                },
                kind: text(&names["kind"]),
                namespaced: spec["scope"] == "Namespaced",
                status: version["subresources"]["status"].is_object(),
                short_names: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                generation: true,
                nature: Nature::Custom {
                    schema: Arc::new(version["schema"]["openAPIV3Schema"].clone()),
                    columns: Arc::new(columns.unwrap_or_default()),
                },
            })
        })
        .collect()
}
