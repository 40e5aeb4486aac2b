//! Tokens: the secrets that let a client in.
//!
//! A token shows itself nowhere by accident: its `Debug` is a placeholder, there is no `Display`, and the one way to
//! the text says what it hands out. Comparing tokens with what a client sends, in constant time, is the gateway's.

use fanwire_wire::limits::CREDENTIALS_BYTES_MAX;

/// One secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

/// Why a text can't be a token. Does not repeat the text: it may be a real secret with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is 1 to {CREDENTIALS_BYTES_MAX} visible ASCII characters, no spaces")]
pub struct NotAToken;

impl Token {
    /// Checks that clients can carry the text in HELLO and in a URL.
    pub fn new(text: &str) -> Result<Token, NotAToken> {
        let fits = (1..=CREDENTIALS_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(Token(text.into())) } else { Err(NotAToken) }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(hidden)")
    }
}

/// Every token of the configuration. None: the broker is OPEN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// The set of these tokens.
    pub fn new(tokens: Vec<Token>) -> Tokens {
        Tokens(tokens)
    }

    /// Whether anyone may connect.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// How many tokens there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The secrets themselves, for whoever compares them. Never to be shown.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|token| &*token.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(texts: &[&str]) -> Tokens {
        Tokens::new(texts.iter().map(|text| Token::new(text).unwrap()).collect())
    }

    #[test]
    fn no_token_means_open() {
        assert!(tokens(&[]).is_open());
        let two = tokens(&["first-secret", "second"]);
        assert!(!two.is_open());
        assert_eq!(two.secrets().collect::<Vec<_>>(), ["first-secret", "second"]);
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let shown = format!("{:?}", tokens(&["first-secret"]));
        assert!(!shown.contains("first"), "{shown}");
    }

    #[test]
    fn what_no_client_could_send_is_no_token() {
        let longest = "a".repeat(CREDENTIALS_BYTES_MAX);
        assert!(Token::new(&longest).is_ok());
        for wrong in ["", "two words", "tab\t", "ümlaut", &format!("{longest}a")] {
            assert_eq!(Token::new(wrong), Err(NotAToken), "{wrong:?}");
        }
    }
}
