//! Subjects: BGP speakers of any kind, configured from one description and asked by their own tools.
//!
//! A subject is a [`Kind`] with a [`Speaker`] in a [`Namespace`]. The kinds differ behind one trait, [`Daemon`]: how
//! the configuration is written, what is started, how it is asked. Where it runs (in the namespace itself, or in a
//! container that uses it) is [`host::Host`]'s matter.

mod bfd;
mod bird;
mod frr;
mod gobgp;
mod host;
mod openbgpd;
pub(crate) mod routelet;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::answers::{Route, Session, State};
use crate::eventually::eventually;
use crate::lab::Lab;
use crate::netns::Namespace;
use crate::process::{Process, Signal};
use crate::speaker::{BfdSession, Family, Speaker};
use host::Host;

/// How long a daemon may take to answer after its start, and to end when asked to.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How long a session may take. GoBGP waits up to 10 s before its first try.
const SESSION_DEADLINE: Duration = Duration::from_secs(45);

/// A kind of BGP speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The binary of this workspace.
    Routelet,
    /// BIRD 2, of the distribution.
    Bird2,
    /// BIRD 3, in a container.
    Bird3,
    /// FRR 8, of the distribution.
    Frr8,
    /// FRR 10, in a container.
    Frr10,
    /// GoBGP, of the distribution.
    GoBgp,
    /// OpenBGPD, of the distribution.
    OpenBgpd,
}

impl Kind {
    /// All kinds but our own: what Routelet has to get along with.
    pub const OTHERS: [Self; 6] = [
        Self::Bird2,
        Self::Bird3,
        Self::Frr8,
        Self::Frr10,
        Self::GoBgp,
        Self::OpenBgpd,
    ];

    /// The container image it runs from, if it does.
    pub fn image(self) -> Option<&'static str> {
        match self {
            Self::Bird3 => Some("localhost/routelet-lab-bird3"),
            Self::Frr10 => Some("localhost/routelet-lab-frr10"),
            Self::Routelet | Self::Bird2 | Self::Frr8 | Self::GoBgp | Self::OpenBgpd => None,
        }
    }

    /// The programs it needs on this machine.
    pub(crate) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Bird2 => &["bird", "birdc"],
            Self::Frr8 => &["/usr/lib/frr/bgpd", "/usr/lib/frr/zebra", "vtysh"],
            Self::GoBgp => &["gobgpd", "gobgp"],
            Self::OpenBgpd => &[openbgpd::BGPD, "bgpctl"],
            Self::Routelet | Self::Bird3 | Self::Frr10 => &[],
        }
    }

    fn daemon(self) -> Box<dyn Daemon> {
        match self {
            Self::Routelet => Box::new(routelet::Routelet),
            Self::Bird2 | Self::Bird3 => Box::new(bird::Bird),
            Self::Frr8 | Self::Frr10 => Box::new(frr::Frr),
            Self::GoBgp => Box::new(gobgp::GoBgp),
            Self::OpenBgpd => Box::new(openbgpd::OpenBgpd),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Routelet => "routelet",
            Self::Bird2 => "bird2",
            Self::Bird3 => "bird3",
            Self::Frr8 => "frr8",
            Self::Frr10 => "frr10",
            Self::GoBgp => "gobgp",
            Self::OpenBgpd => "openbgpd",
        })
    }
}

/// What distinguishes a kind of speaker. Files go to the host's directory, questions to the host.
trait Daemon: fmt::Debug + Send + Sync {
    /// Writes the configuration; fails if the daemon cannot do what the description asks for.
    fn configure(&self, host: &Host, speaker: &Speaker) -> Result<()>;
    /// Starts what belongs to it; the last process is the one that speaks BGP.
    fn launch(&self, host: &Host, speaker: &Speaker) -> Result<Vec<Process>>;
    /// Succeeds once it answers.
    fn ready(&self, host: &Host) -> Result<()>;
    /// Brings in, once it answers, what a configuration file cannot say.
    fn complete(&self, _host: &Host, _speaker: &Speaker) -> Result<()> {
        Ok(())
    }
    /// Takes over the configuration just written, without a restart.
    fn reload(&self, host: &Host, old: &Speaker, new: &Speaker) -> Result<()>;
    /// Its sessions.
    fn sessions(&self, host: &Host, speaker: &Speaker) -> Result<Vec<Session>>;
    /// All paths of a family.
    fn routes(&self, host: &Host, family: Family) -> Result<Vec<Route>>;
    /// Its BFD sessions.
    fn bfd_sessions(&self, _host: &Host) -> Result<Vec<BfdSession>> {
        bail!("BFD is asked of BIRD and FRR only")
    }
}

