//! Whether and how a CNI configuration is written: options of `run`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::cni::{Attachment, CniOptions, ListSettings};

/// The least MTU that IPv6 works with (RFC 8200 5), and the most that virtual cables take.
const MTU: std::ops::RangeInclusive<i64> = 1280..=65535;

/// The network of pods, in clusters without another network plugin.
#[derive(Debug, clap::Args)]
pub(super) struct CniArgs {
    /// Write 10-routelet.conflist with the node's pod CIDRs into this directory, usually /etc/cni/net.d, on nodes
    /// without another network plugin [default: none is written]
    #[arg(long, value_name = "DIR", env = "ROUTELET_CNI_CONFIG_DIR")]
    cni_config_dir: Option<PathBuf>,

    /// The standard plugin that connects pods: each by a veth pair, or all by a bridge
    #[arg(
        long,
        value_name = "PLUGIN",
        env = "ROUTELET_CNI_PLUGIN",
        value_enum,
        default_value_t
    )]
    cni_plugin: Plugin,

    /// The MTU of pods in bytes [default: the plugin's]
    #[arg(
        long,
        value_name = "BYTES",
        env = "ROUTELET_CNI_MTU",
        value_parser = clap::value_parser!(u32).range(MTU)
    )]
    cni_mtu: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Plugin {
    #[default]
    Ptp,
    Bridge,
}

impl CniArgs {
    /// What is written, if anything is.
    pub(super) fn options(&self) -> Option<CniOptions> {
        let directory = self.cni_config_dir.clone()?;
        let attachment = match self.cni_plugin {
            Plugin::Ptp => Attachment::Ptp,
            Plugin::Bridge => Attachment::Bridge,
        };
        Some(CniOptions {
            directory,
            settings: ListSettings {
                attachment,
                mtu: self.cni_mtu,
            },
        })
    }
}
