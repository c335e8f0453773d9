//! The checksums of a whole body, computed while its bytes pass by, in one pass.

use super::md5::Md5;
use crate::meta::types::ChecksumAlgorithm;
use crc_fast::CrcAlgorithm;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// How many bytes all hashers take before any takes the next: they stay in the processor's
/// cache, so the bytes come from memory once for all of them together.
const SLICE_BYTES: usize = 32 * 1024;

/// Which checksums to compute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    md5: bool,
    checksums: Vec<ChecksumAlgorithm>,
}

impl Digests {
    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// MD5, which the ETag of most objects is.
    pub fn md5() -> Self {
        Self::none().with_md5()
    }

    /// Adds MD5.
    #[must_use]
    pub fn with_md5(mut self) -> Self {
        self.md5 = true;
        self
    }

    /// Adds an additional checksum; the same one twice is the same as once.
    #[must_use]
    pub fn with(mut self, algorithm: ChecksumAlgorithm) -> Self {
        if !self.checksums.contains(&algorithm) {
            self.checksums.push(algorithm);
        }
        self
    }

    fn is_empty(&self) -> bool {
        !self.md5 && self.checksums.is_empty()
    }
}

/// The computed checksums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// MD5, when it was asked for.
    pub md5: Option<[u8; 16]>,
    /// The additional ones in the order asked for: raw bytes, big-endian for the CRCs.
    pub checksums: Vec<(ChecksumAlgorithm, Vec<u8>)>,
}

impl Finished {
    /// One additional checksum, when it was asked for.
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<&[u8]> {
        self.checksums.iter().find(|(had, _)| *had == algorithm).map(|(_, value)| &value[..])
    }
}

/// The running state of all of them.
pub(super) struct Hashers {
    pub(super) md5: Option<Md5>,
    pub(super) checksums: Checksums,
}

/// The running state of the additional ones.
pub(super) struct Checksums(Vec<(ChecksumAlgorithm, Hasher)>);

enum Hasher {
    Crc { digest: Box<crc_fast::Digest>, output_bytes: usize },
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hashers {
    pub(super) fn new(digests: &Digests) -> Option<Self> {
        if digests.is_empty() {
            return None;
        }
        let checksums =
            digests.checksums.iter().map(|&algorithm| (algorithm, Hasher::new(algorithm)));
        let checksums = Checksums(checksums.collect());
        Some(Self { md5: digests.md5.then(Md5::new), checksums })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        self.checksums.update(bytes);
    }

    pub(super) fn finish(self) -> Finished {
        Finished { md5: self.md5.map(Md5::finish), checksums: self.checksums.finish() }
    }
}

impl Checksums {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for slice in bytes.chunks(SLICE_BYTES) {
            for (_, hasher) in &mut self.0 {
                hasher.update(slice);
            }
        }
    }

    /// Whether all of them together are far faster than the network.
    pub(super) fn are_cheap(&self) -> bool {
        self.0.iter().all(|(_, hasher)| matches!(hasher, Hasher::Crc { .. }))
    }

    fn finish(self) -> Vec<(ChecksumAlgorithm, Vec<u8>)> {
        self.0.into_iter().map(|(algorithm, hasher)| (algorithm, hasher.finish())).collect()
    }
}

impl Hasher {
    fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |algorithm, output_bytes| Self::Crc {
            digest: Box::new(crc_fast::Digest::new(algorithm)),
            output_bytes,
        };
        match algorithm {
            ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc, 4),
            ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi, 4),
            ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme, 8),
            ChecksumAlgorithm::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc { digest, .. } => digest.update(bytes),
            Self::Sha1(sha1) => sha1.update(bytes),
            Self::Sha256(sha256) => sha256.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc { digest, output_bytes } => {
                let value = digest.finalize().to_be_bytes();
                value[value.len() - output_bytes..].to_vec()
            }
            Self::Sha1(sha1) => sha1.finalize().to_vec(),
            Self::Sha256(sha256) => sha256.finalize().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ChecksumAlgorithm; 5] = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ];

    fn all_of(pieces: &[&[u8]]) -> Finished {
        let digests = ALL.into_iter().fold(Digests::md5(), Digests::with);
        let mut hashers = Hashers::new(&digests).unwrap();
        for piece in pieces {
            hashers.update(piece);
        }
        hashers.finish()
    }

    #[test]
    fn known_answers() {
        let finished = all_of(&[b"1234", b"56789"]);
        let hex = |algorithm| hex::encode(finished.checksum(algorithm).unwrap());
        assert_eq!(hex::encode(finished.md5.unwrap()), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(hex(ChecksumAlgorithm::Crc32), "cbf43926");
        assert_eq!(hex(ChecksumAlgorithm::Crc32c), "e3069283");
        assert_eq!(hex(ChecksumAlgorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(hex(ChecksumAlgorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(
            hex(ChecksumAlgorithm::Sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
    }

    #[test]
    fn pieces_make_no_difference() {
        let bytes = (0..3 * SLICE_BYTES + 17).map(|i| (i % 251) as u8).collect::<Vec<_>>();
        let (left, right) = bytes.split_at(SLICE_BYTES + 1);
        assert_eq!(all_of(&[&bytes]), all_of(&[left, right]));
    }

    #[test]
    fn nothing_asked_is_nothing_computed() {
        assert!(Hashers::new(&Digests::none()).is_none());
    }
}
