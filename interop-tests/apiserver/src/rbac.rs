//! Who asks, and whether the roles in the store let them.

use serde_json::Value;

use super::core::Core;
use super::failure::{Failure, qualified};
use super::request::Call;
use super::resources::RBAC;
use super::store::Key;

/// Somebody with a bearer token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The token.
    pub token: String,
    /// The name that bindings and messages use.
    pub user: String,
    /// The groups beside `system:authenticated`.
    pub groups: Vec<String>,
}

impl Account {
    /// Whoever holds this token may do everything.
    pub fn admin(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            user: "admin".to_owned(),
            groups: vec!["system:masters".to_owned()],
        }
    }

    /// A service account, with the groups that every one has.
    pub fn service_account(token: &str, namespace: &str, name: &str) -> Self {
        Self {
            token: token.to_owned(),
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
            ],
        }
    }
}

/// The name and groups of who asks.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) user: String,
    groups: Vec<String>,
}

impl Subject {
    /// Whether somebody vouched for the name.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.user == "system:anonymous"
    }
}

impl Core {
    /// Who asks, by the `Authorization` header.
    pub(crate) fn authenticate(&self, header: Option<&str>) -> Result<Subject, Failure> {
        let accounts = &self.settings.accounts;
        if accounts.is_empty() {
            return Ok(Subject {
                user: "admin".to_owned(),
                groups: vec!["system:masters".to_owned()],
            });
        }
        let Some(header) = header else {
            return Ok(Subject {
                user: "system:anonymous".to_owned(),
                groups: vec!["system:unauthenticated".to_owned()],
            });
        };
        let token = header.strip_prefix("Bearer ").unwrap_or_default();
        let account = accounts.iter().find(|account| account.token == token);
        let account = account.ok_or_else(|| Failure::new(401, "Unauthorized", "Unauthorized"))?;
        let mut groups = account.groups.clone();
        groups.push("system:authenticated".to_owned());
        Ok(Subject {
            user: account.user.clone(),
            groups,
        })
    }

    /// Whether a subject may do what it asks, with the refusal in the server's words.
    pub(crate) fn authorize(
        &self,
        subject: &Subject,
        verb: &str,
        call: &Call,
    ) -> Result<(), Failure> {
        if subject.groups.iter().any(|group| group == "system:masters") {
            return Ok(());
        }
        let resource = match call.subresource.as_str() {
            "" => call.resource.plural.clone(),
            subresource => format!("{}/{subresource}", call.resource.plural),
        };
        let name = match call.name.as_str() {
            // A collection of one object by its name counts as that object.
            "" => call
                .query
                .text("fieldSelector")
                .split(',')
                .find_map(|term| term.strip_prefix("metadata.name="))
                .map(|name| name.trim_start_matches('='))
                .unwrap_or_default(),
            name => name,
        };
        // What is to be created has no name yet.
        let of_rule = if verb == "create" { "" } else { name };
        let rules = self.rules_of(subject, call.namespace.as_deref());
        let group = &call.resource.group;
        if rules
            .iter()
            .any(|rule| allows(rule, verb, group, &resource, of_rule))
        {
            return Ok(());
        }
        let place = match &call.namespace {
            Some(namespace) => format!("in the namespace \"{namespace}\""),
            None => "at the cluster scope".to_owned(),
        };
        let why = format!(
            "User \"{}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}",
            subject.user
        );
        Err(Failure::forbidden(group, &call.resource.plural, name, &why))
    }

    /// The rules that hold for a subject in a namespace: those bound in the cluster, and those bound there.
    fn rules_of(&self, subject: &Subject, namespace: Option<&str>) -> Vec<Value> {
        let bound = |binding: &Value| {
            let subjects = binding["subjects"].as_array().into_iter().flatten();
            subjects.into_iter().any(|named| {
                let name = named["name"].as_str().unwrap_or_default();
                match named["kind"].as_str() {
                    Some("User") => subject.user == name,
                    Some("Group") => subject.groups.iter().any(|group| group == name),
                    Some("ServiceAccount") => {
                        let namespace = named["namespace"].as_str().unwrap_or_default();
                        subject.user == format!("system:serviceaccount:{namespace}:{name}")
                    }
                    _ => false,
                }
            })
        };
        let role = |binding: &Value, namespace: &str| {
            let reference = &binding["roleRef"];
            let (plural, namespace) = match reference["kind"].as_str() {
                Some("Role") => ("roles", namespace),
                _ => ("clusterroles", ""),
            };
            let name = reference["name"].as_str().unwrap_or_default().to_owned();
            let key = Key {
                room: qualified(RBAC, plural),
                namespace: namespace.to_owned(),
                name,
            };
            let rules = self
                .store
                .get(&key)
                .and_then(|role| role["rules"].as_array().cloned());
            rules.unwrap_or_default()
        };
        let cluster = qualified(RBAC, "clusterrolebindings");
        let mut rules = Vec::new();
        for (_, binding) in self
            .store
            .list(&cluster, None)
            .filter(|(_, binding)| bound(binding))
        {
            rules.extend(role(binding, ""));
        }
        let local = qualified(RBAC, "rolebindings");
        let namespace = namespace.unwrap_or("\u{0}");
        for (_, binding) in self
            .store
            .list(&local, Some(namespace))
            .filter(|(_, binding)| bound(binding))
        {
            rules.extend(role(binding, namespace));
        }
        rules
    }
}

fn allows(rule: &Value, verb: &str, group: &str, resource: &str, name: &str) -> bool {
    let holds = |field: &str, wanted: &str| {
        let words = rule[field].as_array().into_iter().flatten();
        words.into_iter().any(|word| word == "*" || word == wanted)
    };
    let by_subresource = || match resource.split_once('/') {
        Some((_, subresource)) => holds("resources", &format!("*/{subresource}")),
        None => false,
    };
    let named = rule["resourceNames"]
        .as_array()
        .is_none_or(|names| names.is_empty() || names.iter().any(|n| n == name));
    holds("verbs", verb)
        && holds("apiGroups", group)
        && (holds("resources", resource) || by_subresource())
        && named
}
