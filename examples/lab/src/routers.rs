//! The two top-of-rack routers: BIRD 2 and FRR out of the distribution's packages, with the files of `routers/`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_lab::{Namespace, Process, eventually};

/// The files of this example.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// tor-a: BIRD.
pub(crate) struct Bird {
    namespace: Namespace,
    process: Process,
}

impl Bird {
    /// Starts it and waits until it answers.
    pub(crate) fn start(namespace: &Namespace) -> Result<Self> {
        let config = file("routers/tor-a.bird.conf");
        let socket = namespace.dir().join("bird.ctl");
        let process = namespace.spawn(
            "bird",
            &[
                "bird",
                "-f",
                "-c",
                &config.to_string_lossy(),
                "-s",
                &socket.to_string_lossy(),
            ],
        )?;
        let bird = Self {
            namespace: namespace.clone(),
            process,
        };
        eventually(Duration::from_secs(10), "BIRD answers", || {
            bird.process.check_alive()?;
            bird.ask("show status")
        })?;
        Ok(bird)
    }

    /// Asks it by `birdc`.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        let socket = self.namespace.dir().join("bird.ctl");
        let mut argv = vec!["birdc", "-s"];
        let socket = socket.to_string_lossy();
        argv.push(&socket);
        argv.extend(question.split_whitespace());
        self.namespace.run(&argv)
    }

    /// Kills it without a good-bye.
    pub(crate) fn kill(&self) -> Result<()> {
        self.process.signal(interop_lab::Signal::SIGKILL)?;
        self.process.wait(Duration::from_secs(5)).map(drop)
    }
}

/// tor-b: FRR, that is zebra and bgpd.
pub(crate) struct Frr {
    namespace: Namespace,
    _processes: Vec<Process>,
}

impl Frr {
    /// Starts both daemons and waits until bgpd answers.
    pub(crate) fn start(namespace: &Namespace) -> Result<Self> {
        // The daemons give up root and must be able to write here.
        let dir = namespace.dir().to_string_lossy().into_owned();
        namespace.run(&["chown", "frr:frr", &dir])?;
        namespace.ip("route add 198.51.100.0/24 via 100.64.2.1")?;
        namespace.ip("-6 route add 2001:db8:c::/64 via 2001:db8:64:2::1")?;
        let config = format!("{dir}/frr.conf");
        std::fs::copy(file("routers/tor-b.frr.conf"), &config).context("FRR's configuration")?;
        std::fs::write(format!("{dir}/zebra.conf"), "log stdout\n")?;
        namespace.run(&["chown", "-R", "frr:frr", &dir])?;
        let common = [
            "-u",
            "frr",
            "-g",
            "frr",
            "-A",
            "127.0.0.1",
            "--vty_socket",
            &dir,
            "-z",
        ];
        let socket = format!("{dir}/zserv.api");
        let start = |daemon: &str, config: &str| {
            let program = format!("/usr/lib/frr/{daemon}");
            let pid_file = format!("{dir}/{daemon}.pid");
            let mut argv = vec![program.as_str()];
            argv.extend(common);
            argv.extend([&socket, "-i", &pid_file, "-f", config]);
            namespace.spawn(daemon, &argv)
        };
        let zebra = start("zebra", &format!("{dir}/zebra.conf"))?;
        eventually(Duration::from_secs(10), "zebra answers", || {
            zebra.check_alive()?;
            ensure!(
                std::path::Path::new(&socket).exists(),
                "no socket {socket} yet"
            );
            Ok(())
        })?;
        let bgpd = start("bgpd", &config)?;
        let frr = Self {
            namespace: namespace.clone(),
            _processes: vec![bgpd, zebra],
        };
        eventually(Duration::from_secs(10), "bgpd answers", || {
            frr.ask("show bgp summary")
        })?;
        Ok(frr)
    }

    /// Asks bgpd by `vtysh`.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        let dir = self.namespace.dir().to_string_lossy().into_owned();
        self.namespace
            .run(&["vtysh", "--vty_socket", &dir, "-d", "bgpd", "-c", question])
    }
}
