//! FRR 8 and 10: `zebra`, `bgpd` and, if the description has BFD sessions, `bfdd`, asked by `vtysh` in JSON.
//!
//! zebra always runs, since bgpd learns from it which next hops can be reached; routes only go to the kernel if the
//! description says so. In a container all run from one script, whose process becomes bgpd.

mod answers;
mod config;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;

use self::answers::{parse_routes, parse_sessions};
use self::config::config;
use super::host::Host;
use super::{Daemon, bfd};
use crate::answers::{Route, Session};
use crate::eventually::eventually;
use crate::exec::PATIENCE;
use crate::process::Process;
use crate::speaker::{BfdSession, Family, Listen, Speaker};

/// Prefixes asked in one call of vtysh: far below the longest command line.
const ASK_AT_ONCE: usize = 200;

#[derive(Debug)]
pub(super) struct Frr;

impl Daemon for Frr {
    fn configure(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        host.write("frr.conf", &config(speaker)?)?;
        host.write(
            "run.sh",
            &format!(
                "{} >{} 2>&1 &\n\
                 until [ -S {} ]; do kill -0 $! || exit 1; sleep 0.05; done\n\
                 {}exec {}\n",
                zebra(host),
                host.path("zebra.log"),
                host.path("zserv.api"),
                if speaker.bfd.is_empty() {
                    String::new()
                } else {
                    format!("{} >{} 2>&1 &\n", bfdd(host), host.path("bfdd.log"))
                },
                bgpd(host, speaker),
            ),
        )?;
        host.write("bfdd.conf", &bfd::frr(&speaker.bfd)?)?;
        host.write("zebra.conf", "log stdout\n")?;
        host.write("vtysh.conf", "no service integrated-vtysh-config\n")
    }

    fn launch(&self, host: &Host, speaker: &Speaker) -> Result<Vec<Process>> {
        // Left by a killed process, it would look as if zebra were ready.
        let socket = host.path("zserv.api");
        let _ = std::fs::remove_file(&socket);
        if host.is_container() {
            return Ok(vec![host.spawn("bgpd", &["sh", &host.path("run.sh")])?]);
        }
        let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
        let start = |name: &str, line: &str| {
            let words = words(line);
            host.spawn(name, &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let zebra = start("zebra", &zebra(host))?;
        eventually(PATIENCE, "zebra listens", || {
            zebra.check_alive()?;
            ensure!(Path::new(&socket).exists(), "no {socket}");
            Ok(())
        })?;
        let mut processes = vec![zebra];
        if !speaker.bfd.is_empty() {
            processes.push(start("bfdd", &bfdd(host))?);
        }
        processes.push(start("bgpd", &bgpd(host, speaker))?);
        Ok(processes)
    }

    fn ready(&self, host: &Host) -> Result<()> {
        let version = vtysh(host, &["show bgp summary json"])?;
        ensure!(version.contains('{'), "not yet: {version}");
        Ok(())
    }

    /// Adds what is new and removes what is gone. Changed properties of a neighbour that stays are not undone.
    fn reload(&self, host: &Host, old: &Speaker, new: &Speaker) -> Result<()> {
        let mut gone = format!("router bgp {}\n", old.asn);
        for origination in &old.originate {
            if !new.originate.contains(origination) {
                let family = Family::of(origination.prefix);
                writeln!(
                    gone,
                    " address-family {family} unicast\n  no network {}\n exit-address-family",
                    origination.prefix
                )?;
            }
        }
        for neighbour in &old.neighbours {
            if !new
                .neighbours
                .iter()
                .any(|kept| kept.address == neighbour.address)
            {
                writeln!(gone, " no neighbor {}", neighbour.address)?;
            }
        }
        host.write("gone.conf", &gone)?;
        // FRR rejects repeated configuration of graceful restart of a neighbour while its session is up.
        let kept: Vec<String> = config(new)?
            .lines()
            .filter(|line| !(line.starts_with(" neighbor") && line.ends_with("graceful-restart")))
            .map(str::to_owned)
            .collect();
        host.write("now.conf", &(kept.join("\n") + "\n"))?;
        let dir = host.path("");
        let mut files = vec!["gone.conf", "now.conf"];
        if !new.bfd.is_empty() {
            files.push("bfdd.conf");
        }
        for file in files {
            host.ask(&["vtysh", "--vty_socket", &dir, "-f", &host.path(file)])?;
        }
        Ok(())
    }

    fn sessions(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Session>> {
        parse_sessions(&vtysh(host, &["show bgp neighbors json"])?)
    }

    fn routes(&self, host: &Host, family: Family) -> Result<Vec<Route>> {
        // The table has no communities and FRR 8 has no detailed table in JSON: each prefix is asked.
        let table: Value =
            serde_json::from_str(&vtysh(host, &[&format!("show bgp {family} unicast json")])?)?;
        let prefixes: Vec<&String> = table["routes"]
            .as_object()
            .map(|routes| routes.keys().collect())
            .unwrap_or_default();
        let mut routes = Vec::new();
        for chunk in prefixes.chunks(ASK_AT_ONCE) {
            let questions: Vec<String> = chunk
                .iter()
                .map(|prefix| format!("show bgp {family} unicast {prefix} json"))
                .collect();
            let questions: Vec<&str> = questions.iter().map(String::as_str).collect();
            parse_routes(&vtysh(host, &questions)?, &mut routes)?;
        }
        Ok(routes)
    }

    fn bfd_sessions(&self, host: &Host) -> Result<Vec<BfdSession>> {
        bfd::parse_frr(&vtysh_of(host, "bfdd", &["show bfd peers json"])?)
    }
}

fn common(host: &Host) -> String {
    let (dir, socket) = (host.path(""), host.path("zserv.api"));
    format!("-u frr -g frr -z {socket} --vty_socket {dir} -A 127.0.0.1")
}

fn zebra(host: &Host) -> String {
    let (pid, config) = (host.path("zebra.pid"), host.path("zebra.conf"));
    format!("/usr/lib/frr/zebra {} -i {pid} -f {config}", common(host))
}

fn bgpd(host: &Host, speaker: &Speaker) -> String {
    let (pid, config) = (host.path("bgpd.pid"), host.path("frr.conf"));
    let port = match speaker.listen {
        Listen::Port(port) => port,
        Listen::Never => 0,
    };
    let no_kernel = if speaker.install { "" } else { " --no_kernel" };
    format!(
        "/usr/lib/frr/bgpd {} -i {pid} -f {config} -p {port}{no_kernel}",
        common(host)
    )
}

fn bfdd(host: &Host) -> String {
    let (pid, config) = (host.path("bfdd.pid"), host.path("bfdd.conf"));
    let control = if host.is_container() {
        // FRR 10 has no such socket.
        String::new()
    } else {
        format!(" --bfdctl {}", host.path("bfdd.sock"))
    };
    format!(
        "/usr/lib/frr/bfdd {} -i {pid} -f {config}{control}",
        common(host)
    )
}

fn vtysh(host: &Host, questions: &[&str]) -> Result<String> {
    vtysh_of(host, "bgpd", questions)
}

fn vtysh_of(host: &Host, daemon: &str, questions: &[&str]) -> Result<String> {
    let dir = host.path("");
    let mut argv = vec!["vtysh", "--vty_socket", &dir, "-d", daemon];
    for question in questions {
        argv.extend(["-c", question]);
    }
    host.ask(&argv)
}
