//! Latency by percentile, a curve for each subject of a workload.
//!
//! Every nine of the percentile takes the same room, so that the tail is as visible as the median.
//! A curve is pale where fewer than ten messages lie above.

use crate::report::number;
use crate::report::plot::axis::{self, Scale};
use crate::report::plot::frame::{self, Line, class};
use crate::report::plot::svg::Svg;
use crate::report::quantiles::{self, Point};
use crate::report::rows::Row;

const SIZE: (f64, f64) = (400.0, 256.0);
const X: (f64, f64) = (52.0, 300.0);
const Y: (f64, f64) = (222.0, 10.0);
/// Room of a name at the end of a curve.
const NAME: f64 = 82.0;
/// Room of half a digit in a label.
const HALF_DIGIT: f64 = 3.8;
const TICKS: [(f64, &str); 7] = [
    (0.5, "50"),
    (0.9, "90"),
    (0.99, "99"),
    (0.999, "99.9"),
    (0.9999, "99.99"),
    (0.99999, "99.999"),
    (0.999999, "99.9999"),
];

/// Draws `rows`, the rows of one workload, each with the number of its subject; `None` if none has
/// a histogram.
pub(crate) fn plot(id: &str, rows: &[(usize, &Row)]) -> Option<String> {
    let curves: Vec<(usize, &Row, Vec<Point>)> = rows
        .iter()
        .map(|(number, row)| (*number, *row, quantiles::curve(&row.run.histogram)))
        .filter(|(_, _, points)| !points.is_empty())
        .collect();
    let all = || curves.iter().flat_map(|(_, _, points)| points);
    let low = all().map(|point| point.us).reduce(f64::min)?;
    let high = all().map(|point| point.us).fold(low, f64::max);
    let last = all().map(|point| quantiles::nines(point.quantile)).fold(1.0, f64::max);
    let ticks = axis::log_ticks(low, high, 8);
    let (x, y) = (Scale::linear((0.0, last), X), Scale::log((ticks[0], ticks[ticks.len() - 1]), Y));

    let workload = curves[0].1.run.workload.as_str();
    let told: Vec<String> = curves.iter().map(|(_, row, points)| sentence(row, points)).collect();
    let title = format!("Latency by percentile in {workload}");
    let mut svg = Svg::new(id, SIZE, &title, &told.join("; "));
    frame::grid(&mut svg, X, &y, &ticks, number::latency);
    let mut free = X.0;
    for (quantile, label) in TICKS {
        let at = x.at(quantiles::nines(quantile));
        if quantiles::nines(quantile) <= last {
            svg.line("grid", (at, Y.0), (at, Y.1));
            let half = label.len() as f64 * HALF_DIGIT;
            if at - half > free {
                svg.text("tick mid", (at, Y.0 + 16.0), label);
                free = at + half;
            }
        }
    }
    svg.text("axis-name mid", ((X.0 + X.1) / 2.0, Y.0 + 31.0), "percentile");
    // The first subject is drawn last, above the others.
    for (number, _, points) in curves.iter().rev() {
        curve(&mut svg, *number, points, (&x, &y));
    }
    let ends: Vec<(Line<'_>, (f64, f64))> = curves
        .iter()
        .map(|(number, row, points)| {
            let end = points.last().map_or((X.0, Y.0), |point| place(point, (&x, &y)));
            (Line { number: *number, name: &row.run.subject }, end)
        })
        .collect();
    frame::names(&mut svg, &ends, X.1 + 16.0, (Y.1, Y.0), NAME);
    Some(svg.finish())
}

fn place(point: &Point, (x, y): (&Scale, &Scale)) -> (f64, f64) {
    (x.at(quantiles::nines(point.quantile)), y.at(point.us))
}

/// A curve from the percentile 0, in two strokes.
fn curve(svg: &mut Svg, number: usize, points: &[Point], scales: (&Scale, &Scale)) {
    let stable = points.iter().take_while(|point| point.is_stable).count();
    let start = points.first().map(|point| (scales.0.at(0.0), scales.1.at(point.us)));
    let mut places: Vec<(f64, f64)> = start.into_iter().collect();
    places.extend(points.iter().map(|point| place(point, scales)));
    let class = class(number);
    // The tail begins where the first stroke ends.
    svg.path(&format!("curve tail {class}"), &places[stable..]);
    svg.path(&format!("curve {class}"), &places[..=stable]);
}

fn sentence(row: &Row, points: &[Point]) -> String {
    let at = |quantile: f64| {
        let point = points.iter().find(|point| point.quantile >= quantile);
        point.map_or_else(|| number::DASH.to_owned(), |point| number::latency(point.us))
    };
    let max = points.last().map_or_else(String::new, |point| number::latency(point.us));
    format!("{}: median {}, 99 % {}, slowest {max}", row.run.subject, at(0.5), at(0.99))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows;
    use crate::results::comparing::tests::run;
    use crate::results::document::Results;
    use crate::results::run::Run;

    fn drawn(histograms: &[(&str, Vec<(u64, u64)>)]) -> Option<String> {
        let with = |(name, histogram): &(&str, Vec<(u64, u64)>)| Run {
            histogram: histogram.clone(),
            ..run("w", name, 1.0, None)
        };
        let runs = histograms.iter().map(with).collect();
        let rows = rows::of(&Results { runs, ..Results::default() });
        plot("p", &rows.iter().enumerate().collect::<Vec<_>>())
    }

    #[test]
    fn a_curve_has_a_name_and_a_pale_tail() {
        let slow = vec![(1_000_000, 5000), (2_000_000, 4990), (100_000_000, 10)];
        let text = drawn(&[("a", slow), ("b", Vec::new())]).expect("a has a histogram");
        assert!(text.contains("class=\"curve s0\"") && text.contains("class=\"curve tail s0\""));
        assert!(text.contains(">a</text>") && !text.contains(">b</text>"), "{text}");
        for label in [">90<", ">99.9<", ">1 ms<", ">100 ms<", "median 1 ms", "slowest 100 ms"] {
            assert!(text.contains(label), "{label}: {text}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    #[test]
    fn there_is_no_plot_without_latencies() {
        assert_eq!(drawn(&[("a", Vec::new())]), None);
        assert!(drawn(&[("a", vec![(5, 1)])]).is_some_and(|text| !text.contains("NaN")));
    }
}
