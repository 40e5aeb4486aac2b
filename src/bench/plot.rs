//! Plots as inline SVG: numbers in, text out. Colours are classes, so that the page decides for light and dark.
//!
//! Values that span decades stand on logarithmic axes, as dots and not as bars: the length of a bar would lie there.

use super::table::figure;
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 150.0;
const ROW: f64 = 26.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// Room for the name of a vertical axis above it.
const CURVE_TOP: f64 = 30.0;
const CURVE_HEIGHT: f64 = 300.0;
/// Distance of two labels behind curves.
const LABEL_STEP: f64 = 15.0;

/// A dot on a line of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Dot<'a> {
    /// The name.
    pub name: &'a str,
    /// The class, which has the colour.
    pub class: &'a str,
    /// Its value.
    pub value: f64,
    /// From where to where it varied.
    pub range: (f64, f64),
    /// What stands behind it.
    pub note: String,
}

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve<'a> {
    /// The name, which is also the class.
    pub name: &'a str,
    /// Its points, x rising.
    pub points: Vec<(f64, f64)>,
}

/// An axis: from a value to a place between 0 and 1, and its marks.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    min: f64,
    max: f64,
    logarithmic: bool,
    marks: Vec<(f64, String)>,
    title: &'static str,
}

impl Axis {
    /// Whole decades around these values.
    pub fn decades(values: impl Iterator<Item = f64>, title: &'static str) -> Axis {
        let logs: Vec<f64> = values.filter(|value| *value > 0.0 && value.is_finite()).map(f64::log10).collect();
        let min = logs.iter().copied().fold(f64::INFINITY, f64::min).floor();
        let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
        let (min, max) = if logs.is_empty() { (0.0, 1.0) } else { (min, max.max(min + 1.0)) };
        let mut marks = Vec::new();
        let mut exponent = min;
        while exponent <= max {
            marks.push((10_f64.powf(exponent), mark(10_f64.powf(exponent))));
            exponent += 1.0;
        }
        Axis { min, max, logarithmic: true, marks, title }
    }

    /// From 0 to a round value above these.
    pub fn linear(values: impl Iterator<Item = f64>, title: &'static str) -> Axis {
        let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max).max(1e-9);
        let decade = 10_f64.powf(most.log10().floor());
        let step = [0.2, 0.5, 1.0, 2.0].map(|part| part * decade).into_iter().find(|step| most / step <= 6.0);
        let step = step.unwrap_or(decade * 5.0);
        let count = (most / step).ceil();
        let mut marks = Vec::new();
        let mut index = 0.0;
        while index <= count {
            marks.push((index * step, mark(index * step)));
            index += 1.0;
        }
        Axis { min: 0.0, max: count * step, logarithmic: false, marks, title }
    }

    /// Percentiles, each ten times closer to all: 0, 90, 99, and so on.
    pub fn nines(title: &'static str) -> Axis {
        let marks = [0.0, 90.0, 99.0, 99.9, 99.99].map(|percentile| (rarity(percentile), format!("{percentile}%")));
        Axis { min: 0.0, max: 4.3, logarithmic: true, marks: marks.to_vec(), title }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.min) / (self.max - self.min)).clamp(0.0, 1.0)
    }
}

