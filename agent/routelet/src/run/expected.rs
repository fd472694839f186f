//! What End-of-RIB and convergence wait for at the start, beyond what the RIB sees by itself: Services that wait for
//! kube-proxy, and peers that are not configured one by one. Here the RIB is notified; for how long is decided by
//! [`EndOfRib`], for which peers by [`Awaited`].
//!
//! [`Awaited`]: routelet_core::peering::Awaited
//! [`EndOfRib`]: routelet_core::lifecycle::EndOfRib

use std::time::Instant;

use routelet_core::peering::Adopted;

use super::Runtime;
use super::rib_thread::Command;

impl Runtime {
    /// Has the RIB wait for peers that are not configured one by one, as long as some may have been there before.
    pub(super) async fn expect(&mut self) -> anyhow::Result<()> {
        if !self.awaited.is_counted() {
            return Ok(());
        }
        let adopted = match self.intent.router.fib {
            None => Adopted::Never,
            Some(_) => self.fib.adopted().map_or(Adopted::Unknown, Adopted::Count),
        };
        let peers = &self.intent.peers;
        if let Some((who, clients)) = self.awaited.count(Instant::now(), peers, adopted) {
            self.rib.send(Command::Expect(who, clients)).await?;
        }
        self.shared.set_returning(self.awaited.is_returning());
        Ok(())
    }

    /// Has End-of-RIB wait while Services wait: peers that kept them over a restart would take them for withdrawn.
    pub(super) async fn hold_end_of_rib(&mut self) -> anyhow::Result<()> {
        let services_wait = self.presence.waits_for_kube_proxy();
        if let Some(hold) = self.end_of_rib.follow(Instant::now(), services_wait) {
            self.rib.send(Command::HoldEndOfRib(hold)).await?;
        }
        Ok(())
    }
}
