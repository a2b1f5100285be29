//! When and how this program was called.

use time::OffsetDateTime;

use crate::system::clock;

/// Now, as `2026-11-30T12:00:00Z`.
pub(super) fn date() -> String {
    let now = OffsetDateTime::from_unix_timestamp(clock::wall_seconds() as i64)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second) = now.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

/// The command line, without passwords.
pub(super) fn command_line() -> String {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let arguments: Vec<String> =
        std::iter::once(program).chain(arguments.map(|argument| shown(&argument))).collect();
    arguments.join(" ")
}

/// An argument as others may see it: quoted where a shell needs it, and without passwords.
fn shown(argument: &str) -> String {
    let mut text = argument.to_owned();
    if let (Some(begin), Some(end)) = (text.find("://"), text.rfind('@')) {
        // All hosts of a URL lie between the two, each with its login.
        if begin + 3 < end {
            text.replace_range(begin + 3..end, "***");
        }
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,%+*".contains(c);
    match text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let url = "rabbit://me:secret@h1:1,you:p@ss@h2/vhost";
        assert_eq!(shown(url), "rabbit://***@h2/vhost");
        assert_eq!(shown("--url=amqp://me:x@h"), "--url=amqp://***@h");
        assert_eq!(shown("call-1.p99 > 1ms"), "'call-1.p99 > 1ms'");
        assert_eq!(shown("@0,1"), "@0,1");
    }

    #[test]
    fn dates_sort() {
        let date = date();
        assert!(date.len() == 20 && date.as_str() > "2026" && date.ends_with('Z'), "{date}");
    }
}
