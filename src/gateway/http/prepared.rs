//! Answers that need nobody's help: probes, figures, and files that are ready in memory.

use super::answer::{Answer, Cache, Exchange, MediaType};
use super::{Cors, Head, Route, Status};
use crate::Context;
use crate::pages::{self, Page};
use crate::stats::Moment;
use serde::Serialize;
use std::borrow::Cow;

/// Such an answer.
pub(super) enum Prepared {
    /// Made for this request.
    Fresh { status: Status, media: MediaType<'static>, body: Cow<'static, [u8]> },
    /// A file, or that the caller has it already.
    File { page: &'static Page, is_known: bool },
}

impl Prepared {
    /// What a route is answered with; none if that takes more.
    pub(super) fn find(route: &Route<'_>, head: &Head<'_>, context: &Context<'_>) -> Option<Prepared> {
        let fresh = |media, body| Prepared::Fresh { status: Status::OK, media, body };
        Some(match route {
            Route::Health => fresh(MediaType::Text, Cow::Borrowed(b"ok\n")),
            Route::Readiness => readiness(context),
            Route::Metrics => {
                let text = context.settings.stats.exposition(&moment(context));
                fresh(MediaType::Metrics, Cow::Owned(text.into_bytes()))
            }
            Route::Stats => {
                context.settings.stats.want_topics(context.now);
                fresh(MediaType::Json, Cow::Owned(context.settings.stats.report(&moment(context))))
            }
            Route::Console => file(&pages::CONSOLE, head),
            Route::ConsoleScript => file(&pages::CONSOLE_SCRIPT, head),
            Route::ConsoleStyle => file(&pages::CONSOLE_STYLE, head),
            Route::Script => file(&pages::CLIENT, head),
            Route::ScriptTypes => file(&pages::CLIENT_TYPES, head),
            _ => return None,
        })
    }

    pub(super) fn write(&self, exchange: Exchange, cors: Cors<'_>, out: &mut Vec<u8>) {
        match self {
            Prepared::Fresh { status, media, body } => {
                let mut answer = Answer::begin(exchange, *status, out);
                answer.cors(cors).cache(Cache::Never);
                answer.sized(*media, body);
            }
            Prepared::File { page, is_known: false } => {
                let mut answer = Answer::begin(exchange, Status::OK, out);
                answer.cors(cors).cache(Cache::Revalidated).entity_tag(page.entity_tag());
                answer.sized(page.media, page.text.as_bytes());
            }
            Prepared::File { page, is_known: true } => {
                let mut answer = Answer::begin(exchange, Status::NOT_MODIFIED, out);
                answer.cors(cors).cache(Cache::Revalidated).entity_tag(page.entity_tag());
                answer.bodiless();
            }
        }
    }
}

fn file(page: &'static Page, head: &Head<'_>) -> Prepared {
    Prepared::File { page, is_known: head.has_version(page.entity_tag()) }
}

/// Whether the broker wants work: not while it goes down, nor without a journal that it should have.
fn readiness(context: &Context<'_>) -> Prepared {
    let failed = context.settings.stats.failed_journals();
    let ready = !context.is_draining && failed.is_empty();
    let told = Readiness { ready, draining: context.is_draining, journals_failed: failed };
    let status = if ready { Status::OK } else { Status::SERVICE_UNAVAILABLE };
    // Names and truth values can always be written.
    let mut body = serde_json::to_vec(&told).unwrap_or_default();
    body.push(b'\n');
    Prepared::Fresh { status, media: MediaType::Json, body: Cow::Owned(body) }
}

#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    draining: bool,
    journals_failed: Vec<&'a str>,
}

fn moment<'a>(context: &Context<'a>) -> Moment<'a> {
    let settings = context.settings;
    Moment {
        server_name: &settings.server_name,
        is_open: settings.credentials.is_open(),
        is_draining: context.is_draining,
        wall_us: context.wall_us,
        now: context.now,
    }
}
