//! Whether a caller may ask what it asks: its host and origin, its token, and where it is.

use super::route::Audience;
use super::{Cors, Head, Reason, Refusal, Route};
use crate::Context;
use fanwire_wire::Code;

/// Fields of those who ask for somebody else. Who comes through a proxy on this machine is not on this machine; a proxy
/// that says nothing can't be told from who is.
const FORWARDING: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Whether this caller may ask this, and who may read the answer.
pub(super) fn admit<'b>(head: &Head<'b>, route: &Route<'_>, context: &Context<'_>) -> Result<Cors<'b>, Refusal> {
    let settings = context.settings;
    let cors = match route.audience() {
        Audience::Anybody => return Ok(settings.http.origins.readers(head)),
        Audience::Clients | Audience::Operators => settings.http.origins.check(head)?,
    };
    // A browser asks without a token what it may send, and a WebSocket may bring it later.
    if settings.credentials.is_open() || matches!(route, Route::Options(_) | Route::WebSocket) {
        let is_shown = route.audience() == Audience::Clients || settings.http.shows_all || is_here(head, context);
        return if is_shown { Ok(cors) } else { Err(Reason::LoopbackOnly.into()) };
    }
    let token = head.bearer_token()?.unwrap_or_default();
    if settings.credentials.admit(token.as_bytes()) { Ok(cors) } else { Err(Code::BadCredentials.into()) }
}

/// Whether the caller is on this machine, as far as anybody can tell.
fn is_here(head: &Head<'_>, context: &Context<'_>) -> bool {
    let is_forwarded = FORWARDING.iter().any(|name| head.all(name).next().is_some());
    context.peer.is_loopback() && !is_forwarded
}
