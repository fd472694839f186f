//! `make bench`: the same work for every speaker on this machine, checked route by route.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use interop_bench::{Inputs, Machine, Report, WORKS, Work, named, run_work};
use interop_lab::{Kind, Need, missing};

/// Measures BGP speakers on this machine: the same work for each, alone, checked route by route.
///
/// Needs root (network namespaces), and the speakers, which `make setup` installs; those that are missing are left out
/// with a word. Exits with 1 if any run gave a wrong table or could not be done. Progress goes to standard error.
#[derive(Debug, Parser)]
#[command(name = "bench", after_help = works())]
struct Options {
    /// The works to do, in a list: `A,B,D`. `E` means all sizes of it; `F` comes with B and D.
    #[arg(long, value_delimiter = ',', default_values_t = all_works())]
    work: Vec<String>,
    /// The speakers, in a list: routelet,bird2,bird3,frr8,frr10,gobgp,openbgpd. Default: all that are installed.
    #[arg(long, value_delimiter = ',')]
    speakers: Vec<String>,
    /// How often each is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many seconds a run may take; what takes longer is reported as "> N".
    #[arg(long, default_value_t = 120)]
    limit: u64,
    /// How much of each work to do, above 0 and up to 1: for a quick look.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// The folder of real tables; where they are missing, made-up ones of the same size are used.
    #[arg(long, default_value_os_t = Inputs::usual_folder())]
    data: PathBuf,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// Also write JSON to this file, after each work.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Begin with what is in the file of --json: works and speakers that are measured now take the place of those in
    /// it.
    #[arg(long, requires = "json")]
    update: bool,
    /// Measure nothing: only show what is in the file of --json.
    #[arg(long, requires = "json")]
    show: bool,
    /// Also put the tables into this page, between the lines `<!-- bench -->` and `<!-- /bench -->`.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Tables for people.
    Text,
    /// For programs.
    Json,
    /// Tables for a page of documentation.
    Markdown,
}

fn all_works() -> Vec<String> {
    WORKS.iter().map(|work| work.name.to_owned()).collect()
}

fn works() -> String {
    let rows = WORKS
        .iter()
        .map(|work| format!("  {:8}{}\n", work.name, work.what));
    format!("Works:\n{}", rows.collect::<String>())
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(report) if report.problems().is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            say(&format!("bench: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Report> {
    let mut report = if options.show {
        before(options)?.context("--show needs the file of --json")?
    } else {
        measure(options)?
    };
    let text = match options.output {
        Form::Text => report.text(),
        Form::Json => report.json()?,
        Form::Markdown => report.markdown(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    if let Some(path) = &options.markdown {
        let page = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let page = with_tables(&page, &report.markdown())
            .with_context(|| format!("{}: no \"{BEGIN}\" and \"{END}\"", path.display()))?;
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    Ok(report)
}

/// What is in the file of --json.
fn before(options: &Options) -> Result<Option<Report>> {
    let Some(path) = options.json.as_ref().filter(|path| path.exists()) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path)?;
    let report = Report::from_json(&text).with_context(|| path.display().to_string())?;
    Ok(Some(report))
}

fn measure(options: &Options) -> Result<Report> {
    if let Some(reason) = missing(&[]) {
        bail!("{reason}");
    }
    let mut named_works: Vec<&'static Work> = Vec::new();
    for word in &options.work {
        named_works.extend(named(word)?);
    }
    let speakers = speakers(&options.speakers)?;
    let limit = Duration::from_secs(options.limit);
    let mut inputs = Inputs::load(&options.data, options.scale, limit)?;
    inputs.tell = say;
    if !inputs.real {
        say(&format!(
            "no real tables in {}: made-up ones are used",
            options.data.display()
        ));
    }
    let fresh = Report::new(Machine::look(&speakers)?, &inputs);
    let mut report = match before(options)?.filter(|_| options.update) {
        Some(before) => before
            .continued_by(fresh)
            .context("remove the file of --json, or name another one")?,
        None => fresh,
    };
    // In their usual order, and each once.
    for work in WORKS {
        if named_works.iter().any(|wanted| wanted.name == work.name) {
            run_work(work, &speakers, options.runs.max(1), &inputs, &mut report);
            if let Some(path) = &options.json {
                let text = report.json()?;
                std::fs::write(path, text).with_context(|| path.display().to_string())?;
            }
        }
    }
    Ok(report)
}

const BEGIN: &str = "<!-- bench -->";
const END: &str = "<!-- /bench -->";

/// A page with other tables between the two lines.
fn with_tables(page: &str, tables: &str) -> Option<String> {
    let (head, rest) = page.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n\n{tables}\n{END}{tail}"))
}

/// The speakers named, or all that are installed.
fn speakers(named: &[String]) -> Result<Vec<Kind>> {
    let mut found = Vec::new();
    for kind in [Kind::Routelet].into_iter().chain(Kind::OTHERS) {
        let wanted = named.iter().any(|name| *name == kind.to_string());
        if !named.is_empty() && !wanted {
            continue;
        }
        match missing(&[Need::Speaker(kind)]) {
            None => found.push(kind),
            Some(reason) if wanted => bail!("{kind}: {reason}"),
            Some(reason) => say(&format!("without {kind}: {reason}")),
        }
    }
    let unknown = named
        .iter()
        .find(|name| !found.iter().any(|kind| kind.to_string() == **name));
    if let Some(name) = unknown {
        bail!("\"{name}\" is no speaker");
    }
    Ok(found)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_replace_what_is_between_the_lines_and_nothing_else() {
        let page = "# Head\n<!-- bench -->\nold\n<!-- /bench -->\ntail\n";
        let wanted = "# Head\n<!-- bench -->\n\nnew\n\n<!-- /bench -->\ntail\n";
        let once = with_tables(page, "new\n");
        assert_eq!(once.as_deref(), Some(wanted));
        assert_eq!(with_tables(wanted, "new\n").as_deref(), Some(wanted));
        assert_eq!(with_tables("# Head\n", "new\n"), None);
    }
}
