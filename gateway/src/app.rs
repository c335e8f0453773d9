//! Every long-lived handle that an operation may touch.

use crate::data::{CurrentLease, Data};
use crate::meta::types::Bucket;
use crate::meta::{Meta, MetaError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a bucket's row may be used without reading it again. A commit checks the row's epoch
/// all the same, so that age costs a retry and never a wrong decision.
const BUCKET_MAX_AGE: Duration = Duration::from_secs(30);

/// Buckets kept at most; behind it the cache begins anew. Bounds its memory to a few MiB.
const BUCKET_MAX_COUNT: usize = 10_000;

/// What operations work with.
pub struct App {
    /// The region that this endpoint is in.
    pub region: String,
    /// The rows.
    pub meta: Arc<dyn Meta>,
    /// The bytes.
    pub data: Data,
    /// The lease under which a commit without new chunks is made.
    pub lease: Arc<dyn CurrentLease>,
    /// Buckets read lately.
    pub buckets: BucketCache,
}

impl App {
    /// An app with an empty cache.
    pub fn new(
        region: String,
        meta: Arc<dyn Meta>,
        data: Data,
        lease: Arc<dyn CurrentLease>,
    ) -> Self {
        Self { region, meta, data, lease, buckets: BucketCache::default() }
    }
}

/// Buckets by name, at most [`BUCKET_MAX_AGE`] old. Absence is never kept.
#[derive(Default)]
pub struct BucketCache {
    entries: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    bucket: Arc<Bucket>,
    read: Instant,
}

impl BucketCache {
    /// A bucket for a write, whose commit will check it.
    pub async fn get(&self, meta: &dyn Meta, name: &str) -> Result<Arc<Bucket>, MetaError> {
        match self.fresh(name) {
            Some(bucket) => Ok(bucket),
            None => self.reload(meta, name).await,
        }
    }

    /// The bucket as it is now, remembered for the next write.
    pub async fn reload(&self, meta: &dyn Meta, name: &str) -> Result<Arc<Bucket>, MetaError> {
        let read = Instant::now();
        let Some(bucket) = meta.bucket(name).await? else {
            self.forget(name);
            return Err(MetaError::NoSuchBucket);
        };
        let bucket = Arc::new(bucket);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= BUCKET_MAX_COUNT {
            entries.clear();
        }
        entries.insert(name.to_owned(), Entry { bucket: Arc::clone(&bucket), read });
        Ok(bucket)
    }

    /// Forgets one bucket, because it changed or is gone.
    pub fn forget(&self, name: &str) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Forgets all, because it is not known what changed.
    pub fn forget_all(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn fresh(&self, name: &str) -> Option<Arc<Bucket>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(name).filter(|entry| entry.read.elapsed() < BUCKET_MAX_AGE)?;
        Some(Arc::clone(&entry.bucket))
    }
}
