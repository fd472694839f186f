//! GoBGP: `gobgpd`, asked by `gobgp -j`.
//!
//! Its configuration file cannot originate routes, so they are added by command once it answers. It installs nothing.

mod answers;
mod config;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use self::answers::{parse_routes, parse_sessions};
use self::config::config;
use super::Daemon;
use super::host::Host;
use crate::answers::{Route, Session};
use crate::probe::kernel;
use crate::process::Process;
use crate::speaker::{Family, Origination, Speaker};

#[derive(Debug)]
pub(super) struct GoBgp;

impl Daemon for GoBgp {
    fn configure(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        ensure!(
            !speaker.install,
            "GoBGP cannot install routes into the kernel"
        );
        ensure!(
            speaker.extra.is_empty(),
            "extra text does not fit into GoBGP's JSON"
        );
        host.write(
            "gobgpd.json",
            &serde_json::to_string_pretty(&config(speaker)?)?,
        )
    }

    fn launch(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Process>> {
        let config = host.path("gobgpd.json");
        let argv = [
            "gobgpd",
            "-t",
            "json",
            "-f",
            &config,
            "--api-hosts",
            "127.0.0.1:50051",
        ];
        Ok(vec![host.spawn("gobgpd", &argv)?])
    }

    fn ready(&self, host: &Host) -> Result<()> {
        gobgp(host, &["global"]).map(drop)
    }

    fn complete(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        speaker
            .originate
            .iter()
            .try_for_each(|origination| change(host, speaker, "add", origination))
    }

    fn reload(&self, host: &Host, old: &Speaker, new: &Speaker) -> Result<()> {
        ensure!(
            old.neighbours == new.neighbours && old.asn == new.asn,
            "while it runs, GoBGP is only given other prefixes to originate"
        );
        for origination in &old.originate {
            if !new.originate.contains(origination) {
                change(host, old, "del", origination)?;
            }
        }
        for origination in &new.originate {
            if !old.originate.contains(origination) {
                change(host, new, "add", origination)?;
            }
        }
        Ok(())
    }

    fn sessions(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Session>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        parse_sessions(&gobgp(host, &["neighbor"])?, now)
    }

    fn routes(&self, host: &Host, family: Family) -> Result<Vec<Route>> {
        parse_routes(&gobgp(host, &["global", "rib", "-a", name(family)])?)
    }
}

fn gobgp(host: &Host, question: &[&str]) -> Result<String> {
    host.ask(&[&["gobgp", "-j"], question].concat())
}

fn name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    }
}

fn change(host: &Host, speaker: &Speaker, verb: &str, origination: &Origination) -> Result<()> {
    let prefix = origination.prefix.to_string();
    let mut words = vec!["gobgp", "global", "rib", verb, &prefix];
    let join = |members: Vec<String>| members.join(",");
    let communities = join(
        origination
            .communities
            .iter()
            .map(ToString::to_string)
            .collect(),
    );
    let large = join(
        origination
            .large_communities
            .iter()
            .map(ToString::to_string)
            .collect(),
    );
    let targets: Vec<String> = origination
        .route_targets
        .iter()
        .map(|(asn, number)| format!("{asn}:{number}"))
        .collect();
    let med = origination.med.map(|med| med.to_string());
    let local_pref = origination.local_pref.map(|value| value.to_string());
    // For routes of the other family than a session's it would send the session's address, which is none of the family.
    let family = Family::of(origination.prefix);
    let mut next_hop = None;
    for neighbour in &speaker.neighbours {
        if neighbour.address.is_ipv4() != (family == Family::Ipv4) {
            let own = kernel::own_address(host.namespace(), neighbour.address, family)?;
            next_hop = next_hop.or(own.map(|address| address.to_string()));
        }
    }
    if verb == "add" {
        if let Some(address) = &next_hop {
            words.extend(["nexthop", address]);
        }
        words.extend(["origin", "igp"]);
        if !communities.is_empty() {
            words.extend(["community", &communities]);
        }
        if !large.is_empty() {
            words.extend(["large-community", &large]);
        }
        for target in &targets {
            words.extend(["rt", target]);
        }
        if let Some(med) = &med {
            words.extend(["med", med]);
        }
        if let Some(local_pref) = &local_pref {
            words.extend(["local-pref", local_pref]);
        }
    }
    words.extend(["-a", name(family)]);
    host.ask(&words).map(drop)
}
