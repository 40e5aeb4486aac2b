//! What holds for all HTTP connections.

use super::{HeadLimits, OriginRules};

/// Bounds of requests, and who is served.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Of heads.
    pub head: HeadLimits,
    /// Under which hosts, and which pages, this broker answers.
    pub origins: OriginRules,
    /// Whether what tells about others is shown to callers that are not on this machine, too.
    pub shows_all: bool,
}
