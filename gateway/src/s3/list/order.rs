//! The order of the entries of `ListObjectVersions`. Pure.
//!
//! Amazon mixes versions and delete markers: by key, then newest first, and some clients show them
//! in the order of the document. s3s writes all of one kind, then all of the other. So the list
//! tells the order beside its answer, and the front end puts the document into it.

use crate::meta::types::Version;

/// Which entries are delete markers, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryOrder(Vec<bool>);

impl EntryOrder {
    /// The order of a page.
    pub(super) fn of(entries: &[Version]) -> Self {
        Self(entries.iter().map(|entry| entry.content.is_none()).collect())
    }

    /// The document with its entries in this order; `None` when it has other entries.
    pub(crate) fn apply(&self, document: &str) -> Option<String> {
        let (versions, rest) = cut(document, "<Version>", "</Version>")?;
        let (markers, mut rest) = cut(&rest, "<DeleteMarker>", "</DeleteMarker>")?;
        let (mut versions, mut markers) = (versions.into_iter(), markers.into_iter());
        let ordered = self.0.iter().map(|is_marker| match is_marker {
            true => markers.next(),
            false => versions.next(),
        });
        let ordered: String = ordered.collect::<Option<_>>()?;
        if versions.next().is_some() || markers.next().is_some() {
            return None;
        }
        let end = rest.rfind("</")?;
        rest.insert_str(end, &ordered);
        Some(rest)
    }
}

/// Takes all elements of one name out of a document. None of them holds another, and no text of
/// ours has a bracket.
fn cut<'a>(document: &'a str, open: &str, close: &str) -> Option<(Vec<&'a str>, String)> {
    let (mut elements, mut others, mut rest) = (Vec::new(), String::new(), document);
    while let Some(start) = rest.find(open) {
        let end = start + rest[start..].find(close)? + close.len();
        elements.push(&rest[start..end]);
        others.push_str(&rest[..start]);
        rest = &rest[end..];
    }
    others.push_str(rest);
    Some((elements, others))
}

#[cfg(test)]
mod tests {
    use super::EntryOrder;

    const DOCUMENT: &str = "<List><Name>b</Name><DeleteMarker><Key>a</Key></DeleteMarker>\
        <DeleteMarker><Key>c</Key></DeleteMarker><Version><Key>a</Key><VersionId>1</VersionId>\
        </Version><MaxKeys>3</MaxKeys></List>";

    #[test]
    fn entries_stand_in_the_order_of_the_list() {
        let mixed = EntryOrder(vec![true, false, true]).apply(DOCUMENT).unwrap();
        assert_eq!(
            mixed,
            "<List><Name>b</Name><MaxKeys>3</MaxKeys><DeleteMarker><Key>a</Key></DeleteMarker>\
             <Version><Key>a</Key><VersionId>1</VersionId></Version>\
             <DeleteMarker><Key>c</Key></DeleteMarker></List>"
        );
        assert_eq!(EntryOrder(vec![]).apply("<List></List>").unwrap(), "<List></List>");
    }

    #[test]
    fn another_list_is_left_alone() {
        for other in [vec![], vec![true, false], vec![true, true, true], vec![false, false, true]] {
            assert_eq!(EntryOrder(other.clone()).apply(DOCUMENT), None, "{other:?}");
        }
        assert_eq!(EntryOrder(vec![false]).apply("<List><Version></List>"), None);
    }
}
