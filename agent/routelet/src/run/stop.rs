//! The end of the agent: what [`Ending`] says is carried out.

use bgp::fsm::{Cease, Stop};
use routelet_core::lifecycle::limits::{GOOD_BYE, STOPPING, WITHDRAW};
use routelet_core::lifecycle::{Ending, EndingStep};
use tracing::{error, info};

use super::Runtime;

const _: () = {
    let parts = GOOD_BYE
        .saturating_add(WITHDRAW)
        .saturating_add(routelet_fib::PATIENCE);
    assert!(parts.as_secs() < STOPPING.as_secs());
};

impl Runtime {
    /// Ends sessions and the FIB: as if nothing had happened, or cleanly away.
    pub(super) async fn end(&mut self, withdraw: bool) {
        let ending = Ending::of(
            withdraw,
            self.presence.is_leaving(),
            self.intent.router.drain.as_ref(),
            self.is_deleted(),
        );
        match ending {
            Ending::Withdraw => {
                info!("stopping: routes are withdrawn from peers and the kernel");
            }
            Ending::Leave => {
                info!("stopping: this node leaves, and its routes stay in the kernel");
            }
            Ending::Update => info!(
                "stopping: routes stay in the kernel, and sessions are closed without a NOTIFICATION for graceful \
                 restart"
            ),
        }
        for step in ending.steps() {
            match step {
                EndingStep::CeaseSessions => self.sessions.stop(shutdown(), GOOD_BYE).await,
                EndingStep::CloseSessions => self.sessions.stop(Stop::Silent, GOOD_BYE).await,
                EndingStep::Forget => self.remembered.forget(),
                EndingStep::KeepRoutes => self.end_fib(routelet_fib::Stop::KeepRoutes).await,
                EndingStep::WithdrawRoutes => self.withdraw_routes().await,
            }
        }
    }

    async fn withdraw_routes(&self) {
        if self.writing.is_owner() {
            // Whatever table the Router names: none of ours stays, and none comes before that.
            self.fib.set_space(None);
            self.fib.set_aside(false);
        }
        self.end_fib(routelet_fib::Stop::Withdraw(WITHDRAW)).await;
    }

    async fn end_fib(&self, how: routelet_fib::Stop) {
        let fib = self.fib.clone();
        match tokio::task::spawn_blocking(move || fib.stop(how)).await {
            Ok(true) => {}
            Ok(false) => {
                error!("the FIB thread hangs; the kernel's routes are unchanged");
            }
            Err(error) => error!(%error, "stopping the FIB failed"),
        }
    }
}

/// How sessions end when the node goes away.
pub(super) fn shutdown() -> Stop {
    Stop::Cease(Cease::Shutdown("this node leaves".to_owned()))
}
