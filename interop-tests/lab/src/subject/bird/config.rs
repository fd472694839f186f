//! A description as BIRD's configuration.

use std::fmt::Write as _;

use anyhow::Result;

use crate::speaker::{AddPath, Export, Family, Listen, Mode, Neighbour, Origination, Speaker};
use crate::subject::bfd;

pub(super) fn config(speaker: &Speaker) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "log stderr all;\nrouter id {};", speaker.router_id)?;
    writeln!(text, "protocol device {{ scan time 5; }}")?;
    for family in Family::ALL {
        if speaker.install {
            writeln!(
                text,
                "protocol kernel k_{family} {{ {family} {{ import none; export where source = RTS_BGP; }}; merge paths on; }}"
            )?;
        }
        writeln!(text, "protocol static s_{family} {{\n  {family};")?;
        for origination in &speaker.originate {
            if Family::of(origination.prefix) == family {
                let prefix = origination.prefix;
                let attributes = attributes(origination)?;
                writeln!(text, "  route {prefix} blackhole {{ {attributes} }};")?;
            }
        }
        writeln!(text, "}}")?;
    }
    // BIRD strips a MED that was not set by the export filter itself.
    writeln!(text, "filter everything {{")?;
    writeln!(text, "  if source !~ [RTS_STATIC, RTS_BGP] then reject;")?;
    for origination in &speaker.originate {
        if let Some(med) = origination.med {
            let prefix = origination.prefix;
            writeln!(
                text,
                "  if net = {prefix} && source = RTS_STATIC then bgp_med = {med};"
            )?;
        }
    }
    writeln!(text, "  accept;\n}}")?;
    for (index, neighbour) in speaker.neighbours.iter().enumerate() {
        text.push_str(&neighbour_config(speaker, index, neighbour)?);
    }
    if !speaker.bfd.is_empty() {
        text.push_str(&bfd::bird(&speaker.bfd)?);
    }
    text.push_str(&speaker.extra);
    Ok(text)
}

fn attributes(origination: &Origination) -> Result<String> {
    let mut text = String::new();
    for community in &origination.communities {
        write!(
            text,
            "bgp_community.add(({},{})); ",
            community.0, community.1
        )?;
    }
    for large in &origination.large_communities {
        let (global, one, two) = (large.0, large.1, large.2);
        write!(text, "bgp_large_community.add(({global},{one},{two})); ")?;
    }
    for (asn, number) in &origination.route_targets {
        write!(text, "bgp_ext_community.add((rt,{asn},{number})); ")?;
    }
    if let Some(med) = origination.med {
        write!(text, "bgp_med = {med}; ")?;
    }
    if let Some(local_pref) = origination.local_pref {
        write!(text, "bgp_local_pref = {local_pref}; ")?;
    }
    Ok(text)
}

fn neighbour_config(speaker: &Speaker, index: usize, neighbour: &Neighbour) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "protocol bgp n{index} {{")?;
    let local = neighbour
        .local_address
        .map(|address| format!("{address} "))
        .unwrap_or_default();
    let listen = match speaker.listen {
        Listen::Port(179) | Listen::Never => String::new(),
        Listen::Port(port) => format!("port {port} "),
    };
    writeln!(text, "  local {local}{listen}as {};", speaker.asn)?;
    let port = neighbour
        .port
        .map(|port| format!("port {port} "))
        .unwrap_or_default();
    let (address, asn) = (neighbour.address, neighbour.asn);
    writeln!(text, "  neighbor {address} {port}as {asn};")?;
    // Fast tries, because tests wait for them.
    writeln!(
        text,
        "  connect delay time 1; connect retry time 2; error wait time 1, 2;"
    )?;
    let hops = neighbour.ttl_security.filter(|hops| *hops > 1);
    match neighbour.multihop.or(hops) {
        Some(hops) => writeln!(text, "  multihop {hops};")?,
        None => writeln!(text, "  direct;")?,
    }
    if neighbour.mode == Mode::Passive {
        writeln!(text, "  passive on;")?;
    }
    if let Some(password) = &neighbour.password {
        writeln!(text, "  password \"{password}\";")?;
    }
    if let Some(hold) = speaker.hold_time {
        writeln!(text, "  hold time {};", hold.as_secs())?;
    }
    match neighbour.graceful_restart {
        Some(time) => writeln!(
            text,
            "  graceful restart on; graceful restart time {};",
            time.as_secs()
        )?,
        None => writeln!(text, "  graceful restart off;")?,
    }
    if neighbour.route_reflector_client {
        writeln!(text, "  rr client;")?;
    }
    if neighbour.ttl_security.is_some() {
        writeln!(text, "  ttl security on;")?;
    }
    text.push_str(&neighbour.extra);
    for family in &neighbour.families {
        text.push_str(&channel(*family, neighbour));
    }
    writeln!(text, "}}")?;
    Ok(text)
}

/// What is exchanged of one family.
fn channel(family: Family, neighbour: &Neighbour) -> String {
    let export = match neighbour.export {
        Export::Everything => "filter everything",
        Export::Nothing => "none",
    };
    let add_path = match neighbour.add_path {
        AddPath::Off => "off",
        AddPath::Receive => "rx",
        AddPath::Both => "on",
    };
    let next_hop = if neighbour.next_hop_self {
        " next hop self;"
    } else {
        ""
    };
    format!("  {family} {{ import all; export {export}; add paths {add_path};{next_hop} }};\n")
}
