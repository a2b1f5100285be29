//! Rate and longest latency over time in one window, a line for each subject of a workload.

use crate::report::number;
use crate::report::plot::axis::{self, Scale};
use crate::report::plot::frame::{self, Line, class};
use crate::report::plot::svg::Svg;
use crate::report::rows::Row;
use crate::results::run::Series;

const WIDTH: f64 = 400.0;
const X: (f64, f64) = (52.0, 300.0);
/// Room above a panel, for its name, and below it, for its ticks.
const ABOVE: f64 = 22.0;
const BELOW: f64 = 24.0;
/// Height of a panel that few names share.
const PANEL: f64 = 96.0;
const NAME: f64 = 82.0;

/// A row, the number of its subject, and its series.
type Drawn<'a> = (usize, &'a Row, &'a Series);

/// Draws `rows`, the rows of one workload, each with the number of its subject; `None` if none has
/// a series.
pub(crate) fn plot(id: &str, rows: &[(usize, &Row)]) -> Option<String> {
    let all: Vec<Drawn<'_>> = rows
        .iter()
        .map(|(number, row)| (*number, *row, &row.run.series))
        .filter(|(_, _, series)| series.step_ms > 0 && series.messages.len() > 1)
        .collect();
    let (_, first, _) = all.first()?;
    let length = |series: &Series| series.step_ms as f64 * series.messages.len() as f64 / 1000.0;
    let seconds = all.iter().map(|(_, _, series)| length(series)).fold(0.0, f64::max);
    let told: Vec<String> = all.iter().map(sentence).collect();
    let title = format!("Rate and longest latency over time in {}", first.run.workload);
    let has_latencies = all.iter().any(|(_, _, series)| series.max_us.iter().any(Option::is_some));
    let height = PANEL.max(frame::LABEL * (all.len() - 1) as f64);
    let upper = (ABOVE + height, ABOVE);
    let lower = (upper.0 + ABOVE + 18.0 + height, upper.0 + ABOVE + 18.0);
    let panels = if has_latencies { &[upper, lower][..] } else { &[upper] };
    let bottom = if has_latencies { lower.0 } else { upper.0 };
    let mut svg = Svg::new(id, (WIDTH, bottom + BELOW), &title, &told.join("; "));

    let x = Scale::linear((0.0, seconds), X);
    for tick in axis::linear_ticks(seconds, 4).into_iter().filter(|tick| x.holds(*tick)) {
        for (bottom, top) in panels {
            svg.line("grid", (x.at(tick), *bottom), (x.at(tick), *top));
        }
        let label = format!("{} s", number::short(tick));
        svg.text("tick mid", (x.at(tick), bottom + 16.0), &label);
    }
    rates(&mut svg, &all, &x, upper);
    latencies(&mut svg, &all, &x, lower);
    Some(svg.finish())
}

