//! `leveret-config`: the effective configuration of a service, with where each value comes from.
//!
//! Reads the files a service would be started with and prints one line per option,
//! `group.option = value  (source)`, passwords masked; warnings go to the standard error. Nothing
//! is connected to.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use leveret::{Config, Error};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Exit status of a configuration that cannot be obeyed; clap takes 2 for a wrong command line.
const INVALID: u8 = 1;

/// Prints every option with the value in force and where it comes from.
///
/// The strongest first: the query of the transport URL, --transport-url, the environment
/// (OS_GROUP__OPTION), TOML files, INI files, defaults; of files of one form, later ones.
#[derive(Parser)]
#[command(name = "leveret-config", version)]
struct Cli {
    /// An INI file as oslo.config reads it; may be given several times.
    #[arg(long, value_name = "PATH")]
    config_file: Vec<PathBuf>,
    /// A TOML file; may be given several times.
    #[arg(long, value_name = "PATH")]
    toml: Vec<PathBuf>,
    /// The brokers, instead of the transport_url of the group DEFAULT.
    #[arg(long, value_name = "URL")]
    transport_url: Option<String>,
    /// Leaves the environment alone.
    #[arg(long)]
    no_environment: bool,
    /// Lists what belongs to somebody else, too.
    #[arg(long)]
    ignored: bool,
}

#[expect(clippy::print_stderr, reason = "the last word of a failed program")]
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
    // Whoever closes the pipe early has read enough.
    match io::stdout().write_all(out.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// What goes to the standard output, and what to the standard error.
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
