//! What a request asks for: the path and query of a Kubernetes API, taken apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::failure::Failure;
use super::resources::Resource;

/// What is done, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// Changes from some point on.
    Watch,
    /// A new object.
    Create,
    /// A whole object anew.
    Update,
    /// A part of an object.
    Patch,
    /// An object's end.
    Delete,
    /// The end of many objects.
    DeleteCollection,
}

impl Verb {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// The words of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self.text(name), "true" | "1")
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Failure::bad_request(format!(
                    "invalid value of {name}: strconv.ParseUint: parsing \"{text}\": invalid syntax"
                ))
            }),
        }
    }
}

/// Which resource a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

impl Target {
    /// Takes a path apart; `None` if it names no resource.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
        let (group, version, rest) = match &words[..] {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // Namespaces are a resource, too, with two subresources.
            ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            _ => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return None,
        };
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        })
    }
}

/// One request for a resource, understood.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    pub(crate) resource: Arc<Resource>,
    pub(crate) namespace: Option<String>,
    /// Empty for collections.
    pub(crate) name: String,
    pub(crate) subresource: String,
    pub(crate) query: Query,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    /// The client's `User-Agent`.
    pub(crate) agent: String,
}

impl Call {
    /// Reads the body, JSON or YAML.
    pub(crate) fn value(&self) -> Result<Value, Failure> {
        let text = std::str::from_utf8(&self.body)
            .map_err(|error| Failure::bad_request(error.to_string()))?;
        let yaml = self.content_type.contains("yaml");
        let read: Result<Value, String> = if yaml {
            serde_saphyr::from_str(text).map_err(|error| error.to_string())
        } else {
            serde_json::from_str(text).map_err(|error| error.to_string())
        };
        read.map_err(|error| Failure::bad_request(format!("error decoding the body: {error}")))
    }

    pub(crate) fn dry_run(&self) -> bool {
        self.query.has("dryRun")
    }

    /// Who manages the fields that this call writes: as it says, or the client's name.
    pub(crate) fn manager(&self) -> String {
        match self.query.text("fieldManager") {
            "" => {
                let name = self.agent.split('/').next().unwrap_or_default();
                if name.is_empty() {
                    "unknown".to_owned()
                } else {
                    name.to_owned()
                }
            }
            given => given.to_owned(),
        }
    }

    pub(crate) fn not_found(&self) -> Failure {
        Failure::not_found(&self.resource.group, &self.resource.plural, &self.name)
    }

    pub(crate) fn conflict(&self, why: &str) -> Failure {
        Failure::conflict(&self.resource.group, &self.resource.plural, &self.name, why)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_name_resources_as_the_api_does() {
        for (path, group, plural, namespace, name, subresource) in [
            ("/api/v1/nodes", "", "nodes", None, "", ""),
            ("/api/v1/namespaces", "", "namespaces", None, "", ""),
            ("/api/v1/namespaces/a", "", "namespaces", None, "a", ""),
            (
                "/api/v1/namespaces/a/status",
                "",
                "namespaces",
                None,
                "a",
                "status",
            ),
            (
                "/api/v1/namespaces/a/services",
                "",
                "services",
                Some("a"),
                "",
                "",
            ),
            (
                "/api/v1/namespaces/a/services/b/status",
                "",
                "services",
                Some("a"),
                "b",
                "status",
            ),
            (
                "/apis/routelet.dev/v1alpha1/peers/b",
                "routelet.dev",
                "peers",
                None,
                "b",
                "",
            ),
        ] {
            let target = Target::parse(path).unwrap();
            let seen = (
                target.group.as_str(),
                target.plural.as_str(),
                target.namespace.as_deref(),
                target.name.as_str(),
                target.subresource.as_str(),
            );
            assert_eq!(
                seen,
                (group, plural, namespace, name, subresource),
                "{path}"
            );
        }
        assert_eq!(Target::parse("/healthz"), None);
    }
}
