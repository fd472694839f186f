//! Waiting for what a lab must come to, with a deadline: the only way tests wait.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The first pause between two observations; it doubles up to [`LONGEST_PAUSE`], so that quick things are seen quickly
/// and slow ones do not load the machine.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Observes until `observe` succeeds, at most `deadline` long, and returns what it saw.
///
/// # Errors
/// After the deadline: what was waited for, for how long, and the last observation. [`crate::run`] adds the daemons' logs.
pub fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut observe: impl FnMut() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match observe() {
            Ok(seen) => return Ok(seen),
            Err(last) if started.elapsed() >= deadline => {
                return Err(last).with_context(|| {
                    format!("{what}: not within {deadline:?}; the last observation")
                });
            }
            Err(_) => sleep(pause),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Observes for the whole of `duration` that something does not change: `observe` has to succeed every time.
///
/// # Errors
/// At the first observation that fails: what should have held, when it broke, and the observation.
pub fn always<T>(
    duration: Duration,
    what: &str,
    mut observe: impl FnMut() -> Result<T>,
) -> Result<()> {
    let started = Instant::now();
    loop {
        observe().with_context(|| {
            format!(
                "{what}: no longer true after {:?} of {duration:?}",
                started.elapsed()
            )
        })?;
        if started.elapsed() >= duration {
            return Ok(());
        }
        sleep(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use anyhow::{bail, ensure};

    use super::*;

    #[test]
    fn what_becomes_true_is_returned_and_not_asked_again() {
        let mut asked = 0;
        let seen = eventually(Duration::from_secs(5), "three", || {
            asked += 1;
            ensure!(asked == 3, "only {asked}");
            Ok(asked)
        });
        assert_eq!((seen.unwrap(), asked), (3, 3));
    }

    #[test]
    fn a_timeout_tells_what_was_awaited_and_what_was_seen_last() {
        let nothing: Result<()> = eventually(Duration::from_millis(30), "a route", || {
            bail!("the table is empty")
        });
        let text = format!("{:#}", nothing.unwrap_err());
        assert!(
            text.contains("a route") && text.contains("the table is empty"),
            "{text}"
        );
    }

    #[test]
    fn what_breaks_in_between_is_noticed() {
        let mut asked = 0;
        let broken = always(Duration::from_secs(60), "calm", || {
            asked += 1;
            ensure!(asked < 2, "storm");
            Ok(())
        });
        assert!(format!("{:#}", broken.unwrap_err()).contains("storm"));
    }
}
