//! Who may read the metrics at an admin address: everybody on this machine where nobody else can
//! reach it, otherwise who shows the token.

use std::fmt;
use std::net::SocketAddr;
use subtle::ConstantTimeEq;

/// The shortest token that is accepted. Sixteen characters of hexadecimal are 64 bits.
pub const MIN_TOKEN_CHARS: usize = 16;

/// The token of scrapers. It is never shown, and compared in constant time only.
#[derive(Clone)]
pub struct AdminToken(String);

/// A text that can't be the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the admin token needs at least {MIN_TOKEN_CHARS} printable characters without spaces")]
pub struct TokenError;

impl AdminToken {
    /// Takes the token from a file's or variable's text; white space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.len() < MIN_TOKEN_CHARS || !is_plain {
            return Err(TokenError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

/// Who may.
#[derive(Clone, Debug)]
pub struct ScrapeAccess {
    token: Option<AdminToken>,
    is_loopback: bool,
}

impl ScrapeAccess {
    /// Of a listener at `address`. A token that is set is asked for everywhere.
    pub fn new(address: SocketAddr, token: Option<AdminToken>) -> Self {
        Self { token, is_loopback: address.ip().is_loopback() }
    }

    /// Whether nobody at all may, because others reach the address and there is no token.
    pub fn is_closed(&self) -> bool {
        self.token.is_none() && !self.is_loopback
    }

    /// Whether a request may that has this `Authorization` header.
    pub fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Some(AdminToken(token)) = &self.token else { return self.is_loopback };
        let shown = authorization.and_then(|header| header.strip_prefix(b"Bearer "));
        shown.is_some_and(|shown| token.as_bytes().ct_eq(shown).into())
    }
}

#[cfg(test)]
mod tests {
    use super::{AdminToken, ScrapeAccess, TokenError};

    const TOKEN: &str = "0123456789abcdef";

    fn access(address: &str, token: Option<&str>) -> ScrapeAccess {
        let token = token.map(|token| AdminToken::parse(token).unwrap());
        ScrapeAccess::new(address.parse().unwrap(), token)
    }

    #[test]
    fn loopback_is_open_until_there_is_a_token() {
        for address in ["127.0.0.1:9001", "[::1]:9001"] {
            assert!(access(address, None).admits(None), "{address}");
            assert!(!access(address, Some(TOKEN)).admits(None), "{address}");
        }
        assert!(access("0.0.0.0:9001", None).is_closed());
        assert!(!access("0.0.0.0:9001", None).admits(Some(b"Bearer 0123456789abcdef")));
    }

    #[test]
    fn the_token_and_nothing_else_is_admitted() {
        let access = access("0.0.0.0:9001", Some(&format!(" {TOKEN}\n")));
        assert!(!access.is_closed());
        assert!(access.admits(Some(b"Bearer 0123456789abcdef")));
        for wrong in ["Bearer 0123456789abcdeg", "Bearer ", "0123456789abcdef", "Basic x", ""] {
            assert!(!access.admits(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!access.admits(None));
        assert!(!format!("{access:?}").contains(TOKEN));
    }

    #[test]
    fn a_short_token_is_refused() {
        for text in ["", "0123456789abcde", "0123456789 abcdef"] {
            assert_eq!(AdminToken::parse(text).err(), Some(TokenError), "{text}");
        }
    }
}
