//! Ids as clients see them, and what they may be when they come back. Pure.

use super::error::Error;
use crate::meta::types::{UploadId, UserId, VersionId};
use uuid::Uuid;

/// The longest key in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// A version id as clients see it.
pub(crate) fn version_text(version: VersionId) -> String {
    match version {
        VersionId::Null => "null".to_owned(),
        VersionId::Id(id) => id.simple().to_string(),
    }
}

/// A version id from a client. What we never gave out is an invalid argument.
pub(crate) fn parse_version(text: &str) -> Result<VersionId, Error> {
    if text == "null" {
        return Ok(VersionId::Null);
    }
    parse_hex(text).map(VersionId::Id).ok_or(Error::InvalidArgument("Invalid version id specified"))
}

/// The same for a parameter that may be absent.
pub(crate) fn parse_opt_version(text: Option<&str>) -> Result<Option<VersionId>, Error> {
    text.map(parse_version).transpose()
}

/// An upload id as clients see it.
pub(crate) fn upload_text(upload: UploadId) -> String {
    upload.0.simple().to_string()
}

/// An upload id from a client. What we never gave out does not exist.
pub(crate) fn parse_upload(text: &str) -> Result<UploadId, Error> {
    parse_hex(text).map(UploadId).ok_or(Error::NoSuchUpload)
}

/// A user's canonical id: 64 hex digits, as Amazon's are.
pub(crate) fn owner_text(user: UserId) -> String {
    let id = user.0.simple();
    format!("{id}{id}")
}

/// Refuses a key that no object can have.
pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    if key.len() > MAX_KEY_BYTES {
        return Err(Error::KeyTooLong);
    }
    if key.is_empty() || key.contains('\0') {
        return Err(Error::InvalidArgument("A key has 1 to 1024 bytes and no NUL"));
    }
    Ok(())
}

fn parse_hex(text: &str) -> Option<Uuid> {
    let is_ours =
        text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn garbage_ids_are_refused_by_name() {
        for text in ["", "x", "NULL", "0123456789ABCDEF0123456789abcdef", "null "] {
            assert!(matches!(parse_version(text), Err(Error::InvalidArgument(_))), "{text}");
            assert!(matches!(parse_upload(text), Err(Error::NoSuchUpload)), "{text}");
        }
        assert_eq!(parse_version("null").unwrap(), VersionId::Null);
    }

    #[test]
    fn keys_are_bounded_and_otherwise_literal() {
        for good in ["a", "..", "a/../../b", "\\..\\", "C:", "é", &"k".repeat(1024)] {
            assert!(check_key(good).is_ok(), "{good}");
        }
        assert!(matches!(check_key(&"k".repeat(1025)), Err(Error::KeyTooLong)));
        assert!(matches!(check_key("a\0b"), Err(Error::InvalidArgument(_))));
        assert!(matches!(check_key(""), Err(Error::InvalidArgument(_))));
    }

    proptest! {
        #[test]
        fn ids_read_back(bits in any::<u128>()) {
            let id = Uuid::from_u128(bits);
            prop_assert_eq!(parse_version(&version_text(VersionId::Id(id))).unwrap(), VersionId::Id(id));
            prop_assert_eq!(parse_upload(&upload_text(UploadId(id))).unwrap(), UploadId(id));
            prop_assert_eq!(owner_text(UserId(id)).len(), 64);
        }
    }
}
