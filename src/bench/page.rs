//! The comparison as one page: no script, nothing fetched, readable in light and dark.

use super::adapter::Target;
use super::compare::Comparison;
use super::histogram::microseconds;
use super::plot::{Axis, Curve, Dot, curves, dots, escaped, rarity};
use super::rows::{Kind, Row};
use super::table::figure;
use super::trial::Round;
use super::verdicts;

const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#fcfcfa;--ink:#1d2126;--quiet:#666e78;--grid:#e2e4e0;--card:#fff;\
--floor:#8a8f96;--fanwire:#d6401f;--ws:#c98a1b;--sse:#b0417e;--redis:#7d4fc4;--nats:#1c7fb8;--mqtt:#3b8d4b}\
@media(prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#e6e8ea;--quiet:#98a1ab;--grid:#2c3138;--card:#1b1f24;\
--floor:#9aa1a9;--fanwire:#ff7a55;--ws:#f0b95a;--sse:#ee8dbd;--redis:#b795f2;--nats:#62b5e8;--mqtt:#7cc98b}}\
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{max-width:1040px;margin:0 auto;padding:32px 20px 64px}\
h1{font-size:30px;margin:0 0 4px}h2{font-size:20px;margin:36px 0 2px}\
h3{font-size:14px;margin:16px 0 0;color:var(--quiet)}\
p,li{color:var(--quiet);margin:4px 0;font-size:14px}ul{padding-left:18px}\
section{background:var(--card);border:1px solid var(--grid);border-radius:10px;padding:4px 18px 12px;margin:18px 0}\
section h2{margin:14px 0 2px}svg{width:100%;height:auto;display:block;margin:6px 0}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px;width:100%;font-variant-numeric:tabular-nums}\
th,td{padding:5px 8px;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}\
th:first-child,td:first-child{text-align:left}\
text{font:12px system-ui,sans-serif;fill:var(--ink)}.tick,.title{fill:var(--quiet)}.middle{text-anchor:middle}\
.end{text-anchor:end}.grid{stroke:var(--grid);fill:none}.stem{stroke-width:2;opacity:.35}.range{stroke-width:5}\
.curve{fill:none;stroke-width:2}.label{font-weight:600}.warning{color:var(--fanwire)}";

const ACCEPTING: &str = "broker CPU to accept, greet and subscribe, microseconds: less is better";

/// The page.
pub fn page(comparison: &Comparison) -> String {
    let mut body = head(comparison);
    comparison.rows.iter().for_each(|row| body.push_str(&section(row)));
    document("fanwire bench", "", &body)
}

/// A page of its own: with this title, style beside the common one, and body.
pub(super) fn document(title: &str, style: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title>\n<style>{STYLE}{}{style}</style></head><body><main>\n{body}</main></body></html>\n",
        colours()
    )
}

fn colours() -> String {
    let colour = |target: Target| {
        let name = target.name();
        format!("circle.{name},text.{name}{{fill:var(--{name})}}path.{name}{{stroke:var(--{name})}}")
    };
    Target::ALL.into_iter().map(colour).collect()
}

fn head(comparison: &Comparison) -> String {
    let settings: String = comparison.settings().iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
    format!(
        "<h1>fanwire bench</h1>\n<p>{}<br>{}, medians, rounds in turns, rotated, every second in reverse: {}</p>\n\
         <p>The score is the broker's CPU time (user and system) for one delivery. The floor is a bare epoll relay \
         that only reads and writes: what the kernel itself costs. Multiples are of the floor, taken round by round.\
         </p>\n\
         <div class=\"scroll\">{}</div>\n{}<h3>How each was started</h3>\n<ul>{settings}</ul>\n",
        escaped(&comparison.machine.line()),
        escaped(&comparison.date),
        comparison.rounds,
        comparison.summary().html(),
        verdicts::html(&comparison.verdicts()),
    )
}

