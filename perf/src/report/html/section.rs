//! The section of one file: what was measured and where, plots, tables, how to reproduce.

use std::fmt::Write as _;

use crate::report::compared;
use crate::report::escape::html as escaped;
use crate::report::html::{figures, table};
use crate::report::machines::{self, Named};
use crate::report::rows;
use crate::report::tables::{comparisons, idle, ratios, runs};
use crate::results::comparison::{Comparison, Verdict};

/// The section of a file. `id` is unique in the page.
pub(crate) fn section(id: &str, one: &Named<'_>) -> String {
    let results = one.results;
    let rows = rows::of(results);
    let subjects = rows::subjects(results);
    let stated = compared::stated(&results.comparisons, &rows);
    let mut out = format!("<section aria-labelledby=\"{id}\">\n{}", head(id, one));
    if !stated.is_empty() {
        out.push_str(&summary(&stated));
        out.push_str(&figures::of_comparisons(id, &stated));
    }
    out.push_str(&figures::of_runs(id, &rows, &subjects));
    out.push_str(&figures::of_families(id, &rows, &subjects));
    let _ = writeln!(out, "<h3 id=\"{id}-tables\">Tables</h3>");
    if !stated.is_empty() {
        out.push_str(&table::render(&ratios::table(&stated)));
        out.push_str(&table::render(&comparisons::table(&stated)));
    }
    if !rows.is_empty() {
        out.push_str(&table::render(&runs::table(&rows)));
    }
    if let Some(idle) = idle::table(results) {
        out.push_str(&table::render(&idle));
    }
    out.push_str(&reproduce(id, one));
    out.push_str("</section>\n");
    out
}

/// The name that a file's section has.
pub(crate) fn name(one: &Named<'_>) -> String {
    let suite = &one.results.suite;
    if suite.is_empty() || *suite == one.name {
        one.name.clone()
    } else {
        format!("{suite} ({})", one.name)
    }
}

fn head(id: &str, one: &Named<'_>) -> String {
    let results = one.results;
    let date = match results.date.as_str() {
        "" => "date not recorded".to_owned(),
        date => {
            let shown = date.replacen('T', " ", 1).replace('Z', " UTC");
            format!("<time datetime=\"{}\">{}</time>", escaped(date), escaped(&shown))
        }
    };
    let machine = machines::facts(results).into_iter().find(|(fact, _)| *fact == "machine");
    let machine = escaped(&machine.map_or_else(String::new, |(_, value)| value));
    let broker = escaped(&machines::recorded(results.machine.broker.as_deref().unwrap_or("")));
    let mut out = format!(
        "<header><h2 id=\"{id}\">{}</h2>\n\
         <p class=\"where\">{date} · {machine} · broker {broker}</p>\n",
        escaped(&name(one))
    );
    if !results.notes.is_empty() {
        out.push_str("<div class=\"callout\"><strong>Read first</strong><ul>\n");
        for note in &results.notes {
            let _ = writeln!(out, "<li>{}</li>", escaped(note));
        }
        out.push_str("</ul></div>\n");
    }
    out.push_str("</header>\n");
    out
}

/// How many comparisons of the rate say what, apart for those that compare like with like.
fn summary(all: &[Comparison]) -> String {
    let subject = escaped(all.first().map_or("", |one| one.subject.as_str()));
    let (alike, others): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.same_promises);
    let mut out = String::new();
    for (comparisons, promises) in [(alike, "equal promises"), (others, "other promises ≠")] {
        let rates: Vec<Verdict> =
            comparisons.iter().filter_map(|one| Some(one.rate?.verdict)).collect();
        if rates.is_empty() {
            continue;
        }
        let counts: Vec<String> =
            [Verdict::Faster, Verdict::Same, Verdict::Slower, Verdict::Unclear]
                .into_iter()
                .map(|verdict| (verdict, rates.iter().filter(|one| **one == verdict).count()))
                .filter(|(_, count)| *count > 0)
                .map(|(verdict, count)| {
                    let word = verdict.word();
                    format!("<b class=\"{word}\">{count} {word}</b>")
                })
                .collect();
        let (number, counts) = (rates.len(), counts.join(", "));
        let _ = writeln!(
            out,
            "<p class=\"summary\">Rate of {subject} in {number} comparisons with {promises}: \
             {counts}.</p>"
        );
    }
    out
}

fn reproduce(id: &str, one: &Named<'_>) -> String {
    let command = escaped(&machines::recorded(&one.results.command));
    let mut out = format!(
        "<h3 id=\"{id}-reproduce\">How to reproduce</h3>\n\
         <pre tabindex=\"0\"><code>{command}</code></pre>\n<dl class=\"facts\">\n"
    );
    for (fact, value) in machines::facts(one.results) {
        let _ = writeln!(out, "<div><dt>{fact}</dt><dd>{}</dd></div>", escaped(&value));
    }
    let _ = writeln!(
        out,
        "</dl>\n<p class=\"about\">The results of every window are in this page, as JSON in the \
         element <code>#{id}-results</code>.</p>"
    );
    out
}
