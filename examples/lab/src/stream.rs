//! A stream of requests from the client, and what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::Result;
use interop_lab::Namespace;
use interop_lab::probe::web::get;

/// Pause between the requests of a stream.
const PACE: Duration = Duration::from_millis(20);

/// A stream of requests, one every few milliseconds, until it is stopped.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Requests that were answered.
    pub(crate) answered: u32,
    /// Requests that were not.
    pub(crate) lost: u32,
    /// The longest time between two answers.
    pub(crate) longest_gap: Duration,
}

impl Stream {
    /// Starts a stream.
    pub(crate) fn start(client: &Namespace, to: &'static str, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, client) = (stop.clone(), client.clone());
        let thread = std::thread::spawn(move || {
            let mut tally = Tally::default();
            let mut last = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                match get(&client, to, port) {
                    Ok(_) => {
                        tally.answered += 1;
                        tally.longest_gap = tally.longest_gap.max(last.elapsed());
                        last = Instant::now();
                    }
                    Err(_) => tally.lost += 1,
                }
                sleep(PACE);
            }
            tally
        });
        Self { stop, thread }
    }

    /// Stops it and returns the result.
    pub(crate) fn stop(self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow::anyhow!("the stream of requests panicked"))
    }
}
