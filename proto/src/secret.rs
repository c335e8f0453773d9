//! The cluster secret: what a gateway shows to a node with every call.

use std::fmt;
use subtle::ConstantTimeEq;

/// The metadata key under which every call carries the secret.
pub const SECRET_METADATA_KEY: &str = "sixfold-cluster-secret";

/// The shortest secret that is accepted. Thirty-two characters of hexadecimal are 128 bits.
pub const MIN_SECRET_CHARS: usize = 32;

/// The secret that all processes of one cluster share. It is never shown: neither `Debug` nor
/// `Display` has its characters, and it is compared in constant time only.
#[derive(Clone)]
pub struct ClusterSecret(String);

/// Why a text can't be the cluster secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too few characters to be safe.
    #[error("the cluster secret needs at least {MIN_SECRET_CHARS} characters")]
    TooShort,
    /// Characters that can't travel in a header.
    #[error("the cluster secret may hold printable ASCII without spaces only")]
    NotPrintable,
}

impl ClusterSecret {
    /// Takes the secret from a file's or variable's text; white space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.len() < MIN_SECRET_CHARS {
            return Err(SecretError::TooShort);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::NotPrintable);
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether `shown` is the secret. The time taken tells nothing but its length.
    pub fn matches(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }

    /// The value for [`SECRET_METADATA_KEY`], marked as sensitive so that no log shows it.
    /// `None` never happens for a parsed secret, whose characters all fit in a header.
    pub fn metadata_value(&self) -> Option<tonic::metadata::AsciiMetadataValue> {
        let mut value = tonic::metadata::AsciiMetadataValue::try_from(self.0.as_str()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_the_secret_itself_matches() {
        let secret = ClusterSecret::parse(&format!(" {GOOD}\n")).unwrap();
        assert!(secret.matches(GOOD.as_bytes()));
        for wrong in ["", "0", &GOOD[1..], &GOOD.to_uppercase(), &format!("{GOOD}0")] {
            assert!(!secret.matches(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn weak_secrets_are_refused() {
        assert_eq!(ClusterSecret::parse("short").unwrap_err(), SecretError::TooShort);
        let spaced = format!("{GOOD} {GOOD}");
        assert_eq!(ClusterSecret::parse(&spaced).unwrap_err(), SecretError::NotPrintable);
    }

    #[test]
    fn it_is_never_shown() {
        let secret = ClusterSecret::parse(GOOD).unwrap();
        assert!(!format!("{secret:?}").contains("0123"));
        assert!(!format!("{:?}", secret.metadata_value().unwrap()).contains("0123"));
    }
}
