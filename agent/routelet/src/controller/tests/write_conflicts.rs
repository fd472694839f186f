//! Another controller that writes the same statuses is not fought.

use super::super::addresses;
use super::super::kubernetes::Served;
use super::super::write_conflicts::{Verdict, WriteConflicts};
use super::*;

/// What the last active replica found out stands in the condition.
#[test]
fn a_service_that_is_left_to_another_controller_is_left_to_it_by_the_next_replica() {
    let key = ("shop".to_owned(), "a".to_owned());
    let time = tokio::time::Instant::now();
    let cache = |ip: &str, condition: Option<&Value>, change: &dyn Fn(&mut Value)| {
        let mut cache = ControllerCache::default();
        let mut object = service("a", 1, &[ip]);
        object["metadata"]["generation"] = json!(4);
        object["status"]["conditions"] = condition.map_or(json!([]), |c| json!([c]));
        change(&mut object);
        apply(&mut cache.services, object);
        cache
    };
    let as_it_is = |_: &mut Value| {};
    let mut conflicts = WriteConflicts::default();
    let (ours, theirs) = (
        cache("203.0.113.0", None, &as_it_is),
        cache("198.51.100.7", None, &as_it_is),
    );
    let (ours, theirs) = (
        &ours.services.get(&key).unwrap(),
        theirs.services.get(&key).unwrap(),
    );
    conflicts.wrote(&key, ours, time);
    assert_eq!(conflicts.judge(&key, theirs, true, time), Verdict::Write);
    conflicts.wrote(&key, ours, time);
    let Verdict::Say(statement, true) = conflicts.judge(&key, theirs, true, time) else {
        panic!("it is written a third time");
    };
    let patch = addresses::say(theirs, &statement, now().0).unwrap();
    let said = patch["status"]["conditions"][0].clone();

    let asks = |ip: &'static str| {
        move |object: &mut Value| {
            object["metadata"]["annotations"] = json!({"routelet.dev/addresses": ip});
        }
    };
    let of_before = |object: &mut Value| object["metadata"]["generation"] = json!(5);
    let other = |object: &mut Value| object["status"]["conditions"][0]["reason"] = json!("NoPool");
    let (same, another) = (asks("203.0.113.0"), asks("203.0.113.9"));
    for (change, expected) in [
        (&as_it_is as &dyn Fn(&mut Value), Verdict::Leave),
        (&same, Verdict::Leave),
        (&another, Verdict::Write),
        (&of_before, Verdict::Write),
        (&other, Verdict::Write),
    ] {
        let mut next = WriteConflicts::default();
        let cache = cache("198.51.100.7", Some(&said), change);
        let served = cache.services.get(&key).unwrap();
        next.adopt([(&key, served)], time);
        for _ in 0..3 {
            assert_eq!(next.judge(&key, served, true, time), expected);
        }
        assert_eq!(
            next.left_alone().count(),
            usize::from(expected == Verdict::Leave)
        );
    }
    // A change that this replica sees counts, whatever the condition can say of it.
    let mut next = WriteConflicts::default();
    let before = cache("198.51.100.7", Some(&said), &as_it_is);
    let after = cache("198.51.100.7", Some(&said), &|object| {
        object["metadata"]["labels"] = json!({"l": "changed"});
    });
    next.adopt([(&key, before.services.get(&key).unwrap())], time);
    // The write may have to be tried again.
    let judged = [&before, &after, &after].map(|cache| {
        let served = cache.services.get(&key).unwrap();
        next.judge(&key, served, true, time)
    });
    assert_eq!(judged, [Verdict::Leave, Verdict::Write, Verdict::Write]);
}

/// A controller and another one that writes its own address whenever it sees ours.
struct Fight {
    cache: ControllerCache,
    conflicts: WriteConflicts,
    key: store::Key,
    time: tokio::time::Instant,
    version: u32,
    /// Whether the other one leaves our condition in the status.
    spares_conditions: bool,
}

impl Fight {
    fn new() -> Self {
        let mut cache = known_world();
        apply(
            &mut cache.objects.pools,
            pool("public", &["203.0.113.0/30"]),
        );
        Self {
            cache,
            conflicts: WriteConflicts::default(),
            key: ("shop".to_owned(), "a".to_owned()),
            time: tokio::time::Instant::now(),
            version: 0,
            spares_conditions: true,
        }
    }

    fn served(&self) -> &Served {
        self.cache.services.get(&self.key).unwrap()
    }

    /// The Service is seen in a newer version.
    fn comes(&mut self, label: &str, ip: &str, condition: Option<&Value>) {
        self.version += 1;
        let mut object = service("a", self.version, &[ip]);
        object["metadata"]["labels"] = json!({"l": label});
        object["status"]["conditions"] = condition.map_or(json!([]), |c| json!([c]));
        apply(&mut self.cache.services, object);
    }

