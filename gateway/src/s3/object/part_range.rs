//! Which bytes a read sends, and what it says of them. Pure.

use crate::meta::types::{Checksum, Content, ObjectPart};
use crate::s3::checksum::{self, Fields};
use crate::s3::error::Error;
use crate::s3::range::{self, Asked};
use std::ops::Range;

/// The answer to a read, apart from its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The bytes to send; empty only for an empty object.
    pub(crate) range: Range<u64>,
    /// `Content-Range`, when it is not the whole object.
    pub(crate) content_range: Option<String>,
    /// `x-amz-mp-parts-count`, when a part of a multipart object was asked for.
    pub(crate) part_count: Option<i32>,
    /// The checksum of exactly these bytes, when it was asked for and is known.
    pub(crate) checksum: Fields,
    /// What that checksum covers.
    pub(crate) checksum_type: Option<&'static str>,
}

/// Chooses the bytes by range or by part number.
pub(crate) fn select(
    content: &Content,
    asked: Option<Asked>,
    part_number: Option<i32>,
    is_checksum_wanted: bool,
) -> Result<Selection, Error> {
    let checksum = content.checksum.as_ref().filter(|_| is_checksum_wanted);
    match (asked, part_number) {
        (None, None) => Ok(whole(content, checksum)),
        (Some(asked), None) => ranged(content, asked),
        (None, Some(number)) => part(content, number, checksum),
        (Some(_), Some(_)) => Err(Error::InvalidRequest(
            "Cannot specify both Range header and partNumber query parameter",
        )),
    }
}

/// Refuses what is no part number.
pub(crate) fn check_part_number(number: i32) -> Result<u16, Error> {
    u16::try_from(number).ok().filter(|number| (1..=10_000).contains(number)).ok_or(
        Error::InvalidArgument("Part number must be an integer between 1 and 10000, inclusive"),
    )
}

fn whole(content: &Content, checksum: Option<&Checksum>) -> Selection {
    Selection {
        range: 0..content.size,
        content_range: None,
        part_count: None,
        checksum: Fields::of(checksum, content.parts.len()),
        checksum_type: checksum.map(|checksum| checksum::type_name(checksum.kind)),
    }
}

fn ranged(content: &Content, asked: Asked) -> Result<Selection, Error> {
    let range = asked.resolve(content.size).ok_or(Error::InvalidRange { size: content.size })?;
    Ok(Selection {
        content_range: Some(range::content_range(&range, content.size)),
        range,
        part_count: None,
        checksum: Fields::default(),
        checksum_type: None,
    })
}

/// A part by the number that it was uploaded with.
fn part(content: &Content, number: i32, checksum: Option<&Checksum>) -> Result<Selection, Error> {
    let number = check_part_number(number)?;
    if content.parts.is_empty() {
        return if number == 1 {
            Ok(only_part(content, checksum))
        } else {
            Err(Error::InvalidPartNumber)
        };
    }
    let index = content.parts.iter().position(|part| part.number == number);
    let index = index.ok_or(Error::InvalidPartNumber)?;
    let start = content.parts[..index].iter().map(|part| part.size).sum::<u64>();
    let part = &content.parts[index];
    let range = start..start + part.size;
    Ok(Selection {
        content_range: (!range.is_empty()).then(|| range::content_range(&range, content.size)),
        range,
        part_count: i32::try_from(content.parts.len()).ok(),
        checksum: part_checksum(part, checksum),
        checksum_type: checksum.map(|checksum| checksum::type_name(checksum.kind)),
    })
}

/// An object that was put in one piece is its own first part.
fn only_part(content: &Content, checksum: Option<&Checksum>) -> Selection {
    let whole = whole(content, checksum);
    let is_empty = whole.range.is_empty();
    let content_range = (!is_empty).then(|| range::content_range(&whole.range, content.size));
    Selection { content_range, ..whole }
}

/// A part's own checksum, of the algorithm of the object's.
pub(crate) fn part_checksum(part: &ObjectPart, checksum: Option<&Checksum>) -> Fields {
    checksum.zip(part.checksum.as_ref()).map_or_else(Fields::default, |(checksum, value)| {
        Fields::of_part(&Checksum { value: value.clone(), ..checksum.clone() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::types::{ChecksumAlgorithm, ChecksumType, Headers};

    fn content(part_sizes: &[u64], size: u64) -> Content {
        let part = |(index, size): (usize, &u64)| ObjectPart {
            number: u16::try_from(index + 1).unwrap(),
            size: *size,
            checksum: Some(vec![u8::try_from(index).unwrap(); 4]),
        };
        Content {
            size,
            etag: "e".to_owned(),
            storage_class: "STANDARD".to_owned(),
            headers: Headers::default(),
            checksum: Some(Checksum {
                algorithm: ChecksumAlgorithm::Crc32,
                kind: ChecksumType::Composite,
                value: vec![9; 4],
            }),
            tags: std::collections::BTreeMap::new(),
            parts: part_sizes.iter().enumerate().map(part).collect(),
        }
    }

    #[test]
    fn a_part_is_a_range_with_its_own_checksum() {
        let selection = select(&content(&[5, 7], 12), None, Some(2), true).unwrap();
        assert_eq!(selection.range, 5..12);
        assert_eq!(selection.content_range.as_deref(), Some("bytes 5-11/12"));
        assert_eq!(selection.part_count, Some(2));
        assert_eq!(selection.checksum.crc32.as_deref(), Some("AQEBAQ=="));
    }

    #[test]
    fn the_whole_has_the_whole_checksum_and_only_on_demand() {
        let content = content(&[5, 7], 12);
        let shown = select(&content, None, None, true).unwrap();
        assert_eq!(shown.checksum.crc32.as_deref(), Some("CQkJCQ==-2"));
        assert_eq!(shown.checksum_type, Some("COMPOSITE"));
        let silent = select(&content, None, None, false).unwrap();
        assert_eq!((silent.checksum, silent.checksum_type), (Fields::default(), None));
        let range = select(&content, Some(Asked::Suffix(2)), None, true).unwrap();
        assert_eq!((range.range, range.checksum), (10..12, Fields::default()));
    }

    #[test]
    fn part_numbers_are_checked() {
        for number in [0, -1, 10_001] {
            let error = select(&content(&[5], 5), None, Some(number), false).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument(_)), "{number}");
        }
        let missing = select(&content(&[5], 5), None, Some(2), false).unwrap_err();
        assert!(matches!(missing, Error::InvalidPartNumber));
        let both = select(&content(&[5], 5), Some(Asked::Suffix(1)), Some(1), false).unwrap_err();
        assert!(matches!(both, Error::InvalidRequest(_)));
    }

    #[test]
    fn an_object_in_one_piece_is_its_first_part() {
        let one = select(&content(&[], 5), None, Some(1), false).unwrap();
        assert_eq!((one.range, one.part_count), (0..5, None));
        assert!(select(&content(&[], 5), None, Some(2), false).is_err());
        let empty = select(&content(&[], 0), None, Some(1), false).unwrap();
        assert_eq!((empty.range, empty.content_range), (0..0, None));
    }

    #[test]
    fn a_range_behind_the_end_is_416() {
        let asked = Asked::From { first: 5, last: None };
        let error = select(&content(&[], 5), Some(asked), None, false).unwrap_err();
        assert!(matches!(error, Error::InvalidRange { size: 5 }));
    }
}
