//! Tags: set, told, copied, counted and bounded.

use super::{Answer, Store, Versioning};

fn document(tags: &[(&str, &str)]) -> String {
    let tag =
        |(key, value): &(&str, &str)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    let tags: String = tags.iter().map(tag).collect();
    format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")
}

impl Store {
    async fn tag(&self, path: &str, tags: &[(&str, &str)]) -> Answer {
        self.send("PUT", path, &[], document(tags)).await
    }

    /// Tags as `key=value`, in the order of the answer.
    async fn tags(&self, path: &str) -> Vec<String> {
        let answer = self.send("GET", path, &[], "").await.expect(200);
        let (keys, values) = (answer.elements("Key"), answer.elements("Value"));
        assert_eq!(keys.len(), values.len(), "{}", answer.text());
        keys.iter().zip(values).map(|(key, value)| format!("{key}={value}")).collect()
    }
}

const TAGGING: &str = "/bucket/key?tagging";

/// One tag too many, as the header has them.
fn many_in_header() -> String {
    (0..11).map(|number| format!("{number}=v")).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn tags_are_set_told_and_taken_away() {
    let store = Store::with_bucket().await;
    store.put("key", "x").await;
    assert!(store.tags(TAGGING).await.is_empty());
    assert_eq!(store.get("key").await.header("x-amz-tagging-count"), None);
    store.tag(TAGGING, &[("b", "2"), ("a", "1 é")]).await.expect(200);
    assert_eq!(store.tags(TAGGING).await, ["a=1 é", "b=2"]);
    store.tag(TAGGING, &[("c", "")]).await.expect(200);
    assert_eq!(store.tags(TAGGING).await, ["c="]);
    for method in ["GET", "HEAD"] {
        let answer = store.send(method, "/bucket/key", &[], "").await.expect(200);
        assert_eq!(answer.header("x-amz-tagging-count"), Some("1"));
    }
    store.send("DELETE", TAGGING, &[], "").await.expect(204);
    assert!(store.tags(TAGGING).await.is_empty());
    assert_eq!(store.get("key").await.expect(200).text(), "x");
    for method in ["GET", "DELETE"] {
        let absent = store.send(method, "/bucket/absent?tagging", &[], "").await;
        absent.expect_error(404, "NoSuchKey");
    }
    store.tag("/bucket/absent?tagging", &[]).await.expect_error(404, "NoSuchKey");
    let alt = [("x-caller", "alt")];
    for (method, body) in
        [("GET", String::new()), ("PUT", document(&[])), ("DELETE", String::new())]
    {
        for path in [TAGGING, "/bucket?tagging"] {
            let refused = store.send(method, path, &alt, body.clone()).await;
            refused.expect_error(403, "AccessDenied");
        }
    }
}

#[tokio::test]
async fn each_version_has_its_own_tags() {
    let store = Store::with_bucket().await;
    store.set_versioning(Versioning::Enabled).await;
    let tagged = [("x-amz-tagging", "from=put")];
    let first = store.send("PUT", "/bucket/key", &tagged, "1").await.expect(200);
    let first = first.header("x-amz-version-id").unwrap().to_owned();
    let second = store.put("key", "2").await.header("x-amz-version-id").unwrap().to_owned();
    let of_first = format!("{TAGGING}&versionId={first}");
    assert_eq!(store.tags(&of_first).await, ["from=put"]);
    assert!(store.tags(TAGGING).await.is_empty());
    let set = store.tag(TAGGING, &[("a", "latest")]).await.expect(200);
    assert_eq!(set.header("x-amz-version-id"), Some(second.as_str()));
    let set = store.tag(&of_first, &[("a", "old")]).await.expect(200);
    assert_eq!(set.header("x-amz-version-id"), Some(first.as_str()));
    assert_eq!(store.tags(TAGGING).await, ["a=latest"]);
    let taken = store.send("DELETE", &of_first, &[], "").await.expect(204);
    assert_eq!(taken.header("x-amz-version-id"), Some(first.as_str()));
    assert!(store.tags(&of_first).await.is_empty());
    assert_eq!(store.tags(TAGGING).await, ["a=latest"]);

    let deleted = store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    let marker = deleted.header("x-amz-version-id").unwrap();
    store.tag(TAGGING, &[]).await.expect_error(404, "NoSuchKey");
    let of_marker = format!("{TAGGING}&versionId={marker}");
    store.tag(&of_marker, &[]).await.expect_error(405, "MethodNotAllowed");
    store.send("GET", &of_marker, &[], "").await.expect_error(405, "MethodNotAllowed");
    let unknown = format!("{TAGGING}&versionId={}", "0".repeat(32));
    store.tag(&unknown, &[]).await.expect_error(404, "NoSuchVersion");
    let garbage = format!("{TAGGING}&versionId=garbage");
    store.tag(&garbage, &[]).await.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn copies_take_the_tags_or_new_ones() {
    let store = Store::with_bucket().await;
    let tagged = [("x-amz-tagging", "a=1&b=2")];
    store.send("PUT", "/bucket/key", &tagged, "x").await.expect(200);
    let copy = async |headers: &[(&str, &str)]| {
        let headers = [&[("x-amz-copy-source", "bucket/key")], headers].concat();
        store.send("PUT", "/bucket/copy", &headers, "").await
    };
    let directive = "x-amz-tagging-directive";
    for (headers, expected) in [
        (&[][..], vec!["a=1", "b=2"]),
        (&[(directive, "COPY")], vec!["a=1", "b=2"]),
        (&[(directive, "REPLACE"), ("x-amz-tagging", "c=3")], vec!["c=3"]),
        (&[(directive, "REPLACE")], vec![]),
        (&[("x-amz-metadata-directive", "REPLACE")], vec!["a=1", "b=2"]),
    ] {
        copy(headers).await.expect(200);
        assert_eq!(store.tags("/bucket/copy?tagging").await, expected, "{headers:?}");
    }
    copy(&[(directive, "FOO")]).await.expect_error(400, "InvalidArgument");
    let twice = [(directive, "REPLACE"), ("x-amz-tagging", "a=1&a=2")];
    copy(&twice).await.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn an_upload_brings_its_tags() {
    let store = Store::with_bucket().await;
    let tagged = [("x-amz-tagging", "a=1&b=2")];
    let created = store.send("POST", "/bucket/key?uploads", &tagged, "").await.expect(200);
    let upload = created.element("UploadId").unwrap();
    let part = format!("/bucket/key?partNumber=1&uploadId={upload}");
    let part = store.send("PUT", &part, &[], "x").await.expect(200);
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>\
         </CompleteMultipartUpload>",
        part.header("etag").unwrap()
    );
    let path = format!("/bucket/key?uploadId={upload}");
    store.send("POST", &path, &[], list).await.expect(200);
    assert_eq!(store.tags(TAGGING).await, ["a=1", "b=2"]);
    assert_eq!(store.get("key").await.header("x-amz-tagging-count"), Some("2"));
    let many = many_in_header();
    let many = [("x-amz-tagging", many.as_str())];
    let refused = store.send("POST", "/bucket/key?uploads", &many, "").await;
    refused.expect_error(400, "BadRequest");
}

#[tokio::test]
async fn tags_are_bounded_and_nothing_changes_when_they_are_refused() {
    let store = Store::with_bucket().await;
    store.put("key", "x").await;
    store.tag(TAGGING, &[("kept", "1")]).await.expect(200);
    let names: Vec<String> = (0..51).map(|number| number.to_string()).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
    for (tags, code) in [
        (&many[..11], "BadRequest"),
        (&[(long_key.as_str(), "v")], "InvalidTag"),
        (&[("k", long_value.as_str())], "InvalidTag"),
        (&[("k", "1"), ("k", "2")], "InvalidTag"),
        (&[("aws:k", "v")], "InvalidTag"),
        (&[("", "v")], "InvalidTag"),
        (&[("k", "a,b")], "InvalidTag"),
    ] {
        store.tag(TAGGING, tags).await.expect_error(400, code);
    }
    store.send("PUT", TAGGING, &[], "<Tagging/>").await.expect_error(400, "MalformedXML");
    assert_eq!(store.tags(TAGGING).await, ["kept=1"]);
    for (header, code) in [
        (many_in_header().as_str(), "BadRequest"),
        ("a=1&a=2", "InvalidArgument"),
        ("a=%80", "InvalidArgument"),
        ("a=%0A", "InvalidTag"),
    ] {
        let put = store.send("PUT", "/bucket/key", &[("x-amz-tagging", header)], "y").await;
        put.expect_error(400, code);
    }
    assert_eq!(store.get("key").await.expect(200).text(), "x");
    store.tag("/bucket?tagging", &many).await.expect_error(400, "BadRequest");
    store.tag("/bucket?tagging", &many[..50]).await.expect(200);
}

#[tokio::test]
async fn a_bucket_has_tags() {
    let store = Store::with_bucket().await;
    let path = "/bucket?tagging";
    store.send("GET", path, &[], "").await.expect_error(404, "NoSuchTagSet");
    store.tag(path, &[("team", "storage"), ("cost", "")]).await.expect(200);
    assert_eq!(store.tags(path).await, ["cost=", "team=storage"]);
    store.put("key", "x").await;
    store.send("DELETE", path, &[], "").await.expect(204);
    store.send("GET", path, &[], "").await.expect_error(404, "NoSuchTagSet");
    assert_eq!(store.get("key").await.expect(200).text(), "x");
    store.tag("/absent?tagging", &[]).await.expect_error(404, "NoSuchBucket");
}
