//! What holds for all connections of a gateway.

use crate::credentials::Credentials;
use crate::http;
use crate::stats::Stats;
use fanwire_wire::Limits;
use std::sync::Arc;
use std::time::Duration;

/// Bounds and identity, made from the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Told in WELCOME and enforced.
    pub limits: Limits,
    /// Who may come in.
    pub credentials: Credentials,
    /// The broker's name and version, up to 64 bytes.
    pub server_name: String,
    /// From the first moment of a connection to its HELLO.
    pub handshake_time_max: Duration,
    /// From a frame's first byte to its last.
    pub frame_time_max: Duration,
    /// What holds for HTTP alone.
    pub http: http::Settings,
    /// What the broker's threads count.
    pub stats: Arc<Stats>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            limits: Limits::default(),
            credentials: Credentials::open(),
            server_name: concat!("fanwire/", env!("CARGO_PKG_VERSION")).to_owned(),
            handshake_time_max: Duration::from_secs(5),
            frame_time_max: Duration::from_secs(10),
            http: http::Settings::default(),
            stats: Arc::default(),
        }
    }
}
