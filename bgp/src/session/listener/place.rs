//! A peer's place at the listener: the source and the key that its connections must have.

use std::sync::Arc;

use super::super::PeerSettings;
use super::super::admission::{check_signature, source_of};
use super::super::expected::Holding;
use super::super::handle::Control;
use super::super::keys::KeyError;
use super::{Candidate, Listener};
use crate::refusal::Refusal;

/// A peer's place at the listener.
#[derive(Debug)]
pub(in crate::session) struct Place {
    pub(super) listener: Listener,
    /// `None` after a key that could not be set.
    pub(super) held: Option<Holding>,
}

impl Place {
    /// Applies other settings, the key first.
    ///
    /// # Errors
    /// Its key cannot be set: the peer is expected no more, and must not run.
    pub(in crate::session) fn change(
        &mut self,
        settings: &PeerSettings,
        control: &Arc<Control>,
    ) -> Result<(), KeyError> {
        let mut expected = self.listener.shared.lock();
        let holding = Holding {
            source: source_of(settings.remote_socket()),
            password: settings.password.clone(),
            transport: settings.session.transport.clone(),
            control: Arc::downgrade(control),
        };
        let before = self.held.take();
        expected.change(before.as_ref(), &holding)?;
        drop(expected);
        self.held = Some(holding);
        Ok(())
    }

    /// Judges a connection that was waiting for its peer to be made.
    pub(in crate::session) fn admit(&self, candidate: &Candidate) -> Result<(), Refusal> {
        let held = self.held.as_ref().ok_or(Refusal::Blocked)?;
        if held.source != source_of(candidate.remote) {
            return Err(Refusal::Stranger);
        }
        check_signature(&candidate.accepted, held.password.as_ref())?;
        held.transport.check(&candidate.accepted)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.listener.shared.lock().release(&held);
        }
    }
}
