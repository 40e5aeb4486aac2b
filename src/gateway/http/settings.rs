//! What holds for all HTTP connections.

use super::{HeadLimits, OriginRules};
use std::time::Duration;

/// Bounds of requests, and who is served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of heads.
    pub head: HeadLimits,
    /// Under which hosts, and which pages, this broker answers.
    pub origins: OriginRules,
    /// Whether what tells about others is shown to callers that are not on this machine, too.
    pub shows_all: bool,
    /// How long a connection may be idle between two requests.
    pub idle_time_max: Duration,
    /// How long a stream may be silent before it says that it is alive.
    pub heartbeat_period: Duration,
    /// Whether messages of a WebSocket are made smaller for clients that offer it.
    pub deflates: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            head: HeadLimits::default(),
            origins: OriginRules::default(),
            shows_all: false,
            idle_time_max: Duration::from_secs(60),
            heartbeat_period: Duration::from_secs(15),
            deflates: false,
        }
    }
}
