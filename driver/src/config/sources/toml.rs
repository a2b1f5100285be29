//! Parses TOML files: the tables are the groups; keys before the first table belong to `DEFAULT`.
//!
//! Lists become what the other sources have for them, values joined by commas. Invariant: each
//! value keeps its line. Not here: what keys mean, and `$substitution`.

use std::borrow::Cow;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use crate::config::sources::ini::{Assignment, SyntaxError};

/// Parses a file; tables are in the order of their names.
pub(crate) fn parse(text: &str) -> Result<Vec<Assignment>, SyntaxError> {
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        SyntaxError { line: line_of(text, at), why: error.message().to_owned() }
    })?;
    let mut found = Vec::new();
    for (key, value) in table.get_ref() {
        match value.get_ref() {
            DeValue::Table(group) => {
                for (name, value) in group {
                    found.push(assignment(text, key.get_ref(), name, value)?);
                }
            }
            _ => found.push(assignment(text, "DEFAULT", key, value)?),
        }
    }
    Ok(found)
}

fn assignment(
    text: &str,
    group: &str,
    name: &Spanned<Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Assignment, SyntaxError> {
    let line = line_of(text, name.span().start);
    let written = match value.get_ref() {
        DeValue::Array(items) => {
            let items: Option<Vec<_>> =
                items.iter().map(|item| item_text(item.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        // No option is a table; the name is kept so that `Config::ignored` or an error reports it.
        DeValue::Table(_) => Some(String::new()),
        single => plain(single),
    };
    let value = written.ok_or_else(|| {
        let why = format!("a list, as of {}, holds plain values without commas", name.get_ref());
        SyntaxError { line, why }
    })?;
    Ok(Assignment { group: group.to_owned(), name: name.get_ref().to_string(), value, line })
}

fn item_text(item: &DeValue<'_>) -> Option<String> {
    plain(item).filter(|text| !text.contains(','))
}

fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            i64::from_str_radix(digits, number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tables_are_groups_and_values_become_text() {
        let found = parse(
            "control_exchange = 'nova'\n\n[oslo_messaging_rabbit]\namqp_durable_queues = true\n\
             rabbit_interval_max = 2.5\n[oslo_messaging_notifications]\nretry = -1\n\
             topics = ['a', 'b']\n[leveret]\noutbox_bytes = 0x10_0000\n",
        );
        let mut found: Vec<_> = found
            .unwrap()
            .into_iter()
            .map(|one| (one.line, format!("{}.{}={}", one.group, one.name, one.value)))
            .collect();
        found.sort();
        let expected = [
            (1, "DEFAULT.control_exchange=nova"),
            (4, "oslo_messaging_rabbit.amqp_durable_queues=true"),
            (5, "oslo_messaging_rabbit.rabbit_interval_max=2.5"),
            (7, "oslo_messaging_notifications.retry=-1"),
            (8, "oslo_messaging_notifications.topics=a,b"),
            (10, "leveret.outbox_bytes=1048576"),
        ];
        assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(parse("a = 1\nb = = 2\n").unwrap_err().line, 2);
        let error = parse("a = 1\n[g]\nb = ['x,y']\n").unwrap_err();
        assert!(error.line == 3 && error.why.contains("list, as of b"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\[|\\]|=|\\{|\\}|,|\\.|#|\"|'|\n|1|a|é|\\PC)*") {
            drop(parse(&text));
        }
    }
}