fn section(row: &Row) -> String {
    let mut html = format!("<section><h2>{}</h2>\n<p>{}</p>\n", escaped(&row.name), escaped(&row.trial.title));
    match row.kind {
        Kind::Saturated | Kind::Web => {
            html.push_str(&plot_of(row, "ns/delivery", "broker CPU for one delivery, nanoseconds: less is better"));
            html.push_str(&plot_of(row, "deliveries/s", "deliveries a second: more is better"));
            html.push_str(&batches(row));
        }
        Kind::Half => {
            html.push_str(&plot_of(row, "ns/delivery", "broker CPU for one delivery, nanoseconds: less is better"));
            html.push_str(&plot_of(row, "p50 us", "median latency, microseconds: less is better"));
            html.push_str(&batches(row));
        }
        Kind::Latency => html.push_str(&latency_plot(row)),
        Kind::Score(title) | Kind::Ratio(title) => html.push_str(&plot_of(row, row.trial.score_name(), title)),
        Kind::Variants => {
            html.push_str(&plot_of(row, "ns/delivery", "broker CPU for one delivery, nanoseconds: less is better"));
        }
        Kind::Memory => {
            html.push_str(&memory_plot(row));
            html.push_str(&plot_of(row, "accept us/conn", ACCEPTING));
        }
    }
    for warning in row.trial.warnings() {
        html.push_str(&format!("<p class=\"warning\">{}</p>\n", escaped(&warning)));
    }
    html.push_str("</section>\n");
    html
}

/// What a write carried: who dawdles to batch more stands out here.
fn batches(row: &Row) -> String {
    let is_counted = row.trial.entries.iter().any(|entry| entry.spread("msgs/write").is_some());
    if is_counted {
        plot_of(row, "msgs/write", "messages a write of the broker")
    } else {
        plot_of(row, "msgs/read", "messages a read of the generator (the broker's writes could not be counted)")
    }
}

fn plot_of(row: &Row, name: &str, title: &'static str) -> String {
    let drawn = row.trial.entries.iter().filter_map(|entry| {
        let spread = entry.spread(name).filter(|spread| spread.median > 0.0)?;
        let is_meant = entry.name != row.trial.base && !matches!(row.kind, Kind::Ratio(_));
        let multiple = row.trial.ratio_of(&entry.name, name).filter(|_| is_meant);
        let multiple = multiple.map(|multiple| format!("  ({}x)", figure(multiple.median))).unwrap_or_default();
        Some(Dot {
            name: &entry.name,
            class: entry.target.name(),
            value: spread.median,
            range: (spread.min, spread.max),
            note: format!("{}{multiple}", figure(spread.median)),
        })
    });
    dots(&drawn.collect::<Vec<_>>(), title)
}

/// The percentiles of each target's middle round, by its median.
fn latency_plot(row: &Row) -> String {
    let middle = |rounds: &[Round]| {
        let mut with: Vec<_> = rounds.iter().filter_map(|round| round.report.latencies.clone()).collect();
        with.sort_by_key(|latencies| latencies.at_ns(50.0));
        (!with.is_empty()).then(|| with.swap_remove(with.len() / 2))
    };
    let drawn = row.trial.entries.iter().filter_map(|entry| {
        let points = middle(&entry.rounds)?.curve();
        let points =
            points.into_iter().map(|(percentile, value)| (rarity(percentile.min(99.995)), microseconds(value)));
        Some(Curve { name: entry.target.name(), points: points.collect() })
    });
    let drawn: Vec<Curve<'_>> = drawn.collect();
    let heights = drawn.iter().flat_map(|curve| curve.points.iter().map(|(_, value)| *value));
    curves(&drawn, &Axis::nines("percentile"), &Axis::decades(heights, "microseconds"))
}

/// Memory against connections, of each target's first round.
fn memory_plot(row: &Row) -> String {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let drawn = row.trial.entries.iter().filter_map(|entry| {
        let memory = &entry.rounds.first()?.report.memory;
        let points = memory.iter().map(|(connections, bytes)| (*connections as f64, mebibytes(*bytes)));
        Some(Curve { name: entry.target.name(), points: points.collect() })
    });
    let drawn: Vec<Curve<'_>> = drawn.collect();
    let all = || drawn.iter().flat_map(|curve| curve.points.iter());
    let x_axis = Axis::linear(all().map(|(connections, _)| *connections), "connections");
    curves(&drawn, &x_axis, &Axis::decades(all().map(|(_, memory)| *memory), "MiB resident"))
}

#[cfg(test)]
mod tests {
    use super::super::compare::samples::comparison;
    use super::*;

    #[test]
    fn the_page_stands_by_itself_and_escapes_what_it_shows() {
        let html = page(&comparison());
        assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
        for foreign in ["<script", "http:", "https:", "src=", "@import", "NaN", "<angles>"] {
            assert!(!html.contains(foreign), "{foreign} in {html}");
        }
        assert_eq!(html.matches("<section>").count(), 5);
        assert!(html.contains(">2 reactors</text>") && html.contains("What Fanwire must be"));
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
        assert!(html.contains("prefers-color-scheme:dark"));
    }
}
