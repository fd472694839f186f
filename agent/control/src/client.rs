//! The other end of the control socket: what the commands use. Blocking, because a command does one thing.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::model::{
    ExplainPrefix, ExplainService, FibEntry, FibQuery, Peer, Route, RouteQuery, Status,
};
use super::protocol::{Command, ControlError, Reply, Request, VERSION};
use bgp::os_error::OsError;

/// Why a command has no answer. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket.
    #[error(
        "no agent is running here: {path} does not exist\nStart one with `routelet run --manifests DIR`, or name its socket with --control PATH."
    )]
    NotRunning {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The socket exists, but no process listens on it.
    #[error(
        "no agent is running here: {path} is a stale socket of one that was killed\nStart one with `routelet run \
         --manifests DIR`; it will take the socket over."
    )]
    Stale {
        /// The socket.
        path: PathBuf,
    },
    /// We may not.
    #[error(
        "no permission to use {path}: it is open to its owner and group\nRun this command as root (sudo), or as a member of the socket's group."
    )]
    Permission {
        /// The socket.
        path: PathBuf,
    },
    /// Anything else that the kernel says.
    #[error("cannot talk to the agent on {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// The kernel's answer.
        source: OsError,
    },
    /// The answer ended before its end.
    #[error(
        "the agent on {path} closed the connection in the middle of its answer: it stopped or was restarted\nTry again; `routelet status` shows whether it is up."
    )]
    CutShort {
        /// The socket.
        path: PathBuf,
    },
    /// Nothing came for long.
    #[error(
        "the agent on {path} has not answered for {seconds} seconds: it is stopped or stuck\nSee its log, and `cat /proc/PID/stack` if it hangs in the kernel."
    )]
    Silent {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// What answers is no agent, or one of another age.
    #[error("what answers on {path} is no routelet of this version: {reason}")]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The agent refused.
    #[error("{0}")]
    Agent(#[from] ControlError),
}

/// How long a command waits for the next line: the agent answers within milliseconds unless something is very wrong.
const SILENCE: Duration = Duration::from_secs(30);

/// Asks the agent behind one socket.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// A client of the agent that listens there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The agent as a whole.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn status(&self) -> Result<Status, ClientError> {
        self.one(Command::Status, |reply| match reply {
            Reply::Status(status) => Ok(*status),
            other => Err(other),
        })
    }

    /// All peers, or the one of this name.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn peers(&self, name: Option<String>) -> Result<Vec<Peer>, ClientError> {
        self.one(Command::Peers { name }, |reply| match reply {
            Reply::Peers(peers) => Ok(peers),
            other => Err(other),
        })
    }

    /// Explains a prefix.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn explain_prefix(&self, prefix: ipnet::IpNet) -> Result<ExplainPrefix, ClientError> {
        self.one(Command::ExplainPrefix { prefix }, |reply| match reply {
            Reply::ExplainPrefix(answer) => Ok(*answer),
            other => Err(other),
        })
    }

    /// Explains a Service.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn explain_service(
        &self,
        namespace: String,
        name: String,
    ) -> Result<ExplainService, ClientError> {
        self.one(
            Command::ExplainService { namespace, name },
            |reply| match reply {
                Reply::ExplainService(answer) => Ok(*answer),
                other => Err(other),
            },
        )
    }

    /// Hands routes to `each`, batch by batch, until it returns `false` or there are no more.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn routes(
        &self,
        query: RouteQuery,
        mut each: impl FnMut(Vec<Route>) -> bool,
    ) -> Result<(), ClientError> {
        self.exchange(Command::Routes { query }, |reply| match reply {
            Reply::Routes(routes) => Ok(each(routes)),
            other => Err(other),
        })
    }

    /// Hands entries of the forwarding table to `each`, batch by batch, until it returns `false` or there are no more.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn fib(
        &self,
        query: FibQuery,
        mut each: impl FnMut(Vec<FibEntry>) -> bool,
    ) -> Result<(), ClientError> {
        self.exchange(Command::Fib { query }, |reply| match reply {
            Reply::Fib(entries) => Ok(each(entries)),
            other => Err(other),
        })
    }

    /// Has something done that has no answer but that it was done.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn perform(&self, command: Command) -> Result<(), ClientError> {
        self.exchange(command, Err)
    }

    fn one<T>(
        &self,
        command: Command,
        take: impl Fn(Reply) -> Result<T, Reply>,
    ) -> Result<T, ClientError> {
        let mut found = None;
        self.exchange(command, |reply| {
            found = Some(take(reply)?);
            Ok(true)
        })?;
        found.ok_or_else(|| self.garbled("the answer is empty"))
    }

    /// One request and its answer. `each` gets every line but the first and the last; it returns a line that it did not
    /// expect, or whether it wants more.
    fn exchange(
        &self,
        command: Command,
        mut each: impl FnMut(Reply) -> Result<bool, Reply>,
    ) -> Result<(), ClientError> {
        let mut stream = UnixStream::connect(&self.path).map_err(|e| self.connect_error(e))?;
        let request = Request {
            version: VERSION,
            command,
        };
        let mut line = serde_json::to_vec(&request).map_err(|e| self.garbled(&e.to_string()))?;
        line.push(b'\n');
        stream
            .set_read_timeout(Some(SILENCE))
            .and_then(|()| stream.write_all(&line))
            .map_err(|e| self.io(e))?;
        let mut lines = BufReader::with_capacity(64 * 1024, stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line).map_err(|e| self.io(e))? == 0 {
                return Err(ClientError::CutShort {
                    path: self.path.clone(),
                });
            }
            match serde_json::from_slice(&line) {
                Ok(Reply::Hello { version, .. }) if version != VERSION => {
                    return Err(ControlError::UnsupportedVersion {
                        asked: VERSION,
                        supported: version,
                    }
                    .into());
                }
                Ok(Reply::Hello { .. }) => {}
                Ok(Reply::End {}) => return Ok(()),
                Ok(Reply::Error(error)) => return Err(error.into()),
                Ok(reply) => match each(reply) {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(_) => return Err(self.garbled("an answer to a different request")),
                },
                Err(error) => return Err(self.garbled(&error.to_string())),
            }
        }
    }

    fn connect_error(&self, source: io::Error) -> ClientError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::NotFound => ClientError::NotRunning { path },
            io::ErrorKind::ConnectionRefused => ClientError::Stale { path },
            io::ErrorKind::PermissionDenied => ClientError::Permission { path },
            _ => ClientError::Io {
                path,
                source: source.into(),
            },
        }
    }

    fn io(&self, source: io::Error) -> ClientError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::Silent {
                path,
                seconds: SILENCE.as_secs(),
            },
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                ClientError::CutShort { path }
            }
            _ => ClientError::Io {
                path,
                source: source.into(),
            },
        }
    }

    fn garbled(&self, reason: &str) -> ClientError {
        ClientError::Garbled {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }
}
