//! What the session driver needs of a peer, or why it cannot be had.

use bgp::session::{OsError, Password, PeerSettings, Scope};

use crate::fib::KernelView;
use crate::intent::{MissingSecret, PasswordSource, PeerIntent, PeerTarget};

/// What the session driver needs, or why it cannot be had.
pub(super) fn settings(wanted: &PeerIntent, view: &KernelView) -> Result<PeerSettings, String> {
    let password = password(wanted.password.as_ref())?;
    let ifindex = |name: &str| {
        view.ifindex(name).ok_or_else(|| {
            format!("interface {name} does not exist on this node: check its name, or wait for it")
        })
    };
    let device_index = wanted.device.as_deref().map(ifindex).transpose()?;
    match &wanted.target {
        PeerTarget::Address { address, interface } => {
            let scope = interface.as_deref().map(ifindex).transpose()?;
            let mut settings = wanted.settings(*address, scope.map(Scope), password);
            settings.device_index = device_index;
            Ok(settings)
        }
        PeerTarget::Interface { name } => Err(format!(
            "the neighbour on interface {name} cannot be found by itself yet: give the peer an address (a link-local one \
             with sourceInterface will do)"
        )),
        PeerTarget::Range { net } => Err(format!("{net} is a range and not one peer")),
    }
}

pub(super) fn password(source: Option<&PasswordSource>) -> Result<Option<Password>, String> {
    let text = match source {
        None => return Ok(None),
        Some(PasswordSource::File(path)) => std::fs::read_to_string(path).map_err(|error| {
            format!(
                "password file {}: {}",
                path.display(),
                OsError::words(&error)
            )
        })?,
        Some(PasswordSource::Secret { name, key, found }) => match found {
            Ok(text) => text.expose().to_owned(),
            Err(MissingSecret::NoSecret) => {
                return Err(match name.split_once('/') {
                    Some((namespace, of)) => format!(
                        "Secret {name}, which the password is in, does not exist: kubectl create secret generic {of} \
                         --namespace {namespace} --from-literal={key}=PASSWORD"
                    ),
                    None => format!(
                        "the password is in Secret {name}, and an agent that reads manifests has no Secrets: use password.file"
                    ),
                });
            }
            Err(MissingSecret::Unread(why)) => {
                return Err(format!(
                    "Secret {name}, which the password is in, cannot be read: {why}"
                ));
            }
            Err(MissingSecret::NoKey) => {
                return Err(format!(
                    "Secret {name} has no key \"{key}\": add it, or name another with secretRef.key"
                ));
            }
            Err(MissingSecret::NotText) => {
                return Err(format!(
                    "key \"{key}\" of Secret {name} is not text: a password is ASCII text"
                ));
            }
        },
    };
    text.trim_end()
        .parse()
        .map(Some)
        .map_err(|error| format!("password: {error}"))
}
