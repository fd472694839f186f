//! What is logged of faulty UPDATEs: which fault, what follows for the routes, and how often.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Level, Metadata, Subscriber};

use crate::session::faults::FaultLog;
use crate::session::handle::LiveCounters;
use crate::wire::attribute::AttributeCode;
use crate::wire::{Fault, NotificationCode, Outcome, Update, UpdateFault};

/// What this thread logs while it lives: a line each.
pub(super) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Log {
    pub(super) fn new() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let guard = tracing::subscriber::set_default(Collector(lines.clone()));
        Self {
            lines,
            _guard: guard,
        }
    }

    /// The lines since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

struct Collector(Arc<Mutex<Vec<String>>>);

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The level, then every field.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

fn fault(code: AttributeCode, outcome: Outcome) -> Fault {
    Fault {
        reason: UpdateFault::Repeated { code },
        outcome,
        code: NotificationCode::OPTIONAL_ATTRIBUTE,
        attribute: Bytes::new(),
    }
}

fn update(faults: Vec<Fault>) -> Update {
    Update {
        faults,
        ..Update::default()
    }
}

fn fault_log() -> FaultLog {
    FaultLog::new(([192, 0, 2, 1], 179).into())
}

/// What is logged of an UPDATE whose faults have these outcomes.
fn said(faults: Vec<Fault>) -> Vec<String> {
    let log = Log::new();
    fault_log().note(&update(faults), &LiveCounters::default());
    log.take()
}

#[test]
fn the_fault_that_decides_is_logged_with_what_follows_for_the_routes() {
    use Outcome::{AttributeDiscard, SessionReset, TreatAsWithdraw};
    let (weak, strong) = (AttributeCode(98), AttributeCode(99));
    for (outcome, follows) in [
        (AttributeDiscard, "attribute discarded, its routes are used"),
        (TreatAsWithdraw, "its routes are treated as withdrawn"),
        (SessionReset, "session reset"),
    ] {
        // Of equal ones the first; a weaker one before it decides nothing.
        let mut faults = vec![fault(strong, outcome), fault(weak, outcome)];
        if outcome != AttributeDiscard {
            faults.insert(0, fault(weak, AttributeDiscard));
        }
        let number = faults.len();
        let lines = said(faults);
        let reason = UpdateFault::Repeated { code: strong };
        let expected = format!(
            "WARN message=malformed UPDATE remote=192.0.2.1:179 reason={reason} outcome={follows:?} faults={number} \
             not_logged=0"
        );
        assert_eq!(lines, [expected]);
    }
}

#[test]
fn what_the_operator_filters_is_no_fault_of_the_peers() {
    let filtered = |outcome| Fault {
        reason: UpdateFault::Filtered {
            code: AttributeCode(99),
        },
        ..fault(AttributeCode(99), outcome)
    };
    assert!(said(vec![filtered(Outcome::TreatAsWithdraw)]).is_empty());
    // Beside a fault it neither decides nor counts.
    let lines = said(vec![
        filtered(Outcome::TreatAsWithdraw),
        fault(AttributeCode(98), Outcome::AttributeDiscard),
    ]);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("attribute discarded"), "{lines:?}");
    assert!(lines[0].contains("faults=1"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn faults_are_logged_every_ten_seconds_with_how_many_were_not_and_a_reset_always_is() {
    let (log, counters, mut faults) = (Log::new(), LiveCounters::default(), fault_log());
    let mut logged = |outcome| {
        faults.note(&update(vec![fault(AttributeCode(99), outcome)]), &counters);
        log.take().pop()
    };
    let discard = Outcome::AttributeDiscard;
    assert!(logged(discard).unwrap().ends_with("not_logged=0"));
    for _ in 0..3 {
        assert_eq!(logged(discard), None);
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(logged(discard).unwrap().ends_with("not_logged=3"));
    assert_eq!(logged(discard), None);
    assert!(
        logged(Outcome::SessionReset)
            .unwrap()
            .ends_with("not_logged=1")
    );
    // One that ends the session is counted by its end.
    assert_eq!(counters.snapshot().updates_malformed, 6);
}

#[test]
fn that_a_filter_is_applied_is_said_once_a_session_and_counted_each_time() {
    let (log, counters, mut faults) = (Log::new(), LiveCounters::default(), fault_log());
    faults.note_filtered(2, &counters);
    let lines = log.take();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("INFO message=the peer sends attributes"),
        "{lines:?}"
    );
    faults.note_filtered(3, &counters);
    assert!(log.take().is_empty());
    assert_eq!(counters.snapshot().attributes_filtered, 5);
}
