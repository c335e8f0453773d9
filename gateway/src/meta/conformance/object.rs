//! Commits and look-ups.

use super::fixture::{Fixture, body, content, done, if_match, if_none_match};
use crate::erasure::Scheme;
use crate::meta::types::{
    BodyId, BodySource, Checksum, ChecksumAlgorithm, ChecksumType, ChunkSet, Commit, CommitOutcome,
    Content, Headers, ObjectPart, VersionId,
};
use crate::meta::{EXTENTS_PER_PAGE, Meta, MetaError};
use sixfold_proto::name::NodeNumber;

pub(super) async fn stores_and_finds_everything(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let mut bytes = body(fixture.lease, &[70, 30]);
    bytes.extents[0].scheme = Scheme::FiveOne;
    bytes.extents[1].missing = ChunkSet(0b10_0001);
    bytes.extents[1].placement = [9, 8, 7, 6, 5, 300].map(NodeNumber);
    let content = Content {
        headers: Headers {
            content_type: Some("text/plain".to_owned()),
            user: [("näme".to_owned(), "välue\u{1}".to_owned())].into(),
            ..Headers::default()
        },
        checksum: Some(Checksum {
            algorithm: ChecksumAlgorithm::Crc64Nvme,
            kind: ChecksumType::FullObject,
            value: vec![0, 255, 3],
        }),
        tags: [("k".to_owned(), "v".to_owned())].into(),
        parts: vec![
            ObjectPart { number: 1, size: 70, checksum: Some(vec![1, 2]) },
            ObjectPart { number: 7, size: 30, checksum: None },
        ],
        storage_class: "REDUCED_REDUNDANCY".to_owned(),
        ..content(100, "etag-2")
    };
    let commit = Commit {
        content: content.clone(),
        body: BodySource::New(bytes.clone()),
        ..fixture.commit("a/ü\u{10ffff}", "")
    };
    let outcome = meta.commit(commit).await.unwrap();
    let CommitOutcome::Done { version, modified } = outcome else { panic!("{outcome:?}") };
    let found = meta.find("bucket", "a/ü\u{10ffff}", None).await.unwrap();
    assert_eq!(found.bucket, fixture.bucket);
    assert_eq!(found.extents, bytes.extents);
    let stored = found.version.unwrap();
    assert_eq!((stored.version, stored.modified, stored.seq), (version, modified, 1));
    assert_eq!((stored.body, stored.is_current), (Some(bytes.id), true));
    assert_eq!(stored.content, Some(content));
    assert_eq!(version, VersionId::Null);
}

pub(super) async fn tells_a_missing_key_from_a_missing_bucket(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let found = meta.find("bucket", "key", None).await.unwrap();
    assert_eq!((found.version, found.extents.len()), (None, 0));
    assert_eq!(found.bucket, fixture.bucket);
    let other = meta.find("other", "key", None).await;
    assert!(matches!(other, Err(MetaError::NoSuchBucket)), "{other:?}");
}

pub(super) async fn keeps_an_empty_object_without_a_body(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let empty =
        Commit { body: BodySource::Empty, content: content(0, "e"), ..fixture.commit("key", "") };
    done(meta.commit(empty).await.unwrap());
    let found = meta.find("bucket", "key", None).await.unwrap();
    assert_eq!(found.version.unwrap().body, None);
    assert_eq!(found.extents, []);
}

pub(super) async fn frees_what_is_overwritten(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let (_, first) = fixture.put("key", "e1").await;
    assert_eq!(fixture.freed().await, [].into());
    fixture.put("key", "e2").await;
    assert_eq!(fixture.freed().await, [first].into());
    assert_eq!(fixture.etag("key").await, Some("e2".to_owned()));
}

fn share(fixture: &Fixture<'_>, key: &str, body: BodyId) -> Commit {
    Commit { body: BodySource::Shared(body), ..fixture.commit(key, "shared") }
}

pub(super) async fn shares_a_body_until_the_last_reference(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let (_, body) = fixture.put("one", "e1").await;
    done(meta.commit(share(&fixture, "two", body)).await.unwrap());
    let found = meta.find("bucket", "two", None).await.unwrap();
    assert_eq!(found.extents.len(), 1);
    meta.delete(&fixture.bucket, "one", None, None).await.unwrap();
    assert_eq!(fixture.freed().await, [].into());
    meta.delete(&fixture.bucket, "two", None, None).await.unwrap();
    assert_eq!(fixture.freed().await, [body].into());
}

