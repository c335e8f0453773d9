//! Multipart uploads.

use super::fixture::{Fixture, if_none_match, part, query};
use crate::meta::Meta;
use crate::meta::types::{
    CompleteOutcome, Completion, ListQuery, PartOutcome, UploadId, VersionId,
};
use std::time::Duration;
use uuid::Uuid;

fn version(outcome: &CompleteOutcome) -> VersionId {
    match outcome {
        CompleteOutcome::Done { version, .. } => *version,
        other => panic!("not done: {other:?}"),
    }
}

pub(super) async fn joins_the_parts(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    fixture.put_part(upload, 5, "e5", &[7, 3]).await;
    fixture.put_part(upload, 2, "e2", &[4]).await;
    fixture.put_part(upload, 9, "e9", &[6]).await;
    assert_eq!(fixture.etag("key").await, None);
    let parts = [(2, "e2"), (5, "e5"), (9, "e9")];
    let completion = fixture.completion(upload, "key", &parts, 20);
    version(&meta.complete(completion).await.unwrap());
    let found = meta.find("bucket", "key", None).await.unwrap();
    let extents: Vec<_> = found.extents.iter().map(|extent| (extent.start, extent.size)).collect();
    assert_eq!(extents, [(0, 4), (4, 7), (11, 3), (14, 6)]);
    assert_eq!(found.version.unwrap().content.unwrap().etag, "whole-2");
    assert_eq!(fixture.freed().await, [].into());
    assert_eq!(meta.upload(fixture.bucket.id, "key", upload).await.unwrap(), None);
    let late = meta.commit_part(fixture.lease, upload, part(1, "e", 0), None).await.unwrap();
    assert_eq!(late, PartOutcome::NoSuchUpload);
    assert!(!meta.abort_upload(fixture.bucket.id, "key", upload).await.unwrap());
}

pub(super) async fn answers_the_same_list_the_same(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    let upload = fixture.start_upload("key").await;
    fixture.put_part(upload, 1, "e1", &[4]).await;
    let same = || fixture.completion(upload, "key", &[(1, "e1")], 4);
    let list = [(1, "e1".to_owned())];
    let before = meta.completed(fixture.bucket.id, "key", upload, &list).await.unwrap();
    assert_eq!(before, None);
    let first = meta.complete(same()).await.unwrap();
    fixture.put("key", "later").await;
    assert_eq!(meta.complete(same()).await.unwrap(), first);
    let looked_up = meta.completed(fixture.bucket.id, "key", upload, &list).await.unwrap();
    assert_eq!(looked_up, Some(first));
    let other = fixture.completion(upload, "key", &[(1, "e2")], 4);
    assert_eq!(meta.complete(other).await.unwrap(), CompleteOutcome::NoSuchUpload);
    assert_eq!(fixture.etag("key").await, Some("later".to_owned()));
}

pub(super) async fn replaces_a_part(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    let first = fixture.put_part(upload, 1, "e1", &[4]).await;
    fixture.put_part(upload, 1, "e2", &[5]).await;
    assert_eq!(fixture.freed().await, first.into_iter().collect());
    let parts = meta.parts(upload, 0, 10).await.unwrap().entries;
    assert_eq!((parts.len(), parts[0].etag.as_str(), parts[0].size), (1, "e2", 5));
}

pub(super) async fn frees_parts_that_are_not_listed(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    fixture.put_part(upload, 1, "e1", &[4]).await;
    let unlisted = fixture.put_part(upload, 2, "e2", &[5]).await;
    let completion = fixture.completion(upload, "key", &[(1, "e1")], 4);
    version(&meta.complete(completion).await.unwrap());
    assert_eq!(fixture.freed().await, unlisted.into_iter().collect());
}

pub(super) async fn refuses_a_list_that_is_not_stored(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    fixture.put_part(upload, 1, "e1", &[4]).await;
    let wrong: [(&[(u16, &str)], u64); 4] =
        [(&[(1, "e2")], 4), (&[(1, "e1"), (2, "e2")], 8), (&[(1, "e1")], 5), (&[], 0)];
    for (parts, size) in wrong {
        let completion = fixture.completion(upload, "key", parts, size);
        assert_eq!(meta.complete(completion).await.unwrap(), CompleteOutcome::PartsChanged);
    }
    let unknown = fixture.completion(UploadId(Uuid::new_v4()), "key", &[(1, "e1")], 4);
    assert_eq!(meta.complete(unknown).await.unwrap(), CompleteOutcome::NoSuchUpload);
    assert!(meta.upload(fixture.bucket.id, "key", upload).await.unwrap().is_some());
}

