//! Scaling on paper as a page: the table, and the same model with fields to change. One file, nothing fetched.

use super::page::document;
use super::plot::escaped;
use super::scaling::{FORMULA, Scaling};

const STYLE: &str = "\
form{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:10px 18px;margin:10px 0;align-items:end}\
label{font-size:13px;color:var(--quiet);display:block}\
input{font:inherit;width:100%;box-sizing:border-box;padding:5px 8px;border:1px solid var(--grid);border-radius:6px;\
background:var(--paper);color:var(--ink)}\
output{font-size:24px;font-variant-numeric:tabular-nums;display:block}\
pre{font-size:13px;overflow-x:auto;color:var(--quiet);white-space:pre-wrap}\
.bar{display:flex;height:26px;border-radius:6px;overflow:hidden;margin:8px 0}\
.bar span{font-size:12px;color:#fff;padding:4px 6px;overflow:hidden;white-space:nowrap;box-sizing:border-box}\
.outcome{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:10px 18px;margin:14px 0}";

/// A field: its id, what it is, its value, its step.
type Field = (&'static str, &'static str, f64, &'static str);

/// The same formulas as [`super::model`], on whatever stands in the fields.
const SCRIPT: &str = "\
'use strict';
const field = id => Math.max(0, Number(document.getElementById(id).value) || 0);
const say = (id, text) => { document.getElementById(id).textContent = text; };
const grouped = value => Number.isFinite(value) ? Math.round(value).toLocaleString('en').replaceAll(',', ' ') : '-';
function carried(cores) {
  const others = cores - 1, subscribers = field('subscribers');
  const chosen = document.getElementById('remote').value.trim();
  const remote = cores < 2 ? 0 : chosen === '' ? others / cores : Math.min(1, field('remote') / 100);
  const hops = others < 1 ? 0 : others * (1 - Math.pow(1 - 1 / others, subscribers * remote));
  const parts = {
    messages: field('message'),
    hops: hops * field('hop'),
    deliveries: subscribers * field('delivery'),
    writes: subscribers * field('write') / Math.max(1, field('batch')),
  };
  const total = Object.values(parts).reduce((sum, part) => sum + part, 0);
  const sent = parts.deliveries + parts.writes;
  const own = parts.messages + parts.hops + (1 - remote) * sent;
  const other = hops > 0 ? remote / hops * sent : 0;
  return { parts, total, hops, messages: cores * 1e9 / total, topic: 1e9 / Math.max(own, other), own, other };
}
function needed(rate) {
  for (let cores = 1; cores <= 64; cores++) if (carried(cores).messages >= rate) return cores;
  return null;
}
function show() {
  const cores = Math.min(64, Math.max(1, Math.round(field('cores')))), load = carried(cores);
  const rate = field('rate'), least = needed(rate);
  say('all', grouped(load.messages));
  say('deliveries', grouped(load.messages * field('subscribers')));
  say('topic', grouped(load.topic));
  say('least', least === null ? 'more than 64' : String(least));
  say('cost', grouped(load.total) + ' ns');
  say('hops', load.hops.toFixed(1));
  say('used', Math.round(rate / load.messages * 100) + ' %');
  const bar = document.getElementById('bar');
  bar.replaceChildren();
  const colours = { messages: '--redis', hops: '--fanwire', deliveries: '--mqtt', writes: '--nats' };
  let most = ['', 0];
  for (const [name, part] of Object.entries(load.parts)) {
    const share = part / load.total, piece = document.createElement('span');
    piece.textContent = name + ' ' + Math.round(share * 100) + ' %';
    piece.title = piece.textContent;
    piece.style.width = share * 100 + '%';
    piece.style.background = 'var(' + colours[name] + ')';
    if (share < 0.08) { piece.textContent = ''; piece.style.padding = 0; }
    bar.append(piece);
    if (share > most[1]) most = [name, share];
  }
  const where = load.own >= load.other ? 'the publisher\\u2019s core' : 'the cores of its subscribers';
  say('stop', 'Most of the work is ' + most[0] + '. One topic stops at ' + where + '.');
}
document.querySelectorAll('input').forEach(input => input.addEventListener('input', show));
show();
";

/// The page.
pub fn page(scaling: &Scaling) -> String {
    let prices = scaling.prices;
    let traffic: [Field; 4] = [
        ("cores", "cores that run a reactor (1 to 64)", 16.0, "1"),
        ("subscribers", "subscribers of a message", 100.0, "1"),
        ("batch", "messages in one write to a subscriber", 50.0, "1"),
        ("rate", "messages a second that are wanted", 10_000.0, "1000"),
    ];
    let costs: [Field; 4] = [
        ("message", "a message, ns", prices.message_ns, "any"),
        ("delivery", "a delivery, ns", prices.delivery_ns, "any"),
        ("write", "a write, ns", prices.write_ns, "any"),
        ("hop", "a hop, ns", prices.hop_ns, "any"),
    ];
    let remote = "<div><label for=\"remote\">subscribers on other cores, per cent (empty: by chance)</label>\
        <input id=\"remote\" type=\"number\" min=\"0\" max=\"100\" step=\"1\" placeholder=\"by chance\"></div>\n";
    let body = format!(
        "<h1>Scaling on paper</h1>\n<p>{}<br>{}</p>\n<p>What things cost was measured on this machine. What more cores \
         would carry is computed from that, and nothing more.</p>\n\
         <section><h2>Your traffic</h2><form>{}{remote}</form><h3>What things cost, as measured</h3><form>{}</form>\n\
         <div class=\"outcome\">{}</div><div class=\"bar\" id=\"bar\"></div><p id=\"stop\"></p></section>\n\
         <section><h2>Deliveries a second</h2><p>Of one topic: messages a second.</p>\
         <div class=\"scroll\">{}</div></section>\n\
         <section><h2>What was measured</h2><div class=\"scroll\">{}</div></section>\n\
         <section><h2>The model</h2><pre>{}</pre></section>\n<script>\n{SCRIPT}</script>\n",
        escaped(&scaling.machine.line()),
        escaped(&scaling.date),
        inputs(&traffic),
        inputs(&costs),
        outcomes(),
        scaling.table().html(),
        scaling.price_table().html(),
        escaped(FORMULA),
    );
    document("fanwire bench scaling", STYLE, &body)
}

fn inputs(fields: &[Field]) -> String {
    let input = |(id, label, value, step): &Field| {
        // A tenth of a nanosecond is more than was measured.
        let value = (value * 10.0).round() / 10.0;
        format!(
            "<div><label for=\"{id}\">{label}</label>\
             <input id=\"{id}\" type=\"number\" min=\"0\" step=\"{step}\" value=\"{value}\"></div>\n"
        )
    };
    fields.iter().map(input).collect()
}

fn outcomes() -> String {
    let outcomes = [
        ("all", "messages a second, all cores"),
        ("deliveries", "deliveries a second, all cores"),
        ("topic", "messages a second of one topic"),
        ("cost", "CPU for one message"),
        ("hops", "other cores that a message goes to"),
        ("used", "of these cores, for what is wanted"),
        ("least", "cores for what is wanted"),
    ];
    outcomes.map(|(id, label)| format!("<div><label>{label}</label><output id=\"{id}\">-</output></div>\n")).concat()
}

#[cfg(test)]
mod tests {
    use super::super::scaling::samples::scaling;
    use super::*;

    #[test]
    fn the_page_stands_by_itself_and_has_a_field_for_all_that_its_script_reads() {
        let html = page(&scaling());
        for foreign in ["http:", "https:", "src=", "@import", "NaN<", "fetch("] {
            assert!(!html.contains(foreign), "{foreign} in {html}");
        }
        for (_, rest) in SCRIPT.match_indices("field('").map(|(at, mark)| (at, &SCRIPT[at + mark.len()..])) {
            let id = rest.split('\'').next().expect("a name");
            assert!(html.contains(&format!("<input id=\"{id}\"")), "{id}");
        }
        for (_, rest) in SCRIPT.match_indices("say('").map(|(at, mark)| (at, &SCRIPT[at + mark.len()..])) {
            let id = rest.split('\'').next().expect("a name");
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        }
        assert!(html.contains("value=\"1000\"") && html.contains("hops x hop"), "{html}");
    }
}