/// A BGP speaker in a lab. Dropping it kills it.
#[derive(Debug)]
pub struct Subject {
    kind: Kind,
    daemon: Box<dyn Daemon>,
    host: Host,
    speaker: Speaker,
    processes: Vec<Process>,
}

impl Subject {
    /// Configures and starts a speaker, and waits until it answers.
    ///
    /// # Errors
    /// The kind cannot do what `speaker` asks for, or does not answer in time: then with the end of its log.
    pub fn start(lab: &Lab, kind: Kind, namespace: &Namespace, speaker: Speaker) -> Result<Self> {
        let host = Host::new(lab, kind, namespace)?;
        let mut subject = Self {
            kind,
            daemon: kind.daemon(),
            host,
            speaker,
            processes: Vec::new(),
        };
        subject.launch()?;
        Ok(subject)
    }

    /// Starts it again after [`Subject::stop`] or [`Subject::kill`], with its present description.
    ///
    /// # Errors
    /// As [`Subject::start`]; or it runs.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.processes.is_empty(), "{} runs already", self);
        self.daemon
            .configure(&self.host, &self.speaker)
            .with_context(|| format!("configuration of {self}"))?;
        self.processes = self.daemon.launch(&self.host, &self.speaker)?;
        eventually(START_DEADLINE, &format!("{self} answers"), || {
            for process in &self.processes {
                process.check_alive()?;
            }
            self.daemon.ready(&self.host)
        })?;
        self.daemon.complete(&self.host, &self.speaker)
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its configuration.
    pub fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    /// Where it runs.
    pub fn namespace(&self) -> &Namespace {
        self.host.namespace()
    }

    /// The process that speaks BGP; of a container the one that runs it.
    ///
    /// # Errors
    /// It does not run.
    pub fn pid(&self) -> Result<i32> {
        let process = self.processes.last().context("it does not run")?;
        Ok(process.pid())
    }

    /// What the process that speaks BGP has printed so far.
    ///
    /// # Errors
    /// It does not run.
    pub fn log(&self) -> Result<String> {
        let process = self.processes.last().context("it does not run")?;
        Ok(process.log_text())
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// It has not ended after 20 s.
    pub fn stop(&mut self) -> Result<()> {
        self.end(Signal::SIGTERM)
    }

    /// Kills it (SIGKILL), so that it cannot say good-bye: its kernel closes its connections.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.end(Signal::SIGKILL)
    }

