//! The conditions of a read, in Amazon's order of precedence. Pure.
//!
//! An `If-Match` that holds silences `If-Unmodified-Since`; an `If-None-Match` that holds
//! silences `If-Modified-Since`. Dates compare by the second, because that is all a client sees.

use super::etag;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// What an `If-Match` or `If-None-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ETagTest {
    /// `*`: whatever exists.
    Any,
    /// One of these.
    OneOf(Vec<Named>),
}

/// An ETag that a client named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Without quotes.
    etag: String,
    /// Whether it was marked as weak (`W/`).
    is_weak: bool,
}

impl ETagTest {
    /// Reads a header: `*`, or ETags with commas between them. None of ours has a comma.
    pub(crate) fn parse(header: &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        let named = header.split(',').map(|text| Named {
            etag: etag::unquoted(text).to_owned(),
            is_weak: text.trim_start().starts_with("W/"),
        });
        Self::OneOf(named.collect())
    }

    /// Compares strongly, as `If-Match` does: a weak ETag promises no bytes.
    fn matches_strongly(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(named) => named.iter().any(|named| !named.is_weak && named.etag == etag),
        }
    }

    /// Compares weakly, as `If-None-Match` does.
    fn matches_weakly(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(named) => named.iter().any(|named| named.etag == etag),
        }
    }
}

/// The four conditions of a read or of a copy's source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// `If-Match`.
    pub(crate) matching: Option<ETagTest>,
    /// `If-None-Match`.
    pub(crate) not_matching: Option<ETagTest>,
    /// `If-Modified-Since`.
    pub(crate) modified_since: Option<OffsetDateTime>,
    /// `If-Unmodified-Since`.
    pub(crate) unmodified_since: Option<OffsetDateTime>,
}

/// What the conditions say about a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Holds,
    /// The client has it already: 304 on a read, 412 on a copy.
    NotModified,
    /// 412.
    Failed,
}

impl Conditions {
    /// Tests a version that exists.
    pub(crate) fn check(&self, etag: &str, modified: OffsetDateTime) -> Verdict {
        let modified = by_second(modified);
        let is_allowed = match &self.matching {
            Some(test) => test.matches_strongly(etag),
            None => self.unmodified_since.is_none_or(|date| modified <= by_second(date)),
        };
        if !is_allowed {
            return Verdict::Failed;
        }
        let is_news = match &self.not_matching {
            Some(test) => !test.matches_weakly(etag),
            None => self.modified_since.is_none_or(|date| modified > by_second(date)),
        };
        if is_news { Verdict::Holds } else { Verdict::NotModified }
    }
}

/// Whether a range is to be honoured: `If-Range` names the version's ETag or its date. What is
/// neither is no match, so that the client gets the whole object and not a wrong piece.
pub(crate) fn if_range_holds(header: &str, etag: &str, modified: OffsetDateTime) -> bool {
    let header = header.trim();
    if header.starts_with("W/") {
        return false;
    }
    match OffsetDateTime::parse(header, &Rfc2822) {
        Ok(date) => by_second(date) == by_second(modified),
        Err(_) => etag::unquoted(header) == etag,
    }
}

/// A time without its fraction of a second, as every answer shows it.
pub(crate) fn by_second(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-03-01 12:00:00.7 UTC);

    #[expect(clippy::unnecessary_wraps, reason = "conditions take an Option")]
    fn is(etag: &str) -> Option<ETagTest> {
        Some(ETagTest::parse(etag))
    }

    #[test]
    fn every_combination_follows_amazons_table() {
        let before = Some(NOW - Duration::minutes(1));
        let after = Some(NOW + Duration::minutes(1));
        let none = Conditions::default;
        let table = [
            (none(), Verdict::Holds),
            (Conditions { matching: is("a"), ..none() }, Verdict::Holds),
            (Conditions { matching: Some(ETagTest::Any), ..none() }, Verdict::Holds),
            (Conditions { matching: is("b"), ..none() }, Verdict::Failed),
            (Conditions { not_matching: is("a"), ..none() }, Verdict::NotModified),
            (Conditions { not_matching: Some(ETagTest::Any), ..none() }, Verdict::NotModified),
            (Conditions { not_matching: is("b"), ..none() }, Verdict::Holds),
            (Conditions { modified_since: before, ..none() }, Verdict::Holds),
            (Conditions { modified_since: after, ..none() }, Verdict::NotModified),
            (Conditions { unmodified_since: before, ..none() }, Verdict::Failed),
            (Conditions { unmodified_since: after, ..none() }, Verdict::Holds),
            // A match silences the date beside it.
            (Conditions { matching: is("a"), unmodified_since: before, ..none() }, Verdict::Holds),
            (Conditions { not_matching: is("b"), modified_since: after, ..none() }, Verdict::Holds),
            (
                Conditions { not_matching: is("a"), modified_since: before, ..none() },
                Verdict::NotModified,
            ),
            // Lists, and the two comparisons.
            (Conditions { matching: is("\"b\", \"a\""), ..none() }, Verdict::Holds),
            (Conditions { matching: is("\"b\", \"c\""), ..none() }, Verdict::Failed),
            (Conditions { matching: is("W/\"a\""), ..none() }, Verdict::Failed),
            (Conditions { matching: is("W/\"a\", \"a\""), ..none() }, Verdict::Holds),
            (Conditions { not_matching: is("\"b\",\"a\""), ..none() }, Verdict::NotModified),
            (Conditions { not_matching: is("W/\"a\""), ..none() }, Verdict::NotModified),
            (Conditions { matching: is("*"), ..none() }, Verdict::Holds),
            // A failed match wins over a fresh copy.
            (Conditions { matching: is("b"), not_matching: is("a"), ..none() }, Verdict::Failed),
        ];
        for (conditions, verdict) in table {
            assert_eq!(conditions.check("a", NOW), verdict, "{conditions:?}");
        }
    }

    #[test]
    fn dates_compare_by_the_second() {
        let shown = Some(by_second(NOW));
        let since = Conditions { modified_since: shown, ..Conditions::default() };
        assert_eq!(since.check("a", NOW), Verdict::NotModified);
        let unmodified = Conditions { unmodified_since: shown, ..Conditions::default() };
        assert_eq!(unmodified.check("a", NOW), Verdict::Holds);
    }

    #[test]
    fn if_range_takes_an_etag_or_a_date() {
        assert!(if_range_holds("\"a\"", "a", NOW));
        assert!(if_range_holds("Sun, 01 Mar 2026 12:00:00 GMT", "a", NOW));
        assert!(!if_range_holds("Sun, 01 Mar 2026 12:00:01 GMT", "a", NOW));
        assert!(!if_range_holds("W/\"a\"", "a", NOW));
        assert!(!if_range_holds("garbage", "a", NOW));
    }
}
