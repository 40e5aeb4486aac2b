//! Files that the broker serves to browsers, as they stand beside this one: the client, its types, the console.
//!
//! They are the same for everybody and know no secret. The console loads nothing but these, so that the page policy
//! allows its own origin alone, and it uses the client as anyone would.

use crate::http::MediaType;
use crate::http::answer::PagePolicy;

/// A file.
pub(crate) struct Page {
    pub(crate) media: MediaType<'static>,
    pub(crate) text: &'static str,
}

/// The client for browsers, an ECMAScript module.
pub(crate) const CLIENT: Page = Page { media: MediaType::JavaScript, text: include_str!("fanwire.js") };
/// Its types.
pub(crate) const CLIENT_TYPES: Page = Page { media: MediaType::TypeScript, text: include_str!("fanwire.d.ts") };
/// The console.
pub(crate) const CONSOLE: Page = Page {
    media: MediaType::Html(PagePolicy { script_hashes: "", style_hashes: "" }),
    text: include_str!("console.html"),
};
/// What it does.
pub(crate) const CONSOLE_SCRIPT: Page = Page { media: MediaType::JavaScript, text: include_str!("console.js") };
/// How it looks.
pub(crate) const CONSOLE_STYLE: Page = Page { media: MediaType::Style, text: include_str!("console.css") };
