//! Ratios with their 95 % intervals around 1, for one figure of all comparisons.
//!
//! A verdict has a shape and a word beside its colour. Ratios beyond a factor of ten are arrows at
//! the edge, so that they leave room for the others.

use crate::report::number;
use crate::report::plot::axis::{self, Scale};
use crate::report::plot::frame::fitted;
use crate::report::plot::svg::Svg;
use crate::report::tables::comparisons;
use crate::results::comparison::{Comparison, Estimate, Verdict};

const WIDTH: f64 = 400.0;
const X: (f64, f64) = (124.0, 304.0);
const STEP: f64 = 18.0;
/// Room above the first workload, and below the last.
const TOP: f64 = 24.0;
const BOTTOM: f64 = 24.0;
const NAME: f64 = 114.0;
/// Room of the mark behind a name.
const MARK: f64 = 12.0;
/// The widest scale.
const LIMITS: (f64, f64) = (0.1, 10.0);

/// A figure that is compared.
pub(crate) struct Compared {
    pub(crate) name: &'static str,
    pub(crate) higher_is_better: bool,
    pub(crate) of: fn(&Comparison) -> Option<Estimate>,
}

/// The figures that have a plot.
pub(crate) const FIGURES: [Compared; 3] = [
    Compared { name: "rate", higher_is_better: true, of: |one| one.rate },
    Compared { name: "CPU per message", higher_is_better: false, of: |one| one.cpu },
    Compared { name: "p99 latency", higher_is_better: false, of: |one| one.p99 },
];

/// Draws one figure; `None` if no comparison has it.
pub(crate) fn plot(id: &str, figure: &Compared, comparisons: &[Comparison]) -> Option<String> {
    let all: Vec<(&Comparison, Estimate)> =
        comparisons.iter().filter_map(|one| Some((one, (figure.of)(one)?))).collect();
    let subject = all.first()?.0.subject.as_str();
    let headings = all.iter().enumerate().filter(|(at, _)| is_new_workload(&all, *at)).count();
    let height = TOP + STEP * (all.len() + headings) as f64 + BOTTOM;
    let told: Vec<String> = all.iter().map(|(one, estimate)| sentence(one, *estimate)).collect();
    let title = format!("Ratios of {subject} to the others: {}", figure.name);
    let mut svg = Svg::new(id, (WIDTH, height), &title, &told.join("; "));
    let x = axes(&mut svg, figure, &all, height - BOTTOM);
    let mut y = TOP;
    for (at, (one, estimate)) in all.iter().enumerate() {
        if is_new_workload(&all, at) {
            svg.text("group", (0.0, y + STEP / 2.0 + 4.0), &one.workload);
            y += STEP;
        }
        row(&mut svg, &x, y + STEP / 2.0, (one, *estimate));
        y += STEP;
    }
    Some(svg.finish())
}

fn is_new_workload(all: &[(&Comparison, Estimate)], at: usize) -> bool {
    at == 0 || all[at].0.workload != all[at - 1].0.workload
}

/// The scale, its ticks, and what the two sides of 1 mean.
fn axes(svg: &mut Svg, figure: &Compared, all: &[(&Comparison, Estimate)], bottom: f64) -> Scale {
    let low = all.iter().map(|(_, estimate)| estimate.low).filter(|low| *low > 0.0);
    let low = (low.fold(0.75, f64::min) * 0.9).max(LIMITS.0);
    let high = all.iter().map(|(_, estimate)| estimate.high).fold(1.33, f64::max);
    let high = (high * 1.1).min(LIMITS.1);
    let x = Scale::log((low, high), X);
    let mut last = f64::NEG_INFINITY;
    for tick in axis::log_ticks(low, high, 9).iter().filter(|tick| x.holds(**tick)) {
        let at = x.at(*tick);
        svg.line("grid", (at, TOP), (at, bottom));
        if at - last > 26.0 {
            svg.text("tick mid", (at, bottom + 15.0), &number::short(*tick));
            last = at;
        }
    }
    svg.line("one", (x.at(1.0), TOP - 4.0), (x.at(1.0), bottom));
    let (below, above) = match figure.higher_is_better {
        true => ("slower", "faster"),
        false => ("faster", "slower"),
    };
    svg.text("tick end", (x.at(1.0) - 6.0, TOP - 10.0), &format!("← {below}"));
    svg.text("tick", (x.at(1.0) + 6.0, TOP - 10.0), &format!("{above} →"));
    x
}

