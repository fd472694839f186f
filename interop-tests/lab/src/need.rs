//! What a test needs of the machine, and whether it is there.

use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::exec::{self, PATIENCE};
use crate::subject::Kind;

/// Something a test cannot do without. Every lab needs [`Need::Root`], named or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The right to make network namespaces, with `ip` and `setpriv`.
    Root,
    /// A program, found in `PATH` or by its absolute path.
    Program(&'static str),
    /// What a kind of subject is started with: its programs or its container image.
    Speaker(Kind),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Program(name) => write!(f, "program {name}"),
            Self::Speaker(kind) => write!(f, "{kind}"),
        }
    }
}

/// Why a test with these needs cannot run here, with what to do about it; `None` if it can.
pub fn missing(needs: &[Need]) -> Option<String> {
    std::iter::once(&Need::Root)
        .chain(needs)
        .find_map(|need| lack(*need))
}

/// Whether a missing tool is a failure instead of a skip: `CI` or `ROUTELET_REQUIRE_LAB` is set, and not to `0` or
/// `false`.
pub(crate) fn required() -> bool {
    ["CI", "ROUTELET_REQUIRE_LAB"].iter().any(|name| {
        std::env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
    })
}

fn lack(need: Need) -> Option<String> {
    match need {
        Need::Root => {
            if !nix::unistd::geteuid().is_root() {
                return Some("needs root to make network namespaces: run as root".to_owned());
            }
            ["ip", "setpriv", "setsid"]
                .iter()
                .find_map(|name| program(name))
        }
        Need::Program(name) => program(name),
        Need::Speaker(kind) => match kind.image() {
            Some(image) => program("podman").or_else(|| container_image(image)),
            None if kind == Kind::Routelet => match crate::subject::routelet::binary() {
                Ok(_) => None,
                Err(error) => Some(format!("{error:#}")),
            },
            None => kind.programs().iter().find_map(|name| program(name)),
        },
    }
}

fn program(name: &str) -> Option<String> {
    // Daemons live in sbin folders that are not in everybody's path; `ip netns exec` keeps the caller's.
    let folders = std::env::var("PATH").unwrap_or_default();
    let found = folders
        .split(':')
        .any(|folder| Path::new(folder).join(name).is_file());
    (!found).then(|| format!("needs `{name}`, which is not installed: run `make setup`"))
}

fn container_image(image: &str) -> Option<String> {
    let mut command = Command::new("podman");
    command.args(["image", "exists", image]);
    match exec::output(command, None, PATIENCE) {
        Ok(done) if done.status.success() => None,
        Ok(_) => Some(format!(
            "needs the container image {image}, which is not built: run `make setup`"
        )),
        Err(error) => Some(format!("cannot ask podman for image {image}: {error:#}")),
    }
}
