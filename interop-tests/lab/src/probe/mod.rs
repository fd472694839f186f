//! What a lab is looked at with, from outside of any subject: the kernel's tables, and traffic.

pub mod kernel;
pub mod ping;
pub mod proxy;
pub mod relay;
pub mod tcp;
pub mod web;

pub use kernel::{KernelAddress, KernelNexthop, KernelRoute, Monitor, Path};
pub use ping::{Loss, Ping};
pub use proxy::Proxy;
pub use relay::Relay;
pub use web::{Answer, WebServer, get};
