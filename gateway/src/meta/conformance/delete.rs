//! Deletes.

use super::fixture::Fixture;
use crate::meta::Meta;
use crate::meta::types::{DeleteCondition, DeleteOutcome, VersionId, Versioning};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

const NULL_DELETED: DeleteOutcome =
    DeleteOutcome::Deleted { version: VersionId::Null, was_marker: false };

pub(super) async fn removes_the_only_version(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let (_, body) = fixture.put("key", "e1").await;
    let outcome = meta.delete(&fixture.bucket, "key", None, None).await.unwrap();
    assert_eq!(outcome, NULL_DELETED);
    assert_eq!(fixture.etag("key").await, None);
    assert_eq!(fixture.freed().await, [body].into());
    fixture.put("key", "e2").await;
    let null = Some(VersionId::Null);
    let outcome = meta.delete(&fixture.bucket, "key", null, None).await.unwrap();
    assert_eq!(outcome, NULL_DELETED);
}

pub(super) async fn says_absent(meta: &dyn Meta) {
    let mut fixture = Fixture::new(meta).await;
    let absent = async |fixture: &Fixture<'_>, version: Option<VersionId>| {
        let outcome = meta.delete(&fixture.bucket, "key", version, None).await.unwrap();
        assert_eq!(outcome, DeleteOutcome::Absent, "{version:?}");
    };
    absent(&fixture, None).await;
    absent(&fixture, Some(VersionId::Null)).await;
    fixture.put("key", "e1").await;
    absent(&fixture, Some(VersionId::Id(Uuid::new_v4()))).await;
    fixture.set_versioning(Versioning::Enabled).await;
    fixture.put("key", "e2").await;
    absent(&fixture, Some(VersionId::Id(Uuid::new_v4()))).await;
    assert_eq!(fixture.freed().await, [].into());
}

pub(super) async fn deletes_only_the_matching_etag(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let delete = async |etag: &str| {
        let wanted = DeleteCondition { if_match: Some(etag.to_owned()), ..Default::default() };
        meta.delete(&fixture.bucket, "key", None, Some(&wanted)).await.unwrap()
    };
    assert_eq!(delete("*").await, DeleteOutcome::NoSuchKey);
    assert_eq!(delete("e1").await, DeleteOutcome::NoSuchKey);
    fixture.put("key", "e1").await;
    assert_eq!(delete("e2").await, DeleteOutcome::PreconditionFailed);
    assert_eq!(delete("e1").await, NULL_DELETED);
    fixture.put("key", "e1").await;
    assert_eq!(delete("*").await, NULL_DELETED);
}

pub(super) async fn deletes_only_the_matching_size_and_time(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let delete = async |size: Option<u64>, modified: Option<OffsetDateTime>| {
        let wanted = DeleteCondition { if_match: None, size, modified };
        meta.delete(&fixture.bucket, "key", None, Some(&wanted)).await.unwrap()
    };
    assert_eq!(delete(Some(7), Some(OffsetDateTime::UNIX_EPOCH)).await, DeleteOutcome::Absent);
    fixture.put("key", "e1").await;
    let found = meta.find("bucket", "key", None).await.unwrap().version.unwrap();
    let second = found.modified.replace_nanosecond(0).unwrap();
    let other = second - Duration::SECOND;
    for (size, modified) in
        [(Some(99), None), (None, Some(other)), (Some(100), Some(other)), (Some(99), Some(second))]
    {
        let outcome = delete(size, modified).await;
        assert_eq!(outcome, DeleteOutcome::PreconditionFailed, "{size:?} {modified:?}");
    }
    assert_eq!(delete(Some(100), Some(second)).await, NULL_DELETED);
}

/// Conditions are of the current version, also of a marker, whichever version is named.
pub(super) async fn compares_with_the_current_version(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    let (first, _) = fixture.put("key", "e1").await;
    fixture.put("key", "e2").await;
    let delete = async |version: Option<VersionId>, etag: Option<&str>, size: Option<u64>| {
        let if_match = etag.map(str::to_owned);
        let wanted = DeleteCondition { if_match, size, modified: None };
        meta.delete(&fixture.bucket, "key", version, Some(&wanted)).await.unwrap()
    };
    assert_eq!(delete(Some(first), Some("e1"), None).await, DeleteOutcome::PreconditionFailed);
    let deleted = DeleteOutcome::Deleted { version: first, was_marker: false };
    assert_eq!(delete(Some(first), Some("e2"), None).await, deleted);
    let marked = delete(None, Some("e2"), Some(100)).await;
    assert!(matches!(marked, DeleteOutcome::MarkerAdded { .. }), "{marked:?}");
    for (etag, size) in [(Some("*"), None), (Some("e2"), None), (None, Some(100))] {
        let outcome = delete(None, etag, size).await;
        assert_eq!(outcome, DeleteOutcome::PreconditionFailed, "{etag:?} {size:?}");
    }
    let again = delete(None, None, Some(0)).await;
    assert!(matches!(again, DeleteOutcome::MarkerAdded { .. }), "{again:?}");
}

