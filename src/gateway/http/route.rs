//! From method and path to what is asked (RFC 9110 sections 9 and 15.5).
//!
//! | path | methods | |
//! |---|---|---|
//! | `/` | GET, HEAD | the console; a WebSocket if the connection is upgraded |
//! | `/console.js`, `/console.css` | GET, HEAD | what it is made of |
//! | `/fanwire.js`, `/fanwire.d.ts` | GET, HEAD | the client for browsers, and its types |
//! | `/healthz`, `/readyz`, `/metrics`, `/v1/stats` | GET, HEAD | for probes, Prometheus and the console |
//! | `/v1/ws` | GET | a WebSocket |
//! | `/v1/sse`, `/v1/poll` | GET | messages of `?topic=FILTER`s |
//! | `/v1/topics/TOPIC` | GET, POST | history; publish |
//! | `/v1/request/TOPIC` | POST | request, and its reply |
//!
//! A topic's levels are those of the path, each percent-encoded, after which the same topic has no other spelling but
//! `/v1/topics?topic=TOPIC`: a level that is empty, `.` or `..`, which clients and proxies would resolve, encoded or
//! not, can be said there alone, and a slash inside a level nowhere, since topics have none. Nothing here is a file:
//! what is not in the table is not found.
//!
//! Topics are bytes here: their grammar is the broker's to check.

use super::head::Head;
use super::method::{Method, Methods};
use super::percent;
use super::query::{Key, Keys, Query, Topics, quoted};
use super::{Reason, Refusal};
use std::borrow::Cow;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<'b> {
    /// The console page.
    Console,
    /// Its script.
    ConsoleScript,
    /// Its style sheet.
    ConsoleStyle,
    /// The client for browsers.
    Script,
    /// Its types.
    ScriptTypes,
    /// Whether the broker is alive.
    Health,
    /// Whether it wants work.
    Readiness,
    /// What it counts, for Prometheus.
    Metrics,
    /// What it counts, for the console.
    Stats,
    /// To become a WebSocket.
    WebSocket,
    /// Messages as server-sent events.
    Sse(Query<'b>),
    /// Messages since a cursor.
    Poll(Query<'b>),
    /// To publish the body.
    Publish {
        /// Where.
        topic: Cow<'b, [u8]>,
        /// How.
        query: Query<'b>,
    },
    /// A topic's records.
    History {
        /// Whose.
        topic: Cow<'b, [u8]>,
        /// Which.
        query: Query<'b>,
    },
    /// To send the body to whoever answers, and to return the reply.
    Request {
        /// Where.
        topic: Cow<'b, [u8]>,
        /// How.
        query: Query<'b>,
    },
    /// What may be done here.
    Options(Methods),
}

/// Whom a route may be shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Anybody, from any page: it is the same everywhere, and tells nothing.
    Anybody,
    /// Callers whose host and origin pass, with a token where one is asked for.
    Clients,
    /// The same, and from this machine unless the settings say otherwise: it tells about others.
    Operators,
}

