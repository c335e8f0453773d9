//! Additional checksums: what a client claims, what is stored, what is shown. Pure.
//!
//! A whole object has a `FULL_OBJECT` checksum. One of a multipart object is either that, joined
//! from its parts' (possible for CRCs only), or `COMPOSITE`: the checksum of its parts'
//! checksums, shown with the count of parts behind it.

use super::error::Error;
use crate::meta::types::{Checksum, ChecksumAlgorithm, ChecksumType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use http::HeaderMap;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What is stored when the client names no algorithm, as on Amazon.
pub(crate) const DEFAULT: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

/// All algorithms.
pub(crate) const ALL: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];

/// Every algorithm with its header and its name in documents.
const TABLE: [(ChecksumAlgorithm, &str, &str); 5] = [
    (ChecksumAlgorithm::Crc32, "x-amz-checksum-crc32", "CRC32"),
    (ChecksumAlgorithm::Crc32c, "x-amz-checksum-crc32c", "CRC32C"),
    (ChecksumAlgorithm::Crc64Nvme, "x-amz-checksum-crc64nvme", "CRC64NVME"),
    (ChecksumAlgorithm::Sha1, "x-amz-checksum-sha1", "SHA1"),
    (ChecksumAlgorithm::Sha256, "x-amz-checksum-sha256", "SHA256"),
];

/// The name of an algorithm in documents and headers.
pub(crate) fn name(algorithm: ChecksumAlgorithm) -> &'static str {
    row(algorithm).2
}

/// The header that carries a checksum.
pub(crate) fn header(algorithm: ChecksumAlgorithm) -> &'static str {
    row(algorithm).1
}

fn row(algorithm: ChecksumAlgorithm) -> &'static (ChecksumAlgorithm, &'static str, &'static str) {
    let index = match algorithm {
        ChecksumAlgorithm::Crc32 => 0,
        ChecksumAlgorithm::Crc32c => 1,
        ChecksumAlgorithm::Crc64Nvme => 2,
        ChecksumAlgorithm::Sha1 => 3,
        ChecksumAlgorithm::Sha256 => 4,
    };
    &TABLE[index]
}

/// An algorithm by its name; empty is none, as some clients send it.
pub(crate) fn parse_algorithm(text: &str) -> Result<Option<ChecksumAlgorithm>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(row) = TABLE.iter().find(|row| row.2.eq_ignore_ascii_case(text)) {
        return Ok(Some(row.0));
    }
    let is_offered_elsewhere = ["MD5", "SHA512", "XXHASH64", "XXHASH3", "XXHASH128"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(text));
    Err(if is_offered_elsewhere {
        Error::NotImplemented("x-amz-checksum-algorithm")
    } else {
        Error::InvalidRequest(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid \
             types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })
}

/// What a client says about the checksum of the body it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The algorithm.
    pub(crate) algorithm: ChecksumAlgorithm,
    /// The value, or where it comes.
    pub(crate) value: ClaimedValue,
}

/// Where a claimed value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClaimedValue {
    /// In a header: these raw bytes.
    Given(Vec<u8>),
    /// In the trailer, after the body.
    InTrailer,
    /// Nowhere: only the algorithm was named, the value is ours to compute.
    Absent,
}

impl Claim {
    /// Reads the claim out of a request's headers. More than one is refused; of an algorithm that
    /// is not known there is none, the front lets no such header through.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let mut claims = Vec::new();
        for (algorithm, name, _) in TABLE {
            if let Some(value) = headers.get(name) {
                let value = ClaimedValue::Given(decode_header(algorithm, value.as_bytes())?);
                claims.push(Self { algorithm, value });
            }
        }
        for algorithm in announced(headers) {
            claims.push(Self { algorithm, value: ClaimedValue::InTrailer });
        }
        if claims.len() > 1 {
            return Err(Error::InvalidRequest(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                 allowed.",
            ));
        }
        let named = named_algorithm(headers)?;
        match (claims.pop(), named) {
            (Some(claim), Some(named)) if claim.algorithm != named => Err(Error::InvalidRequest(
                "Value for x-amz-sdk-checksum-algorithm header is invalid.",
            )),
            (Some(claim), _) => Ok(Some(claim)),
            (None, Some(algorithm)) => Ok(Some(Self { algorithm, value: ClaimedValue::Absent })),
            (None, None) => Ok(None),
        }
    }
}