/// The number at a mark: no zeros behind the point.
fn mark(value: f64) -> String {
    let text = figure(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// How rare what lies beyond a percentile is: one in so many.
pub fn rarity(percentile: f64) -> f64 {
    1.0 / (1.0 - percentile / 100.0).max(1e-9)
}

/// A line for each dot, on one logarithmic axis.
pub fn dots(dots: &[Dot<'_>], title: &'static str) -> String {
    let axis = Axis::decades(dots.iter().map(|dot| dot.value), title);
    let bottom = TOP + ROW * dots.len() as f64;
    let mut svg = open(bottom + BOTTOM);
    let x = |value: f64| LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT);
    for (value, label) in &axis.marks {
        put(&mut svg, format_args!(r#"<path class="grid" d="M{0:.1} {TOP:.1}V{bottom:.1}"/>"#, x(*value)));
        text(&mut svg, "tick middle", x(*value), bottom + 16.0, label);
    }
    for (index, dot) in dots.iter().enumerate() {
        let y = TOP + ROW * (index as f64 + 0.5);
        let (low, high) = (x(dot.range.0), x(dot.range.1));
        text(&mut svg, "name end", LEFT - 10.0, y + 4.0, dot.name);
        put(
            &mut svg,
            format_args!(r#"<path class="stem {0}" d="M{LEFT:.1} {y:.1}H{1:.1}"/>"#, dot.class, x(dot.value)),
        );
        put(&mut svg, format_args!(r#"<path class="range {0}" d="M{low:.1} {y:.1}H{high:.1}"/>"#, dot.class));
        put(&mut svg, format_args!(r#"<circle class="{0}" cx="{1:.1}" cy="{y:.1}" r="5"/>"#, dot.class, x(dot.value)));
        text(&mut svg, "note", x(dot.value).max(high) + 10.0, y + 4.0, &dot.note);
    }
    text(&mut svg, "title middle", f64::midpoint(LEFT, WIDTH - RIGHT), bottom + 34.0, axis.title);
    svg.push_str("</svg>\n");
    svg
}

/// Curves on two axes, each named at its end.
pub fn curves(curves: &[Curve<'_>], x_axis: &Axis, y_axis: &Axis) -> String {
    let bottom = CURVE_TOP + CURVE_HEIGHT;
    let mut svg = open(bottom + BOTTOM);
    let right = WIDTH - RIGHT;
    let x = |value: f64| LEFT + x_axis.place(value) * (right - LEFT);
    let y = |value: f64| bottom - y_axis.place(value) * CURVE_HEIGHT;
    for (value, label) in &x_axis.marks {
        put(&mut svg, format_args!(r#"<path class="grid" d="M{0:.1} {CURVE_TOP:.1}V{bottom:.1}"/>"#, x(*value)));
        text(&mut svg, "tick middle", x(*value), bottom + 16.0, label);
    }
    for (value, label) in &y_axis.marks {
        put(&mut svg, format_args!(r#"<path class="grid" d="M{LEFT:.1} {0:.1}H{right:.1}"/>"#, y(*value)));
        text(&mut svg, "tick end", LEFT - 8.0, y(*value) + 4.0, label);
    }
    let mut ends = Vec::new();
    for curve in curves {
        let mut path = String::new();
        for (index, (across, up)) in curve.points.iter().enumerate() {
            let letter = if index == 0 { 'M' } else { 'L' };
            put(&mut path, format_args!("{letter}{:.1} {:.1}", x(*across), y(*up)));
        }
        put(&mut svg, format_args!(r#"<path class="curve {}" d="{path}"/>"#, curve.name));
        ends.extend(curve.points.last().map(|(_, up)| (y(*up), curve.name)));
    }
    for (place, name) in apart(ends) {
        put(
            &mut svg,
            format_args!(r#"<text class="label {name}" x="{:.1}" y="{:.1}">{name}</text>"#, right + 8.0, place + 4.0),
        );
    }
    text(&mut svg, "title middle", f64::midpoint(LEFT, right), bottom + 34.0, x_axis.title);
    text(&mut svg, "title", 4.0, CURVE_TOP - 14.0, y_axis.title);
    svg.push_str("</svg>\n");
    svg
}

/// Labels that would lie on each other move down.
fn apart(mut ends: Vec<(f64, &str)>) -> Vec<(f64, &str)> {
    ends.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut least = f64::NEG_INFINITY;
    for (place, _) in &mut ends {
        *place = place.max(least);
        least = *place + LABEL_STEP;
    }
    ends
}

/// Text that is no markup.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn open(height: f64) -> String {
    format!(r#"<svg viewBox="0 0 {WIDTH:.0} {height:.0}" role="img">"#)
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, content: &str) {
    put(svg, format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}</text>"#, escaped(content)));
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("a string takes it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_surround_the_values() {
        let axis = Axis::decades([17.0, 11_500.0].into_iter(), "ns");
        let labels: Vec<&str> = axis.marks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["10", "100", "1 000", "10 000", "100 000"]);
        assert_eq!((axis.place(10.0), axis.place(100_000.0)), (0.0, 1.0));
        assert_eq!(Axis::decades(std::iter::empty(), "ns").marks.len(), 2);
    }

    #[test]
    fn linear_axes_end_on_a_round_value() {
        let axis = Axis::linear([0.0, 19_000.0].into_iter(), "connections");
        let last = axis.marks.last().unwrap();
        assert_eq!((last.0, last.1.as_str(), axis.place(10_000.0)), (20_000.0, "20 000", 0.5));
    }

    #[test]
    fn a_percentile_is_as_rare_as_its_nines() {
        assert!((rarity(99.9) - 1_000.0).abs() < 1e-6);
        assert!(rarity(100.0).is_finite());
    }

    #[test]
    fn plots_are_whole_and_escaped() {
        let dot = Dot { name: "floor", class: "floor", value: 20.0, range: (19.0, 21.0), note: "<20>".to_owned() };
        let svg = dots(&[dot], "ns");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("&lt;20&gt;"), "{svg}");
        let curve = Curve { name: "nats", points: vec![(1.0, 10.0), (1_000.0, 200.0)] };
        let svg = curves(&[curve], &Axis::nines("percentile"), &Axis::decades([10.0, 200.0].into_iter(), "us"));
        assert!(svg.contains(r#"class="curve nats" d="M"#) && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn labels_do_not_lie_on_each_other() {
        let places: Vec<f64> = apart(vec![(50.0, "a"), (10.0, "b"), (12.0, "c")]).iter().map(|end| end.0).collect();
        assert_eq!(places, [10.0, 25.0, 50.0]);
    }
}
