//! Where bytes for peers go.

use bytes::Bytes;

use crate::peer::PeerId;

/// The way to the peers' writers, given to [`Rib::poll`](crate::Rib::poll).
pub trait Transport {
    /// Hands over whole messages for one peer, in order. The same buffer may go to many peers.
    ///
    /// Returns whether there is room for more. After `false` (these bytes are taken all the same) nothing is sent to the
    /// peer before [`Rib::writable`](crate::Rib::writable): back-pressure without loss. A peer whose session is gone
    /// answers `true` and drops the bytes; [`Rib::session_down`](crate::Rib::session_down) is on its way.
    fn send(&mut self, peer: PeerId, messages: Bytes) -> bool;
}
