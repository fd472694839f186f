//! As many connections to an API server as watches need.
//!
//! Over TLS all requests of a client share one connection, which carries 100 at a time to an API server as it is
//! configured by default: further ones wait until another ends, which watches do after minutes. So Secrets, of which
//! each is watched by its name, are spread over clients of their own, and never keep other requests waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::{Client, Config};

use super::client::{ApiServerError, build};

/// Watches by one client: well below 100, as a watch that begins again may overlap with its end.
const PER_CLIENT: usize = 64;

/// A client, and what further ones are made from.
#[derive(Clone)]
pub(crate) struct Clients {
    first: Client,
    /// `None`: there is but one, as in tests.
    config: Option<Config>,
}

impl Clients {
    pub(super) fn new(config: Config) -> Result<Self, ApiServerError> {
        Ok(Self {
            first: build(config.clone())?,
            config: Some(config),
        })
    }

    /// This one, and no other.
    #[cfg(test)]
    pub(super) fn of(first: Client) -> Self {
        Self {
            first,
            config: None,
        }
    }

    /// The one for everything but Secrets.
    pub(crate) fn first(&self) -> &Client {
        &self.first
    }

    /// One with a connection of its own.
    fn another(&self) -> Client {
        let made = self.config.clone().map(build);
        match made {
            Some(Ok(client)) => client,
            Some(Err(error)) => {
                tracing::warn!(%error, "no further connection to the API server: Secrets share the first one");
                self.first.clone()
            }
            None => self.first.clone(),
        }
    }
}

/// Which client follows which Secret.
pub(super) struct SecretClients {
    clients: Clients,
    /// Those that follow any.
    made: Vec<(Client, usize)>,
    /// By the Secret's name.
    places: BTreeMap<Arc<str>, usize>,
}

impl SecretClients {
    pub(super) fn new(clients: Clients) -> Self {
        Self {
            clients,
            made: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// The client that follows a Secret from now on.
    pub(super) fn begin(&mut self, name: &Arc<str>) -> Client {
        let at = match self.made.iter().position(|(_, used)| *used < PER_CLIENT) {
            Some(at) => at,
            None => {
                self.made.push((self.clients.another(), 0));
                self.made.len() - 1
            }
        };
        self.made[at].1 += 1;
        self.places.insert(Arc::clone(name), at);
        self.made[at].0.clone()
    }

    /// A Secret is followed no more. A client that follows none is closed, if none behind it is in use.
    pub(super) fn end(&mut self, name: &str) {
        if let Some(at) = self.places.remove(name) {
            self.made[at].1 -= 1;
        }
        while self.made.last().is_some_and(|(_, used)| *used == 0) {
            self.made.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;

    use super::*;

    #[tokio::test]
    async fn no_client_follows_more_secrets_than_its_connection_carries() {
        let mut spread = SecretClients::new(Clients::of(Client::new(Router::new(), "default")));
        let names: Vec<Arc<str>> = (0..200).map(|n| format!("s{n}").into()).collect();
        let used = |spread: &SecretClients| {
            let used = spread.made.iter().map(|(_, used)| *used);
            used.collect::<Vec<_>>()
        };
        for name in &names {
            spread.begin(name);
        }
        assert_eq!(used(&spread), [64, 64, 64, 8]);
        for name in &names[60..70] {
            spread.end(name);
            spread.end(name);
        }
        assert_eq!(used(&spread), [60, 58, 64, 8]);
        for name in &names[60..66] {
            spread.begin(name);
        }
        assert_eq!(used(&spread), [64, 60, 64, 8], "where there is room first");
        for name in &names {
            spread.end(name);
        }
        assert_eq!(used(&spread), [0; 0]);
        assert!(spread.places.is_empty());
    }
}
