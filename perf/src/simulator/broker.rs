//! The broker that the simulator connects to.

use std::path::Path;

use anyhow::{Context, Result};
use leveret::Transport;

use crate::cli::command_line::Cli;

/// Where RabbitMQ listens when nobody says otherwise.
const DEFAULT_URL: &str = "rabbit://guest:guest@localhost:5672/";

/// The URL of the command line, else of the configuration file, else RabbitMQ's own default.
fn url(cli: &Cli) -> Result<String> {
    match (&cli.url, &cli.simulator.config_file) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            transport_url(&text)
                .with_context(|| format!("{} has no transport_url", Path::display(file)))
        }
        (None, None) => Ok(DEFAULT_URL.to_owned()),
    }
}

/// A transport to the broker that is asked for.
pub(super) fn transport(cli: &Cli) -> Result<Transport> {
    let config = cli.serving().engine().with_cores((&cli.cores).into());
    Ok(Transport::builder(&url(cli)?).engine_config(config).connect_blocking()?)
}

/// `transport_url` in the section `[DEFAULT]` of an oslo.config file.
fn transport_url(text: &str) -> Option<String> {
    let mut in_default = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_default = line == "[DEFAULT]";
        } else if let Some((name, value)) = line.split_once('=')
            && in_default
            && name.trim() == "transport_url"
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_url_is_read_from_its_section_only() {
        let text = "[other]\ntransport_url = a\n[DEFAULT]\n# no\ntransport_url = rabbit://h/?x=1\n";
        assert_eq!(transport_url(text).as_deref(), Some("rabbit://h/?x=1"));
        assert_eq!(transport_url("[other]\ntransport_url = a"), None);
    }
}
