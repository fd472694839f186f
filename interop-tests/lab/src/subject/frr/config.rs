//! A description as bgpd's configuration.

use std::fmt::Write as _;

use anyhow::Result;

use crate::speaker::{AddPath, Export, Family, Mode, Neighbour, Origination, Speaker};

pub(super) fn config(speaker: &Speaker) -> Result<String> {
    let mut text = String::from("log stdout\n");
    for (index, origination) in speaker.originate.iter().enumerate() {
        text.push_str(&route_map(index, origination)?);
    }
    writeln!(text, "route-map NOTHING deny 10\nexit")?;
    writeln!(text, "router bgp {}", speaker.asn)?;
    writeln!(text, " bgp router-id {}", speaker.router_id)?;
    // RFC 8212 and the check that a prefix is in the kernel first are not what a lab is about.
    writeln!(text, " no bgp ebgp-requires-policy")?;
    writeln!(text, " no bgp network import-check")?;
    writeln!(text, " no bgp default ipv4-unicast")?;
    if speaker.install {
        writeln!(text, " bgp bestpath as-path multipath-relax")?;
    }
    if let Some(time) = speaker
        .neighbours
        .iter()
        .filter_map(|n| n.graceful_restart)
        .max()
    {
        writeln!(
            text,
            " bgp graceful-restart restart-time {}",
            time.as_secs()
        )?;
        writeln!(text, " bgp graceful-restart preserve-fw-state")?;
    }
    for neighbour in &speaker.neighbours {
        text.push_str(&neighbour_config(speaker, neighbour)?);
    }
    for family in Family::ALL {
        writeln!(text, " address-family {family} unicast")?;
        if speaker.install {
            writeln!(text, "  maximum-paths 64\n  maximum-paths ibgp 64")?;
        }
        for (index, origination) in speaker.originate.iter().enumerate() {
            if Family::of(origination.prefix) == family {
                writeln!(
                    text,
                    "  network {} route-map ORIGINATE-{index}",
                    origination.prefix
                )?;
            }
        }
        for neighbour in &speaker.neighbours {
            if neighbour.families.contains(&family) {
                text.push_str(&family_config(neighbour)?);
            }
        }
        writeln!(text, " exit-address-family")?;
    }
    writeln!(text, "exit")?;
    text.push_str(&speaker.extra);
    Ok(text)
}

fn route_map(index: usize, origination: &Origination) -> Result<String> {
    let mut text = format!("route-map ORIGINATE-{index} permit 10\n");
    if !origination.communities.is_empty() {
        let list: Vec<String> = origination
            .communities
            .iter()
            .map(ToString::to_string)
            .collect();
        writeln!(text, " set community {}", list.join(" "))?;
    }
    if !origination.large_communities.is_empty() {
        let list: Vec<String> = origination
            .large_communities
            .iter()
            .map(ToString::to_string)
            .collect();
        writeln!(text, " set large-community {}", list.join(" "))?;
    }
    for (asn, number) in &origination.route_targets {
        writeln!(text, " set extcommunity rt {asn}:{number}")?;
    }
    if let Some(med) = origination.med {
        writeln!(text, " set metric {med}")?;
    }
    if let Some(local_pref) = origination.local_pref {
        writeln!(text, " set local-preference {local_pref}")?;
    }
    writeln!(text, "exit")?;
    Ok(text)
}

fn neighbour_config(speaker: &Speaker, neighbour: &Neighbour) -> Result<String> {
    let mut text = String::new();
    let address = neighbour.address;
    writeln!(text, " neighbor {address} remote-as {}", neighbour.asn)?;
    writeln!(text, " neighbor {address} timers connect 1")?;
    writeln!(text, " neighbor {address} advertisement-interval 0")?;
    if let Some(hold) = speaker.hold_time {
        let hold = hold.as_secs();
        writeln!(text, " neighbor {address} timers {} {hold}", hold / 3)?;
    }
    if let Some(port) = neighbour.port {
        writeln!(text, " neighbor {address} port {port}")?;
    }
    if let Some(hops) = neighbour.multihop {
        writeln!(text, " neighbor {address} ebgp-multihop {hops}")?;
    }
    if let Some(password) = &neighbour.password {
        writeln!(text, " neighbor {address} password {password}")?;
    }
    if let Some(local) = neighbour.local_address {
        writeln!(text, " neighbor {address} update-source {local}")?;
    }
    if neighbour.mode == Mode::Passive {
        writeln!(text, " neighbor {address} passive")?;
    }
    if neighbour.graceful_restart.is_some() {
        writeln!(text, " neighbor {address} graceful-restart")?;
    }
    if let Some(hops) = neighbour.ttl_security {
        writeln!(text, " neighbor {address} ttl-security hops {hops}")?;
    }
    text.push_str(&neighbour.extra.replace("{address}", &address.to_string()));
    Ok(text)
}

fn family_config(neighbour: &Neighbour) -> Result<String> {
    let mut text = String::new();
    let address = neighbour.address;
    writeln!(text, "  neighbor {address} activate")?;
    if neighbour.next_hop_self {
        writeln!(text, "  neighbor {address} next-hop-self")?;
    }
    if neighbour.route_reflector_client {
        writeln!(text, "  neighbor {address} route-reflector-client")?;
    }
    if neighbour.export == Export::Nothing {
        writeln!(text, "  neighbor {address} route-map NOTHING out")?;
    }
    match neighbour.add_path {
        AddPath::Off => writeln!(text, "  neighbor {address} disable-addpath-rx")?,
        AddPath::Receive => {}
        AddPath::Both => writeln!(text, "  neighbor {address} addpath-tx-all-paths")?,
    }
    Ok(text)
}