pub(super) async fn shares_a_body_with_its_own_key(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let (_, body) = fixture.put("key", "e1").await;
    done(meta.commit(share(&fixture, "key", body)).await.unwrap());
    assert_eq!(fixture.freed().await, [].into());
    assert_eq!(fixture.etag("key").await, Some("shared".to_owned()));
    meta.delete(&fixture.bucket, "key", None, None).await.unwrap();
    assert_eq!(fixture.freed().await, [body].into());
}

pub(super) async fn refuses_a_freed_body(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let (_, body) = fixture.put("one", "e1").await;
    meta.delete(&fixture.bucket, "one", None, None).await.unwrap();
    let outcome = meta.commit(share(&fixture, "two", body)).await.unwrap();
    assert_eq!(outcome, CommitOutcome::SourceGone);
    assert_eq!(fixture.etag("two").await, None);
}

pub(super) async fn pages_through_extents(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let count = EXTENTS_PER_PAGE + 6;
    let bytes = body(fixture.lease, &vec![10; count]);
    let commit = Commit { body: BodySource::New(bytes.clone()), ..fixture.commit("key", "e1") };
    done(meta.commit(commit).await.unwrap());
    let found = meta.find("bucket", "key", None).await.unwrap();
    assert_eq!(found.extents, bytes.extents[..EXTENTS_PER_PAGE]);
    let next = EXTENTS_PER_PAGE as u64 * 10;
    assert_eq!(meta.extents(bytes.id, next).await.unwrap(), bytes.extents[EXTENTS_PER_PAGE..]);
    assert_eq!(meta.extents(bytes.id, 19).await.unwrap()[0], bytes.extents[1]);
    assert_eq!(meta.extents(bytes.id, 20).await.unwrap()[0], bytes.extents[2]);
    assert_eq!(meta.extents(bytes.id, count as u64 * 10).await.unwrap(), []);
    assert_eq!(meta.extents(body(fixture.lease, &[]).id, 0).await.unwrap(), []);
}

pub(super) async fn stores_once_if_none_match(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let commit = |etag: &str, condition: &str| Commit {
        condition: if_none_match(condition),
        ..fixture.commit("key", etag)
    };
    done(meta.commit(commit("e1", "*")).await.unwrap());
    let again = meta.commit(commit("e2", "*")).await.unwrap();
    assert_eq!(again, CommitOutcome::PreconditionFailed);
    let same = meta.commit(commit("e2", "e1")).await.unwrap();
    assert_eq!(same, CommitOutcome::PreconditionFailed);
    assert_eq!(fixture.etag("key").await, Some("e1".to_owned()));
    assert_eq!(fixture.freed().await, [].into());
    done(meta.commit(commit("e2", "other")).await.unwrap());
}

pub(super) async fn stores_only_over_the_matching_etag(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    let commit =
        |condition: &str| Commit { condition: if_match(condition), ..fixture.commit("key", "new") };
    assert_eq!(meta.commit(commit("e1")).await.unwrap(), CommitOutcome::NoSuchKey);
    assert_eq!(meta.commit(commit("*")).await.unwrap(), CommitOutcome::NoSuchKey);
    fixture.put("key", "e1").await;
    assert_eq!(meta.commit(commit("e2")).await.unwrap(), CommitOutcome::PreconditionFailed);
    done(meta.commit(commit("e1")).await.unwrap());
    done(meta.commit(commit("*")).await.unwrap());
    meta.delete(&fixture.bucket, "key", None, None).await.unwrap();
    assert_eq!(meta.commit(commit("*")).await.unwrap(), CommitOutcome::NoSuchKey, "marker");
}

pub(super) async fn refuses_a_write_without_its_lease(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    meta.end_lease(fixture.lease).await.unwrap();
    let commit = meta.commit(fixture.commit("key", "e1")).await;
    assert!(matches!(commit, Err(MetaError::LeaseEnded)), "{commit:?}");
    let part = super::fixture::part(1, "e1", 10);
    let part = meta.commit_part(fixture.lease, upload, part, None).await;
    assert!(matches!(part, Err(MetaError::LeaseEnded)), "{part:?}");
    assert_eq!(fixture.etag("key").await, None);
}

pub(super) async fn lets_last_modified_grow(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    let mut last = None;
    for _ in 0..20 {
        fixture.put("key", "e").await;
        let version = meta.find("bucket", "key", None).await.unwrap().version.unwrap();
        assert!(last < Some((version.modified, version.seq)));
        last = Some((version.modified, version.seq));
    }
}
