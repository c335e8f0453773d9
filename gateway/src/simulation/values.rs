//! What clients write: every value is written once, and known by its bytes, its ETag and a header.

use bytes::Bytes;
use md5::{Digest, Md5};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A value's number; none is written twice.
pub(super) type Value = u32;

/// How large values are: mostly small ones, some of more than a stripe, some of several extents.
fn size(value: Value) -> usize {
    let spread = (value as usize).wrapping_mul(2_654_435_761) >> 7;
    match value % 24 {
        0 => (1 << 20) + 1 + spread % 300_000,
        1 => 3_200_000 + spread % 100_000,
        2 => 1 << 20,
        3..8 => 70_000 + spread % 60_000,
        _ => 8 + spread % 3000,
    }
}

/// Whether a value is one of several extents.
pub(super) fn is_large(value: Value) -> bool {
    value % 24 == 1
}

/// The bytes of a value.
pub(super) fn content(value: Value) -> Bytes {
    let mut bytes = vec![0; size(value)];
    StdRng::seed_from_u64(u64::from(value)).fill_bytes(&mut bytes);
    bytes.into()
}

/// The ETags of an object that was put as a whole, and of one that was uploaded as one part.
pub(super) fn etags(value: Value) -> [String; 2] {
    let md5 = Md5::digest(content(value));
    [hex::encode(md5), format!("{}-1", hex::encode(Md5::digest(md5)))]
}

/// Values by the ETags that they may be seen under.
#[derive(Default)]
pub(super) struct Etags(Mutex<BTreeMap<String, Value>>);

impl Etags {
    pub(super) fn learn(&self, etag: String, value: Value) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(etag, value);
    }

    pub(super) fn value(&self, etag: &str) -> Option<Value> {
        let etag = etag.trim_matches('"');
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(etag).copied()
    }
}