    /// The other one writes its address.
    fn is_answered(&mut self, label: &str, condition: &Value) {
        let spared = Some(condition).filter(|_| self.spares_conditions);
        self.comes(label, "198.51.100.7", spared);
    }

    /// One pass of the controller, and then what the other does about it. Returns whether addresses and a condition
    /// were written.
    fn pass(&mut self, label: &str, fights: bool) -> (bool, Option<Value>) {
        let labels = |served: &Served| served.request.labels.get("l") == Some(label);
        if !self.cache.services.get(&self.key).is_some_and(labels) {
            self.comes(label, "198.51.100.7", None);
        }
        self.time += Duration::from_secs(1);
        let Some(write) = writes(&self.cache).into_iter().next() else {
            return (false, None);
        };
        let served = self.cache.services.get(&self.key).unwrap();
        match self.conflicts.judge(&self.key, served, true, self.time) {
            Verdict::Write => {
                let condition = write.patch["status"]["conditions"][0].clone();
                self.comes(label, "203.0.113.0", Some(&condition));
                let served = self.cache.services.get(&self.key).unwrap();
                self.conflicts.wrote(&self.key, served, self.time);
                if fights {
                    self.is_answered(label, &condition);
                }
                (true, Some(condition))
            }
            Verdict::Say(statement, _) => {
                let patch = addresses::say(self.served(), &statement, now().0).unwrap();
                let condition = patch["status"]["conditions"][0].clone();
                assert!(patch["status"].get("loadBalancer").is_none());
                self.is_answered(label, &condition);
                let served = self.cache.services.get(&self.key).unwrap();
                self.conflicts.said(&self.key, served, self.time);
                (false, Some(condition))
            }
            Verdict::Leave => (false, None),
        }
    }
}

#[test]
fn a_status_that_another_controller_writes_is_left_alone_after_two_writes() {
    let mut fight = Fight::new();
    for (spares_conditions, label) in [(true, "first"), (false, "changed")] {
        fight.spares_conditions = spares_conditions;
        let written: Vec<_> = (0..21).map(|_| fight.pass(label, true)).collect();
        let moves = written.iter().filter(|(moves, _)| *moves).count();
        let all = written.iter().filter(|(_, condition)| condition.is_some());
        assert_eq!((moves, all.clone().count()), (2, 3), "{written:?}");
        let said = all.clone().next_back().unwrap().1.clone().unwrap();
        assert_eq!(
            (&said["status"], &said["reason"]),
            (&json!("False"), &json!("WrittenByAnother"))
        );
        let text = said["message"].as_str().unwrap();
        assert!(
            text.contains("203.0.113.0 in the status by 198.51.100.7"),
            "{text}"
        );
    }
    // The Service changes, and the other is gone: it is written, and stays.
    fight.spares_conditions = true;
    assert!(fight.pass("again", false).0);
    assert_eq!(held(&fight.cache, "a"), ["203.0.113.0"]);
    assert_eq!(fight.conflicts.left_alone().count(), 0);
}

/// Somebody replaces the list of conditions, and leaves the addresses as they are.
#[test]
fn a_condition_that_is_removed_again_and_again_is_not_fought_for() {
    let mut cache = known_world();
    let mut conflicts = WriteConflicts::default();
    let time = tokio::time::Instant::now();
    apply(
        &mut cache.objects.pools,
        pool("public", &["203.0.113.0/30"]),
    );
    let key = ("shop".to_owned(), "a".to_owned());
    let mut version = 1;
    apply(&mut cache.services, service("a", version, &[]));
    let mut comes = |cache: &mut ControllerCache, condition: Option<&Value>, labels: &Value| {
        version += 1;
        let mut object = service("a", version, &["203.0.113.0"]);
        object["metadata"]["labels"] = labels.clone();
        object["status"]["conditions"] = condition.map_or(json!([]), |c| json!([c]));
        apply(&mut cache.services, object);
    };
    for labels in [json!({}), json!({"l": "changed"})] {
        let mut written = Vec::new();
        for _ in 0..20 {
            let write = writes(&cache).into_iter().next().unwrap();
            let served = cache.services.get(&key).unwrap();
            if conflicts.judge(&key, served, write.moves, time) == Verdict::Leave {
                continue;
            }
            written.push(write.moves);
            comes(
                &mut cache,
                Some(&write.patch["status"]["conditions"][0]),
                &labels,
            );
            let served = cache.services.get(&key).unwrap();
            match write.moves {
                true => conflicts.wrote(&key, served, time),
                false => conflicts.said(&key, served, time),
            }
            comes(&mut cache, None, &labels);
        }
        assert!((2..=3).contains(&written.len()), "{written:?}");
        comes(&mut cache, None, &json!({"l": "changed"}));
    }
}
