//! What a session is configured with.

use std::num::NonZeroU8;
use std::sync::Arc;

use crate::auth::Authentication;
use crate::packet::Interval;

/// Whether a session sends before it has heard the remote system (RFC 5880 6.1). One of both ends must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It does.
    #[default]
    Active,
    /// It waits.
    Passive,
}

/// What a session is configured with. All of it can be changed while the session is Up, without taking it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// We want to send this often; before the session is Up it is once a second at most.
    pub desired_min_tx: Interval,
    /// We can receive this often; 0 would ask the remote system for silence, and is taken as 1 microsecond.
    pub required_min_rx: Interval,
    /// How many of our packets may be lost before the remote system declares the session down.
    pub detect_mult: NonZeroU8,
    /// Who begins.
    pub role: Role,
    /// We want to send Echo packets this often, if the remote system returns them (RFC 5880 6.4). Single hop only.
    pub echo_tx: Option<Interval>,
    /// We return Echo packets of the remote system, if they do not come more often than this.
    pub echo_rx: Option<Interval>,
    /// How packets are authenticated.
    pub authentication: Option<Arc<Authentication>>,
}

impl Parameters {
    /// The same interval in both directions, active, without Echo and authentication.
    pub fn new(interval: Interval, detect_mult: NonZeroU8) -> Self {
        Self {
            desired_min_tx: interval,
            required_min_rx: interval,
            detect_mult,
            role: Role::Active,
            echo_tx: None,
            echo_rx: None,
            authentication: None,
        }
    }
}
