//! A figure as a number of the workload grows, a line for each subject.

use crate::report::families::Family;
use crate::report::figure::{Figure, Quantity};
use crate::report::number;
use crate::report::plot::axis::{self, Scale};
use crate::report::plot::frame::{self, Line, class};
use crate::report::plot::svg::Svg;

pub(crate) const SIZE: (f64, f64) = (400.0, 256.0);
const X: (f64, f64) = (62.0, 300.0);
const Y: (f64, f64) = (222.0, 10.0);
/// Room of a name at the end of a line.
const NAME: f64 = 82.0;
/// Room of half a character in a label.
const HALF_CHARACTER: f64 = 3.8;

/// Draws a figure of a family; `None` if no row has it.
pub(crate) fn plot(id: &str, family: &Family<'_>, figure: Figure) -> Option<String> {
    let lines = lines(family, figure);
    let values = || lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
    let low = values().reduce(f64::min)?;
    let high = values().fold(low, f64::max);
    let ticks = axis::log_ticks(low, high, 8);
    let numbers = family.members.iter().map(|member| member.number);
    let last = numbers.clone().fold(0.0, f64::max);
    let x = Scale::log((numbers.fold(last, f64::min), last), X);
    let y = Scale::log((ticks[0], ticks[ticks.len() - 1]), Y);

    let title = title(family, figure);
    let told: Vec<String> = lines.iter().map(|line| sentence(family, figure, line)).collect();
    let mut svg = Svg::new(id, SIZE, &title, &told.join("; "));
    frame::grid(&mut svg, X, &y, &ticks, |value| label(figure, value));
    let mut free = 0.0;
    for member in &family.members {
        let at = x.at(member.number);
        svg.line("grid", (at, Y.0), (at, Y.1));
        let half = member.label.len() as f64 * HALF_CHARACTER;
        if at - half > free {
            svg.text("tick mid", (at, Y.0 + 16.0), member.label);
            free = at + half;
        }
    }
    svg.text("axis-name mid", ((X.0 + X.1) / 2.0, Y.0 + 31.0), family.name);
    let places = |line: &Grown<'_>| -> Vec<(f64, f64)> {
        line.points.iter().map(|(number, value)| (x.at(*number), y.at(*value))).collect()
    };
    // The first subject is drawn last, above the others.
    for line in lines.iter().rev() {
        svg.path(&format!("curve {}", class(line.subject)), &places(line));
    }
    let ends: Vec<(Line<'_>, (f64, f64))> = lines
        .iter()
        .map(|line| {
            let end = places(line).last().copied().unwrap_or((X.0, Y.0));
            (Line { number: line.subject, name: line.name }, end)
        })
        .collect();
    frame::names(&mut svg, &ends, X.1 + 16.0, (Y.1, Y.0), NAME);
    Some(svg.finish())
}

/// What a plot shows.
pub(crate) fn title(family: &Family<'_>, figure: Figure) -> String {
    format!("{} by {}", name_of(figure), family.name)
}

/// What a figure is called in a title.
pub(crate) const fn name_of(figure: Figure) -> &'static str {
    match figure {
        Figure::P50 => "Median latency",
        Figure::P99 => "99th percentile of the latency",
        Figure::Cpu => "CPU time of the client",
        Figure::Rate => "Rate",
        _ => "Figure",
    }
}

/// The values of a subject.
struct Grown<'a> {
    subject: usize,
    name: &'a str,
    points: Vec<(f64, f64)>,
}

fn lines<'a>(family: &Family<'a>, figure: Figure) -> Vec<Grown<'a>> {
    let mut lines: Vec<Grown<'a>> = Vec::new();
    for member in &family.members {
        for (subject, row) in &member.rows {
            let value = figure.of(row).filter(|value| *value > 0.0);
            let Some(value) = value.filter(|_| !figure.lacks_messages(row)) else { continue };
            let point = (member.number, value);
            match lines.iter_mut().find(|line| line.subject == *subject) {
                Some(line) => line.points.push(point),
                None => {
                    let (subject, name) = (*subject, row.run.subject.as_str());
                    lines.push(Grown { subject, name, points: vec![point] });
                }
            }
        }
    }
    lines.sort_by_key(|line| line.subject);
    lines
}

fn label(figure: Figure, value: f64) -> String {
    match figure.quantity() {
        Quantity::Latency | Quantity::CpuTime => number::latency(value),
        Quantity::Rate => number::rate(value),
        Quantity::Count => number::short(value),
    }
}

fn sentence(family: &Family<'_>, figure: Figure, line: &Grown<'_>) -> String {
    let label_of = |number: f64| {
        let member = family.members.iter().find(|member| member.number == number);
        member.map_or("", |member| member.label)
    };
    let (first, last) = (line.points[0], line.points[line.points.len() - 1]);
    let [from, to] = [first, last]
        .map(|(number, value)| format!("{} with {}", label(figure, value), label_of(number)));
    format!("{}: {from}, {to}", line.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{families, rows};
    use crate::results::comparing::tests::run;
    use crate::results::document::Results;
    use crate::results::run::Run;

    #[test]
    fn a_line_goes_through_the_numbers_of_a_family() {
        let with = |name, us| Run { client_cpu_us_per_msg: Some(us), ..run(name, "a", 1.0, None) };
        let mut runs = vec![with("callers-1", 90.0), with("callers-10", 20.0)];
        runs.push(with("callers-1000", 12.0));
        runs.push(run("callers-1000", "b", 5.0, None));
        let rows = rows::of(&Results { runs, ..Results::default() });
        let families = families::of(&rows, &["a", "b"]);
        let text = plot("p", &families[0], Figure::Cpu).expect("a has CPU times");
        assert_eq!(text.matches("class=\"curve s0\"").count(), 1, "{text}");
        assert!(text.contains("a: 90 µs with 1, 12 µs with 1000"), "{text}");
        for shown in [">10<", ">1000<", ">a</text>", ">callers</text>", ">50 µs<"] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(!text.contains(">b</text>") && !text.contains("NaN"), "{text}");
        assert_eq!(plot("p", &families[0], Figure::P99), None);
    }
}
