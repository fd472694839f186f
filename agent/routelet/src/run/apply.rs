//! An intent that is handed to its owners: peers, RIB and FIB.

use std::sync::Arc;

use rib::{Multipath, RibConfig};
use routelet_core::intent::{Parts, RouterSettings};
use routelet_fib::{KernelView, RefusalChange};
use tracing::{error, info, warn};

use super::Runtime;
use super::rib_thread::Command;

impl Runtime {
    /// Listens as the intent says; where that cannot be, it is said, and tried again at every tick.
    pub(super) async fn listen(&mut self) {
        let failed = self.sessions.listen(&self.intent).await.err();
        let before = self.shared.listen_error();
        let now = failed.map(|error| error.to_string());
        match (&now, before) {
            (Some(error), Some(before)) if *error == *before => {}
            (Some(error), _) => error!("{error}; the listening addresses are unchanged"),
            (None, Some(_)) => info!("listening as configured again"),
            (None, None) => {}
        }
        self.shared.set_listen_error(now);
    }

    /// Hands those parts of the intent that are other ones to their owners.
    pub(super) async fn apply_parts(&mut self, parts: Parts) -> anyhow::Result<()> {
        let intent = self.intent.clone();
        self.rib.send(Command::Begin).await?;
        if let Some(fib) = intent.router.fib.as_ref().filter(|_| parts.guard) {
            self.fib.set_guard_rails(fib.guard.clone());
        }
        if parts.peers {
            // Listen ranges are peers, too.
            self.listen().await;
            self.report_warnings();
            self.sessions.apply(&intent, self.fib.view()).await?;
        }
        if !parts.routes.is_empty() {
            // Refused before it is announced.
            if intent.router.refusing_table.is_some() {
                let refused = parts.routes.iter().map(|change| RefusalChange {
                    prefix: change.prefix,
                    refusal: change.refusal,
                });
                self.fib.change_refused(refused);
            }
            let changes = Command::ChangeOriginated(parts.routes);
            self.rib.send(changes).await?;
        }
        self.rib.send(Command::Commit).await?;
        self.shared
            .applied(intent.clone(), self.sessions.listening());
        self.applied = Some(intent);
        Ok(())
    }

    /// Says what the intent warns of and did not before.
    pub(super) fn report_warnings(&self) {
        let before = self.applied.as_ref().map(|before| &before.warnings);
        for warning in self.intent.warnings.iter() {
            if before.is_none_or(|before| before.binary_search(warning).is_err()) {
                warn!("{warning}");
            }
        }
    }

    /// Hands each part of the intent to its owner.
    pub(super) async fn apply(&mut self) -> anyhow::Result<()> {
        self.report_warnings();
        let intent = self.intent.clone();
        let router = &intent.router;
        let before = self.applied.as_ref().map(|before| &before.router);
        if before.is_none_or(|before| rib_config(before) != rib_config(router)) {
            self.rib
                .send(Command::Configure(rib_config(router)))
                .await?;
        }
        self.rib
            .send(Command::NodeAddresses(router.internal_ips.clone()))
            .await?;
        let via_default = Command::ResolveViaDefault(router.resolve_via_default);
        self.rib.send(via_default).await?;
        if before.is_none_or(|before| before.fib != router.fib) {
            self.apply_fib(router.fib.as_ref()).await?;
        }
        // Refused before it is announced.
        let refused = intent.originated.iter();
        let refused = refused.filter_map(|(prefix, one)| Some((*prefix, one.refusal?)));
        match router.refusing_table {
            table @ Some(_) => self.fib.set_refused(table, refused),
            None => self.fib.set_refused(None, []),
        }
        self.rib.send(Command::Begin).await?;
        self.sessions.apply(&intent, self.fib.view()).await?;
        let originated = intent.originated.values();
        let originated = originated.map(|one| one.route.clone()).collect();
        self.rib.send(Command::Originate(originated)).await?;
        self.rib.send(Command::Commit).await?;
        self.shared
            .applied(intent.clone(), self.sessions.listening());
        self.applied = Some(intent);
        Ok(())
    }

    /// The kernel's view has changed: next hops are resolved again.
    pub(super) async fn view(&mut self) -> anyhow::Result<()> {
        let view: Arc<KernelView> = self.fib.view();
        self.rib.send(Command::View(view)).await?;
        Ok(())
    }

    pub(super) async fn tick(&mut self) -> anyhow::Result<()> {
        self.follow_writing().await?;
        if self.shared.listen_error().is_some() {
            self.listen().await;
            // Also where this was in vain: sessions may have ended for sockets that could not be had after all.
            let view = self.fib.view();
            self.sessions.apply(&self.intent, view).await?;
            self.shared.set_listening(self.sessions.listening());
        }
        Ok(())
    }
}

/// The RIB's part of the settings.
pub(super) fn rib_config(router: &RouterSettings) -> RibConfig {
    let mut config = RibConfig::new(router.asn, router.router_id);
    config.cluster_id = router.cluster_id;
    config.multipath = Multipath {
        max_paths: u8::try_from(router.max_paths).unwrap_or(u8::MAX),
        relax_as_path: router.relax_as_path,
    };
    config
}
