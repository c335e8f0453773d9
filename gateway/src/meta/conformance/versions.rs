//! What an overwrite keeps.

use super::fixture::Fixture;
use crate::meta::Meta;
use crate::meta::types::{VersionId, Versioning};

pub(super) async fn keeps_what_it_overwrites(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    let (first, first_body) = fixture.put("key", "e1").await;
    let (second, _) = fixture.put("key", "e2").await;
    assert_ne!(first, second);
    assert_eq!(fixture.etag("key").await, Some("e2".to_owned()));
    let old = meta.find("bucket", "key", Some(first)).await.unwrap();
    assert_eq!(old.extents.len(), 1);
    let old = old.version.unwrap();
    assert_eq!((old.body, old.is_current, old.seq), (Some(first_body), false, 1));
    assert_eq!(fixture.freed().await, [].into());
}

pub(super) async fn keeps_one_null_version(meta: &dyn Meta) {
    let mut fixture = Fixture::new(meta).await;
    let (_, first) = fixture.put("key", "e1").await;
    fixture.set_versioning(Versioning::Enabled).await;
    let (kept, _) = fixture.put("key", "e2").await;
    fixture.set_versioning(Versioning::Suspended).await;
    let (null, third) = fixture.put("key", "e3").await;
    assert_eq!(null, VersionId::Null);
    assert_eq!(fixture.freed().await, [first].into());
    fixture.put("key", "e4").await;
    assert_eq!(fixture.freed().await, [first, third].into());
    assert_eq!(fixture.etag_of("key", Some(VersionId::Null)).await, Some("e4".to_owned()));
    assert_eq!(fixture.etag_of("key", Some(kept)).await, Some("e2".to_owned()));
}

pub(super) async fn keeps_the_null_version_under_new_ones(meta: &dyn Meta) {
    let mut fixture = Fixture::new(meta).await;
    fixture.put("key", "e1").await;
    fixture.set_versioning(Versioning::Enabled).await;
    fixture.put("key", "e2").await;
    fixture.put("key", "e3").await;
    assert_eq!(fixture.etag_of("key", Some(VersionId::Null)).await, Some("e1".to_owned()));
    assert_eq!(fixture.etag("key").await, Some("e3".to_owned()));
}
