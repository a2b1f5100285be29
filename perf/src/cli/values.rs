//! Values of arguments: their ranges, and their names.

use clap::ValueEnum;

/// The name of a value on the command line.
pub(crate) fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
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

pub(crate) fn per_second(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0.1 to 10000".to_owned()),
    }
}
