//! Text from files as HTML, as Markdown and as JSON inside of HTML.
//!
//! Invariant: what comes out of here is shown as text and never becomes markup.

/// Text of an element, or the value of a quoted attribute.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// JSON as the text of a `script` element: no character of it can end the element.
pub(crate) fn json_in_html(json: &str) -> String {
    // These characters occur in strings only, where JSON allows an escape for each.
    json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

/// A cell of a Markdown table. A bar would end the cell, a tag or a link would be rendered.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '|' | '\\' | '`' | '*' | '_' | '#' => out.extend(['\\', c]),
            // Brackets alone are text; before one of these they are a link.
            '(' | '[' if last == ']' => out.extend(['\\', c]),
            _ => out.push(c),
        }
        last = c;
    }
    out
}

/// Text as a code span of Markdown, also where it has backticks.
pub(crate) fn code_span(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_stays_text() {
        assert_eq!(html("<a b='c\" & d>"), "&lt;a b=&#39;c&quot; &amp; d&gt;");
        assert_eq!(markdown("a|b<c>_d_\n"), "a\\|b&lt;c>\\_d\\_ ");
        assert_eq!(markdown("0.5 [0.4, 0.6] [a](b)"), "0.5 [0.4, 0.6] [a]\\(b)");
    }

    #[test]
    fn json_cannot_end_its_element_and_means_the_same() {
        let json = r#"{"name":"</script><!--&"}"#;
        let escaped = json_in_html(json);
        assert!(!escaped.contains(['<', '>', '&']), "{escaped}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&escaped), read(json));
    }

    #[test]
    fn code_may_hold_backticks() {
        assert_eq!(code_span("a b"), "`a b`");
        assert_eq!(code_span("a `b`"), "`` a `b` ``");
    }
}