fn rates(svg: &mut Svg, all: &[Drawn<'_>], x: &Scale, panel: (f64, f64)) {
    let per_s = |series: &Series, messages: u64| messages as f64 * 1000.0 / series.step_ms as f64;
    let highest = all
        .iter()
        .flat_map(|(_, _, series)| series.messages.iter().map(|messages| per_s(series, *messages)));
    let offered = all.iter().filter_map(|(_, row, _)| row.run.offered_per_s).fold(0.0, f64::max);
    let ticks = axis::linear_ticks(highest.fold(offered, f64::max), 3);
    let y = Scale::linear((0.0, ticks[ticks.len() - 1]), panel);
    svg.text("panel", (X.0, panel.1 - 10.0), "messages per second");
    frame::grid(svg, X, &y, &ticks, number::rate);
    if offered > 0.0 {
        svg.line("offered", (X.0, y.at(offered)), (X.1, y.at(offered)));
    }
    let mut ends = Vec::new();
    for (number, row, series) in all.iter().rev() {
        let steps = series.messages.iter().enumerate();
        let points: Vec<(f64, f64)> = steps
            .map(|(step, messages)| (x.at(middle(series, step)), y.at(per_s(series, *messages))))
            .collect();
        svg.path(&format!("curve {}", class(*number)), &points);
        let end = points.last().copied().unwrap_or((X.0, panel.0));
        ends.push((Line { number: *number, name: &row.run.subject }, end));
    }
    frame::names(svg, &ends, X.1 + 16.0, (panel.1, panel.0), NAME);
}

fn latencies(svg: &mut Svg, all: &[Drawn<'_>], x: &Scale, panel: (f64, f64)) {
    let values = || {
        let series = all.iter().map(|(_, _, series)| series);
        series.flat_map(|series| series.max_us.iter().copied().flatten())
    };
    let Some(low) = values().reduce(f64::min) else { return };
    let ticks = axis::log_ticks(low, values().fold(low, f64::max), 6);
    let y = Scale::log((ticks[0], ticks[ticks.len() - 1]), panel);
    svg.text("panel", (X.0, panel.1 - 10.0), "longest latency of each step");
    frame::grid(svg, X, &y, &ticks, number::latency);
    let mut ends = Vec::new();
    for (number, row, series) in all.iter().rev() {
        let steps: Vec<(usize, Option<f64>)> = series.max_us.iter().copied().enumerate().collect();
        // A step without a message interrupts the line.
        for part in steps.split(|(_, us)| us.is_none()) {
            let points: Vec<(f64, f64)> = part
                .iter()
                .filter_map(|(step, us)| Some((x.at(middle(series, *step)), y.at((*us)?))))
                .collect();
            svg.path(&format!("curve {}", class(*number)), &points);
        }
        let last = steps.iter().rev().find_map(|(step, us)| Some((*step, (*us)?)));
        if let Some((step, us)) = last {
            let end = (x.at(middle(series, step)), y.at(us));
            ends.push((Line { number: *number, name: &row.run.subject }, end));
        }
    }
    frame::names(svg, &ends, X.1 + 16.0, (panel.1, panel.0), NAME);
}

/// The middle of a step in seconds.
fn middle(series: &Series, step: usize) -> f64 {
    (step as f64 + 0.5) * series.step_ms as f64 / 1000.0
}

fn sentence((_, row, series): &Drawn<'_>) -> String {
    let least = series.messages.iter().min().copied().unwrap_or(0);
    let most = series.messages.iter().max().copied().unwrap_or(0);
    let step = series.step_ms;
    let max = series.max_us.iter().copied().flatten().reduce(f64::max);
    let slowest = number::or_dash(max, number::latency);
    format!("{}: {least} to {most} messages in {step} ms, slowest {slowest}", row.run.subject)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows;
    use crate::results::comparing::tests::run;
    use crate::results::document::Results;
    use crate::results::run::Run;

    fn drawn(series: Series) -> Option<String> {
        let runs = vec![Run { series, ..run("w", "a", 1.0, None) }];
        let rows = rows::of(&Results { runs, ..Results::default() });
        plot("p", &rows.iter().enumerate().collect::<Vec<_>>())
    }

    #[test]
    fn a_step_without_messages_interrupts_the_latencies() {
        let series = Series {
            step_ms: 100,
            messages: vec![10, 12, 0, 30, 11],
            max_us: vec![Some(50.0), Some(60.0), None, Some(104_000.0), Some(55.0)],
        };
        let text = drawn(series).expect("there is a series");
        assert_eq!(text.matches("class=\"curve s0\"").count(), 3, "one rate, two parts: {text}");
        for label in [">messages per second<", ">100 ms<", ">0.4 s<", "0 to 30 messages in 100 ms"]
        {
            assert!(text.contains(label), "{label}: {text}");
        }
    }

    #[test]
    fn there_is_no_plot_without_a_series() {
        assert_eq!(drawn(Series::default()), None);
        let rates = Series { step_ms: 100, messages: vec![0, 0], max_us: vec![None, None] };
        assert!(drawn(rates).is_some_and(|text| !text.contains("latency of each")));
    }
}
