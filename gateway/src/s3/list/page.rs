//! What every list does alike: limits, tokens, encoding, and the end of a page. Pure.

use crate::meta::types::{Checksum, ListQuery, Page, Version};
use crate::s3::checksum;
use crate::s3::encode::Encoding;
use crate::s3::error::Error;
use crate::s3::time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use s3s::dto::{
    self, ChecksumAlgorithm, ChecksumType, CommonPrefix, ETag, EncodingType, Object,
    ObjectStorageClass, Owner,
};

/// Entries and prefixes of one page, at most and by default.
pub(crate) const MAX_ENTRIES: i32 = 1000;

/// Stands before the key in a continuation token, so that its form can change.
const TOKEN_VERSION: &str = "1";

/// How many entries a client wants: negative is refused, more than the most is the most.
pub(crate) fn limit(asked: Option<i32>) -> Result<i32, Error> {
    match asked {
        Some(asked) if asked < 0 => Err(Error::InvalidArgument(
            "Argument max-keys must be an integer between 0 and 2147483647",
        )),
        asked => Ok(asked.unwrap_or(MAX_ENTRIES).min(MAX_ENTRIES)),
    }
}

/// A limit as a count.
pub(crate) fn count(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or_default()
}

/// The page of a list that was asked for nothing.
pub(crate) fn nothing<T>() -> Page<T> {
    Page { entries: Vec::new(), prefixes: Vec::new(), is_truncated: false }
}

/// Whether `encoding-type=url` is asked for; anything else is refused.
pub(crate) fn is_url(encoding: Option<&EncodingType>) -> Result<bool, Error> {
    match encoding.map(EncodingType::as_str) {
        None | Some("") => Ok(false),
        Some("url") => Ok(true),
        Some(_) => Err(Error::InvalidArgument("Invalid Encoding Method specified in Request")),
    }
}

/// A query; an empty delimiter or start is none.
pub(crate) fn query(
    prefix: Option<&str>,
    delimiter: Option<&str>,
    after: Option<String>,
    limit: i32,
) -> ListQuery {
    ListQuery {
        prefix: prefix.unwrap_or_default().to_owned(),
        delimiter: delimiter.filter(|text| !text.is_empty()).map(str::to_owned),
        after: after.filter(|text| !text.is_empty()),
        limit: count(limit),
    }
}

/// A continuation token for what comes after `name`.
pub(crate) fn token(name: &str) -> String {
    BASE64.encode(format!("{TOKEN_VERSION}{name}"))
}

/// The inverse of [`token`]; what we never gave out is refused. An empty one is none.
pub(crate) fn parse_token(token: Option<&str>) -> Result<Option<String>, Error> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    BASE64
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix(TOKEN_VERSION).map(str::to_owned))
        .map(Some)
        .ok_or(Error::InvalidArgument("The continuation token provided is incorrect"))
}

/// What ends a page in byte order: its last entry or its last prefix.
pub(crate) fn last_name<'a, T>(
    page: &'a Page<T>,
    name: impl Fn(&'a T) -> &'a str,
) -> Option<&'a str> {
    let entry = page.entries.last().map(name);
    let prefix = page.prefixes.last().map(String::as_str);
    entry.max(prefix)
}

/// How the names of a page are written.
pub(crate) fn encoding<'a, T>(
    is_url: bool,
    page: &'a Page<T>,
    name: impl Fn(&'a T) -> &'a str,
    query: &'a ListQuery,
    start_after: Option<&'a String>,
) -> Encoding {
    let own = [Some(&query.prefix), query.delimiter.as_ref(), query.after.as_ref(), start_after];
    let asked = own.into_iter().flatten().map(String::as_str);
    let names = page.entries.iter().map(name).chain(page.prefixes.iter().map(String::as_str));
    Encoding::of_page(is_url, names.chain(asked))
}

/// The encoding as the document names it.
pub(crate) fn encoding_type(encoding: Encoding) -> Option<EncodingType> {
    (encoding == Encoding::Url).then(|| EncodingType::from_static(EncodingType::URL))
}

/// The common prefixes of a page.
pub(crate) fn prefixes(prefixes: &[String], encoding: Encoding) -> Vec<CommonPrefix> {
    let shown = |prefix: &String| CommonPrefix { prefix: Some(encoding.apply(prefix)) };
    prefixes.iter().map(shown).collect()
}

/// One object of a list.
pub(crate) fn object(version: &Version, encoding: Encoding, owner: Option<&Owner>) -> Object {
    let content = version.content.as_ref();
    let checksum = content.and_then(|content| content.checksum.as_ref());
    Object {
        checksum_algorithm: checksum.map(|checksum| vec![algorithm(checksum)]),
        checksum_type: checksum.map(kind),
        e_tag: content.map(|content| ETag::Strong(content.etag.clone())),
        key: Some(encoding.apply(&version.key)),
        last_modified: Some(time::shown(version.modified)),
        owner: owner.cloned(),
        restore_status: None,
        size: content.and_then(|content| i64::try_from(content.size).ok()),
        storage_class: content
            .map(|content| ObjectStorageClass::from(content.storage_class.clone())),
    }
}

/// The algorithm of a checksum as lists name it.
pub(crate) fn algorithm(checksum: &Checksum) -> ChecksumAlgorithm {
    ChecksumAlgorithm::from_static(checksum::name(checksum.algorithm))
}

/// The type of a checksum as lists name it.
pub(crate) fn kind(checksum: &Checksum) -> ChecksumType {
    dto::ChecksumType::from_static(checksum::type_name(checksum.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn limits_follow_amazon() {
        assert_eq!(limit(None).unwrap(), 1000);
        assert_eq!(limit(Some(0)).unwrap(), 0);
        assert_eq!(limit(Some(i32::MAX)).unwrap(), 1000);
        assert!(matches!(limit(Some(-1)), Err(Error::InvalidArgument(_))));
    }

    #[test]
    fn only_url_is_an_encoding() {
        assert!(is_url(Some(&EncodingType::from_static("url"))).unwrap());
        let foo = EncodingType::from_static("foo");
        assert!(matches!(is_url(Some(&foo)), Err(Error::InvalidArgument(_))));
    }

    #[test]
    fn the_last_name_is_the_greater_one() {
        let page = |entries: &[&str], prefixes: &[&str]| Page {
            entries: entries.iter().map(ToString::to_string).collect::<Vec<_>>(),
            prefixes: prefixes.iter().map(ToString::to_string).collect(),
            is_truncated: true,
        };
        assert_eq!(last_name(&page(&["a"], &["b/"]), |name| name), Some("b/"));
        assert_eq!(last_name(&page(&["c"], &["b/"]), |name| name), Some("c"));
        assert_eq!(last_name(&page(&[], &[]), |name| name), None);
    }

    #[test]
    fn foreign_tokens_are_refused() {
        for bad in ["x", "MmE", "not a token", "////"] {
            assert!(matches!(parse_token(Some(bad)), Err(Error::InvalidArgument(_))), "{bad}");
        }
        assert_eq!(parse_token(Some("")).unwrap(), None);
    }

    proptest! {
        #[test]
        fn tokens_read_back(name in any::<String>()) {
            prop_assert_eq!(parse_token(Some(&token(&name))).unwrap(), Some(name));
        }
    }
}