    /// Stops or continues its processes (SIGSTOP, SIGCONT), or sends any other signal.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.processes
            .iter()
            .rev()
            .try_for_each(|process| self.host.signal(process, signal))
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        // The one that speaks BGP first: helpers that vanish before it would change what it says.
        while let Some(process) = self.processes.pop() {
            self.host.signal(&process, signal)?;
            process.wait(START_DEADLINE)?;
        }
        Ok(())
    }

    /// Gives it another description, without a restart.
    ///
    /// # Errors
    /// The kind cannot take over the change while it runs.
    pub fn reconfigure(&mut self, speaker: Speaker) -> Result<()> {
        self.daemon
            .configure(&self.host, &speaker)
            .with_context(|| format!("configuration of {self}"))?;
        self.daemon
            .reload(&self.host, &self.speaker, &speaker)
            .with_context(|| format!("reconfiguration of {self}"))?;
        self.speaker = speaker;
        Ok(())
    }

    /// Its sessions, in the order of its neighbours' addresses.
    ///
    /// # Errors
    /// It does not answer, or not in the shape expected.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        let mut sessions = self
            .daemon
            .sessions(&self.host, &self.speaker)
            .with_context(|| format!("sessions of {self}"))?;
        sessions.sort_by_key(|session| session.neighbour);
        Ok(sessions)
    }

    /// Its session with a neighbour.
    ///
    /// # Errors
    /// As [`Subject::sessions`]; or it knows no such neighbour.
    pub fn session(&self, neighbour: &str) -> Result<Session> {
        let address: IpAddr = neighbour.parse().context("a neighbour's address")?;
        self.sessions()?
            .into_iter()
            .find(|session| session.neighbour == address)
            .with_context(|| format!("{self} knows no neighbour {neighbour}"))
    }

    /// All its paths of a family, by prefix, the best of each first.
    ///
    /// # Errors
    /// It does not answer, or not in the shape expected.
    pub fn routes(&self, family: Family) -> Result<Vec<Route>> {
        let mut routes = self
            .daemon
            .routes(&self.host, family)
            .with_context(|| format!("{family} routes of {self}"))?;
        routes.sort_by_key(|route| (route.prefix, !route.best, route.from));
        Ok(routes)
    }

    /// Its best path of a prefix. One that it shows before it has decided for it (FRR resolves the next hop first) is
    /// not that yet.
    ///
    /// # Errors
    /// As [`Subject::routes`]; or it has none: then the error names the prefixes that it has.
    pub fn route(&self, prefix: &str) -> Result<Route> {
        let wanted: IpNet = prefix.parse().context("a prefix")?;
        let routes = self.routes(Family::of(wanted))?;
        // The best path of a prefix comes first.
        let found = routes.iter().find(|route| route.prefix == wanted);
        match found {
            Some(route) if route.best => Ok(route.clone()),
            Some(route) => bail!("{self} has not decided for a path of {prefix} yet: {route:?}"),
            None => {
                let has: Vec<String> = routes.iter().map(|r| r.prefix.to_string()).collect();
                bail!("{self} has no {prefix}; it has [{}]", has.join(" "))
            }
        }
    }

    /// Waits until its session with a neighbour is Established.
    ///
    /// # Errors
    /// It is not within 45 s.
    pub fn wait_established(&self, neighbour: &str) -> Result<()> {
        let what = format!("session of {self} with {neighbour}");
        eventually(SESSION_DEADLINE, &what, || {
            let session = self.session(neighbour)?;
            ensure!(session.state == State::Established, "{session:?}");
            Ok(())
        })
    }

    /// Waits until it has decided for a path of a prefix, and returns that one.
    ///
    /// # Errors
    /// It has not within `deadline`.
    pub fn wait_route(&self, prefix: &str, deadline: Duration) -> Result<Route> {
        eventually(deadline, &format!("{prefix} at {self}"), || {
            self.route(prefix)
        })
    }

    /// Waits until it has no path of a prefix.
    ///
    /// # Errors
    /// It still has one after `deadline`.
    pub fn wait_no_route(&self, prefix: &str, deadline: Duration) -> Result<()> {
        let wanted: IpNet = prefix.parse().context("a prefix")?;
        let what = format!("{prefix} gone from {self}");
        eventually(deadline, &what, || {
            let routes = self.routes(Family::of(wanted))?;
            let left = routes.iter().find(|route| route.prefix == wanted);
            ensure!(left.is_none(), "still there: {left:?}");
            Ok(())
        })
    }

    /// The answer to a command of `routelet`, as JSON: for questions that only our own kind can answer.
    ///
    /// # Errors
    /// The subject is of another kind, or the command fails.
    pub fn query(&self, words: &[&str]) -> Result<serde_json::Value> {
        ensure!(self.kind == Kind::Routelet, "{self} is no routelet");
        routelet::ask(&self.host, words)
    }

    /// What a command of `routelet` prints, as it is.
    ///
    /// # Errors
    /// As [`Subject::query`].
    pub fn say(&self, words: &[&str]) -> Result<String> {
        ensure!(self.kind == Kind::Routelet, "{self} is no routelet");
        routelet::say(&self.host, words)
    }

    /// Runs a command where the subject runs (in its container, if it has one) and returns its standard output: for
    /// questions that only one kind can answer.
    ///
    /// # Errors
    /// The command fails.
    pub fn ask(&self, argv: &[&str]) -> Result<String> {
        self.host.ask(argv)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.kind, self.host.namespace().label())
    }
}
