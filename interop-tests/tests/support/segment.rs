//! Several speakers on one dual-stack Ethernet segment: number `n` has 10.0.0.n and fd00::n.

use anyhow::Result;
use interop_tests::{Lab, Namespace, Switch};

/// The segment.
pub struct Segment<'lab> {
    lab: &'lab Lab,
    switch: Switch,
}

impl<'lab> Segment<'lab> {
    pub fn new(lab: &'lab Lab) -> Result<Self> {
        let switch = lab.switch("switch")?;
        Ok(Self { lab, switch })
    }

    /// Another host on it.
    pub fn host(&self, label: &str, n: u8) -> Result<Namespace> {
        let namespace = self.lab.namespace(label)?;
        self.switch.plug(self.lab, &namespace, "eth0")?;
        namespace.address("eth0", &format!("{}/24", v4(n)))?;
        namespace.address("eth0", &format!("{}/64", v6(n)))?;
        Ok(namespace)
    }
}

/// The IPv4 address of number `n`.
pub fn v4(n: u8) -> String {
    format!("10.0.0.{n}")
}

/// The IPv6 address of number `n`.
pub fn v6(n: u8) -> String {
    format!("fd00::{n}")
}
