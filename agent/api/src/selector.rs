//! Label selectors with the semantics of Kubernetes. Absent or empty selects everything.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Labels, however they are held.
pub trait LabelSet {
    /// The value of a label, if it is there.
    fn value(&self, key: &str) -> Option<&str>;
}

impl LabelSet for Labels {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// Selects objects by their labels. All conditions must hold; none selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: Labels,
    /// Conditions on labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub match_expressions: Vec<Requirement>,
}

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = super::rules::requirement()))]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How the label relates to the values.
    pub operator: Operator,
    /// The values. Needed by `In` and `NotIn`, not allowed with `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a label relates to values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The label is there and has one of the values.
    In,
    /// The label is not there, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &impl LabelSet) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.value(key) == Some(value))
            && self.match_expressions.iter().all(|r| r.matches(labels))
    }

    /// How many conditions there are: of two selectors that both match, the one with more is the more specific.
    pub fn conditions(&self) -> usize {
        self.match_labels.len() + self.match_expressions.len()
    }
}

impl Requirement {
    fn matches(&self, labels: &impl LabelSet) -> bool {
        let value = labels.value(&self.key);
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// Whether an optional selector selects these labels: an absent one selects everything.
pub fn selects(selector: Option<&LabelSelector>, labels: &impl LabelSet) -> bool {
    selector.is_none_or(|s| s.matches(labels))
}

/// The same for labels that may not be known: these fit no condition, not even that a label is not there.
pub fn selects_known(selector: Option<&LabelSelector>, labels: Option<&impl LabelSet>) -> bool {
    match labels {
        Some(labels) => selects(selector, labels),
        None => selector.is_none_or(|selector| selector.conditions() == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn expression(operator: Operator, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_labels: Labels::new(),
            match_expressions: vec![Requirement {
                key: "rack".into(),
                operator,
                values: values.iter().map(|v| (*v).to_owned()).collect(),
            }],
        }
    }

    #[test]
    fn operators_follow_kubernetes_also_where_the_label_is_missing() {
        let (a, b, none) = (
            labels(&[("rack", "a")]),
            labels(&[("rack", "b")]),
            labels(&[]),
        );
        let table = [
            (expression(Operator::In, &["a"]), [true, false, false]),
            (expression(Operator::NotIn, &["a"]), [false, true, true]),
            (expression(Operator::Exists, &[]), [true, true, false]),
            (
                expression(Operator::DoesNotExist, &[]),
                [false, false, true],
            ),
        ];
        for (selector, expected) in table {
            assert_eq!(
                [&a, &b, &none].map(|l| selector.matches(l)),
                expected,
                "{selector:?}"
            );
        }
    }

    #[test]
    fn labels_that_are_not_known_fit_no_condition() {
        let unknown = None::<&Labels>;
        for operator in [Operator::NotIn, Operator::DoesNotExist] {
            let selector = expression(operator, &["a"]);
            assert!(selects_known(Some(&selector), Some(&labels(&[]))));
            assert!(!selects_known(Some(&selector), unknown));
        }
        assert!(selects_known(None, unknown));
        assert!(selects_known(Some(&LabelSelector::default()), unknown));
    }

    #[test]
    fn absent_and_empty_selectors_select_everything() {
        assert!(selects(None, &labels(&[])));
        assert!(selects(Some(&LabelSelector::default()), &labels(&[])));
    }
}
