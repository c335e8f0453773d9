//! Tags as clients write them, and what they may be. Pure.

use super::error::Error;
use crate::meta::types::Tags;
use percent_encoding::percent_decode_str;
use s3s::dto::{Tag, TagSet};

/// The most tags of an object, as on Amazon.
const MAX_OBJECT_TAGS: usize = 10;

/// The most tags of a bucket, as on Amazon.
const MAX_BUCKET_TAGS: usize = 50;

/// The longest key and value in UTF-16 code units, as Amazon counts.
const MAX_KEY_UNITS: usize = 128;
const MAX_VALUE_UNITS: usize = 256;

/// What Amazon keeps for itself.
const RESERVED_PREFIX: &str = "aws:";

const MALFORMED_HEADER: Error = Error::InvalidArgument(
    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters \
     without tag name duplicates.",
);

/// The tags of an object, from a document.
pub(crate) fn of_object(set: TagSet) -> Result<Tags, Error> {
    let tags = from_set(set)?;
    check_count(&tags)?;
    Ok(tags)
}

/// The tags of a bucket, from a document.
pub(crate) fn of_bucket(set: TagSet) -> Result<Tags, Error> {
    let tags = from_set(set)?;
    if tags.len() > MAX_BUCKET_TAGS {
        return Err(Error::TooManyTags("Bucket tag count cannot be greater than 50"));
    }
    Ok(tags)
}

/// The tags of an object, from `x-amz-tagging`, which is written as a query.
pub(crate) fn of_header(header: Option<&str>) -> Result<Tags, Error> {
    let mut tags = Tags::new();
    for pair in header.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(key)?, decoded(value)?);
        check(&key, &value)?;
        if tags.insert(key, value).is_some() {
            return Err(MALFORMED_HEADER);
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

/// Tags as answers show them: by key.
pub(crate) fn shown(tags: Tags) -> TagSet {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

/// How many there are, for `x-amz-tagging-count`: nothing where there are none.
pub(crate) fn count(tags: &Tags) -> Option<i32> {
    i32::try_from(tags.len()).ok().filter(|count| *count > 0)
}

fn from_set(set: TagSet) -> Result<Tags, Error> {
    let mut tags = Tags::new();
    for Tag { key, value } in set {
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        check(&key, &value)?;
        if tags.insert(key, value).is_some() {
            return Err(Error::InvalidTag("Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(tags)
}

fn check_count(tags: &Tags) -> Result<(), Error> {
    if tags.len() > MAX_OBJECT_TAGS {
        return Err(Error::TooManyTags("Object tags cannot be greater than 10"));
    }
    Ok(())
}

fn check(key: &str, value: &str) -> Result<(), Error> {
    let units = |text: &str| text.encode_utf16().count();
    if key.is_empty() || units(key) > MAX_KEY_UNITS || !key.chars().all(is_allowed) {
        return Err(Error::InvalidTag("The TagKey you have provided is invalid"));
    }
    if units(value) > MAX_VALUE_UNITS || !value.chars().all(is_allowed) {
        return Err(Error::InvalidTag("The TagValue you have provided is invalid"));
    }
    if key.starts_with(RESERVED_PREFIX) {
        return Err(Error::InvalidTag("System tags cannot be added/updated by requester"));
    }
    Ok(())
}

/// Letters, numbers and spaces of any script, and a few signs.
fn is_allowed(char: char) -> bool {
    let is_space = char.is_whitespace() && !char.is_control();
    char.is_alphanumeric() || is_space || "+-=._:/@".contains(char)
}

fn decoded(text: &str) -> Result<String, Error> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().map_err(|_| MALFORMED_HEADER)?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert_eq, proptest};

    fn set(pairs: &[(&str, &str)]) -> TagSet {
        let tag = |(key, value): &(&str, &str)| Tag {
            key: Some((*key).to_owned()),
            value: Some((*value).to_owned()),
        };
        pairs.iter().map(tag).collect()
    }

    #[test]
    fn keys_and_values_are_bounded() {
        let (long_key, long_value) = ("k".repeat(128), "v".repeat(256));
        for (key, value) in
            [("a", ""), ("é 1", "+-=._:/@"), (long_key.as_str(), long_value.as_str())]
        {
            assert!(of_object(set(&[(key, value)])).is_ok(), "{key}={value}");
        }
        let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
        let (wide_key, wide_value) = ("\u{20000}".repeat(65), "\u{20000}".repeat(129));
        for (key, value) in [
            ("", "v"),
            (long_key.as_str(), ""),
            (wide_key.as_str(), ""),
            ("k", long_value.as_str()),
            ("k", wide_value.as_str()),
            ("aws:k", "v"),
            ("k\n", "v"),
            ("k", "a,b"),
            ("k", "<"),
        ] {
            let refused = of_object(set(&[(key, value)]));
            assert!(matches!(refused, Err(Error::InvalidTag(_))), "{key}={value}");
        }
        let twice = of_bucket(set(&[("a", "1"), ("a", "2")]));
        assert!(matches!(twice, Err(Error::InvalidTag(_))));
    }

    #[test]
    fn tags_are_counted() {
        let many = |count: usize| {
            let tag = |number| Tag { key: Some(format!("{number}")), value: None };
            (0..count).map(tag).collect::<TagSet>()
        };
        assert_eq!(of_object(many(10)).unwrap().len(), 10);
        assert!(matches!(of_object(many(11)), Err(Error::TooManyTags(_))));
        assert_eq!(of_bucket(many(50)).unwrap().len(), 50);
        assert!(matches!(of_bucket(many(51)), Err(Error::TooManyTags(_))));
        let header: Vec<_> = (0..11).map(|number| format!("{number}=v")).collect();
        let header = header.join("&");
        assert!(matches!(of_header(Some(&header)), Err(Error::TooManyTags(_))));
        assert_eq!((count(&Tags::new()), count(&of_object(many(2)).unwrap())), (None, Some(2)));
    }

    #[test]
    fn the_header_is_a_query() {
        let header = of_header(Some("foo=bar&bar&a%20b=c%2Bd+e")).unwrap();
        let expected = [("a b", "c+d e"), ("bar", ""), ("foo", "bar")];
        assert!(header.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected));
        assert!(of_header(None).unwrap().is_empty() && of_header(Some("")).unwrap().is_empty());
        for malformed in ["a=1&a=2", "a=%80"] {
            let refused = of_header(Some(malformed));
            assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{malformed}");
        }
        assert!(matches!(of_header(Some("=v")), Err(Error::InvalidTag(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(key in "[a-zA-Z0-9+\\-=._:/@ é]{1,40}", value in "[a-z+ ü]{0,40}") {
            let written: String =
                [&key, "=", &value].iter().enumerate().map(|(at, text)| match at {
                    1 => (*text).to_owned(),
                    _ => percent_encoding::utf8_percent_encode(
                        text, percent_encoding::NON_ALPHANUMERIC).to_string(),
                }).collect();
            let read = of_header(Some(&written)).unwrap();
            prop_assert_eq!(read, Tags::from([(key, value)]));
        }
    }
}
