//! Plots of growth as files: SVG that stands alone, and inline in pages of any colour.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::report::escape;
use crate::report::families;
use crate::report::figure::Figure;
use crate::report::machines::Named;
use crate::report::plot::growth;
use crate::report::rows;

/// The figures that are drawn, and their part of a file's name.
pub(crate) const FIGURES: [(Figure, &str); 3] =
    [(Figure::P50, "p50"), (Figure::P99, "p99"), (Figure::Cpu, "cpu")];

/// Writes a file for each figure of each family of workloads: `callers-cpu.svg`.
pub(crate) fn write(directory: &Path, all: &[Named<'_>]) -> Result<()> {
    let failed = || format!("cannot write to {}", directory.display());
    std::fs::create_dir_all(directory).with_context(failed)?;
    for one in all {
        let rows = rows::of(one.results);
        for family in families::of(&rows, &rows::subjects(one.results)) {
            for (figure, short) in FIGURES {
                let name = plain(&format!("{}-{short}", family.name));
                if let Some(svg) = growth::plot(&name, &family, figure) {
                    let path = directory.join(format!("{name}.svg"));
                    let title = growth::title(&family, figure);
                    std::fs::write(path, standalone(&name, &title, &svg)).with_context(failed)?;
                }
            }
        }
    }
    Ok(())
}

/// A name without what means something in a path or in markup; files of results may have any.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Puts a drawing below its title, with the styles that a page has for it. They hold for the
/// drawing alone, and take the colour of text from what is around it.
fn standalone(id: &str, title: &str, svg: &str) -> String {
    let styles: String =
        STYLES.iter().map(|(what, style)| format!("#{id} {what}{{{style}}}")).collect();
    let (width, height) = growth::SIZE;
    let whole = height + TITLE;
    let inner = format!("<svg y=\"{TITLE}\" width=\"{width}\" height=\"{height}\" ");
    format!(
        "<svg id=\"{id}\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {whole}\" \
         style=\"max-width:480px;overflow:visible\"><style>{styles}</style>\
         <text class=\"title\" y=\"14\">{}</text>{}</svg>\n",
        escape::html(title),
        svg.replacen("<svg ", &inner, 1)
    )
}

/// Height of a title.
const TITLE: f64 = 24.0;

const STYLES: [(&str, &str); 17] = [
    ("text", "font:11.5px sans-serif;fill:currentColor"),
    (".title", "font-weight:bold"),
    (".end", "text-anchor:end"),
    (".mid", "text-anchor:middle"),
    (".grid", "stroke:currentColor;opacity:.15"),
    (".leader", "stroke:currentColor;opacity:.4;fill:none"),
    (".curve", "fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round"),
    ("text.s0", "font-weight:bold"),
    ("path.s0", "stroke:#3b82c4"),
    ("path.s1", "stroke:#d2691e;stroke-dasharray:7 3"),
    ("path.s2", "stroke:#159a8c;stroke-dasharray:2 3"),
    ("path.s3", "stroke:#9b51c9;stroke-dasharray:9 3 2 3"),
    ("path.s4", "stroke:#a88414;stroke-dasharray:4 2"),
    ("path.s5", "stroke:#d0447f;stroke-dasharray:12 4"),
    ("path.s6", "stroke:#6a9a1f;stroke-dasharray:1 2.5"),
    ("path.s7", "stroke:#7b8794;stroke-dasharray:6 2 1 2"),
    ("path.s8", "stroke:#888888;stroke-dasharray:3 3 1 3"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparing::tests::run;
    use crate::results::document::Results;

    #[test]
    fn every_family_has_a_file_for_each_figure_that_it_has() {
        let names = ["callers-1", "callers-10", "callers-100", "../x\"-1", "../x\"-2", "../x\"-3"];
        let runs = names.map(|name| run(name, "a", 1000.0, Some(7.0))).into();
        let results = Results { runs, ..Results::default() };
        let directory = std::env::temp_dir().join(format!("plots-{}", std::process::id()));
        write(&directory, &[Named { name: "f".to_owned(), results: &results }]).expect("it writes");
        let files = std::fs::read_dir(&directory).expect("it is there");
        let mut files: Vec<_> = files.map(|file| file.expect("readable").file_name()).collect();
        files.sort();
        assert_eq!(files, ["---x--p50.svg", "callers-p50.svg"]);
        let text = std::fs::read_to_string(directory.join("callers-p50.svg")).expect("readable");
        std::fs::remove_dir_all(&directory).expect("it is ours");
        assert!(text.starts_with("<svg id=\"callers-p50\" xmlns="), "{text}");
        assert!(text.contains("<style>#callers-p50 text{") && text.ends_with("</svg>\n"), "{text}");
        assert!(text.contains(">Median latency by callers</text>"), "{text}");
    }
}
