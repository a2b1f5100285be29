//! Values of arguments: their ranges, and their names.

use clap::ValueEnum;

/// The name of a value on the command line.
pub(crate) fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The URL of a broker, or after `@` the file whose first line is the URL.
pub(crate) fn url(text: &str) -> Result<String, String> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    let read =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"));
    let first = read?.lines().next().map(|line| line.trim().to_owned());
    first
        .filter(|line| !line.is_empty())
        .ok_or_else(|| format!("the first line of {path} is empty"))
}

pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 0.05 to 3600".to_owned()),
    }
}

pub(crate) fn members(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(members) if (1..=100).contains(&members) => Ok(members),
        _ => Err("a count from 1 to 100".to_owned()),
    }
}

/// An option of a transport. Its name and value are checked by those who connect with it.
pub(crate) fn url_option(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() && !text.contains(['&', '#', '?']) => {
            Ok(text.to_owned())
        }
        _ => Err("NAME=VALUE, as in the query of a URL".to_owned()),
    }
}

pub(crate) fn per_second(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0.1 to 10000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_has_a_name_and_a_value() {
        assert_eq!(url_option("call_confirms=together"), Ok("call_confirms=together".to_owned()));
        for wrong in ["", "=1", "name", "a=1&b=2"] {
            assert!(url_option(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_url_may_be_in_a_file() {
        assert_eq!(url("rabbit://h"), Ok("rabbit://h".to_owned()));
        let path = std::env::temp_dir().join(format!("leveret-perf-url-{}", std::process::id()));
        let at = format!("@{}", path.display());
        std::fs::write(&path, "rabbit://me:secret@h/ \n\n").expect("a writable folder");
        assert_eq!(url(&at), Ok("rabbit://me:secret@h/".to_owned()));
        std::fs::write(&path, "\n").expect("a writable folder");
        assert!(url(&at).expect_err("no line").contains("is empty"));
        std::fs::remove_file(&path).expect("it was written");
        assert!(url(&at).expect_err("no file").contains("cannot read"));
    }
}