pub(super) async fn adds_a_marker_when_versions_are_kept(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    let (version, _) = fixture.put("key", "e1").await;
    let outcome = meta.delete(&fixture.bucket, "key", None, None).await.unwrap();
    let DeleteOutcome::MarkerAdded { version: marker } = outcome else { panic!("{outcome:?}") };
    let current = meta.find("bucket", "key", None).await.unwrap().version.unwrap();
    assert_eq!((current.version, current.content, current.seq), (marker, None, 2));
    assert_eq!(fixture.etag_of("key", Some(version)).await, Some("e1".to_owned()));
    let outcome = meta.delete(&fixture.bucket, "key", Some(marker), None).await.unwrap();
    assert_eq!(outcome, DeleteOutcome::Deleted { version: marker, was_marker: true });
    assert_eq!(fixture.etag("key").await, Some("e1".to_owned()));
    let outcome = meta.delete(&fixture.bucket, "never", None, None).await.unwrap();
    assert!(matches!(outcome, DeleteOutcome::MarkerAdded { .. }), "{outcome:?}");
}

pub(super) async fn replaces_the_null_version_when_suspended(meta: &dyn Meta) {
    let mut fixture = Fixture::new(meta).await;
    let (_, null_body) = fixture.put("key", "e1").await;
    fixture.set_versioning(Versioning::Enabled).await;
    let (version, _) = fixture.put("key", "e2").await;
    fixture.set_versioning(Versioning::Suspended).await;
    let outcome = meta.delete(&fixture.bucket, "key", None, None).await.unwrap();
    assert_eq!(outcome, DeleteOutcome::MarkerAdded { version: VersionId::Null });
    assert_eq!(fixture.freed().await, [null_body].into());
    assert_eq!(fixture.etag("key").await, None);
    let null = Some(VersionId::Null);
    let outcome = meta.delete(&fixture.bucket, "key", null, None).await.unwrap();
    assert_eq!(outcome, DeleteOutcome::Deleted { version: VersionId::Null, was_marker: true });
    let current = meta.find("bucket", "key", None).await.unwrap().version.unwrap();
    assert_eq!(current.version, version);
}

pub(super) async fn promotes_the_version_below(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    fixture.put("key", "e1").await;
    let (second, second_body) = fixture.put("key", "e2").await;
    let (third, third_body) = fixture.put("key", "e3").await;
    meta.delete(&fixture.bucket, "key", Some(third), None).await.unwrap();
    let current = meta.find("bucket", "key", None).await.unwrap();
    let version = current.version.unwrap();
    assert_eq!((version.version, version.is_current), (second, true));
    assert_eq!((version.body, current.extents.len()), (Some(second_body), 1));
    assert_eq!(fixture.freed().await, [third_body].into());
    fixture.put("key", "e4").await;
    assert_eq!(fixture.etag_of("key", Some(second)).await, Some("e2".to_owned()));
}

pub(super) async fn removes_a_version_below_the_current_one(meta: &dyn Meta) {
    let mut fixture = Fixture::new(meta).await;
    let (null, null_body) = fixture.put("key", "e1").await;
    fixture.set_versioning(Versioning::Enabled).await;
    let (second, second_body) = fixture.put("key", "e2").await;
    fixture.put("key", "e3").await;
    for version in [second, null] {
        let outcome = meta.delete(&fixture.bucket, "key", Some(version), None).await.unwrap();
        assert_eq!(outcome, DeleteOutcome::Deleted { version, was_marker: false });
        assert_eq!(fixture.etag_of("key", Some(version)).await, None);
    }
    assert_eq!(fixture.freed().await, [null_body, second_body].into());
    assert_eq!(fixture.etag("key").await, Some("e3".to_owned()));
}
