//! Label and field selectors, as they stand in a query.

use serde_json::Value;

use super::failure::Failure;

/// What an object must be to be listed or watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<(String, Test)>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Selector {
    /// Reads both selectors; `room` decides which fields there are.
    pub(crate) fn parse(room: &str, labels: &str, fields: &str) -> Result<Self, Failure> {
        Ok(Self {
            labels: split(labels)
                .into_iter()
                .map(|term| label(&term))
                .collect::<Result<_, _>>()?,
            fields: split(fields)
                .into_iter()
                .map(|term| field(room, &term))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether an object is of the set.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let label = |(key, test): &(String, Test)| {
            let value = labels.get(key).and_then(Value::as_str);
            match test {
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
                Test::NotIn(values) => value.is_none_or(|v| values.iter().all(|w| w != v)),
            }
        };
        let field = |(path, equal, wanted): &(String, bool, String)| {
            let found = path.split('.').try_fold(object, |at, name| at.get(name));
            let shown = match found {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Bool(is)) => is.to_string(),
                _ => String::new(),
            };
            (shown == *wanted) == *equal
        };
        self.labels.iter().all(label) && self.fields.iter().all(field)
    }
}

/// The terms between commas that are not in parentheses.
fn split(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = terms.last_mut() {
            last.push(c);
        }
    }
    let trimmed = terms.iter().map(|term| term.trim().to_owned());
    trimmed.filter(|term| !term.is_empty()).collect()
}

fn label(term: &str) -> Result<(String, Test), Failure> {
    let values = |list: &str| -> Vec<String> {
        let inner = list.trim().trim_start_matches('(').trim_end_matches(')');
        inner.split(',').map(|v| v.trim().to_owned()).collect()
    };
    let made = if let Some(key) = term.strip_prefix('!') {
        (key.trim(), Test::Absent)
    } else if let Some((key, value)) = term.split_once("!=") {
        (key, Test::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (key, Test::In(vec![value.trim().to_owned()]))
    } else if let Some((key, list)) = term.split_once(" notin ").or(term.split_once(" notin(")) {
        (key, Test::NotIn(values(list)))
    } else if let Some((key, list)) = term.split_once(" in ").or(term.split_once(" in(")) {
        (key, Test::In(values(list)))
    } else {
        (term, Test::Exists)
    };
    let key = made.0.trim();
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.is_empty() || !key.chars().all(fine) {
        return Err(Failure::bad_request(format!(
            "unable to parse requirement: <nil>: Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.'"
        )));
    }
    Ok((key.to_owned(), made.1))
}

fn field(room: &str, term: &str) -> Result<(String, bool, String), Failure> {
    let (path, equal, value) = if let Some((path, value)) = term.split_once("!=") {
        (path, false, value)
    } else if let Some((path, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (path, true, value)
    } else {
        return Err(Failure::bad_request(format!(
            "invalid selector: '{term}'; can't understand '{term}'"
        )));
    };
    let known = match path {
        "metadata.name" | "metadata.namespace" => true,
        "type" => matches!(room, "secrets" | "events"),
        "spec.unschedulable" => room == "nodes",
        "spec.nodeName" | "status.phase" if room == "pods" => true,
        "status.phase" => room == "namespaces",
        "spec.type" | "spec.clusterIP" => room == "services",
        "reason" | "reportingComponent" | "source" => room == "events",
        other => {
            room == "events"
                && other.strip_prefix("involvedObject.").is_some_and(|name| {
                    [
                        "kind",
                        "namespace",
                        "name",
                        "uid",
                        "apiVersion",
                        "resourceVersion",
                        "fieldPath",
                    ]
                    .contains(&name)
                })
        }
    };
    if !known {
        return Err(Failure::bad_request(format!(
            "field label not supported: {path}"
        )));
    }
    Ok((path.to_owned(), equal, value.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_select_as_kubernetes_documents_them() {
        let object = json!({"metadata": {"name": "a", "labels": {"zone": "b", "app.kubernetes.io/name": "x"}}});
        for (selector, selected) in [
            ("", true),
            ("zone=b", true),
            ("zone==b", true),
            ("zone!=b", false),
            ("other!=b", true),
            ("zone in (a,b)", true),
            ("zone in (a),app.kubernetes.io/name", false),
            ("zone notin (a, c), app.kubernetes.io/name", true),
            ("other notin (a)", true),
            ("!zone", false),
            ("!other,zone", true),
        ] {
            let read = Selector::parse("nodes", selector, "").unwrap();
            assert_eq!(read.matches(&object), selected, "{selector}");
        }
    }

    #[test]
    fn fields_that_a_resource_does_not_index_are_refused() {
        assert!(Selector::parse("services", "", "spec.loadBalancerClass=x").is_err());
        let named = Selector::parse("services", "", "metadata.name=a").unwrap();
        assert!(named.matches(&json!({"metadata": {"name": "a"}})));
        assert!(!named.matches(&json!({"metadata": {"name": "b"}})));
    }
}