/// The checksums that a trailer is announced to carry.
fn announced(headers: &HeaderMap) -> impl Iterator<Item = ChecksumAlgorithm> + '_ {
    headers
        .get_all("x-amz-trailer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| {
            let row = TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(name.trim()))?;
            Some(row.0)
        })
}

fn named_algorithm(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, Error> {
    let text = headers
        .get("x-amz-sdk-checksum-algorithm")
        .or_else(|| headers.get("x-amz-checksum-algorithm"))
        .map_or(Ok(""), |value| value.to_str())
        .map_err(|_| Error::InvalidChecksum("x-amz-sdk-checksum-algorithm"))?;
    parse_algorithm(text)
}

/// The value of a checksum that stands in a trailer.
pub(crate) fn from_trailer(
    algorithm: ChecksumAlgorithm,
    trailers: &HeaderMap,
) -> Result<Vec<u8>, Error> {
    let value = trailers.get(header(algorithm)).ok_or(Error::MalformedTrailer)?;
    decode_header(algorithm, value.as_bytes())
}

fn decode_header(algorithm: ChecksumAlgorithm, text: &[u8]) -> Result<Vec<u8>, Error> {
    let text = str::from_utf8(text).unwrap_or_default();
    decode(algorithm, text.trim()).ok_or(Error::InvalidChecksum(header(algorithm)))
}

/// A checksum in base64, of the right length for its algorithm.
pub(crate) fn decode(algorithm: ChecksumAlgorithm, text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok().filter(|value| value.len() == size_bytes(algorithm))
}

fn size_bytes(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

/// The type of a multipart object's checksum: the one asked for if the algorithm allows it, else
/// the algorithm's own.
pub(crate) fn multipart_type(
    algorithm: ChecksumAlgorithm,
    asked: Option<&str>,
) -> Result<ChecksumType, Error> {
    let is_sha = matches!(algorithm, ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256);
    match asked {
        None if algorithm == ChecksumAlgorithm::Crc64Nvme => Ok(ChecksumType::FullObject),
        None => Ok(ChecksumType::Composite),
        Some("FULL_OBJECT") if !is_sha => Ok(ChecksumType::FullObject),
        Some("COMPOSITE") if algorithm != ChecksumAlgorithm::Crc64Nvme => {
            Ok(ChecksumType::Composite)
        }
        Some("FULL_OBJECT" | "COMPOSITE") => Err(Error::InvalidRequest(
            "The checksum type is not supported for the given checksum algorithm.",
        )),
        Some(_) => Err(Error::InvalidRequest("Value for x-amz-checksum-type header is invalid.")),
    }
}

/// The checksum of a multipart object from its parts' checksums and sizes, in order. `None` when
/// the algorithm has no such checksum.
pub(crate) fn of_parts(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumType,
    parts: &[(&[u8], u64)],
) -> Option<Checksum> {
    let value = match kind {
        ChecksumType::FullObject => joined(crc(algorithm)?, parts, size_bytes(algorithm)),
        ChecksumType::Composite => composite(algorithm, parts),
    };
    Some(Checksum { algorithm, kind, value })
}

fn crc(algorithm: ChecksumAlgorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
    }
}

/// A CRC is linear, so the parts' values and lengths give that of the whole.
fn joined(algorithm: CrcAlgorithm, parts: &[(&[u8], u64)], size_bytes: usize) -> Vec<u8> {
    let whole = parts
        .iter()
        .map(|(value, size)| (number(value), *size))
        .reduce(|(left, left_size), (right, right_size)| {
            let joined = crc_fast::checksum_combine(algorithm, left, right, right_size);
            (joined, left_size + right_size)
        })
        .map_or(0, |(value, _)| value);
    bytes_of(whole, size_bytes)
}

fn composite(algorithm: ChecksumAlgorithm, parts: &[(&[u8], u64)]) -> Vec<u8> {
    let values: Vec<u8> = parts.iter().flat_map(|(value, _)| value.iter().copied()).collect();
    match algorithm {
        ChecksumAlgorithm::Sha1 => Sha1::digest(&values).to_vec(),
        ChecksumAlgorithm::Sha256 => Sha256::digest(&values).to_vec(),
        ChecksumAlgorithm::Crc32 => crc_of(CrcAlgorithm::Crc32IsoHdlc, &values, 4),
        ChecksumAlgorithm::Crc32c => crc_of(CrcAlgorithm::Crc32Iscsi, &values, 4),
        ChecksumAlgorithm::Crc64Nvme => crc_of(CrcAlgorithm::Crc64Nvme, &values, 8),
    }
}

fn crc_of(algorithm: CrcAlgorithm, bytes: &[u8], size_bytes: usize) -> Vec<u8> {
    bytes_of(crc_fast::checksum(algorithm, bytes), size_bytes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn bytes_of(number: u64, size_bytes: usize) -> Vec<u8> {
    number.to_be_bytes()[8 - size_bytes..].to_vec()
}

/// A checksum as clients see it.
pub(crate) fn shown(checksum: &Checksum, part_count: usize) -> String {
    let text = BASE64.encode(&checksum.value);
    match checksum.kind {
        ChecksumType::FullObject => text,
        ChecksumType::Composite => format!("{text}-{part_count}"),
    }
}

/// The name of a type in documents and headers.
pub(crate) fn type_name(kind: ChecksumType) -> &'static str {
    match kind {
        ChecksumType::FullObject => "FULL_OBJECT",
        ChecksumType::Composite => "COMPOSITE",
    }
}

/// A checksum spread over the five fields that every answer has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
}

impl Fields {
    /// The field of one algorithm.
    pub(crate) fn new(algorithm: ChecksumAlgorithm, text: String) -> Self {
        let mut fields = Self::default();
        let field = match algorithm {
            ChecksumAlgorithm::Crc32 => &mut fields.crc32,
            ChecksumAlgorithm::Crc32c => &mut fields.crc32c,
            ChecksumAlgorithm::Crc64Nvme => &mut fields.crc64nvme,
            ChecksumAlgorithm::Sha1 => &mut fields.sha1,
            ChecksumAlgorithm::Sha256 => &mut fields.sha256,
        };
        *field = Some(text);
        fields
    }

    /// The fields of a stored checksum; none without one.
    pub(crate) fn of(checksum: Option<&Checksum>, part_count: usize) -> Self {
        checksum.map_or_else(Self::default, |checksum| {
            Self::new(checksum.algorithm, shown(checksum, part_count))
        })
    }

    /// The fields of one part's checksum, which covers the part whatever the object's covers.
    pub(crate) fn of_part(checksum: &Checksum) -> Self {
        Self::new(checksum.algorithm, BASE64.encode(&checksum.value))
    }

    /// The one value that a document gives for `algorithm`.
    pub(crate) fn get(&self, algorithm: ChecksumAlgorithm) -> Option<&str> {
        match algorithm {
            ChecksumAlgorithm::Crc32 => self.crc32.as_deref(),
            ChecksumAlgorithm::Crc32c => self.crc32c.as_deref(),
            ChecksumAlgorithm::Crc64Nvme => self.crc64nvme.as_deref(),
            ChecksumAlgorithm::Sha1 => self.sha1.as_deref(),
            ChecksumAlgorithm::Sha256 => self.sha256.as_deref(),
        }
    }
}

/// Writes [`Fields`] into an answer.
macro_rules! set_checksum {
    ($target:expr, $fields:expr) => {{
        let fields: $crate::s3::checksum::Fields = $fields;
        $target.checksum_crc32 = fields.crc32;
        $target.checksum_crc32c = fields.crc32c;
        $target.checksum_crc64nvme = fields.crc64nvme;
        $target.checksum_sha1 = fields.sha1;
        $target.checksum_sha256 = fields.sha256;
    }};
}
/// Reads [`Fields`] out of a document of a request.
macro_rules! get_checksum {
    ($source:expr) => {
        $crate::s3::checksum::Fields {
            crc32: $source.checksum_crc32.clone(),
            crc32c: $source.checksum_crc32c.clone(),
            crc64nvme: $source.checksum_crc64nvme.clone(),
            sha1: $source.checksum_sha1.clone(),
            sha256: $source.checksum_sha256.clone(),
        }
    };
}
pub(crate) use {get_checksum, set_checksum};

#[cfg(test)]
mod tests;