pub(super) async fn checks_the_condition(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    fixture.put_part(upload, 1, "e1", &[4]).await;
    fixture.put("key", "there").await;
    let completion = Completion {
        condition: if_none_match("*"),
        ..fixture.completion(upload, "key", &[(1, "e1")], 4)
    };
    let refused = meta.complete(completion.clone()).await.unwrap();
    assert_eq!(refused, CompleteOutcome::PreconditionFailed);
    meta.delete(&fixture.bucket, "key", None, None).await.unwrap();
    version(&meta.complete(completion).await.unwrap());
}

pub(super) async fn gives_up_and_frees(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    let bodies = [
        fixture.put_part(upload, 1, "e1", &[4]).await,
        fixture.put_part(upload, 2, "e2", &[5]).await,
    ];
    assert!(meta.abort_upload(fixture.bucket.id, "key", upload).await.unwrap());
    assert_eq!(fixture.freed().await, bodies.into_iter().flatten().collect());
    assert!(!meta.abort_upload(fixture.bucket.id, "key", upload).await.unwrap());
    let completion = fixture.completion(upload, "key", &[(1, "e1")], 4);
    assert_eq!(meta.complete(completion).await.unwrap(), CompleteOutcome::NoSuchUpload);
}

pub(super) async fn completes_an_empty_object(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    fixture.put_part(upload, 1, "e1", &[]).await;
    let completion = fixture.completion(upload, "key", &[(1, "e1")], 0);
    version(&meta.complete(completion).await.unwrap());
    let found = meta.find("bucket", "key", None).await.unwrap();
    assert_eq!((found.version.unwrap().body, found.extents.len()), (None, 0));
}

pub(super) async fn f35_expires_only_idle_ones(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let active = fixture.start_upload("key").await;
    let idle = fixture.start_upload("key").await;
    let body = fixture.put_part(idle, 1, "e1", &[4]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fixture.put_part(active, 1, "e1", &[4]).await;
    assert_eq!(meta.expire_uploads(Duration::from_secs(3600), 10).await.unwrap(), 0);
    assert_eq!(meta.expire_uploads(Duration::from_millis(200), 10).await.unwrap(), 1);
    assert_eq!(fixture.freed().await, body.into_iter().collect());
    assert!(meta.upload(fixture.bucket.id, "key", active).await.unwrap().is_some());
    assert!(meta.upload(fixture.bucket.id, "key", idle).await.unwrap().is_none());
}

pub(super) async fn lists_uploads_in_pages(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let mut started = Vec::new();
    for key in ["b", "a/1", "b", "c", "b", "a/2"] {
        started.push((key, fixture.start_upload(key).await));
    }
    started.sort_by_key(|(key, _)| *key); // Stable: by start within a key.
    let mut shown = Vec::new();
    let mut place = (None, None);
    loop {
        let page_query = ListQuery { after: place.0, ..query("", None, 2) };
        let page = meta.list_uploads(fixture.bucket.id, &page_query, place.1).await.unwrap();
        shown.extend(page.entries.iter().map(|upload| (upload.key.clone(), upload.id)));
        place = (shown.last().map(|last| last.0.clone()), shown.last().map(|last| last.1));
        if !page.is_truncated {
            break;
        }
    }
    let expected: Vec<_> = started.iter().map(|(key, id)| ((*key).to_owned(), *id)).collect();
    assert_eq!(shown, expected);
    let rolled = query("", Some("/"), 10);
    let page = meta.list_uploads(fixture.bucket.id, &rolled, None).await.unwrap();
    assert_eq!((page.entries.len(), page.prefixes), (4, vec!["a/".to_owned()]));
}

pub(super) async fn lists_parts_in_pages(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    for number in [3, 10_000, 1, 7] {
        fixture.put_part(upload, number, "e", &[1]).await;
    }
    let numbers = async |after: u16, limit: usize| {
        let page = meta.parts(upload, after, limit).await.unwrap();
        let numbers: Vec<_> = page.entries.iter().map(|part| part.number).collect();
        (numbers, page.is_truncated)
    };
    assert_eq!(numbers(0, 2).await, (vec![1, 3], true));
    assert_eq!(numbers(3, 2).await, (vec![7, 10_000], false));
    assert_eq!(numbers(10_000, 2).await, (vec![], false));
}

pub(super) async fn belongs_to_one_key(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let upload = fixture.start_upload("key").await;
    fixture.put_part(upload, 1, "e1", &[4]).await;
    let bucket = fixture.bucket.id;
    assert_eq!(meta.upload(bucket, "other", upload).await.unwrap(), None);
    assert!(!meta.abort_upload(bucket, "other", upload).await.unwrap());
    let completion = fixture.completion(upload, "other", &[(1, "e1")], 4);
    assert_eq!(meta.complete(completion).await.unwrap(), CompleteOutcome::NoSuchUpload);
    let found = meta.upload(bucket, "key", upload).await.unwrap().unwrap();
    assert_eq!((found.id, found.key.as_str(), found.bucket), (upload, "key", bucket));
}
