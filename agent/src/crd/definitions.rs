//! The custom resource definitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::{AddressPool, Advertisement, Peer, RoutePolicy, Router, RouterState};

/// The definitions of all kinds, in the order in which people meet them.
pub fn definitions() -> [CustomResourceDefinition; 6] {
    [
        Router::crd(),
        Peer::crd(),
        Advertisement::crd(),
        RoutePolicy::crd(),
        AddressPool::crd(),
        RouterState::crd(),
    ]
    .map(with_known_formats)
}

/// Rust's integers have formats that the API server does not know and warns of: the next wider one that it does.
fn with_known_formats(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    fn visit(schema: &mut JSONSchemaProps) {
        if let Some(format) = &mut schema.format {
            *format = match format.as_str() {
                "uint8" | "uint16" | "int8" | "int16" => "int32".to_owned(),
                "uint32" | "uint64" => "int64".to_owned(),
                _ => std::mem::take(format),
            };
        }
        schema
            .properties
            .iter_mut()
            .flatten()
            .for_each(|(_, schema)| visit(schema));
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
            visit(items);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
            visit(values);
        }
    }
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|s| s.open_api_v3_schema.as_mut()) {
            visit(schema);
        }
    }
    definition
}

/// One definition as a YAML document.
///
/// # Errors
/// Never for a definition of ours; the text is written by a library.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    let mut value = definition.clone();
    // A table of an earlier version's objects is of no use in a file.
    value.status = None;
    serde_saphyr::to_string(&value)
}
