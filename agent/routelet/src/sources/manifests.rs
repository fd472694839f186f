//! The thread that follows a directory of manifests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bgp::os_error::OsError;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use routelet_base::vital::{Heartbeat, Vital};
use tokio::sync::watch;

use routelet_core::cluster::manifests::{
    Fingerprint, Look, ManifestsError, Names, Store, directory_problem, refresh,
};
use routelet_core::cluster::{Problem, Severity, Snapshot};

use crate::memory;

#[cfg(test)]
mod tests;

/// How long the directory must be quiet before it is read: an editor's steps are milliseconds apart.
const QUIET: Duration = Duration::from_millis(50);

/// How long it may be restless before it is read all the same.
const RESTLESS: Duration = Duration::from_millis(500);

/// How often files are looked at without any notification: also how long a lost one can go unnoticed.
const RESCAN: Duration = Duration::from_secs(5);

/// A directory of manifests that is followed. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Manifests {
    snapshots: watch::Receiver<Snapshot>,
    wake: SyncSender<WakeReason>,
    thread: Option<JoinHandle<()>>,
    pulse: Arc<Heartbeat>,
}

/// Why the thread wakes up.
enum WakeReason {
    Changed,
    Stop,
}

/// What notifications are handed to.
type Handler = Box<dyn FnMut(notify::Result<notify::Event>) + Send>;

/// Makes what sends notifications, of nothing so far.
type Notifier = fn(Handler) -> notify::Result<RecommendedWatcher>;

impl Manifests {
    /// Reads the directory, and follows it from then on.
    ///
    /// # Errors
    /// If the directory cannot be listed now. Later, that is a problem of the snapshot, and the last state stays.
    pub(crate) fn start(directory: &Path) -> Result<Self, ManifestsError> {
        Self::start_with(directory, notify::recommended_watcher)
    }

    fn start_with(directory: &Path, notifier: Notifier) -> Result<Self, ManifestsError> {
        let listing = |source: std::io::Error| ManifestsError::Directory {
            path: directory.to_owned(),
            source: source.into(),
        };
        // Relative paths would change their meaning with the working directory.
        let root = std::path::absolute(directory).map_err(listing)?;
        // One is enough: each says "look again", and looking finds everything. A full channel drops what it repeats.
        let (wake, woken) = mpsc::sync_channel(1);
        let mut follower = DirectoryWatcher::new(root, notifier, wake.clone());
        let pulse = Arc::clone(&follower.pulse);
        // Watching begins before reading, so that nothing falls between.
        follower.rewatch();
        follower.says_notified();
        follower.look(Look::Notified).map_err(listing)?;
        let (publish, snapshots) = watch::channel(follower.store.snapshot());
        memory::give_back();
        let thread = std::thread::Builder::new()
            .name("manifests".to_owned())
            .spawn(move || follower.run(&woken, &publish))
            .map_err(|error| ManifestsError::Thread(error.into()))?;
        Ok(Self {
            snapshots,
            wake,
            thread: Some(thread),
            pulse,
        })
    }

    /// The thread, to be looked after. It hangs with the file system.
    pub(crate) fn vital(&self) -> Vital {
        let pulse = Arc::clone(&self.pulse);
        let publisher = self.snapshots.clone();
        Vital::thread(
            "thread manifests, which reads the configuration,",
            pulse,
            move || publisher.has_changed().is_err(),
        )
    }

    /// The state now.
    #[cfg(test)]
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshots.borrow().clone()
    }

    /// Follows the state: the latest snapshot, overtaken ones are skipped.
    pub(crate) fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }
}

