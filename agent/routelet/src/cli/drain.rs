//! `routelet drain`: takes the node's traffic away before it goes down for work, and brings it back.

use std::time::Duration;

use anyhow::bail;
use routelet_control::Client;
use routelet_control::model::{Drain as Drained, DrainOrder, DrainStage};
use routelet_control::protocol::Command;

use super::screen::Screen;

/// How often the agent is asked how far it has left.
const ASK: Duration = Duration::from_millis(200);

/// Move traffic away from this node, without closing a session
///
/// Every route is advertised again with the community graceful-shutdown (RFC 8326) and, to internal peers, local
/// preference 0. Routers that honour it move traffic to other nodes. A restart of the agent ends the drain.
#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    /// Leave for good, before the node is shut down: wait until routers have moved the traffic (leave.wait of the
    /// Router), withdraw Services, then pod CIDRs, and close all sessions
    #[arg(long, conflicts_with = "undo")]
    leave: bool,
    /// Undo the drain
    #[arg(long)]
    undo: bool,
}

impl Drain {
    pub(super) fn run(&self, client: &Client, screen: &mut Screen) -> anyhow::Result<()> {
        let order = match (self.leave, self.undo) {
            (true, _) => DrainOrder::Leave,
            (false, true) => DrainOrder::Undo,
            (false, false) => DrainOrder::Drain,
        };
        client.perform(Command::Drain { order })?;
        if order == DrainOrder::Leave {
            return follow(client, screen);
        }
        let drain = client.status()?.drain;
        screen.note(after(order, drain.as_ref()))?;
        Ok(())
    }
}

/// What is the case after an order.
fn after(order: DrainOrder, drain: Option<&Drained>) -> String {
    match (order, drain) {
        (DrainOrder::Undo, None) => {
            "The drain is over: routes are advertised as before.".to_owned()
        }
        (DrainOrder::Undo, Some(drain)) => format!(
            "The drain by this command is over, but the node is still drained: {}.",
            drain.reason.text
        ),
        (_, Some(drain)) if drain.stage != DrainStage::Drained => {
            "The node is leaving, or has left: `routelet drain --undo` reverts that.".to_owned()
        }
        _ => {
            "Draining: peers are asked to move traffic away. `routelet drain --undo` reverts that."
                .to_owned()
        }
    }
}

/// Says how far the node has left until it has.
fn follow(client: &Client, screen: &mut Screen) -> anyhow::Result<()> {
    let mut said = None;
    loop {
        let Some(drain) = client.status()?.drain else {
            bail!("the agent is no longer leaving: the drain was undone, or the agent restarted");
        };
        if said != Some(drain.stage) {
            said = Some(drain.stage);
            screen.note(match drain.stage {
                DrainStage::Drained => "Peers are asked to move traffic away.",
                DrainStage::WithoutServices => "Services are withdrawn.",
                DrainStage::WithoutPods => "Pod CIDRs are withdrawn.",
                DrainStage::Gone => {
                    "The node has left: its sessions are closed. `routelet drain --undo`, or a restart of the \
                     agent, reverts that."
                }
            })?;
        }
        if drain.stage == DrainStage::Gone {
            return Ok(());
        }
        std::thread::sleep(ASK);
    }
}

#[cfg(test)]
mod tests {
    use routelet_control::model::{Reason, ReasonCode};

    use super::*;

    #[test]
    fn an_order_is_answered_by_what_is_the_case() {
        let drained = |stage| Drained {
            stage,
            reason: Reason {
                code: ReasonCode::RouterDrain,
                text: "drain: true of the Router".to_owned(),
            },
        };
        let by_router = drained(DrainStage::Drained);
        let said = after(DrainOrder::Undo, Some(&by_router));
        assert!(
            said.ends_with("still drained: drain: true of the Router."),
            "{said}"
        );
        assert!(after(DrainOrder::Undo, None).contains("is over"));
        assert!(after(DrainOrder::Drain, Some(&by_router)).starts_with("Draining"));
        for stage in [DrainStage::WithoutServices, DrainStage::Gone] {
            let said = after(DrainOrder::Drain, Some(&drained(stage)));
            assert!(said.starts_with("The node is leaving"), "{said}");
        }
    }
}
