//! Buckets.

use super::fixture::{Fixture, OWNER, part};
use crate::meta::types::{PartOutcome, UserId, Versioning};
use crate::meta::{Meta, MetaError};
use std::time::Duration;
use uuid::Uuid;

pub(super) async fn creates_and_finds(meta: &dyn Meta) {
    let created = meta.create_bucket("one", OWNER).await.unwrap();
    assert_eq!(created.versioning, Versioning::Off);
    assert_eq!(meta.bucket("one").await.unwrap(), Some(created));
    assert_eq!(meta.bucket("other").await.unwrap(), None);
}

pub(super) async fn names_the_owner_of_a_taken_name(meta: &dyn Meta) {
    meta.create_bucket("one", OWNER).await.unwrap();
    let again = meta.create_bucket("one", UserId(Uuid::nil())).await;
    assert!(matches!(again, Err(MetaError::BucketExists { owner: OWNER })), "{again:?}");
}

pub(super) async fn lists_by_name_in_pages(meta: &dyn Meta) {
    for name in ["b-2", "a-1", "b-1", "b.3", "c-1"] {
        meta.create_bucket(name, OWNER).await.unwrap();
    }
    meta.create_bucket("b-0", UserId(Uuid::nil())).await.unwrap();
    let names = async |prefix: &str, after: Option<&str>, limit: usize| {
        let page = meta.buckets(OWNER, prefix, after, limit).await.unwrap();
        let names: Vec<_> = page.entries.into_iter().map(|bucket| bucket.name).collect();
        (names.join(" "), page.is_truncated)
    };
    assert_eq!(names("", None, 10).await, ("a-1 b-1 b-2 b.3 c-1".to_owned(), false));
    assert_eq!(names("b", None, 2).await, ("b-1 b-2".to_owned(), true));
    assert_eq!(names("b", Some("b-2"), 2).await, ("b.3".to_owned(), false));
    assert_eq!(names("", Some("b-1"), 0).await, (String::new(), false));
}

pub(super) async fn deletes_only_without_versions(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    let bucket = fixture.bucket.id;
    let (version, _) = fixture.put("key", "e1").await;
    assert!(matches!(meta.delete_bucket(bucket).await, Err(MetaError::BucketNotEmpty)));
    meta.delete(&fixture.bucket, "key", None, None).await.unwrap();
    meta.delete(&fixture.bucket, "key", Some(version), None).await.unwrap();
    assert!(matches!(meta.delete_bucket(bucket).await, Err(MetaError::BucketNotEmpty)), "marker");
    let marker = meta.find("bucket", "key", None).await.unwrap().version.unwrap();
    meta.delete(&fixture.bucket, "key", Some(marker.version), None).await.unwrap();
    meta.delete_bucket(bucket).await.unwrap();
    assert!(matches!(meta.delete_bucket(bucket).await, Err(MetaError::NoSuchBucket)));
    let again = meta.create_bucket("bucket", OWNER).await.unwrap();
    assert_ne!(again.id, bucket);
}

pub(super) async fn gives_uploads_up_with_the_bucket(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    let body = fixture.put_part(upload, 1, "e1", &[10]).await;
    let many = fixture.start_upload("many").await;
    meta.delete_bucket(fixture.bucket.id).await.unwrap();
    assert_eq!(meta.upload(fixture.bucket.id, "key", upload).await.unwrap(), None);
    let late = meta.commit_part(fixture.lease, many, part(1, "e1", 0), None).await.unwrap();
    assert_eq!(late, PartOutcome::NoSuchUpload);
    for left in [1, 1, 0] {
        assert_eq!(meta.expire_uploads(Duration::from_secs(3600), 1).await.unwrap(), left);
    }
    assert_eq!(fixture.freed().await, body.into_iter().collect());
}

pub(super) async fn refuses_writes_decided_by_an_old_configuration(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    meta.set_versioning(fixture.bucket.id, Versioning::Enabled).await.unwrap();
    let commit = meta.commit(fixture.commit("key", "e1")).await;
    assert!(matches!(commit, Err(MetaError::BucketChanged)), "{commit:?}");
    let delete = meta.delete(&fixture.bucket, "key", None, None).await;
    assert!(matches!(delete, Err(MetaError::BucketChanged)), "{delete:?}");
    meta.delete_bucket(fixture.bucket.id).await.unwrap();
    let commit = meta.commit(fixture.commit("key", "e1")).await;
    assert!(matches!(commit, Err(MetaError::NoSuchBucket)), "{commit:?}");
}
