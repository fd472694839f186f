//! One BFD session from flags, for labs: `bfd_session --local 10.0.0.1 --remote 10.0.0.2 --interface eth0`.
//!
//! Events are printed, one a line, each with the milliseconds since the start. Flags can be changed while it runs: words in
//! the file `--flags` come behind those of the command line, and are read again when they change.

#![allow(clippy::disallowed_methods)] // It waits for a file.

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use routelet_bfd::auth::{Authentication, Key, Kind};
use routelet_bfd::driver::{Stop, spawn};
use routelet_bfd::packet::Interval;
use routelet_bfd::session::{Parameters, Role};
use routelet_bfd::sessions::{Hops, Request, SessionKey, UserId, UserLevel, UserState};

/// How often the file of flags is read.
const LOOK: Duration = Duration::from_millis(50);
const USER: UserId = UserId {
    number: 1,
    generation: 0,
};

type Failure = Box<dyn std::error::Error>;

/// One BFD session.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Flags {
    /// Our address.
    #[arg(long)]
    local: IpAddr,
    /// The address of the remote system.
    #[arg(long)]
    remote: IpAddr,
    /// The interface between them; without it the session is multihop.
    #[arg(long)]
    interface: Option<String>,
    /// Milliseconds between packets, in both directions.
    #[arg(long, default_value_t = 50)]
    interval: u32,
    /// How many may be lost.
    #[arg(long, default_value = "3")]
    mult: NonZeroU8,
    /// Wait for the remote system to begin.
    #[arg(long)]
    passive: bool,
    /// Hold the session down.
    #[arg(long)]
    disable: bool,
    /// Keys of keyed SHA1, `NUMBER:KEY`; the last one is sent with.
    #[arg(long)]
    key: Vec<String>,
    /// The keys are of meticulous keyed SHA1.
    #[arg(long)]
    meticulous: bool,
    /// More flags, which may change.
    #[arg(long)]
    flags: Option<PathBuf>,
    /// Say AdminDown and end.
    #[arg(long)]
    stop: bool,
}

impl Flags {
    fn key(&self) -> Result<SessionKey, Failure> {
        let index = match &self.interface {
            Some(name) => NonZeroU32::new(nix::net::if_::if_nametoindex(name.as_str())?),
            None => None,
        };
        Ok(SessionKey {
            local: self.local,
            remote: self.remote,
            interface: index,
            hops: if index.is_some() {
                Hops::Single
            } else {
                Hops::Multi
            },
        })
    }

    fn request(&self) -> Result<Request, Failure> {
        let interval = Interval::from_millis(self.interval);
        let mut parameters = Parameters::new(interval, self.mult);
        parameters.authentication = self.authentication()?.map(Arc::new);
        if self.passive {
            parameters.role = Role::Passive;
        }
        let mut request = Request::new(parameters);
        request.least_ttl = NonZeroU8::new(1);
        request.is_held_down = self.disable;
        Ok(request)
    }

    fn authentication(&self) -> Result<Option<Authentication>, Failure> {
        let (mut keys, mut sending) = (Vec::new(), None);
        for text in &self.key {
            let (id, secret) = text.split_once(':').ok_or("a key is NUMBER:KEY")?;
            sending = Some(id.parse()?);
            keys.push(Key::new(id.parse()?, secret.as_bytes())?);
        }
        let kind = if self.meticulous {
            Kind::Meticulous
        } else {
            Kind::Keyed
        };
        let Some(sending) = sending else {
            return Ok(None);
        };
        Ok(Some(Authentication::new(kind, keys, sending)?))
    }
}

/// The flags of the command line with those of the file.
fn flags() -> Result<Flags, Failure> {
    let first = Flags::parse();
    let Some(path) = &first.flags else {
        return Ok(first);
    };
    let text = std::fs::read_to_string(path)?;
    let words = text.split_whitespace().map(str::to_owned);
    Ok(Flags::try_parse_from(std::env::args().chain(words))?)
}

/// A state in one line: what is not Up because of a loss of Up begins with `Down`.
fn line(state: &UserState) -> String {
    match (state.state, state.last_down, state.status) {
        (UserLevel::Refused(error), _, _) => format!("refused: {error}"),
        (UserLevel::Up, _, Some(status)) => format!("Up {status:?}"),
        (UserLevel::NotYetUp, None, Some(status)) => format!("Changed {status:?}"),
        (_, Some(down), Some(status)) => format!("Down({:?}) {status:?}", down.reason),
        (level, _, status) => format!("{level:?} {status:?}"),
    }
}

fn main() -> Result<(), Failure> {
    let start = Instant::now();
    let mut seed = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut seed)?;
    let handle = spawn(seed, move |states| {
        for state in states {
            println!("{} {}", start.elapsed().as_millis(), line(state));
        }
    })?;
    let mut text = String::new();
    let first = flags()?;
    handle.set(USER, Some((first.key()?, first.request()?)));
    loop {
        std::thread::sleep(LOOK);
        let Some(path) = &first.flags else { continue };
        let now = std::fs::read_to_string(path)?;
        if now == text {
            continue;
        }
        text = now;
        let changed = flags()?;
        if changed.stop {
            handle.stop(Stop::AdminDown);
            return Ok(());
        }
        handle.set(USER, Some((changed.key()?, changed.request()?)));
    }
}