fn row(svg: &mut Svg, x: &Scale, y: f64, (one, estimate): (&Comparison, Estimate)) {
    let verdict = estimate.verdict.word();
    svg.text("label end", (X.0 - 10.0, y + 4.0), &name(one));
    let ends = (x.at(estimate.low), x.at(estimate.high));
    svg.line(&format!("interval {verdict}"), (ends.0, y), (ends.1, y));
    for end in [ends.0, ends.1] {
        svg.line(&format!("interval {verdict}"), (end, y - 3.5), (end, y + 3.5));
    }
    let place = (x.at(estimate.ratio), y);
    match (x.holds(estimate.ratio), estimate.ratio > 1.0) {
        (true, _) => svg.mark(&format!("mark {verdict}"), place, shape(estimate.verdict)),
        (false, true) => svg.mark(&format!("arrow {verdict}"), place, "M-9 0H1M-3-4L1 0L-3 4"),
        (false, false) => svg.mark(&format!("arrow {verdict}"), place, "M9 0H-1M3-4L-1 0L3 4"),
    }
    let text = format!("{} {verdict}", number::figure(estimate.ratio));
    svg.text(&format!("value end {verdict}"), (WIDTH, y + 4.0), &text);
}

/// The other's name, cut to its room before the mark of other promises.
fn name(one: &Comparison) -> String {
    let room = if one.same_promises { NAME } else { NAME - MARK };
    let against = fitted(&one.against, room);
    comparisons::against(&Comparison { against, ..one.clone() })
}

/// Triangles up and down, a circle and a diamond.
const fn shape(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Faster => "M0-4L4 3.5H-4Z",
        Verdict::Slower => "M0 4L4-3.5H-4Z",
        Verdict::Same => "M-3.5 0A3.5 3.5 0 1 0 3.5 0A3.5 3.5 0 1 0-3.5 0Z",
        Verdict::Unclear => "M0-4L4 0L0 4L-4 0Z",
    }
}

fn sentence(one: &Comparison, estimate: Estimate) -> String {
    let [ratio, low, high] = [estimate.ratio, estimate.low, estimate.high].map(number::figure);
    let (workload, against) = (&one.workload, &one.against);
    format!(
        "{workload} against {against}: {ratio}, from {low} to {high}, {}",
        estimate.verdict.word()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_has_a_whisker_a_mark_and_a_word() {
        let of =
            |ratio, verdict| Some(Estimate { ratio, low: ratio / 2.0, high: ratio * 2.0, verdict });
        let one = |against: &str, rate| Comparison {
            workload: "w".to_owned(),
            subject: "a".to_owned(),
            against: against.to_owned(),
            same_promises: against == "b",
            rate,
            ..Comparison::default()
        };
        let all = [
            one("b", of(300.0, Verdict::Faster)),
            one("c", of(0.02, Verdict::Slower)),
            one("d", None),
        ];
        let text = plot("p", &FIGURES[0], &all).expect("two have a rate");
        assert_eq!(text.matches("class=\"interval").count(), 2 * 3, "{text}");
        assert_eq!(text.matches("class=\"group\"").count(), 1, "{text}");
        for label in [">300 faster<", ">0.020 slower<", ">c ≠<", ">faster →<", ">← slower<"] {
            assert!(text.contains(label), "{label}: {text}");
        }
        assert_eq!(text.matches("class=\"arrow").count(), 2, "both are beyond the scale: {text}");
        assert_eq!(plot("p", &FIGURES[2], &all), None);
    }

    #[test]
    fn a_long_name_keeps_its_mark() {
        let against = "leveret-with-a-very-long-name".to_owned();
        let one = Comparison { against, same_promises: false, ..Comparison::default() };
        assert_eq!(name(&one), "leveret-…ong-name ≠");
    }
}
