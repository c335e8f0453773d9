//! Lists of objects and versions.

use super::fixture::{Fixture, query};
use crate::meta::Meta;
use crate::meta::types::{Commit, Content, Headers, ListQuery, ObjectPart, Page, Version};

/// A page as text: entries, prefixes, and `…` when more follows.
fn text(page: &Page<Version>) -> String {
    let entries = page.entries.iter().map(|version| match &version.content {
        Some(content) if content.etag != "e" => format!("{}={}", version.key, content.etag),
        Some(_) => version.key.clone(),
        None => format!("{}=marker", version.key),
    });
    let more = page.is_truncated.then(|| "…".to_owned());
    let all: Vec<_> = entries.chain(page.prefixes.iter().cloned()).chain(more).collect();
    all.join(" ")
}

async fn list(fixture: &Fixture<'_>, query: &ListQuery) -> String {
    text(&fixture.meta.list_objects(fixture.bucket.id, query).await.unwrap())
}

async fn put_all(fixture: &Fixture<'_>, keys: &[&str]) {
    for key in keys {
        fixture.put(key, "e").await;
    }
}

fn after(query: ListQuery, after: &str) -> ListQuery {
    ListQuery { after: Some(after.to_owned()), ..query }
}

pub(super) async fn lists_in_byte_order(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    put_all(&fixture, &["b", "a/", "a", "ä", "B", "\u{ffff}", "\u{10000}", "a b", "a%_\\"]).await;
    let all = list(&fixture, &query("", None, 100)).await;
    assert_eq!(all, "B a a b a%_\\ a/ b ä \u{ffff} \u{10000}");
    assert_eq!(list(&fixture, &query("a", None, 100)).await, "a a b a%_\\ a/");
    assert_eq!(list(&fixture, &query("a%", None, 100)).await, "a%_\\");
    assert_eq!(list(&fixture, &query("", None, 2)).await, "B a …");
    assert_eq!(list(&fixture, &query("", None, 9)).await, all);
    assert_eq!(list(&fixture, &query("", None, 0)).await, "");
    assert_eq!(list(&fixture, &query("zz", None, 10)).await, "");
}

pub(super) async fn rolls_up_common_prefixes(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    put_all(&fixture, &["a", "a/1", "a/2", "a/b/3", "b/1", "c", "c/", "d"]).await;
    assert_eq!(list(&fixture, &query("", Some("/"), 100)).await, "a c d a/ b/ c/");
    assert_eq!(list(&fixture, &query("a/", Some("/"), 100)).await, "a/1 a/2 a/b/");
    assert_eq!(list(&fixture, &query("a", Some("/"), 100)).await, "a a/");
    assert_eq!(list(&fixture, &query("c/", Some("/"), 100)).await, "c/");
    assert_eq!(list(&fixture, &query("", Some("/"), 2)).await, "a a/ …");
    assert_eq!(list(&fixture, &query("", Some("/"), 6)).await, "a c d a/ b/ c/");
    assert_eq!(list(&fixture, &query("", Some("1"), 100)).await, "a a/2 a/b/3 c c/ d a/1 b/1");
}

pub(super) async fn continues_behind_any_point(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    put_all(&fixture, &["a", "a/1", "a/2", "b/1", "b0", "c"]).await;
    let rolled = || query("", Some("/"), 100);
    assert_eq!(list(&fixture, &after(rolled(), "a")).await, "b0 c a/ b/");
    assert_eq!(list(&fixture, &after(rolled(), "a/")).await, "b0 c b/");
    assert_eq!(list(&fixture, &after(rolled(), "a/1")).await, "b0 c b/");
    assert_eq!(list(&fixture, &after(rolled(), "b/")).await, "b0 c");
    assert_eq!(list(&fixture, &after(query("", None, 100), "a/1")).await, "a/2 b/1 b0 c");
    assert_eq!(list(&fixture, &after(query("b", None, 100), "a")).await, "b/1 b0");
    assert_eq!(list(&fixture, &after(query("a", None, 100), "b")).await, "");
    assert_eq!(list(&fixture, &after(query("a/", Some("/"), 100), "a/1")).await, "a/2");
}

pub(super) async fn hides_markers(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    put_all(&fixture, &["a", "b/1", "b/2", "c"]).await;
    for key in ["a", "b/1", "b/2"] {
        meta.delete(&fixture.bucket, key, None, None).await.unwrap();
    }
    assert_eq!(list(&fixture, &query("", Some("/"), 100)).await, "c");
}

async fn versions(fixture: &Fixture<'_>, query: &ListQuery) -> Page<Version> {
    fixture.meta.list_versions(fixture.bucket.id, query, None).await.unwrap()
}

