//! BIRD 2 and 3, asked by `birdc`.
//!
//! Each neighbour is a protocol `n<index>`. Both versions print one text format that differs in the attributes' names
//! (`BGP.as_path` and `bgp_path`); one parser reads both.

mod answers;
mod config;

use anyhow::{Context, Result, ensure};

use self::answers::{parse_routes, parse_sessions, seconds_of_day};
use self::config::config;
use super::host::Host;
use super::{Daemon, bfd};
use crate::answers::{Route, Session};
use crate::process::Process;
use crate::speaker::{BfdSession, Family, Speaker};

#[derive(Debug)]
pub(super) struct Bird;

impl Daemon for Bird {
    fn configure(&self, host: &Host, speaker: &Speaker) -> Result<()> {
        host.write("bird.conf", &config(speaker)?)
    }

    fn launch(&self, host: &Host, speaker: &Speaker) -> Result<Vec<Process>> {
        let (config, socket) = (host.path("bird.conf"), host.path("bird.ctl"));
        let mut argv = vec!["bird", "-f", "-c", &config, "-s", &socket];
        if speaker
            .neighbours
            .iter()
            .any(|neighbour| neighbour.graceful_restart.is_some())
        {
            // Announces its restart (the R bit), and waits for them before it selects routes.
            argv.push("-R");
        }
        Ok(vec![host.spawn("bird", &argv)?])
    }

    fn ready(&self, host: &Host) -> Result<()> {
        birdc(host, "show status").map(drop)
    }

    fn reload(&self, host: &Host, _old: &Speaker, _new: &Speaker) -> Result<()> {
        let answer = birdc(host, "configure")?;
        ensure!(
            answer.contains("Reconfigured") || answer.contains("Reconfiguration in progress"),
            "birdc configure: {answer}"
        );
        Ok(())
    }

    fn sessions(&self, host: &Host, _speaker: &Speaker) -> Result<Vec<Session>> {
        // How long a session has been up is only in its line as a clock time; BIRD's own clock comes with the status.
        let status = birdc(host, "show status")?;
        let now = status
            .lines()
            .find_map(|line| line.strip_prefix("Current server time is "))
            .context("no server time in `show status`")?;
        parse_sessions(&birdc(host, "show protocols all")?, seconds_of_day(now)?)
    }

    fn routes(&self, host: &Host, family: Family) -> Result<Vec<Route>> {
        let table = match family {
            Family::Ipv4 => "master4",
            Family::Ipv6 => "master6",
        };
        parse_routes(&birdc(host, &format!("show route all table {table}"))?)
    }

    fn bfd_sessions(&self, host: &Host) -> Result<Vec<BfdSession>> {
        Ok(bfd::parse_bird(&birdc(host, "show bfd sessions")?))
    }
}

fn birdc(host: &Host, question: &str) -> Result<String> {
    let socket = host.path("bird.ctl");
    let mut argv = vec!["birdc", "-s", &socket];
    argv.extend(question.split_whitespace());
    host.ask(&argv)
}
