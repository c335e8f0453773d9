//! Tags of versions and buckets.

use super::fixture::{Fixture, done, query};
use crate::meta::types::{
    Commit, CompleteOutcome, Completion, Content, DeleteOutcome, TagOutcome, Tags, Upload,
    UploadId, VersionId, Versioning,
};
use crate::meta::{Meta, MetaError};
use uuid::Uuid;

fn tags(value: &str) -> Tags {
    [("a".to_owned(), value.to_owned()), ("é b".to_owned(), String::new())].into()
}

async fn put(fixture: &Fixture<'_>, etag: &str, value: &str) -> VersionId {
    let commit = fixture.commit("key", etag);
    let content = Content { tags: tags(value), ..commit.content };
    done(fixture.meta.commit(Commit { content, ..commit }).await.unwrap())
}

async fn tags_of(fixture: &Fixture<'_>, version: Option<VersionId>) -> Tags {
    let found = fixture.meta.find("bucket", "key", version).await.unwrap();
    found.version.unwrap().content.unwrap().tags
}

pub(super) async fn come_with_a_version_and_stay_with_it(meta: &dyn Meta) {
    let mut fixture = Fixture::new(meta).await;
    put(&fixture, "e1", "1").await;
    assert_eq!(tags_of(&fixture, None).await, tags("1"));
    // Over what is there, then beside it, and back when what is above goes.
    put(&fixture, "e2", "2").await;
    fixture.set_versioning(Versioning::Enabled).await;
    let above = put(&fixture, "e3", "3").await;
    assert_eq!(tags_of(&fixture, None).await, tags("3"));
    assert_eq!(tags_of(&fixture, Some(VersionId::Null)).await, tags("2"));
    let page = meta.list_versions(fixture.bucket.id, &query("", None, 10), None).await.unwrap();
    assert!(page.entries.iter().all(|entry| entry.content.as_ref().unwrap().tags.is_empty()));
    meta.delete(&fixture.bucket, "key", Some(above), None).await.unwrap();
    assert_eq!(tags_of(&fixture, None).await, tags("2"));
}

pub(super) async fn are_set_on_one_version(meta: &dyn Meta) {
    let mut fixture = Fixture::new(meta).await;
    let set = async |fixture: &Fixture<'_>, version: Option<VersionId>, tags: &Tags| {
        meta.set_tags(fixture.bucket.id, "key", version, tags).await.unwrap()
    };
    fixture.put("key", "e1").await;
    let null = VersionId::Null;
    let outcome = set(&fixture, None, &tags("1")).await;
    assert_eq!(outcome, TagOutcome::Done { version: null });
    fixture.set_versioning(Versioning::Enabled).await;
    let (second, _) = fixture.put("key", "e2").await;
    let (third, _) = fixture.put("key", "e3").await;
    let outcome = set(&fixture, None, &tags("3")).await;
    assert_eq!(outcome, TagOutcome::Done { version: third });
    let outcome = set(&fixture, Some(second), &tags("2")).await;
    assert_eq!(outcome, TagOutcome::Done { version: second });
    for (version, value) in [(null, "1"), (second, "2"), (third, "3")] {
        assert_eq!(tags_of(&fixture, Some(version)).await, tags(value), "{version:?}");
    }
    set(&fixture, Some(null), &Tags::new()).await;
    assert_eq!(tags_of(&fixture, Some(null)).await, Tags::new());
    set(&fixture, Some(third), &Tags::new()).await;
    assert_eq!(tags_of(&fixture, None).await, Tags::new());
    assert_eq!(tags_of(&fixture, Some(second)).await, tags("2"));
    assert_eq!(fixture.etag("key").await, Some("e3".to_owned()));
}

pub(super) async fn are_not_set_on_what_is_not_there(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    let set = async |version: Option<VersionId>| {
        meta.set_tags(fixture.bucket.id, "key", version, &tags("1")).await.unwrap()
    };
    assert_eq!(set(None).await, TagOutcome::Absent);
    assert_eq!(set(Some(VersionId::Null)).await, TagOutcome::Absent);
    let (version, _) = fixture.put("key", "e1").await;
    assert_eq!(set(Some(VersionId::Id(Uuid::new_v4()))).await, TagOutcome::Absent);
    assert_eq!(set(Some(VersionId::Null)).await, TagOutcome::Absent);
    let outcome = meta.delete(&fixture.bucket, "key", None, None).await.unwrap();
    let DeleteOutcome::MarkerAdded { version: marker } = outcome else { panic!("{outcome:?}") };
    for asked in [None, Some(marker)] {
        let outcome = set(asked).await;
        assert!(
            matches!(outcome, TagOutcome::Marker { version, .. } if version == marker),
            "{outcome:?}"
        );
    }
    assert_eq!(tags_of(&fixture, Some(version)).await, Tags::new());
}

pub(super) async fn come_from_the_start_of_an_upload(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let plain = fixture.start_upload("key").await;
    let plain = meta.upload(fixture.bucket.id, "key", plain).await.unwrap().unwrap();
    assert_eq!(plain.tags, Tags::new());
    let upload = Upload { id: UploadId(Uuid::nil()), tags: tags("1"), ..plain };
    let upload = meta.create_upload(&fixture.bucket, upload).await.unwrap().id;
    let found = meta.upload(fixture.bucket.id, "key", upload).await.unwrap().unwrap();
    assert_eq!(found.tags, tags("1"));
    fixture.put_part(upload, 1, "p1", &[4]).await;
    let completion = fixture.completion(upload, "key", &[(1, "p1")], 4);
    let content = Content { tags: found.tags, ..completion.content };
    let outcome = meta.complete(Completion { content, ..completion }).await.unwrap();
    assert!(matches!(outcome, CompleteOutcome::Done { .. }), "{outcome:?}");
    assert_eq!(tags_of(&fixture, None).await, tags("1"));
}

pub(super) async fn are_kept_by_a_bucket(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let bucket = fixture.bucket.id;
    assert_eq!(meta.bucket_tags(bucket).await.unwrap(), Tags::new());
    meta.set_bucket_tags(bucket, &tags("1")).await.unwrap();
    meta.set_bucket_tags(bucket, &tags("2")).await.unwrap();
    assert_eq!(meta.bucket_tags(bucket).await.unwrap(), tags("2"));
    // No write is decided by them: what was decided before goes on.
    fixture.put("key", "e1").await;
    meta.set_bucket_tags(bucket, &Tags::new()).await.unwrap();
    assert_eq!(meta.bucket_tags(bucket).await.unwrap(), Tags::new());
    meta.delete(&fixture.bucket, "key", None, None).await.unwrap();
    meta.delete_bucket(bucket).await.unwrap();
    let gone = meta.bucket_tags(bucket).await;
    assert!(matches!(gone, Err(MetaError::NoSuchBucket)), "{gone:?}");
    let gone = meta.set_bucket_tags(bucket, &tags("1")).await;
    assert!(matches!(gone, Err(MetaError::NoSuchBucket)), "{gone:?}");
}
