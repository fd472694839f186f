//! What a session is made with, or why it cannot be.

use bgp::settings::{PeerSettings, Scope};
use routelet_fib::KernelView;

use super::Passwords;
use crate::intent::{PeerIntent, PeerTarget};

/// What the session of a peer is made with.
///
/// # Errors
/// Why it cannot be: its password, its interface, or a target that is no address.
pub fn settings(
    wanted: &PeerIntent,
    view: &KernelView,
    passwords: &mut Passwords,
) -> Result<PeerSettings, String> {
    let password = passwords.find(wanted)?;
    let ifindex = |name: &str| {
        view.ifindex(name).ok_or_else(|| {
            format!("interface {name} does not exist on this node: check its name, or wait for it")
        })
    };
    let device = wanted.session.transport.device.as_deref();
    let device_index = device.map(ifindex).transpose()?;
    match &wanted.target {
        PeerTarget::Address { address, interface } => {
            let scope = interface.as_deref().map(ifindex).transpose()?;
            let mut settings = wanted.settings(*address, scope.map(Scope), password);
            settings.device_index = device_index;
            Ok(settings)
        }
        PeerTarget::Interface { name } => Err(format!(
            "discovery of the neighbour on interface {name} is not implemented yet: set an address (a link-local \
             one with sourceInterface works)"
        )),
        PeerTarget::Range { net } => Err(format!("{net} is a range, not one peer")),
    }
}
