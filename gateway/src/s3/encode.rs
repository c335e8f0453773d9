//! How keys stand in a list: plain, or percent-encoded on `encoding-type=url`. Pure.
//!
//! XML 1.0 has no way to write most control characters. A page with a key that has one is
//! encoded whole, asked or not, and says so in `EncodingType`: better than a document that no
//! parser takes.

use crate::xml;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is: unreserved characters and the slash, as Amazon leaves them.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// How the keys and prefixes of one page are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    Plain,
    /// Percent-encoded.
    Url,
}

impl Encoding {
    /// The encoding of a page: what was asked, unless a text of the page needs more.
    pub(crate) fn of_page<'a>(
        is_url_asked: bool,
        mut texts: impl Iterator<Item = &'a str>,
    ) -> Self {
        if is_url_asked || texts.any(|text| !is_xml_text(text)) { Self::Url } else { Self::Plain }
    }

    /// One text of the page.
    pub(crate) fn apply(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => utf8_percent_encode(text, ENCODED).to_string(),
        }
    }
}

/// A key as a document repeats it that has no encoding of its own. Characters that XML 1.0 can't
/// carry stand as U+FFFD: the operation is done, and its answer must be one that parsers take.
pub(crate) fn echo(text: &str) -> String {
    xml::carried(text)
}

/// Whether XML 1.0 can carry a text unchanged. A carriage return can stand in it, but every
/// parser reads it as a line feed.
fn is_xml_text(text: &str) -> bool {
    text.chars().all(|char| xml::is_char(char) && !matches!(char, '\r' | '\u{7f}'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn url_encoding_is_what_clients_decode() {
        assert_eq!(Encoding::Url.apply("a b+c/d&é*"), "a%20b%2Bc/d%26%C3%A9%2A");
        assert_eq!(Encoding::Plain.apply("a b+c"), "a b+c");
    }

    #[test]
    fn a_page_with_an_unwritable_key_is_encoded_whole() {
        let page = |texts: &[&'static str]| Encoding::of_page(false, texts.iter().copied());
        assert_eq!(page(&["a", "b é 😀"]), Encoding::Plain);
        for bad in ["\u{1}", "\r", "\u{ffff}", "\u{1b}"] {
            assert_eq!(page(&["a", bad]), Encoding::Url, "{bad:?}");
        }
        assert_eq!(Encoding::of_page(true, std::iter::empty()), Encoding::Url);
    }

    #[test]
    fn an_echo_is_the_key_where_xml_can_carry_it() {
        assert_eq!(echo("a/é 😀\t\u{7f}"), "a/é 😀\t\u{7f}");
        assert_eq!(echo("a\u{1}b\u{ffff}"), "a\u{fffd}b\u{fffd}");
    }

    proptest! {
        #[test]
        fn encoding_can_be_undone_and_is_ascii(text in any::<String>()) {
            let encoded = Encoding::Url.apply(&text);
            prop_assert!(encoded.is_ascii() && is_xml_text(&encoded));
            let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap();
            prop_assert_eq!(decoded, text);
        }
    }
}
