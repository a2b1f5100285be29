//! The broker that the simulator connects to.

use anyhow::{Context, Result};
use leveret::{Config, Source, Transport};

use crate::cli::command_line::Cli;

/// The URL of the command line, else of the configuration file, else oslo.messaging's default.
fn url(cli: &Cli) -> Result<String> {
    match (&cli.url, &cli.simulator.config_file) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(file)) => transport_url(&Config::new().ini_file(file)?)
            .with_context(|| format!("cannot take the URL of {}", file.display())),
        (None, None) => Ok(Config::new().transport_url()?),
    }
}

/// Connects a transport to that broker.
pub(super) fn transport(cli: &Cli) -> Result<Transport> {
    let config = cli.placement().engine();
    Ok(Transport::builder(&url(cli)?).engine_config(config).connect_blocking()?)
}

/// `transport_url` of the section `[DEFAULT]`; an error if the file does not set it.
fn transport_url(config: &Config) -> Result<String> {
    let is_url = |option: &&leveret::Setting| option.option == "transport_url";
    let settings = config.effective()?;
    let setting = settings.iter().filter(|setting| setting.group == "DEFAULT").find(is_url);
    setting
        .filter(|setting| setting.source != Source::Default)
        .context("it has no transport_url")?;
    Ok(config.transport_url()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transport_url_is_read_from_its_section_only() {
        let of = |text| transport_url(&Config::new().ini_str(text).expect("an INI file"));
        let text =
            "[other]\ntransport_url = a\n[DEFAULT]\n# no\ntransport_url = rabbit://h/?ssl=0\n";
        assert_eq!(of(text).expect("it is there"), "rabbit://h/?ssl=0");
        assert!(of("[other]\ntransport_url = a").is_err());
    }
}
