//! The agent's Unix socket: made so that there is never a moment in which others may connect, that a file left behind
//! by a killed agent is no obstacle, and that the socket of a living agent is never taken away.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use bgp::os_error::OsError;
use tokio::net::UnixListener;

/// Owner and group may read and write.
const MODE: u32 = 0o660;

/// Why the control socket could not be made: the operator is at fault, or another agent runs.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another agent answers there.
    #[error("another routelet answers on {path}{}: stop it first, or give this one another socket with --control PATH", process(.pid))]
    InUse {
        /// The socket.
        path: PathBuf,
        /// The process that owns it, if the kernel reports it.
        pid: Option<i32>,
    },
    /// Something else has the name.
    #[error("{path} exists and is no socket: remove it, or name another path with --control PATH")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The name is too long for a Unix socket.
    #[error(
        "the path of the control socket has {length} bytes, and a Unix socket allows {limit}: name a shorter one with --control PATH"
    )]
    TooLong {
        /// Its length.
        length: usize,
        /// What is possible.
        limit: usize,
    },
    /// The directory could not be made.
    #[error("the directory {path} of the control socket cannot be made: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: OsError,
    },
    /// The socket could not be made.
    #[error("the control socket {path} cannot be made: {source}")]
    Bind {
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: OsError,
    },
}

fn process(pid: &Option<i32>) -> String {
    pid.map(|pid| format!(" (process {pid})"))
        .unwrap_or_default()
}

/// A listening control socket. Its file goes when it is dropped, unless another process has put its own there.
#[derive(Debug)]
pub struct ControlSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our file.
    identity: (u64, u64),
}

impl ControlSocket {
    /// Makes the socket. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`SocketError`]; the agent should not start, because nobody could ask it anything.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let bind_error = |source: io::Error| SocketError::Bind {
            path: path.to_owned(),
            source: source.into(),
        };
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|source| SocketError::Directory {
                path: parent.to_owned(),
                source: source.into(),
            })?;
        }
        check_free(path)?;
        // Bound under a name of its own and renamed when its permissions are right: rename also replaces a stale file.
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        check_length(&temporary)?;
        let _ = fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary).map_err(bind_error)?;
        let publish = || {
            fs::set_permissions(&temporary, fs::Permissions::from_mode(MODE))?;
            let meta = fs::metadata(&temporary)?;
            fs::rename(&temporary, path)?;
            Ok((meta.dev(), meta.ino()))
        };
        match publish() {
            Ok(identity) => Ok(Self {
                listener,
                path: path.to_owned(),
                identity,
            }),
            Err(source) => {
                let _ = fs::remove_file(&temporary);
                Err(bind_error(source))
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// `sun_path` of a Unix address has 108 bytes, the last of which is 0.
const LONGEST: usize = 107;

fn check_length(path: &Path) -> Result<(), SocketError> {
    let length = path.as_os_str().len();
    if length > LONGEST {
        return Err(SocketError::TooLong {
            length,
            limit: LONGEST,
        });
    }
    Ok(())
}

/// Refuses a path with a listening process, or that is no socket. A socket without a listener is stale.
fn check_free(path: &Path) -> Result<(), SocketError> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !meta.file_type().is_socket() {
        return Err(SocketError::NotASocket {
            path: path.to_owned(),
        });
    }
    match UnixStream::connect(path) {
        Ok(stream) => Err(SocketError::InUse {
            path: path.to_owned(),
            pid: owner(&stream),
        }),
        Err(_) => Ok(()),
    }
}

fn owner(stream: &UnixStream) -> Option<i32> {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    getsockopt(stream, PeerCredentials).ok().map(|c| c.pid())
}
