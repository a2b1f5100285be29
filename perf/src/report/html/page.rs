//! The page: its head, what holds for all files, their sections, and their results as JSON.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use crate::report::escape::{self, html as escaped};
use crate::report::html::{section, table};
use crate::report::machines::{self, Named};
use crate::report::tables::files;
use crate::results::document::{Results, SCHEMA};

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded: not by this page, and not by text in it that became markup by a mistake.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri \
                      'none'; form-action 'none'";

/// The whole page.
pub(crate) fn page(title: &str, all: &[Named<'_>]) -> Result<String> {
    let title = escaped(title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#file-1\">Skip to the results</a>\n\
         <header class=\"page\">\n<h1>{title}</h1>\n"
    );
    out.push_str(&warning(all));
    out.push_str(&contents(all));
    out.push_str("</header>\n<main>\n");
    if let Some(table) = files::table(all).filter(|_| all.len() > 1) {
        let _ = write!(
            out,
            "<section aria-label=\"{}\">\n{}</section>\n",
            escaped(&table.title),
            table::render(&table)
        );
    }
    for (at, one) in all.iter().enumerate() {
        out.push_str(&section::section(&id(at), one));
    }
    out.push_str("</main>\n<footer>Made by leveret-perf report.</footer>\n");
    for (at, one) in all.iter().enumerate() {
        let json = results_json(one.results)?;
        let id = id(at);
        let _ =
            writeln!(out, "<script type=\"application/json\" id=\"{id}-results\">{json}</script>");
    }
    out.push_str("</body>\n</html>\n");
    Ok(out)
}

fn id(at: usize) -> String {
    format!("file-{}", at + 1)
}

/// The results in the present format, from which another report can be made.
fn results_json(results: &Results) -> Result<String> {
    let results = Results { schema: SCHEMA, ..results.clone() };
    let json = serde_json::to_string(&results).context("figures are plain data")?;
    Ok(escape::json_in_html(&json))
}

fn warning(all: &[Named<'_>]) -> String {
    let differences = machines::differences(all);
    if differences.is_empty() {
        return String::new();
    }
    let told: String =
        differences.iter().map(|one| format!("<li>{}</li>\n", escaped(one))).collect();
    format!(
        "<div class=\"callout\" role=\"note\"><strong>These files come from different machines; \
         their figures do not compare.</strong>\n<ul>\n{told}</ul></div>\n"
    )
}

/// Links to the sections, and to the parts of each.
fn contents(all: &[Named<'_>]) -> String {
    let mut out = "<nav aria-label=\"Contents\">\n".to_owned();
    for (at, one) in all.iter().enumerate() {
        let id = id(at);
        let _ = write!(out, "<p><a href=\"#{id}\"><b>{}</b></a>", escaped(&section::name(one)));
        let has_comparisons = !one.results.comparisons.is_empty();
        let has_latencies = one.results.runs.iter().any(|run| !run.histogram.is_empty());
        let has_series = one.results.runs.iter().any(|run| run.series.messages.len() > 1);
        for (part, name, is_there) in [
            ("ratios", "ratios", has_comparisons),
            ("rates", "rates", true),
            ("percentiles", "percentiles", has_latencies),
            ("time", "over time", has_series),
            ("tables", "tables", true),
            ("reproduce", "how to reproduce", true),
        ] {
            if is_there {
                let _ = write!(out, " <a href=\"#{id}-{part}\">{name}</a>");
            }
        }
        out.push_str("</p>\n");
    }
    out.push_str("</nav>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparing;
    use crate::results::comparing::tests::run;

    fn page_of(name: &str) -> String {
        let runs = vec![run(name, "leveret", 20.0, Some(7.0)), run(name, name, 40.0, Some(8.0))];
        let comparisons = comparing::comparisons(&runs, &["leveret", "raw"], 1);
        let text = name.to_owned();
        let results = Results {
            runs,
            comparisons,
            suite: text.clone(),
            command: text.clone(),
            date: text.clone(),
            notes: vec![text.clone()],
            ..Results::default()
        };
        page(name, &[Named { name: text, results: &results }]).expect("plain data")
    }

    #[test]
    fn names_of_a_file_never_become_markup() {
        let text = page_of("</script><script>alert(1)</script><img src=x onerror='a'>");
        assert_eq!(text.matches("<script").count(), 1, "the embedded results");
        assert_eq!(text.matches("</script>").count(), 1);
        assert!(!text.contains("<img"));
        assert!(text.contains("&lt;img src=x onerror=&#39;a&#39;&gt;"));
    }

    #[test]
    fn every_link_and_label_has_a_target_and_ids_are_unique() {
        let text = page_of("w");
        let values = |key: &str| -> Vec<String> {
            let key = format!("{key}=\"");
            let parts = text.split(&key).skip(1);
            parts.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
        };
        let ids = values(" id");
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{id}");
        }
        let links =
            values("href").into_iter().filter_map(|link| link.strip_prefix('#').map(str::to_owned));
        let labels = values("aria-labelledby").into_iter();
        let labels = labels.flat_map(|all| all.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for target in links.chain(labels) {
            assert!(ids.contains(&target), "{target} of {ids:?}");
        }
    }

    #[test]
    fn the_embedded_results_can_be_read_again() {
        let text = page_of("a</script>b");
        let start = text.find("id=\"file-1-results\">").expect("they are there");
        let json = text[start..].split_once('>').and_then(|(_, rest)| rest.split_once("</script>"));
        let results: Results =
            serde_json::from_str(json.expect("an element").0).expect("results in JSON");
        assert_eq!((results.schema, results.runs[0].workload.as_str()), (SCHEMA, "a</script>b"));
    }
}
