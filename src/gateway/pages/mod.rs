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
    entity_tag: [u8; TAG_BYTES],
}

/// Sixteen digits between quotation marks.
const TAG_BYTES: usize = 18;

impl Page {
    const fn new(media: MediaType<'static>, text: &'static str) -> Page {
        Page { media, text, entity_tag: tag_of(text) }
    }

    /// What tells this text from any other one (RFC 9110 section 8.8.3).
    pub(crate) const fn entity_tag(&self) -> &str {
        match str::from_utf8(&self.entity_tag) {
            Ok(tag) => tag,
            Err(_) => "\"\"",
        }
    }
}

/// The text's hash (FNV-1a of 64 bits): nobody who could choose a text that collides has a say in these files.
const fn tag_of(text: &str) -> [u8; TAG_BYTES] {
    let (mut hash, mut rest) = (0xCBF2_9CE4_8422_2325_u64, text.as_bytes());
    while let [byte, behind @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01B3);
        rest = behind;
    }
    let mut tag = [b'"'; TAG_BYTES];
    let Some((_, digits)) = tag.split_first_mut() else { return tag };
    let Some((digits, _)) = digits.split_first_chunk_mut::<16>() else { return tag };
    let mut rest = digits.as_mut_slice();
    while let [digit, behind @ ..] = rest {
        let value = (hash >> 60) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        hash <<= 4;
        rest = behind;
    }
    tag
}

/// The client for browsers, an ECMAScript module.
pub(crate) static CLIENT: Page = Page::new(MediaType::JavaScript, include_str!("fanwire.js"));
/// Its types.
pub(crate) static CLIENT_TYPES: Page = Page::new(MediaType::TypeScript, include_str!("fanwire.d.ts"));
/// The console.
pub(crate) static CONSOLE: Page =
    Page::new(MediaType::Html(PagePolicy { script_hashes: "", style_hashes: "" }), include_str!("console.html"));
/// What it does.
pub(crate) static CONSOLE_SCRIPT: Page = Page::new(MediaType::JavaScript, include_str!("console.js"));
/// How it looks.
pub(crate) static CONSOLE_STYLE: Page = Page::new(MediaType::Style, include_str!("console.css"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_tag_of_its_own_that_is_one() {
        let pages = [&CLIENT, &CLIENT_TYPES, &CONSOLE, &CONSOLE_SCRIPT, &CONSOLE_STYLE];
        let mut tags: Vec<&str> = pages.iter().map(|page| page.entity_tag()).collect();
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        for tag in &tags {
            let digits = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap();
            assert!(digits.len() == 16 && digits.bytes().all(is_digit), "{tag}");
        }
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), pages.len());
    }
}
