//! Whether a caller may ask what it asks: its host and origin, its token, and where it is.

use super::route::Audience;
use super::{Cors, Head, Reason, Refusal, Route};
use crate::Context;
use fanwire_wire::Code;

/// Whether this caller may ask this, and who may read the answer.
pub(super) fn admit<'b>(head: &Head<'b>, route: &Route<'_>, context: &Context<'_>) -> Result<Cors<'b>, Refusal> {
    let settings = context.settings;
    let cors = match route.audience() {
        Audience::Anybody => return Ok(settings.http.origins.readers(head)),
        Audience::Clients | Audience::Operators => settings.http.origins.check(head)?,
    };
    // A browser asks without a token what it may send, and a WebSocket may bring it later.
    if settings.credentials.is_open() || matches!(route, Route::Options(_) | Route::WebSocket) {
        let is_shown = route.audience() == Audience::Clients || context.peer.is_loopback() || settings.http.shows_all;
        return if is_shown { Ok(cors) } else { Err(Reason::LoopbackOnly.into()) };
    }
    let token = head.bearer_token()?.unwrap_or_default();
    if settings.credentials.admit(token.as_bytes()) { Ok(cors) } else { Err(Code::BadCredentials.into()) }
}
