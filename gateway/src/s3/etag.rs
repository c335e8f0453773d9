//! ETags: opaque to clients, MD5 by tradition. Stored without quotes.

use md5::{Digest, Md5};

/// The ETag of a multipart object: the MD5 of its parts' MD5s, and their count. `None` when an
/// ETag is not 32 hex digits, which no stored part's is.
pub(crate) fn of_parts<'a>(part_etags: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut hasher = Md5::new();
    let mut part_count = 0_usize;
    for etag in part_etags {
        hasher.update(hex::decode(etag).ok().filter(|md5| md5.len() == 16)?);
        part_count += 1;
    }
    Some(format!("{}-{part_count}", hex::encode(hasher.finalize())))
}

/// An ETag that a client wrote, with or without quotes and weakness, as it is stored.
pub(crate) fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_prefix("W/").unwrap_or(text);
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_parts_is_what_clients_recompute() {
        // MD5("") twice, concatenated as bytes.
        let empty = "d41d8cd98f00b204e9800998ecf8427e";
        let etag = of_parts([empty, empty].into_iter()).unwrap();
        let bytes = [hex::decode(empty).unwrap(), hex::decode(empty).unwrap()].concat();
        assert_eq!(etag, format!("{}-2", hex::encode(Md5::digest(bytes))));
    }

    #[test]
    fn of_parts_refuses_what_is_no_md5() {
        assert_eq!(of_parts(["abc-2"].into_iter()), None);
        assert_eq!(of_parts(["abcd"].into_iter()), None);
    }

    #[test]
    fn quotes_do_not_matter() {
        for text in ["abc", "\"abc\"", "W/\"abc\"", " \"abc\" "] {
            assert_eq!(unquoted(text), "abc", "{text}");
        }
        assert_eq!(unquoted("\"abc"), "\"abc");
    }
}