pub(super) async fn lists_versions_newest_first(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    for (key, etag) in [("a", "1"), ("b", "1"), ("b", "2"), ("b/x", "1"), ("b/x", "2"), ("c", "1")]
    {
        fixture.put(key, etag).await;
    }
    meta.delete(&fixture.bucket, "b", None, None).await.unwrap();
    let all = versions(&fixture, &query("", None, 100)).await;
    assert_eq!(text(&all), "a=1 b=marker b=2 b=1 b/x=2 b/x=1 c=1");
    let current: Vec<_> = all.entries.iter().map(|version| version.is_current).collect();
    assert_eq!(current, [true, true, false, false, true, false, true]);
    let rolled = versions(&fixture, &query("", Some("/"), 5)).await;
    assert_eq!(text(&rolled), "a=1 b=marker b=2 b=1 b/ …");
    let rest = versions(&fixture, &after(query("", Some("/"), 5), "b/")).await;
    assert_eq!(text(&rest), "c=1");
    let prefix = versions(&fixture, &query("b/", Some("/"), 5)).await;
    assert_eq!(text(&prefix), "b/x=2 b/x=1");
}

pub(super) async fn continues_within_a_key(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    for (key, etag) in [("a", "1"), ("b", "1"), ("b", "2"), ("b", "3"), ("c", "1")] {
        fixture.put(key, etag).await;
    }
    let mut shown = Vec::new();
    let mut place = (None, None);
    loop {
        let page_query = ListQuery { after: place.0, ..query("", None, 1) };
        let page = meta.list_versions(fixture.bucket.id, &page_query, place.1).await.unwrap();
        let last = page.entries.last().unwrap();
        shown.push(format!("{}={}", last.key, last.content.as_ref().unwrap().etag));
        place = (Some(last.key.clone()), Some(last.version));
        if !page.is_truncated {
            break;
        }
    }
    assert_eq!(shown, ["a=1", "b=3", "b=2", "b=1", "c=1"]);
    let outside = after(query("a", None, 10), "b");
    let page = meta.list_versions(fixture.bucket.id, &outside, place.1).await.unwrap();
    assert_eq!(text(&page), "", "a key outside the prefix");
}

pub(super) async fn continues_after_the_last_one_shown_is_deleted(meta: &dyn Meta) {
    let fixture = Fixture::versioned(meta).await;
    for etag in ["1", "2", "3", "4", "5"] {
        fixture.put("key", etag).await;
    }
    let mut place = (None, None);
    loop {
        let page_query = ListQuery { after: place.0, ..query("", None, 2) };
        let page = meta.list_versions(fixture.bucket.id, &page_query, place.1).await.unwrap();
        for version in &page.entries {
            let id = Some(version.version);
            meta.delete(&fixture.bucket, &version.key, id, None).await.unwrap();
        }
        let last = page.entries.last().unwrap();
        place = (Some(last.key.clone()), Some(last.version));
        if !page.is_truncated {
            break;
        }
    }
    meta.delete_bucket(fixture.bucket.id).await.unwrap();
}

pub(super) async fn leaves_headers_and_parts_out(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    let commit = fixture.commit("key", "e");
    let content = Content {
        headers: Headers { cache_control: Some("no-store".to_owned()), ..Headers::default() },
        tags: [("k".to_owned(), "v".to_owned())].into(),
        parts: vec![ObjectPart { number: 1, size: 100, checksum: None }],
        ..commit.content.clone()
    };
    meta.commit(Commit { content, ..commit }).await.unwrap();
    for page in [
        meta.list_objects(fixture.bucket.id, &query("", None, 1)).await.unwrap(),
        versions(&fixture, &query("", None, 1)).await,
    ] {
        let content = page.entries[0].content.clone().unwrap();
        assert_eq!(content.headers, Headers::default());
        assert_eq!(content.parts, []);
        assert_eq!(content.size, 100);
    }
}

pub(super) async fn takes_delimiters_of_any_length(meta: &dyn Meta) {
    let fixture = Fixture::new(meta).await;
    put_all(&fixture, &["a::1", "a::2", "a:b", "ä🙂x", "ä🙂y"]).await;
    assert_eq!(list(&fixture, &query("", Some("::"), 10)).await, "a:b ä🙂x ä🙂y a::");
    assert_eq!(list(&fixture, &query("ä", Some("🙂"), 10)).await, "ä🙂");
    assert_eq!(list(&fixture, &after(query("", Some("::"), 10), "a::")).await, "a:b ä🙂x ä🙂y");
}
