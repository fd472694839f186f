//! What is said of threads that hang or end, and that the process ends.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use super::*;

/// What of a process is to go wrong; set for this test program as a child.
const FAULT: &str = "ROUTELET_TEST_FAULT";

fn thread() -> (Arc<Heartbeat>, Arc<AtomicBool>, Vital) {
    let (pulse, has_ended) = (
        Arc::new(Heartbeat::default()),
        Arc::new(AtomicBool::new(false)),
    );
    let ended = has_ended.clone();
    let vital = Vital::thread("thread x", pulse.clone(), move || {
        ended.load(Ordering::Relaxed)
    });
    (pulse, has_ended, vital)
}

#[test]
fn who_takes_one_step_after_the_other_or_rests_hangs_never() {
    let (pulse, _, vital) = thread();
    let mut vital = vital.holding_sessions();
    for look in 0..4 * HANGS {
        match look % 3 {
            0 => pulse.step(),
            1 => pulse.rest(),
            _ => {
                pulse.step();
                pulse.rest();
                pulse.step();
            }
        }
        assert_eq!(vital.check(), None);
    }
    pulse.rest();
    for _ in 0..4 * HANGS {
        assert_eq!(vital.check(), None);
    }
}

#[test]
fn one_long_step_is_said_and_ends_a_process_whose_sessions_it_holds() {
    for holds_sessions in [false, true] {
        let (pulse, _, mut vital) = thread();
        vital.holds_sessions = holds_sessions;
        pulse.step();
        let found: Vec<_> = (0..2 * HANGS).map(|_| vital.check()).collect();
        let said = found.iter().position(Option::is_some);
        assert_eq!(said, Some(SLOW as usize));
        assert_eq!(
            found[SLOW as usize],
            Some(("thread x has hung for 10 s".to_owned(), false))
        );
        let end = found.iter().position(|f| matches!(f, Some((_, true))));
        assert_eq!(end, holds_sessions.then_some(HANGS as usize));
        pulse.step();
        assert_eq!(vital.check(), None);
    }
}

#[test]
fn one_that_rests_has_to_move_when_it_is_poked() {
    for moves in [true, false] {
        let (pulse, _, vital) = thread();
        pulse.step();
        pulse.rest();
        let poked = pulse.clone();
        let mut vital = vital.poked(move || {
            if moves {
                poked.step();
                poked.rest();
            }
        });
        let found: Vec<_> = (0..3 * HANGS).map(|_| vital.check()).collect();
        let said = found.iter().position(Option::is_some);
        let after = POKE + SLOW;
        assert_eq!(said, (!moves).then_some(after as usize));
        // A poke that comes late, at last.
        pulse.step();
        assert_eq!(vital.check(), None);
    }
}

#[test]
fn one_that_has_ended_is_the_end() {
    let (_, has_ended, mut vital) = thread();
    assert_eq!(vital.check(), None);
    has_ended.store(true, Ordering::Relaxed);
    assert_eq!(vital.check(), Some(("thread x has ended".to_owned(), true)));
}

/// Runs in a child of its own, since the process is to end.
#[test]
fn fault() {
    let Ok(fault) = std::env::var(FAULT) else {
        return;
    };
    match fault.as_str() {
        "mute" | "stopping" => tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .init(),
        _ => tracing_subscriber::fmt()
            .with_writer(std::io::stdout)
            .init(),
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match fault.as_str() {
        "thread" => {
            end_on_panic();
            let thread = std::thread::Builder::new().name("rib".to_owned());
            let thread = thread.spawn(|| panic!("a \x1b[31mmessage")).unwrap();
            let _ = thread.join();
        }
        "mute" => {
            end_on_panic();
            panic!("a message");
        }
        "stopping" => {
            end_within(Duration::from_millis(10));
            error!("this hangs");
        }
        "task" => {
            end_on_panic();
            let task = runtime.spawn(async { panic!("a message") });
            let _ = runtime.block_on(task);
        }
        "ended" => {
            let task = runtime.spawn(async {});
            let vitals = vec![Vital::task("task x", move || task.is_finished())];
            let _watchdog = Watchdog::start(vitals, HungThreads::default()).unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        other => panic!("{other}"),
    }
    std::thread::sleep(Duration::from_secs(1));
    std::process::exit(0);
}

#[test]
fn a_fault_ends_the_process_with_a_reason() {
    for (fault, said) in [
        (
            "thread",
            "a bug: thread rib panicked at agent/base/src/vital/tests.rs",
        ),
        (
            "task",
            "a bug: thread tokio-rt-worker panicked at agent/base/src/vital/tests.rs",
        ),
        ("ended", "task x has ended. The process ends"),
    ] {
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program)
            .args(["--exact", "vital::tests::fault", "--nocapture"])
            .env(FAULT, fault)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        assert_eq!(child.status.code(), Some(EXIT), "{fault}: {text}");
        assert!(text.contains(said), "{fault}: {text}");
        assert!(!text.contains("\x1b[31mmessage"), "{text}");
    }
}

/// A pipe that is full, with the end that nobody reads.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use std::io::Write;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    let (read, mut write) = std::io::pipe().unwrap();
    fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while write.write(&[b'.'; 512]).is_ok() {}
    fcntl(&write, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    (read, write)
}

#[test]
fn a_process_whose_log_hangs_ends_all_the_same() {
    for fault in ["mute", "stopping"] {
        let program = std::env::current_exe().unwrap();
        let (unread, log) = full_pipe();
        let mut child = Command::new(program)
            .args(["--exact", "vital::tests::fault", "--nocapture"])
            .env(FAULT, fault)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if std::time::Instant::now() >= deadline => break None,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        if status.is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let code = status.map(|status| status.code());
        assert_eq!(code, Some(Some(EXIT)), "{fault}");
        drop(unread);
    }
}
