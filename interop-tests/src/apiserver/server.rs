//! Either API server, for suites that hold for both.

use anyhow::Result;
use kube::{Client, Config};

use super::core::Settings;
use super::fake::FakeApiServer;
use super::rbac::Account;
use super::real::RealApiServer;

/// The real API server where its programs are, else the fake one.
pub enum Server {
    /// See [`FakeApiServer`].
    Fake(FakeApiServer),
    /// See [`RealApiServer`].
    Real(RealApiServer),
}

impl Server {
    /// Starts the one that there is, with these accounts.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(accounts: Vec<Account>) -> Result<Self> {
        Ok(match RealApiServer::assets() {
            Some(assets) => Self::Real(RealApiServer::start(&assets, &accounts)?),
            None => Self::Fake(FakeApiServer::start(Settings {
                accounts,
                service_cidrs: vec!["10.96.0.0/16".parse()?, "fd00:96::/112".parse()?],
                ..Settings::default()
            })?),
        })
    }

    /// A client with the token of an account. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn client(&self, token: &str) -> Result<Client> {
        let url = match self {
            Self::Fake(fake) => fake.url(),
            Self::Real(real) => real.url(),
        };
        let mut config = Config::new(url.parse()?);
        // The certificate of a server of our own.
        config.accept_invalid_certs = true;
        config.auth_info.token = Some(token.to_owned().into());
        Ok(Client::try_from(config)?)
    }
}
