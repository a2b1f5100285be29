//! Makes text of a peer safe for errors and logs.

use std::borrow::Cow;

/// Number of bytes of a peer's text that are kept.
const TEXT_MAX: usize = 1024;
const ELLIPSIS: &str = "...";

/// Escapes the control characters of a peer's text and cuts it at 1 KiB.
///
/// So the peer cannot control the terminal or log file that shows the text, and one line stays one
/// line.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_MAX && !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    let mut fits = 0;
    for character in text.chars() {
        if is_control(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        if shown.len() > TEXT_MAX {
            shown.truncate(fits);
            shown.push_str(ELLIPSIS);
            break;
        }
        if shown.len() <= TEXT_MAX - ELLIPSIS.len() {
            fits = shown.len();
        }
    }
    Cow::Owned(shown)
}

/// Characters that terminals and log files act on: control characters, line and paragraph
/// separators, and those that reverse the direction of the text.
fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["", "NOT_FOUND - no queue 'é \\ \"q\"' in vhost '/'", &"x".repeat(TEXT_MAX)] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\0\r\n\u{1b}[2J\u{9b}"), r"a\u{0}\r\n\u{1b}[2J\u{9b}");
        assert_eq!(printable("\u{202e}evil\u{2028}"), r"\u{202e}evil\u{2028}");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        for character in ['x', 'é', '\u{1b}', '\u{1f980}'] {
            let shown = printable(&String::from(character).repeat(2000)).into_owned();
            assert!((TEXT_MAX - 8..=TEXT_MAX).contains(&shown.len()), "{}", shown.len());
            assert!(shown.ends_with("..."));
            let whole = printable(character.encode_utf8(&mut [0; 4])).into_owned();
            assert!(shown.trim_end_matches('.').len().is_multiple_of(whole.len()), "{shown}");
        }
    }
}
