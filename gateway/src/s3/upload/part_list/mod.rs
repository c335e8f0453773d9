//! The list of parts that a completion names, checked against the parts that were stored. Pure.

use crate::meta::types::{Checksum, ChecksumAlgorithm, ChecksumType, ObjectPart, Part, Upload};
use crate::s3::checksum::{self, Fields};
use crate::s3::error::Error;
use crate::s3::etag;

/// The smallest part that is not the last: 5 MiB, as on Amazon.
pub(crate) const MIN_PART_BYTES: u64 = 5 << 20;

/// One part as the client lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its number.
    pub(crate) number: u16,
    /// Its ETag without quotes.
    pub(crate) etag: String,
    /// Its checksum, when it was named.
    pub(crate) checksum: Fields,
}

/// The object that the parts make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assembled {
    /// Sum of the sizes.
    pub(crate) size: u64,
    /// The ETag.
    pub(crate) etag: String,
    /// The checksum.
    pub(crate) checksum: Option<Checksum>,
    /// The parts as they are kept.
    pub(crate) parts: Vec<ObjectPart>,
}

/// Refuses a list that no upload could have.
pub(crate) fn check_order(listed: &[Listed]) -> Result<(), Error> {
    if listed.is_empty() {
        return Err(Error::MalformedXml);
    }
    let is_ascending = listed.windows(2).all(|pair| pair[0].number < pair[1].number);
    if is_ascending { Ok(()) } else { Err(Error::InvalidPartOrder) }
}

/// Checks a list against the parts stored, both by number, and says what they make.
pub(crate) fn assemble(
    upload: &Upload,
    listed: &[Listed],
    stored: &[Part],
) -> Result<Assembled, Error> {
    let chosen =
        listed.iter().map(|part| choose(upload, part, stored)).collect::<Result<Vec<_>, _>>()?;
    let (_, all_but_last) = chosen.split_last().ok_or(Error::MalformedXml)?;
    if all_but_last.iter().any(|part| part.size < MIN_PART_BYTES) {
        return Err(Error::EntityTooSmall);
    }
    let etag = etag::of_parts(chosen.iter().map(|part| part.etag.as_str()))
        .ok_or_else(|| Error::Internal("a part's ETag is no MD5".to_owned()))?;
    let kept = chosen.iter().map(|part| ObjectPart {
        number: part.number,
        size: part.size,
        checksum: part.checksum.as_ref().map(|checksum| checksum.value.clone()),
    });
    Ok(Assembled {
        size: chosen.iter().map(|part| part.size).sum(),
        etag,
        checksum: joined_checksum(upload, &chosen),
        parts: kept.collect(),
    })
}

fn choose<'a>(upload: &Upload, listed: &Listed, stored: &'a [Part]) -> Result<&'a Part, Error> {
    let index = stored
        .binary_search_by_key(&listed.number, |part| part.number)
        .map_err(|_| Error::InvalidPart)?;
    let part = &stored[index];
    let is_same = part.etag == listed.etag
        && checksum::ALL.into_iter().all(|algorithm| {
            let named = listed.checksum.get(algorithm).filter(|named| !named.is_empty());
            named.is_none_or(|named| is_checksum_of(upload, part, algorithm, named))
        });
    if is_same { Ok(part) } else { Err(Error::InvalidPart) }
}

/// Whether a part has this checksum. Only that of one algorithm is kept. An upload that named it
/// has no other; to one that named none clients give any, which was verified when the part came.
fn is_checksum_of(upload: &Upload, part: &Part, algorithm: ChecksumAlgorithm, named: &str) -> bool {
    match part.checksum.as_ref().filter(|had| had.algorithm == algorithm) {
        Some(had) => checksum::decode(algorithm, named).as_ref() == Some(&had.value),
        None => upload.checksum.is_none(),
    }
}

fn joined_checksum(upload: &Upload, parts: &[&Part]) -> Option<Checksum> {
    let (algorithm, kind) =
        upload.checksum.unwrap_or((checksum::DEFAULT, ChecksumType::FullObject));
    let values: Option<Vec<(&[u8], u64)>> = parts
        .iter()
        .map(|part| {
            let own = part.checksum.as_ref().filter(|own| own.algorithm == algorithm)?;
            Some((&own.value[..], part.size))
        })
        .collect();
    checksum::of_parts(algorithm, kind, &values?)
}

/// Compares the checksum that a completion names for the whole object.
pub(crate) fn check_whole(
    assembled: &Assembled,
    named: &[(ChecksumAlgorithm, String)],
) -> Result<(), Error> {
    for (algorithm, text) in named {
        let had = assembled.checksum.as_ref().filter(|had| had.algorithm == *algorithm).ok_or(
            Error::InvalidRequest(
                "The checksum algorithm is not the one that the upload was created with.",
            ),
        )?;
        // A composite may be named with or without the count of parts behind it.
        let (value, count) = text
            .split_once('-')
            .map_or((text.as_str(), None), |(value, count)| (value, Some(count)));
        let is_count = count.is_none_or(|count| {
            had.kind == ChecksumType::Composite && count == assembled.parts.len().to_string()
        });
        if !is_count || checksum::decode(*algorithm, value).as_ref() != Some(&had.value) {
            return Err(Error::BadDigest(checksum::name(*algorithm)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
