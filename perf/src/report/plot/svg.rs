//! Writes the elements of one SVG.

use std::fmt::Write as _;

use crate::report::escape;

/// Coordinates are rounded to a tenth of a unit, which no screen shows.
pub(crate) struct Svg {
    head: String,
    body: String,
}

impl Svg {
    /// A drawing of this size. `id` is unique in the page; `title` and `about` are read aloud.
    pub(crate) fn new(id: &str, (width, height): (f64, f64), title: &str, about: &str) -> Self {
        let (title, about) = (escape::html(title), escape::html(about));
        let head = format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{about}</desc>",
            short(width),
            short(height)
        );
        Self { head, body: String::new() }
    }

    pub(crate) fn finish(self) -> String {
        format!("{}{}</svg>", self.head, self.body)
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(element);
    }

    pub(crate) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(short);
        self.push(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    pub(crate) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let [x, y, width, height] = [x, y, width.max(0.0), height.max(0.0)].map(short);
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        ));
    }

    /// Lines through these points; points that fall on the same place are left out.
    pub(crate) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut data = String::new();
        let mut last = None;
        for (x, y) in points {
            let point = (short(*x), short(*y));
            if last.as_ref() != Some(&point) {
                let command = if last.is_none() { 'M' } else { 'L' };
                let _ = write!(data, "{command}{} {}", point.0, point.1);
                last = Some(point);
            }
        }
        if !data.is_empty() {
            if !data.contains('L') {
                data.push_str("h0"); // a point alone is drawn as the round cap of a line
            }
            self.push(format_args!("<path class=\"{class}\" d=\"{data}\"/>"));
        }
    }

    /// Outline given as SVG path data, at a place.
    pub(crate) fn mark(&mut self, class: &str, (x, y): (f64, f64), data: &str) {
        let [x, y] = [x, y].map(short);
        self.push(format_args!(
            "<path class=\"{class}\" transform=\"translate({x} {y})\" d=\"{data}\"/>"
        ));
    }

    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let [x, y] = [x, y].map(short);
        let text = escape::html(text);
        self.push(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"));
    }
}

fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_a_title_and_shows_names_as_text() {
        let mut svg = Svg::new("a", (100.0, 50.5), "Rates of <script>", "d & e");
        svg.text("end", (1.0, 2.25), "</svg><script>");
        let text = svg.finish();
        assert!(text.starts_with("<svg viewBox=\"0 0 100 50.5\" role=\"img\""), "{text}");
        assert!(text.contains("<title id=\"a-t\">Rates of &lt;script&gt;</title>"), "{text}");
        assert!(!text.contains("<script"), "{text}");
        assert_eq!(text.matches("</svg>").count(), 1, "{text}");
    }

    #[test]
    fn a_path_has_no_point_twice() {
        let mut svg = Svg::new("a", (1.0, 1.0), "", "");
        svg.path("s0", &[(0.0, 0.0), (0.01, 0.0), (5.0, 2.0)]);
        svg.path("s0", &[]);
        let text = svg.finish();
        assert!(text.contains("d=\"M0 0L5 2\"") && text.matches("<path").count() == 1, "{text}");
    }
}
