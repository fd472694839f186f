//! The fake as tests hold it: started at an address, driven from beside, and made to fail.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::core::{Core, Settings};
use super::failure::Failure;
use super::faults::Fault;
use super::request::{Call, Query, Verb};
use super::resources::Resource;
use super::serve::{self, Shared};
use super::tls::Identity;
use interop_lab::Namespace;

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

    /// Installs the definitions of `deploy/crds`, established at once.
    ///
    /// # Errors
    /// A definition that the server refuses, or a folder that cannot be read.
    pub fn install_definitions(&self) -> Result<()> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/crds");
        for file in std::fs::read_dir(folder).context(folder)? {
            let path = file?.path();
            if path.file_name() != Some("kustomization.yaml".as_ref()) {
                self.put_yaml(&std::fs::read_to_string(&path)?)?;
            }
        }
        self.settle();
        Ok(())
    }

    /// Makes all objects of a YAML text, of one document or many: those that are there are replaced.
    ///
    /// # Errors
    /// The text is not YAML, or the server refuses an object.
    pub fn put_yaml(&self, text: &str) -> Result<Vec<Value>> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| anyhow!("{error}"))?;
        documents
            .iter()
            .filter(|value| !value.is_null())
            .map(|value| Ok(self.put(value)?))
            .collect()
    }

    /// Makes an object, or replaces its spec and status by the given ones. A status that says nothing is not written.
    ///
    /// # Errors
    /// The server refuses the object.
    pub fn put(&self, object: &Value) -> Result<Value, Failure> {
        // In one go: nobody else's write comes in between.
        let mut core = self.core();
        let (kind, namespace, name) = named(object);
        let mut object = object.clone();
        let made = match read(&mut core, &kind, &namespace, &name) {
            None => write(&mut core, Verb::Create, &object, "")?,
            Some(old) => {
                object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
                write(&mut core, Verb::Update, &object, "")?
            }
        };
        if says_status(&object, &made).is_none() {
            return Ok(made);
        }
        object["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
        write(&mut core, Verb::Update, &object, "status")
    }

    /// Creates an object.
    ///
    /// # Errors
    /// The server refuses the object.
    pub fn create(&self, object: &Value) -> Result<Value, Failure> {
        write(&mut self.core(), Verb::Create, object, "")
    }

    /// Deletes an object, as a client would: finalizers hold it.
    ///
    /// # Errors
    /// There is no such object.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<(), Failure> {
        let mut core = self.core();
        let resource = of_kind(&core, kind, None)?;
        let call = call(Verb::Delete, resource, namespace, name, "", Vec::new());
        core.call(&call).map(|_| ())
    }

    /// An object as a client would read it; `namespace` is empty for those of the cluster.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        read(&mut self.core(), kind, namespace, name)
    }

    /// All objects of a kind, by namespace and name.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let mut core = self.core();
        let Ok(resource) = of_kind(&core, kind, None) else {
            return Vec::new();
        };
        let call = call(Verb::List, resource, "", "", "", Vec::new());
        let listed =
            core.call(&call)
                .ok()
                .and_then(|mut answer| match answer.body["items"].take() {
                    Value::Array(items) => Some(items),
                    _ => None,
                });
        listed.unwrap_or_default()
    }
}

/// The status that is to be written beside the rest of an object: it says something, and something else than is there. One that
/// says nothing would take away what somebody else, such as the controller, has written since.
pub(super) fn says_status<'a>(object: &'a Value, made: &Value) -> Option<&'a Value> {
    let status = object.get("status")?;
    let is_empty = status.is_null() || status.as_object().is_some_and(serde_json::Map::is_empty);
    (!is_empty && made.get("status") != Some(status)).then_some(status)
}

fn read(core: &mut Core, kind: &str, namespace: &str, name: &str) -> Option<Value> {
    let resource = of_kind(core, kind, None).ok()?;
    let call = call(Verb::Get, resource, namespace, name, "", Vec::new());
    core.call(&call).ok().map(|answer| answer.body)
}

fn write(core: &mut Core, verb: Verb, object: &Value, subresource: &str) -> Result<Value, Failure> {
    let (kind, mut namespace, name) = named(object);
    let resource = of_kind(core, &kind, object["apiVersion"].as_str())?;
    if resource.namespaced && namespace.is_empty() {
        "default".clone_into(&mut namespace);
    }
    let name = if verb == Verb::Create { "" } else { &name };
    let body = object.to_string().into_bytes();
    let call = call(verb, resource, &namespace, name, subresource, body);
    core.call(&call).map(|answer| answer.body)
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

fn named(object: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    (
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"]),
    )
}

fn of_kind(core: &Core, kind: &str, api_version: Option<&str>) -> Result<Arc<Resource>, Failure> {
    let mut served = core.resources();
    served
        .find(|r| r.kind == kind && api_version.is_none_or(|wanted| r.api_version() == wanted))
        .cloned()
        .ok_or_else(Failure::no_such_path)
}

fn call(
    verb: Verb,
    resource: Arc<Resource>,
    namespace: &str,
    name: &str,
    subresource: &str,
    body: Vec<u8>,
) -> Call {
    Call {
        verb,
        resource,
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
        query: Query::default(),
        content_type: "application/json".to_owned(),
        body,
        agent: "test".to_owned(),
    }
}
