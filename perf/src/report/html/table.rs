//! A table as HTML, in a region of its own that scrolls where the page is narrow.

use std::fmt::Write as _;

use crate::report::escape::html as escaped;
use crate::report::tables::table::{Cell, Column, Group, Table};

/// The table with its title as a caption, and its notes below.
pub(crate) fn render(table: &Table) -> String {
    let title = escaped(&table.title);
    let mut out = format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\">\
         <table><caption>{title}</caption>\n<thead><tr>"
    );
    for column in &table.columns {
        let name = escaped(&column.name);
        let name = match column.about {
            "" => name,
            about => format!("<abbr title=\"{}\">{name}</abbr>", escaped(about)),
        };
        // Writing to a string cannot fail.
        let _ = write!(out, "<th scope=\"col\"{}>{name}</th>", class(column.is_text));
    }
    out.push_str("</tr></thead>\n");
    for group in &table.groups {
        rows(&mut out, group, &table.columns);
    }
    out.push_str("</table></div>\n<ul class=\"notes\">\n");
    for note in &table.notes {
        let _ = writeln!(out, "<li>{}</li>", escaped(note));
    }
    out.push_str("</ul>\n");
    out
}

fn rows(out: &mut String, group: &Group, columns: &[Column]) {
    out.push_str("<tbody>\n");
    if !group.name.is_empty() {
        let about = match group.about.as_str() {
            "" => String::new(),
            about => format!(" <span>{}</span>", escaped(about)),
        };
        let _ = writeln!(
            out,
            "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{}\"><b>{}{about}</b></th></tr>",
            columns.len(),
            escaped(&group.name)
        );
    }
    for row in &group.rows {
        out.push_str("<tr>");
        for (at, (cell, column)) in row.iter().zip(columns).enumerate() {
            match at {
                0 => {
                    let _ = write!(out, "<th scope=\"row\">{}</th>", escaped(&cell.text));
                }
                _ => out.push_str(&data(cell, column.is_text)),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n");
}

fn data(cell: &Cell, is_text: bool) -> String {
    let text = escaped(&cell.text);
    let text = match cell.verdict {
        Some(verdict) => format!("<span class=\"{}\">{text}</span>", verdict.word()),
        None => text,
    };
    format!("<td{}>{text}</td>", class(is_text))
}

const fn class(is_text: bool) -> &'static str {
    if is_text { " class=\"text\"" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tables::table::column;
    use crate::results::comparison::Verdict;

    #[test]
    fn rows_have_headers_and_text_stays_text() {
        let cell = Cell { text: "0.5 slower".to_owned(), verdict: Some(Verdict::Slower) };
        let group = Group {
            name: "<script>".to_owned(),
            about: "open loop".to_owned(),
            rows: vec![vec!["raw".into(), cell]],
        };
        let table = Table {
            title: "T".to_owned(),
            group: "workload",
            columns: vec![column("subject"), column("rate")],
            groups: vec![group],
            notes: vec!["a < b".to_owned()],
        };
        let text = render(&table);
        assert!(!text.contains("<script"), "{text}");
        for part in [
            "<th scope=\"rowgroup\" colspan=\"2\">",
            "<b>&lt;script&gt; <span>open loop</span></b></th>",
            "<th scope=\"row\">raw</th><td><span class=\"slower\">0.5 slower</span></td>",
            "<th scope=\"col\">rate</th>",
            "<li>a &lt; b</li>",
            "tabindex=\"0\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
