//! Conditions: what they say, and since when.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use routelet_api::Condition;
use routelet_base::printable;

/// What is found about one aspect of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `type`.
    pub kind: &'static str,
    /// `True` or `False`; `None` is `Unknown`.
    pub holds: Option<bool>,
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people; may be empty.
    pub message: String,
}

impl Finding {
    /// The aspect is as it should be.
    pub(crate) fn good(
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            holds: Some(true),
            reason,
            message: message.into(),
        }
    }

    /// It is not.
    pub(crate) fn bad(
        kind: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            holds: Some(false),
            reason,
            message: message.into(),
        }
    }
}

/// The longest message that an API server takes (`maxLength` of the type).
const LONGEST: usize = 32_768;

/// Findings as conditions: the time is that of the last change of `status`, as it stands in `before`.
pub(crate) fn conditions(
    findings: impl IntoIterator<Item = Finding>,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let convert = |finding: Finding| {
        let status = match finding.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let same = before
            .iter()
            .find(|known| known.type_ == finding.kind && known.status == status);
        Condition {
            last_transition_time: same
                .map_or(Time(now), |known| known.last_transition_time.clone()),
            message: printable::short_line(&finding.message, LONGEST),
            observed_generation: generation,
            reason: finding.reason.to_owned(),
            status: status.to_owned(),
            type_: finding.kind.to_owned(),
        }
    };
    findings.into_iter().map(convert).collect()
}

/// A moment as the API server writes it: whole seconds.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    #[test]
    fn the_time_is_that_of_the_last_change_of_status() {
        let first = conditions([Finding::good("Ready", "Ready", "")], &[], Some(1), at(100));
        let reworded = [Finding::good("Ready", "Ready", "more words")];
        let second = conditions(reworded, &first, Some(2), at(200));
        assert_eq!(second[0].last_transition_time.0, at(100));
        assert_eq!(second[0].message, "more words");
        assert_eq!(second[0].observed_generation, Some(2));
        let third = conditions(
            [Finding::bad("Ready", "Down", "")],
            &second,
            Some(2),
            at(300),
        );
        assert_eq!(third[0].last_transition_time.0, at(300));
        assert_eq!(
            (third[0].status.as_str(), third[0].reason.as_str()),
            ("False", "Down")
        );
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let found = [Finding::bad("Ready", "Down", "a\nb\x1b[2J")];
        let found = conditions(found, &[], None, at(0));
        assert_eq!(found[0].message, r"a\nb\u{1b}[2J");
    }

    #[test]
    fn a_message_is_never_longer_than_the_api_server_takes() {
        let long = [Finding::bad("Ready", "Down", "ä".repeat(20_000))];
        let found = conditions(long, &[], None, at(0));
        assert!(found[0].message.len() <= LONGEST && found[0].message.ends_with("..."));
    }
}