const STREAM: &[Key] = &[Key::From, Key::Policy, Key::Group, Key::MaxRate];
const POLL: &[Key] = &[Key::From, Key::Policy, Key::Group, Key::MaxRate, Key::After, Key::Wait, Key::Limit];
const PUBLISH: &[Key] = &[Key::Ack, Key::Expect, Key::Producer];
const HISTORY: &[Key] = &[Key::From, Key::Limit];
const REQUEST: &[Key] = &[Key::Deadline];

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource<'b> {
    Console,
    ConsoleScript,
    ConsoleStyle,
    Script,
    ScriptTypes,
    Health,
    Readiness,
    Metrics,
    Stats,
    WebSocket,
    Sse,
    Poll,
    /// The path of the topic, without the slash before it; `None`: the query names it.
    Topic(Option<&'b str>),
    Request(Option<&'b str>),
    /// `*`.
    Server,
}

impl<'b> Resource<'b> {
    fn find(path: &'b str) -> Option<Self> {
        Some(match path {
            "/" => Resource::Console,
            "/console.js" => Resource::ConsoleScript,
            "/console.css" => Resource::ConsoleStyle,
            "/fanwire.js" => Resource::Script,
            "/fanwire.d.ts" => Resource::ScriptTypes,
            "/healthz" => Resource::Health,
            "/readyz" => Resource::Readiness,
            "/metrics" => Resource::Metrics,
            "/v1/stats" => Resource::Stats,
            "/v1/ws" => Resource::WebSocket,
            "/v1/sse" => Resource::Sse,
            "/v1/poll" => Resource::Poll,
            "/v1/topics" => Resource::Topic(None),
            "/v1/request" => Resource::Request(None),
            "*" => Resource::Server,
            _ => {
                let topic = path.strip_prefix("/v1/topics/").map(|topic| Resource::Topic(Some(topic)));
                topic.or_else(|| path.strip_prefix("/v1/request/").map(|topic| Resource::Request(Some(topic))))?
            }
        })
    }

    const fn methods(self) -> Methods {
        match self {
            Resource::Console
            | Resource::ConsoleScript
            | Resource::ConsoleStyle
            | Resource::Script
            | Resource::ScriptTypes
            | Resource::Health
            | Resource::Readiness
            | Resource::Metrics
            | Resource::Stats => Methods::Read,
            Resource::WebSocket | Resource::Sse | Resource::Poll => Methods::Get,
            Resource::Topic(_) => Methods::GetAndPost,
            Resource::Request(_) => Methods::Post,
            Resource::Server => Methods::All,
        }
    }
}

impl<'b> Route<'b> {
    /// What the request asks for. A refusal leaves the connection as it is: its body can be read over.
    pub fn find(head: &Head<'b>) -> Result<Self, Refusal> {
        if head.method == Method::Unknown {
            return Err(Reason::MethodUnknown.into());
        }
        let resource = Resource::find(head.path).ok_or(Reason::NotFound)?;
        let methods = resource.methods();
        if !methods.contains(head.method) {
            return Err(Refusal::from(Reason::MethodNotAllowed).allowing(methods));
        }
        if head.method == Method::Options {
            return Ok(Route::Options(methods));
        }
        let once = |once, topics| Keys { once, topics };
        Ok(match resource {
            Resource::Console | Resource::WebSocket if head.wants_websocket() => Route::WebSocket,
            Resource::WebSocket => return Err(Reason::UpgradeRequired.into()),
            Resource::Console => Route::Console,
            Resource::ConsoleScript => Route::ConsoleScript,
            Resource::ConsoleStyle => Route::ConsoleStyle,
            Resource::Script => Route::Script,
            Resource::ScriptTypes => Route::ScriptTypes,
            Resource::Health => Route::Health,
            Resource::Readiness => Route::Readiness,
            Resource::Metrics => Route::Metrics,
            Resource::Stats => Route::Stats,
            Resource::Sse => Route::Sse(Query::read(head, once(STREAM, Topics::Several))?),
            Resource::Poll => Route::Poll(Query::read(head, once(POLL, Topics::Several))?),
            Resource::Topic(path) if head.method == Method::Post => {
                let (topic, query) = read_topic(head, path, PUBLISH)?;
                Route::Publish { topic, query }
            }
            Resource::Topic(path) => {
                let (topic, query) = read_topic(head, path, HISTORY)?;
                Route::History { topic, query }
            }
            Resource::Request(path) => {
                let (topic, query) = read_topic(head, path, REQUEST)?;
                Route::Request { topic, query }
            }
            Resource::Server => Route::Options(methods),
        })
    }

    /// Whom it may be shown to.
    pub const fn audience(&self) -> Audience {
        match self {
            Route::ConsoleScript | Route::ConsoleStyle | Route::Script | Route::ScriptTypes | Route::Health => {
                Audience::Anybody
            }
            Route::Console | Route::Metrics | Route::Stats => Audience::Operators,
            _ => Audience::Clients,
        }
    }

    /// Whether the request's body means something.
    pub const fn takes_body(&self) -> bool {
        matches!(self, Route::Publish { .. } | Route::Request { .. })
    }
}

fn read_topic<'b>(
    head: &Head<'b>,
    path: Option<&'b str>,
    once: &'static [Key],
) -> Result<(Cow<'b, [u8]>, Query<'b>), Refusal> {
    match path {
        Some(path) => {
            let query = Query::read(head, Keys { once, topics: Topics::None })?;
            Ok((decode_topic(path)?, query))
        }
        None => {
            let mut query = Query::read(head, Keys { once, topics: Topics::One })?;
            Ok((query.take_topic(), query))
        }
    }
}

/// Each level for itself, so that an encoded slash is not taken for one that parts levels.
fn decode_topic(path: &str) -> Result<Cow<'_, [u8]>, Refusal> {
    let mut levels = Vec::new();
    for level in path.split('/') {
        let decoded = percent::decode(level.as_bytes())
            .map_err(|_| bad(format!("in {} a percent sign stands without two digits", quoted(level.as_bytes()))))?;
        if !percent::is_path_level(&decoded) {
            let level = quoted(level.as_bytes());
            return Err(bad(format!("the level {level} can't stand in a path: name this topic as topic=")));
        }
        if decoded.contains(&b'/') {
            return Err(bad(format!("in {} a slash stands inside a level", quoted(level.as_bytes()))));
        }
        levels.push(decoded);
    }
    Ok(match levels.iter().all(|level| matches!(level, Cow::Borrowed(_))) {
        true => Cow::Borrowed(path.as_bytes()),
        false => Cow::Owned(levels.join(&b'/')),
    })
}

fn bad(detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::from(Reason::BadParameter).because(detail)
}
