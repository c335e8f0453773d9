//! Byte ranges of a read: what was asked, turned into the bytes to send. Pure.

use std::ops::Range;

/// A range as a client asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// From `first` to `last`, both included; to the end without `last`.
    From {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: Option<u64>,
    },
    /// The last so many bytes.
    Suffix(u64),
}

impl Asked {
    /// The bytes to send of an object of `size`; `None` is 416. An end behind the object's is
    /// clamped.
    pub(crate) fn resolve(self, size: u64) -> Option<Range<u64>> {
        match self {
            Self::From { first, last } => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                (first < end).then_some(first..end)
            }
            Self::Suffix(length) => {
                let length = length.min(size);
                (length > 0).then(|| size - length..size)
            }
        }
    }
}

/// `Content-Range` of a partial answer.
pub(crate) fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// `Content-Range` of a 416.
pub(crate) fn unsatisfied_range(size: u64) -> String {
    format!("bytes */{size}")
}

/// `x-amz-copy-source-range`: `bytes=first-last` and nothing else. `None` when it is malformed.
pub(crate) fn parse_copy_range(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (digits(first)?, digits(last)?);
    (first <= last).then_some(first..last.checked_add(1)?)
}

fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn from(first: u64, last: impl Into<Option<u64>>) -> Asked {
        Asked::From { first, last: last.into() }
    }

    #[test]
    fn ranges_resolve_as_amazon_does() {
        for (asked, size, range) in [
            (from(0, 4), 10, Some(0..5)),
            (from(0, 99), 10, Some(0..10)),
            (from(9, None), 10, Some(9..10)),
            (from(10, None), 10, None),
            (from(0, None), 0, None),
            (from(0, u64::MAX), 10, Some(0..10)),
            (Asked::Suffix(3), 10, Some(7..10)),
            (Asked::Suffix(30), 10, Some(0..10)),
            (Asked::Suffix(0), 10, None),
            (Asked::Suffix(5), 0, None),
        ] {
            assert_eq!(asked.resolve(size), range, "{asked:?} of {size}");
        }
    }

    #[test]
    fn a_copy_range_has_both_ends() {
        assert_eq!(parse_copy_range("bytes=0-9"), Some(0..10));
        for bad in ["bytes=0-", "bytes=-5", "bytes=5-2", "0-9", "bytes=a-b", "bytes=0-9,20-30", ""]
        {
            assert_eq!(parse_copy_range(bad), None, "{bad}");
        }
        assert_eq!(parse_copy_range("bytes=0-18446744073709551615"), None);
        assert_eq!(parse_copy_range("bytes=+0-+9"), None);
    }

    #[test]
    fn content_range_names_the_last_byte() {
        assert_eq!(content_range(&(0..5), 10), "bytes 0-4/10");
        assert_eq!(unsatisfied_range(10), "bytes */10");
    }

    proptest! {
        #[test]
        fn a_resolved_range_is_not_empty_and_inside(
            first in any::<u64>(), last in any::<Option<u64>>(), size in any::<u64>(),
        ) {
            for asked in [from(first, last), Asked::Suffix(first)] {
                if let Some(range) = asked.resolve(size) {
                    prop_assert!(range.start < range.end && range.end <= size);
                }
            }
        }

        #[test]
        fn a_copy_range_reads_back(first in 0..1_000_000_u64, length in 1..1_000_000_u64) {
            let text = format!("bytes={first}-{}", first + length - 1);
            prop_assert_eq!(parse_copy_range(&text), Some(first..first + length));
        }
    }
}
