//! An agent made of fixed answers, for tests. They are made of real values, by the functions that make them in
//! production: see [`scene`](crate::run::show::tests::scene).

use std::sync::Mutex;
use std::time::Duration;

use ipnet::IpNet;
use routelet_base::timing::{Holder, LockTimes, Step, StepTimes, Timings};
use routelet_control::backend::{Backend, Batches};
use routelet_control::model::{
    DrainOrder, ExplainPrefix, ExplainService, FibEntry, FibQuery, Match, Peer, ResetKind, Route,
    RouteQuery, RouteView, Status,
};
use routelet_control::protocol::ControlError;

use crate::run::show::tests::scene::scene;

/// The answers of the fake, and the commands it received.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) peers: Vec<Peer>,
    pub(crate) routes: Vec<(RouteView, Route)>,
    pub(crate) fib: Vec<FibEntry>,
    pub(crate) prefix: ExplainPrefix,
    pub(crate) service: ExplainService,
    pub(crate) done: Vec<String>,
    /// Every question is answered with this, if there is something here.
    pub(crate) broken: Option<ControlError>,
}

/// An agent made of fixed answers.
#[derive(Debug)]
pub(crate) struct Fake(Mutex<State>);

impl Fake {
    pub(crate) fn new() -> Self {
        let world = scene().world;
        let views = [RouteView::Received, RouteView::Best, RouteView::Advertised];
        let routes = views.into_iter().flat_map(|view| {
            let routes = world.routes(view).into_iter();
            routes.map(move |route| (view, route))
        });
        Self(Mutex::new(State {
            status: status(),
            peers: peers(),
            routes: routes.collect(),
            fib: world.fib(),
            prefix: world.explain("0.0.0.0/0"),
            service: world.service("shop", "web"),
            done: Vec::new(),
            broken: None,
        }))
    }

    pub(crate) fn edit<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().expect("no test panics while it holds this"))
    }

    fn answer<T>(&self, get: impl FnOnce(&State) -> T) -> Result<T, ControlError> {
        self.edit(|state| match &state.broken {
            Some(error) => Err(error.clone()),
            None => Ok(get(state)),
        })
    }

    fn known(&self, peer: &str) -> Result<(), ControlError> {
        let known: Vec<_> = self.answer(|s| s.peers.iter().map(|p| p.name.clone()).collect())?;
        if known.iter().any(|name| name == peer) {
            return Ok(());
        }
        Err(ControlError::UnknownPeer {
            name: peer.to_owned(),
            known,
        })
    }
}

impl Backend for Fake {
    async fn status(&self) -> Result<Status, ControlError> {
        self.answer(|s| s.status.clone())
    }

    fn timings(&self) -> Timings {
        timings()
    }

    async fn peers(&self) -> Result<Vec<Peer>, ControlError> {
        self.answer(|s| s.peers.clone())
    }

    async fn routes(&self, query: RouteQuery, out: Batches<Route>) -> Result<(), ControlError> {
        if let Some(peer) = &query.peer {
            self.known(peer)?;
        }
        let mut found: Vec<Route> = self.answer(|s| {
            s.routes
                .iter()
                .filter(|(view, route)| {
                    *view == query.view
                        && (query.peer.is_none() || query.peer == route.peer)
                        && query.family.is_none_or(|f| f.has(&route.prefix))
                        && query.prefix.is_none_or(|p| p.passes(&route.prefix))
                })
                .map(|(_, route)| route.clone())
                .collect()
        })?;
        if query.prefix.is_some_and(|p| p.matching == Match::Longest) {
            let longest = found.iter().map(|r| r.prefix.prefix_len()).max();
            found.retain(|r| Some(r.prefix.prefix_len()) == longest);
        }
        for batch in found.chunks(2) {
            if out.send(batch.to_vec()).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn fib(&self, query: FibQuery, out: Batches<FibEntry>) -> Result<(), ControlError> {
        let found: Vec<FibEntry> = self.answer(|s| {
            s.fib
                .iter()
                .filter(|e| query.states.is_empty() || query.states.contains(&e.state))
                .filter(|e| query.family.is_none_or(|f| f.has(&e.prefix)))
                .filter(|e| query.prefix.is_none_or(|p| p.passes(&e.prefix)))
                .cloned()
                .collect()
        })?;
        let _ = out.send(found).await;
        Ok(())
    }

    async fn explain_prefix(&self, prefix: IpNet) -> Result<ExplainPrefix, ControlError> {
        self.answer(|s| {
            if s.prefix.asked == prefix {
                return s.prefix.clone();
            }
            ExplainPrefix {
                asked: prefix,
                prefix: None,
                originated: Vec::new(),
                paths: Vec::new(),
                peers: Vec::new(),
                kernel: Default::default(),
            }
        })
    }

    async fn explain_service(
        &self,
        namespace: String,
        name: String,
    ) -> Result<ExplainService, ControlError> {
        self.answer(|s| {
            if (&s.service.namespace, &s.service.name) == (&namespace, &name) {
                return Ok(s.service.clone());
            }
            Err(ControlError::UnknownService {
                namespace,
                name,
                known: vec![format!("{}/{}", s.service.namespace, s.service.name)],
            })
        })?
    }

    async fn drain(&self, order: DrainOrder) -> Result<(), ControlError> {
        self.answer(|_| ())?;
        self.edit(|s| s.done.push(format!("drain {order:?}")));
        Ok(())
    }

    async fn reset_peer(&self, peer: String, kind: ResetKind) -> Result<(), ControlError> {
        self.known(&peer)?;
        self.edit(|s| s.done.push(format!("reset {peer} {kind:?}")));
        Ok(())
    }
}

/// The status of the scene, but for what differs from run to run.
pub(crate) fn status() -> Status {
    let mut status = scene().status();
    status.pid = 4711;
    status.intent_changed_seconds = Some(95);
    status
}

pub(crate) fn peers() -> Vec<Peer> {
    scene().peers()
}

/// Steps and holds of the lock, one of each a little below and one above what they should take.
pub(crate) fn timings() -> Timings {
    let (steps, locks) = (StepTimes::default(), LockTimes::default());
    for micros in [1_500, 2_500] {
        let took = Duration::from_micros(micros);
        steps.of(Step::Poll).record(took);
        locks.of(Holder::Rib).record(took);
    }
    Timings {
        steps: steps.read(),
        locks: locks.read(),
    }
}
