//! What plots of lines share: the grid, and names at the ends of lines.

use crate::report::plot::axis::{self, Scale};
use crate::report::plot::svg::Svg;

/// A line of a plot.
pub(crate) struct Line<'a> {
    /// The subject's number, which gives the line its colour and dashes.
    pub(crate) number: usize,
    pub(crate) name: &'a str,
}

/// Colours and dashes of the style sheet for all subjects but the first; further ones begin again.
const STYLES: usize = 8;

/// The class of a subject's lines and bars. The first subject's is its alone.
pub(crate) fn class(number: usize) -> String {
    let style = if number == 0 { 0 } else { 1 + (number - 1) % STYLES };
    format!("s{style}")
}

/// Height of a label.
pub(crate) const LABEL: f64 = 13.0;
/// Units of a character, for labels that must fit.
const CHARACTER: f64 = 6.0;

/// Horizontal lines at these values, with their labels at the left.
pub(crate) fn grid(
    svg: &mut Svg,
    (left, right): (f64, f64),
    scale: &Scale,
    ticks: &[f64],
    label: impl Fn(f64) -> String,
) {
    for tick in ticks.iter().filter(|tick| scale.holds(**tick)) {
        let y = scale.at(*tick);
        svg.line("grid", (left, y), (right, y));
        svg.text("tick end", (left - 6.0, y + 4.0), &label(*tick));
    }
}

/// Names beside the ends of lines, moved apart, each tied to its end.
pub(crate) fn names(
    svg: &mut Svg,
    ends: &[(Line<'_>, (f64, f64))],
    x: f64,
    y: (f64, f64),
    room: f64,
) {
    let wanted: Vec<f64> = ends.iter().map(|(_, (_, y))| *y).collect();
    let steps = ends.len().saturating_sub(1).max(1) as f64;
    let places = axis::spread(&wanted, LABEL.min((y.1 - y.0) / steps), y);
    for ((line, end), place) in ends.iter().zip(places) {
        let class = class(line.number);
        svg.path("leader", &[*end, (x - 12.0, place), (x - 3.0, place)]);
        svg.text(&format!("name {class}"), (x, place + 4.0), &fitted(line.name, room));
    }
}

/// A name that fits into `room` units, with an ellipsis in its middle if it had to be cut: names
/// differ at their ends.
pub(crate) fn fitted(name: &str, room: f64) -> String {
    let fits = (room / CHARACTER) as usize;
    if name.chars().count() <= fits {
        return name.to_owned();
    }
    let end = fits.saturating_sub(1) / 2;
    let begin: String = name.chars().take(fits.saturating_sub(1 + end)).collect();
    let end: String = name.chars().skip(name.chars().count() - end).collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_to_their_room() {
        assert_eq!(fitted("leveret", 60.0), "leveret");
        assert_eq!(fitted("leveret-per-shard", 60.0), "lever…hard");
        assert_eq!([0, 1, 8, 9].map(class), ["s0", "s1", "s8", "s1"]);
    }
}
