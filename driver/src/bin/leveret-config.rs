//! `leveret-config`: prints the effective configuration of a service, with the source of each
//! value.
//!
//! It reads the files of a service and prints one line per option, `group.option = value
//! (source)`, passwords masked; warnings go to the standard error. It connects to no broker.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use leveret::{Config, Error};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The exit status for an invalid configuration; clap uses 2 for a wrong command line.
const INVALID: u8 = 1;

/// Prints every option with its effective value and the source of the value.
///
/// Sources by precedence: the query of the transport URL, --transport-url, the environment
/// (OS_GROUP__OPTION), TOML files, INI files, defaults; of files of one format, the last one.
#[derive(Parser)]
#[command(name = "leveret-config", version)]
struct Cli {
    /// An INI file as oslo.config reads it; may be given several times.
    #[arg(long, value_name = "PATH")]
    config_file: Vec<PathBuf>,
    /// A TOML file; may be given several times.
    #[arg(long, value_name = "PATH")]
    toml: Vec<PathBuf>,
    /// The transport URL, instead of transport_url of the group DEFAULT.
    #[arg(long, value_name = "URL")]
    transport_url: Option<String>,
    /// Ignores the environment.
    #[arg(long)]
    no_environment: bool,
    /// Also lists options that Leveret does not know.
    #[arg(long)]
    ignored: bool,
}

#[expect(clippy::print_stderr, reason = "a command reports errors on the standard error")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let (out, notes) = match report(&cli) {
        Ok(texts) => texts,
        Err(error) => {
            eprintln!("leveret-config: {error}");
            return ExitCode::from(INVALID);
        }
    };
    eprint!("{notes}");
    // A reader that closes the pipe early is no error.
    match io::stdout().write_all(out.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Returns the texts for the standard output and the standard error.
fn report(cli: &Cli) -> Result<(String, String), Error> {
    let mut config = Config::new().ini_files(&cli.config_file)?;
    for path in &cli.toml {
        config = config.toml_file(path)?;
    }
    if !cli.no_environment {
        config = config.environment()?;
    }
    if let Some(url) = &cli.transport_url {
        config = config.set("DEFAULT", "transport_url", url);
    }
    let mut out = String::new();
    for setting in config.effective()? {
        out += &format!("{setting}\n");
    }
    if cli.ignored {
        for one in config.ignored()? {
            out += &format!("ignored: {}.{}  ({})\n", one.group, one.option, one.source);
        }
    }
    let notes = config.warnings()?;
    Ok((out, notes.iter().map(|note| format!("leveret-config: {note}\n")).collect()))
}
