//! Commands: run to their end with captured output and a deadline, or started for as long as the lab lives.
//!
//! All children are made by one thread that never ends, because the kernel delivers a child's parent-death signal when
//! the *thread* that made it ends, and a test's threads come and go.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for any question to a daemon on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Until what a command that has ended printed is here.
const COLLECTED: Duration = Duration::from_secs(10);

/// What a finished command left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
}

type Order = (Command, Sender<std::io::Result<Child>>);

/// Starts `command` from the thread that outlives every test of this process.
///
/// # Errors
/// The program cannot be started.
pub fn start(command: Command) -> Result<Child> {
    static MAKER: OnceLock<Sender<Order>> = OnceLock::new();
    let shown = show(&command);
    let maker = MAKER.get_or_init(|| {
        // Unbounded: each sender waits for its answer, so there are never more orders than callers.
        let (orders, received) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in received {
                // The caller may be gone (its thread panicked); then nobody wants the answer.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, answered) = channel();
    maker
        .send((command, answer))
        .ok()
        .context("the thread that starts processes is gone")?;
    answered
        .recv()
        .context("the thread that starts processes is gone")?
        .with_context(|| format!("cannot start `{shown}`"))
}

/// Runs `command` to its end. What the command prints is captured; whether it succeeded is for the caller to judge.
///
/// # Errors
/// It cannot be started, or has not ended after `deadline`: then it is killed, and the error holds what it printed.
pub fn output(mut command: Command, input: Option<&str>, deadline: Duration) -> Result<Output> {
    let shown = show(&command);
    command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = start(command)?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        // A command that ends without reading all of its input says why in its output.
        let _ = stdin.write_all(text.as_bytes());
    }
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let ended = stdout.recv_timeout(deadline);
    let timed_out = ended.is_err();
    if timed_out {
        end(&child);
    }
    let stdout = ended.or_else(|_| stdout.recv_timeout(COLLECTED));
    let stderr = stderr.recv_timeout(COLLECTED);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (
        text(stdout.unwrap_or_default()),
        text(stderr.unwrap_or_default()),
    );
    if timed_out {
        let _ = child.wait();
        bail!("`{shown}` has not ended after {deadline:?}; it printed: {stdout}{stderr}");
    }
    let status = child.wait().with_context(|| format!("`{shown}`"))?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

/// Runs `command` and returns its standard output.
///
/// # Errors
/// As [`output`], and when it ends with anything but success: then the error holds what it printed.
pub fn succeed(command: Command, input: Option<&str>, deadline: Duration) -> Result<String> {
    let shown = show(&command);
    let done = output(command, input, deadline)?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    Err(anyhow!(
        "`{shown}` ended with {}: {}{}",
        done.status,
        done.stderr.trim(),
        done.stdout.trim()
    ))
}

/// A command line from words.
///
/// # Errors
/// There are no words.
pub fn words(argv: &[&str]) -> Result<Command> {
    let (program, arguments) = argv.split_first().context("an empty command line")?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

fn end(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn collect<R: Read + Send + 'static>(pipe: Option<R>) -> std::sync::mpsc::Receiver<Vec<u8>> {
    let (full, done) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = full.send(bytes);
    });
    done
}

fn show(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_command_that_fails_says_what_it_printed() {
        let command = words(&["sh", "-c", "echo out; echo why >&2; exit 3"]).unwrap();
        let text = format!("{:#}", succeed(command, None, PATIENCE).unwrap_err());
        assert!(
            text.contains("why") && text.contains("out") && text.contains('3'),
            "{text}"
        );
    }

    #[test]
    fn a_command_past_its_deadline_is_killed() {
        let command = words(&["sh", "-c", "echo begun; exec sleep 600"]).unwrap();
        let text = format!(
            "{:#}",
            output(command, None, Duration::from_millis(200)).unwrap_err()
        );
        assert!(
            text.contains("not ended") && text.contains("begun"),
            "{text}"
        );
    }

    #[test]
    fn input_reaches_the_command() {
        let command = words(&["cat"]).unwrap();
        assert_eq!(succeed(command, Some("hello"), PATIENCE).unwrap(), "hello");
    }
}
