//! Transport URLs and configuration files. No password is shown.

use crate::config::loader::Config;
use crate::config::sources::source::Source;
use crate::config::url::{Secrets, TransportUrl};
use crate::error::Error;

/// A password that nothing may show.
const PASSWORD: &str = "hunter2hunter2";

/// Parses a transport URL, formats it and parses it again. No password is shown.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let url = match text.parse::<TransportUrl>() {
        Ok(url) => url,
        Err(error) => return assert_no_password(&error),
    };
    let shown = url.to_url_string(Secrets::Shown);
    let again: TransportUrl = shown.parse().expect("what is formatted can be parsed");
    assert_eq!(again, url);
    assert!(again.query().eq(url.query()), "{url}");
    assert_eq!(again.to_url_string(Secrets::Shown), shown);
    let masked: TransportUrl = url.to_string().parse().expect("the mask is a password");
    assert_eq!(masked.to_string(), url.to_string());
    let mut visible = vec![url.transport(), url.virtual_host()];
    visible.extend(url.hosts().iter().flat_map(|host| [host.hostname(), host.username()]));
    visible.extend(url.query().flat_map(|(key, value)| [key, value]));
    if visible.iter().any(|part| part.contains(PASSWORD)) {
        return;
    }
    let shown = format!("{url} {url:?} {:?}", url.hosts());
    assert!(!shown.contains(PASSWORD), "{shown}");
    check_config(Ok(Config::new().set("DEFAULT", "transport_url", text.replace('$', "$$"))), true);
}

fn assert_no_password(error: &Error) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}

/// Loads a configuration file of oslo.
pub fn ini(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check_config(Config::new().ini_str(text), false);
    if !may_show_password(text) {
        let with_url = format!("{text}\n\n[DEFAULT]\ntransport_url = rabbit://u:{PASSWORD}@h/\n");
        check_config(Config::new().ini_str(&with_url), true);
    }
}

/// Loads a configuration file in TOML.
pub fn toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check_config(Config::new().toml_str(text), false);
    if !may_show_password(text) {
        let with_url = format!("transport_url = \"rabbit://u:{PASSWORD}@h/\"\n{text}");
        check_config(Config::new().toml_str(&with_url), true);
    }
}

/// Whether a file has the password in another place, or refers to it.
fn may_show_password(text: &str) -> bool {
    text.contains(PASSWORD) || text.contains('$')
}

/// Resolves a configuration: the values in force, set again, are the same.
fn check_config(loaded: Result<Config, Error>, hides_password: bool) {
    let resolved = loaded.and_then(|config| Ok((config.effective()?, config)));
    let (settings, config) = match resolved {
        Ok(resolved) => resolved,
        Err(error) => {
            return if hides_password {
                assert_no_password(&error)
            };
        }
    };
    let warnings = config.warnings().expect("it was resolved");
    let ignored = config.ignored().expect("it was resolved");
    config.transport_url().expect("it was resolved");
    let driver = config.driver_config().expect("it was resolved");
    config.engine_config().expect("it was resolved");
    let notifications = config.notification_config().expect("it was resolved");
    if hides_password {
        let shown = format!("{settings:?} {warnings:?} {ignored:?} {driver:?} {config:?}");
        assert!(!shown.contains(PASSWORD), "{shown}");
        let shown = format!("{notifications:?}");
        assert!(!shown.contains(PASSWORD), "{shown}");
    }
    let is_plain = |value: &str| !value.contains("***") && !value.contains('$');
    let mut again = Config::new();
    for one in settings.iter().filter(|one| one.source != Source::Default && is_plain(&one.value)) {
        again = again.set(one.group, one.option, one.value.as_str());
    }
    let again = again.effective().expect("values are shown as a file would have them");
    for (one, again) in settings.iter().zip(&again) {
        if one.source != Source::Default && is_plain(&one.value) {
            assert_eq!((one.option, &one.value), (again.option, &again.value));
        }
    }
}
