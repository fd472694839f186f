//! The fake as tests hold it: started at an address, driven from beside, and made to fail.

mod objects;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use interop_lab::Namespace;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub(crate) use self::objects::says_status;
use crate::core::{Core, Settings};
use crate::faults::Fault;
use crate::request::Verb;
use crate::serve::{self, Shared};
use crate::tls::Identity;

/// How the listener is made: again in the same place when the server comes back.
type Bind = Box<dyn Fn(SocketAddr) -> Result<TcpListener> + Send + Sync>;

/// A fake API server. Dropping it ends it.
pub struct FakeApiServer {
    core: Arc<Mutex<Core>>,
    bind: Bind,
    address: SocketAddr,
    /// `None`: plain HTTP.
    identity: Option<Identity>,
    cut: watch::Sender<u64>,
    serving: Mutex<Option<Runtime>>,
}

impl fmt::Debug for FakeApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeApiServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl FakeApiServer {
    /// Starts a server at a free port of loopback.
    ///
    /// # Errors
    /// There is no port, or no thread.
    pub fn start(settings: Settings) -> Result<Self> {
        Self::start_at(([127, 0, 0, 1], 0).into(), settings)
    }

    /// Starts a server at an address of this machine; port 0 is a free one, see [`FakeApiServer::address`].
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start_at(address: SocketAddr, settings: Settings) -> Result<Self> {
        Self::with(
            Box::new(|address| Ok(TcpListener::bind(address)?)),
            address,
            settings,
        )
    }

    /// Starts a server at an address of a namespace. It runs in the test's process: only its socket is in there.
    ///
    /// # Errors
    /// The address cannot be bound there.
    pub fn start_in(
        namespace: &Namespace,
        address: SocketAddr,
        settings: Settings,
    ) -> Result<Self> {
        let namespace = namespace.clone();
        let bind = move |address: SocketAddr| Ok(namespace.enter(|| TcpListener::bind(address))??);
        Self::with(Box::new(bind), address, settings)
    }

    fn with(bind: Bind, address: SocketAddr, settings: Settings) -> Result<Self> {
        let listener = bind(address).with_context(|| format!("address {address}"))?;
        let identity = settings.tls.then(Identity::new).transpose()?;
        let server = Self {
            identity,
            core: Arc::new(Mutex::new(Core::new(settings))),
            bind,
            address: listener.local_addr()?,
            cut: watch::Sender::new(0),
            serving: Mutex::new(None),
        };
        server.serve(listener)?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:12345`; the certificate is the server's own.
    pub fn url(&self) -> String {
        let scheme = self.identity.as_ref().map_or("http", |_| "https");
        format!("{scheme}://{}", self.address)
    }

    /// The certificate of the server, which signs itself, as PEM: it is for `localhost`. `None`: plain HTTP.
    pub fn certificate(&self) -> Option<&str> {
        self.identity.as_ref().map(Identity::certificate)
    }

    fn serve(&self, listener: TcpListener) -> Result<()> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("fake-apiserver")
            .enable_all()
            .build()?;
        let shared = Shared {
            core: self.core.clone(),
            cut: self.cut.subscribe(),
        };
        let controlled = shared.core.clone();
        let identity = self.identity.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let router = serve::router(shared);
            match identity {
                Some(identity) => axum::serve(identity.listen(listener)?, router).await?,
                None => axum::serve(listener, router).await?,
            }
            anyhow::Ok(())
        });
        runtime.spawn(control(controlled));
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
        Ok(())
    }

    /// Ends all connections and refuses new ones. What is stored stays; the controllers rest, too.
    pub fn stop(&self) {
        let runtime = self
            .serving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(runtime) = runtime {
            // On a thread of its own, because a runtime may not be ended from within another.
            let ended =
                std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5))).join();
            debug_assert!(ended.is_ok());
        }
    }

    /// Serves again, after [`FakeApiServer::stop`].
    ///
    /// # Errors
    /// The address is taken.
    pub fn resume(&self) -> Result<()> {
        self.stop();
        let listener =
            (self.bind)(self.address).with_context(|| format!("address {}", self.address))?;
        self.serve(listener)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks the connections of all watches.
    pub fn disconnect_watches(&self) {
        self.cut.send_modify(|times| *times += 1);
    }

    /// Makes every `resourceVersion` up to now too old: 410 for whoever asks for changes since.
    pub fn compact(&self) {
        self.core().store.compact();
    }

    /// Lets every answer wait.
    pub fn delay(&self, delay: Duration) {
        self.core().faults.delay = delay;
    }

    /// Answers the next requests of a resource (`services`), or of all watches and lists of it, by a fault.
    pub fn answer_next(&self, plural: &str, times: u32, fault: Fault) {
        self.core().faults.answer_next(plural, times, fault);
    }

    /// Tells the watchers of a resource its last change once more; `false` if there was none. `room` is the plural name,
    /// with the group of custom resources: `peers.routelet.dev`.
    pub fn repeat_last_event(&self, room: &str) -> bool {
        self.core().store.repeat_last(room)
    }

    /// How many requests of a verb there were for a resource (its plural name), refused ones counted as well.
    pub fn requests(&self, verb: Verb, plural: &str) -> u64 {
        self.core()
            .counts
            .get(&(verb, plural.to_owned()))
            .copied()
            .unwrap_or_default()
    }

    /// Counts requests from zero again.
    pub fn forget_requests(&self) {
        self.core().counts.clear();
    }

    /// The revision of the last change.
    pub fn revision(&self) -> u64 {
        self.core().store.revision()
    }

    /// Runs the controllers now instead of a moment later.
    pub fn settle(&self) {
        let mut core = self.core();
        let mut before = 0;
        while before != core.store.revision() {
            before = core.store.revision();
            core.control();
        }
    }
}

impl Drop for FakeApiServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The controllers, a moment after each change.
async fn control(core: Arc<Mutex<Core>>) {
    let lock = || core.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut changed, delay) = {
        let core = lock();
        (core.store.subscribe(), core.settings.controller_delay)
    };
    loop {
        tokio::time::sleep(delay).await;
        lock().control();
        if changed.changed().await.is_err() {
            return;
        }
    }
}