impl Drop for Manifests {
    fn drop(&mut self) {
        // The thread takes from the channel all the time, so that this does not block for long.
        let _ = self.wake.send(WakeReason::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct DirectoryWatcher {
    root: PathBuf,
    store: Store,
    fingerprints: BTreeMap<PathBuf, Fingerprint>,
    names: Names,
    notifier: Notifier,
    watcher: Option<RecommendedWatcher>,
    /// Why there are no notifications, or not of everything.
    unnotified: Option<String>,
    /// Device and inode of the directory that is watched; another one may take its place under the same name.
    watched: Option<(u64, u64)>,
    wake: SyncSender<WakeReason>,
    pulse: Arc<Heartbeat>,
}

impl DirectoryWatcher {
    /// One that has not read anything.
    fn new(root: PathBuf, notifier: Notifier, wake: SyncSender<WakeReason>) -> Self {
        Self {
            root,
            store: Store::default(),
            fingerprints: BTreeMap::new(),
            names: Names::default(),
            notifier,
            watcher: None,
            unnotified: None,
            watched: None,
            wake,
            pulse: Arc::default(),
        }
    }

    fn run(mut self, woken: &Receiver<WakeReason>, publish: &watch::Sender<Snapshot>) {
        loop {
            let look = match woken.recv_timeout(RESCAN) {
                Ok(WakeReason::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(WakeReason::Changed) => match settle(woken) {
                    WakeReason::Stop => return,
                    WakeReason::Changed => Look::Notified,
                },
                Err(RecvTimeoutError::Timeout) => Look::Routine,
            };
            self.pulse.step();
            self.rewatch();
            if self.look_again(look) {
                publish.send_replace(self.store.snapshot());
                memory::give_back();
            }
            self.pulse.rest();
        }
    }

    /// Reads the directory; keeps the last state if the whole directory is missing. Returns whether anything changed,
    /// problems included.
    fn look_again(&mut self, look: Look) -> bool {
        let differs = self.says_notified();
        let changed = self.look(look).unwrap_or_else(|error| {
            let mut problem = directory_problem(Path::new(""), &error);
            problem.file = Some(self.root.clone());
            self.store.directory(vec![problem])
        });
        changed || differs
    }

    /// Says whether changes are notified of. Returns whether that is another answer than before.
    fn says_notified(&mut self) -> bool {
        let problem = self.unnotified.as_ref().map(|why| Problem {
            severity: Severity::Warning,
            file: Some(self.root.clone()),
            line: None,
            object: None,
            path: String::new(),
            reason: without_notifications(why),
            meanwhile: None,
        });
        self.store.notifications(problem)
    }

    /// Reads all files after a notification, else those that look different.
    fn look(&mut self, look: Look) -> std::io::Result<bool> {
        let fingerprints = &mut self.fingerprints;
        let how = (look, &mut self.names);
        refresh(&mut self.store, &self.root, how, |path, fingerprint| {
            fingerprints.insert(path.to_owned(), fingerprint) != Some(fingerprint)
                || look == Look::Notified
        })
    }

    /// Watches the directory that has the name now, and its parent for the moment when another takes its place. What
    /// cannot be watched is looked at every [`RESCAN`] all the same, and is tried again then.
    fn rewatch(&mut self) {
        use std::os::unix::fs::MetadataExt;
        let now = std::fs::metadata(&self.root)
            .map(|m| (m.dev(), m.ino()))
            .ok();
        if self.watcher.is_some() && self.watched == now && self.unnotified.is_none() {
            return;
        }
        self.watcher = None;
        self.watched = now;
        let wake = self.wake.clone();
        let root = self.root.clone();
        let relevant = move |event: notify::Result<notify::Event>| match event {
            Ok(event) => {
                !event.kind.is_access() && event.paths.iter().any(|p| p.starts_with(&root))
                    || event.need_rescan()
            }
            Err(_) => true,
        };
        let watcher = (self.notifier)(Box::new(move |event| {
            if relevant(event) {
                match wake.try_send(WakeReason::Changed) {
                    // Full: it says the same already. Disconnected: the end.
                    Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
                }
            }
        }));
        let watched = watcher.and_then(|mut watcher| {
            if let Some(parent) = self.root.parent() {
                // Where that must not be read, another directory is noticed a little later.
                let _ = watcher.watch(parent, RecursiveMode::NonRecursive);
            }
            if now.is_some() {
                watcher.watch(&self.root, RecursiveMode::Recursive)?;
            }
            Ok(watcher)
        });
        let why = match watched {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                None
            }
            Err(error) => Some(reason(&error)),
        };
        // It is logged as the problem that it becomes.
        self.unnotified = why;
    }
}

fn without_notifications(why: &str) -> String {
    let seconds = RESCAN.as_secs();
    format!("no notifications of changed manifests, polling every {seconds} s instead: {why}")
}

/// Why nothing can be watched, and what to do. inotify has few instances and watches for each user, whose names its
/// errors do not say.
fn reason(error: &notify::Error) -> String {
    use nix::errno::Errno;
    let code = |error: &std::io::Error| error.raw_os_error().map(Errno::from_raw);
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the user of the agent has no inotify watches left: raise them, sysctl -w fs.inotify.max_user_watches=524288".to_owned()
        }
        notify::ErrorKind::Io(error) if code(error) == Some(Errno::EMFILE) => {
            "the user of the agent has no inotify instances left (128 by default, one for each agent on manifests): raise them, sysctl -w \
             fs.inotify.max_user_instances=1024"
                .to_owned()
        }
        notify::ErrorKind::Io(error) => OsError::words(error),
        _ => error.to_string(),
    }
}

/// Waits until nothing has happened for a moment.
fn settle(woken: &Receiver<WakeReason>) -> WakeReason {
    let deadline = Instant::now() + RESTLESS;
    while Instant::now() < deadline {
        match woken.recv_timeout(QUIET) {
            Ok(WakeReason::Changed) => {}
            Ok(WakeReason::Stop) | Err(RecvTimeoutError::Disconnected) => return WakeReason::Stop,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    WakeReason::Changed
}
