//! The rates of all subjects in one workload, as bars with the interval of each.

use crate::report::number;
use crate::report::plot::axis::Scale;
use crate::report::plot::frame::{class, fitted};
use crate::report::plot::svg::Svg;
use crate::report::rows::Row;

const WIDTH: f64 = 400.0;
/// Where bars begin, and where the longest ends.
const BARS: (f64, f64) = (118.0, 334.0);
const STEP: f64 = 25.0;
const BAR: f64 = 13.0;
/// Room of a subject's name.
const NAME: f64 = 110.0;

/// Draws `rows`, the rows of one workload, each with the number of its subject.
pub(crate) fn plot(id: &str, rows: &[(usize, &Row)]) -> String {
    let workload = rows.first().map_or("", |(_, row)| row.run.workload.as_str());
    let offered = rows.iter().filter_map(|(_, row)| row.run.offered_per_s).fold(0.0, f64::max);
    let top = if offered > 0.0 { 18.0 } else { 4.0 };
    let height = top + STEP * rows.len() as f64;
    let told: Vec<String> = rows.iter().map(|(_, row)| sentence(row)).collect();
    let title = format!("Rates in {workload}");
    let mut svg = Svg::new(id, (WIDTH, height), &title, &told.join("; "));
    let highest = rows.iter().map(|(_, row)| row.rate_bounds.1.max(row.run.rate_per_s));
    let scale = Scale::linear((0.0, highest.fold(offered, f64::max)), BARS);
    if offered > 0.0 {
        let x = scale.at(offered);
        svg.line("offered", (x, top - 4.0), (x, height));
        svg.text("tick end", (x, 10.0), &format!("offered {}/s", number::grouped(offered)));
    }
    for (at, (number, row)) in rows.iter().enumerate() {
        bar(&mut svg, &scale, top + STEP * (at as f64 + 0.5), (*number, row));
    }
    svg.line("axis", (BARS.0, top), (BARS.0, height));
    svg.finish()
}

fn bar(svg: &mut Svg, scale: &Scale, middle: f64, (number, row): (usize, &Row)) {
    let (run, (low, high)) = (&row.run, row.rate_bounds);
    svg.text("label end", (BARS.0 - 8.0, middle + 4.0), &fitted(&run.subject, NAME));
    let end = scale.at(run.rate_per_s);
    let class = format!("bar {}", class(number));
    svg.rect(&class, (BARS.0, middle - BAR / 2.0), (end - BARS.0, BAR));
    if row.windows > 1 {
        let (low, high) = (scale.at(low), scale.at(high));
        svg.line("whisker", (low, middle), (high, middle));
        for x in [low, high] {
            svg.line("whisker", (x, middle - 3.5), (x, middle + 3.5));
        }
    }
    svg.text("value end", (WIDTH, middle + 4.0), &number::grouped(run.rate_per_s));
}

fn sentence(row: &Row) -> String {
    let (run, (low, high)) = (&row.run, row.rate_bounds);
    let [rate, low, high] = [run.rate_per_s, low, high].map(number::grouped);
    format!("{} {rate} per second, from {low} to {high}", run.subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows;
    use crate::results::comparing::tests::run;
    use crate::results::document::Results;
    use crate::results::run::Run;

    fn drawn(runs: Vec<Run>) -> String {
        let rows = rows::of(&Results { runs, ..Results::default() });
        plot("p", &rows.iter().enumerate().collect::<Vec<_>>())
    }

    #[test]
    fn every_subject_has_a_bar_a_name_and_a_value() {
        let text = drawn(vec![
            run("w", "a", 1000.0, None),
            run("w", "b", 2000.0, None),
            run("w", "b", 3000.0, None),
        ]);
        assert_eq!(text.matches("class=\"bar ").count(), 2, "{text}");
        assert_eq!(text.matches("class=\"whisker\"").count(), 3, "one window has none: {text}");
        assert!(text.contains(">2,500</text>") && text.contains("from 2,000 to 3,000"), "{text}");
        assert!(!text.contains("offered"), "{text}");
    }

    #[test]
    fn an_open_loop_shows_what_was_offered() {
        let open = Run { offered_per_s: Some(5000.0), ..run("w", "a", 4000.0, None) };
        assert!(drawn(vec![open]).contains(">offered 5,000/s</text>"));
    }
}
