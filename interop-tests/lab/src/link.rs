//! Links between namespaces: pairs of virtual Ethernet interfaces, and a bridge in a namespace of its own as a switch.

use anyhow::Result;

use crate::exec::{self, PATIENCE};
use crate::lab::Lab;
use crate::netns::Namespace;

impl Lab {
    /// Joins two namespaces by a veth pair; both interfaces are created and brought up. Names live in their namespace,
    /// so that every node may have an `eth0`.
    ///
    /// # Errors
    /// A name is taken or longer than 15 characters.
    pub fn link(&self, a: (&Namespace, &str), b: (&Namespace, &str)) -> Result<()> {
        exec::succeed(
            exec::words(&[
                "ip",
                "link",
                "add",
                "name",
                a.1,
                "netns",
                a.0.name(),
                "type",
                "veth",
                "peer",
                "name",
                b.1,
                "netns",
                b.0.name(),
            ])?,
            None,
            PATIENCE,
        )?;
        for (namespace, interface) in [a, b] {
            namespace.ip(&format!("link set {interface} up"))?;
        }
        Ok(())
    }

    /// A switch without anything plugged in.
    ///
    /// # Errors
    /// The kernel has no bridges.
    pub fn switch(&self, label: &str) -> Result<Switch> {
        let namespace = self.namespace(label)?;
        // No listening and learning delay, and no snooping that would hold back neighbour discovery.
        namespace.ip("link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
        namespace.ip("link set br0 up")?;
        Ok(Switch { namespace })
    }
}

/// An Ethernet switch.
#[derive(Clone, Debug)]
pub struct Switch {
    namespace: Namespace,
}

impl Switch {
    /// Plugs a namespace in: makes `interface` there and brings it up. The port is named after the namespace's label
    /// (its first 15 characters), so that two namespaces of one switch need labels that differ in these.
    ///
    /// # Errors
    /// The interface's name or the port's is taken.
    pub fn plug(&self, lab: &Lab, namespace: &Namespace, interface: &str) -> Result<()> {
        let port: String = namespace.label().chars().take(15).collect();
        lab.link((namespace, interface), (&self.namespace, &port))?;
        self.namespace
            .ip(&format!("link set {port} master br0"))
            .map(drop)
    }

    /// Sets the link of a namespace down or up at the switch's end: the namespace sees its carrier lost or back.
    ///
    /// # Errors
    /// The namespace is not plugged in here.
    pub fn set_port(&self, namespace: &Namespace, up: bool) -> Result<()> {
        let port: String = namespace.label().chars().take(15).collect();
        let state = if up { "up" } else { "down" };
        self.namespace
            .ip(&format!("link set {port} {state}"))
            .map(drop)
    }

    /// The namespace that the bridge is in, for captures and filters.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
