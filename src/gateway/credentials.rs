//! Who may come in: anybody, or who knows one of the configured tokens.

use subtle::{Choice, ConstantTimeEq};

/// The tokens that open the door. Never printed.
#[derive(Clone)]
pub struct Credentials {
    tokens: Vec<Vec<u8>>,
}

impl Credentials {
    /// Nobody is asked.
    pub const fn open() -> Self {
        Credentials { tokens: Vec::new() }
    }

    /// Who knows one of these; nobody is asked when there is none.
    pub fn tokens(tokens: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Credentials { tokens: tokens.into_iter().collect() }
    }

    /// Whether nobody is asked.
    pub const fn is_open(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether these bytes let somebody in. Takes the same time wherever they differ from a token, and looks at
    /// every token, so that nothing can be learnt from how long a refusal takes but a token's length.
    pub fn admit(&self, offered: &[u8]) -> bool {
        let known = self.tokens.iter().fold(Choice::from(0), |known, token| known | token.as_slice().ct_eq(offered));
        self.is_open() || bool::from(known)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Credentials({} tokens)", self.tokens.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_tokens_open_a_closed_door() {
        let closed = Credentials::tokens([b"first".to_vec(), b"second".to_vec()]);
        assert!(closed.admit(b"first") && closed.admit(b"second"));
        for wrong in [&b""[..], b"firs", b"first ", b"FIRST", b"third"] {
            assert!(!closed.admit(wrong));
        }
        assert!(Credentials::open().admit(b"") && Credentials::open().admit(b"anything"));
        assert!(!format!("{closed:?}").contains("first"));
    }
}
