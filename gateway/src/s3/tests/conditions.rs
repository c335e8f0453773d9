//! What must hold for the object that a write replaces or a delete removes.

use super::{Store, Versioning};

const HELLO: &str = "\"5d41402abc4b2a76b9719d911017c592\"";
const OTHER: &str = "\"x\"";

/// A store with the object `key`, and when that was last modified.
async fn with_key() -> (Store, String) {
    let store = Store::with_bucket().await;
    store.put("key", "hello").await;
    let head = store.send("HEAD", "/bucket/key", &[], "").await.expect(200);
    (store, head.header("last-modified").unwrap().to_owned())
}

#[tokio::test]
async fn a_delete_may_name_etag_size_and_time() {
    let (store, modified) = with_key().await;
    let delete =
        async |headers: &[(&str, &str)]| store.send("DELETE", "/bucket/key", headers, "").await;
    let (size, time) = ("x-amz-if-match-size", "x-amz-if-match-last-modified-time");
    let long_ago = "Thu, 01 Jan 2015 00:00:00 GMT";
    let weak = format!("W/{HELLO}");
    for wrong in [
        &[("if-match", OTHER)][..],
        &[("if-match", &weak)],
        &[(size, "6")],
        &[(time, long_ago)],
        &[("if-match", HELLO), (size, "6")],
        &[("if-match", HELLO), (size, "5"), (time, long_ago)],
    ] {
        delete(wrong).await.expect_error(412, "PreconditionFailed");
    }
    delete(&[(size, "-1")]).await.expect_error(400, "InvalidArgument");
    assert_eq!(store.get("key").await.expect(200).text(), "hello");
    delete(&[("if-match", HELLO), (size, "5"), (time, &modified)]).await.expect(204);
    delete(&[("if-match", "*")]).await.expect_error(404, "NoSuchKey");
    delete(&[("if-match", HELLO)]).await.expect_error(404, "NoSuchKey");
    // As documented, size and time hold where there is nothing.
    delete(&[(size, "7"), (time, long_ago)]).await.expect(204);
    store.put("key", "hello").await;
    delete(&[("if-match", "*")]).await.expect(204);
    store.get("key").await.expect_error(404, "NoSuchKey");
    let put = store.send("PUT", "/bucket/key", &[(size, "5")], "x").await;
    put.expect_error(501, "NotImplemented");
}

#[tokio::test]
async fn each_of_many_deletes_has_its_own_condition() {
    let (store, modified) = with_key().await;
    let delete = async |condition: &str| {
        let object = format!("<Object><Key>key</Key>{condition}</Object>");
        let body = format!("<Delete>{object}<Object><Key>never</Key></Object></Delete>");
        let answer = store.send("POST", "/bucket?delete", &[], body).await.expect(200);
        assert!(answer.elements("Deleted").iter().any(|entry| entry.contains("never")));
        answer.element("Code").map(str::to_owned)
    };
    let failed = Some("PreconditionFailed".to_owned());
    for wrong in [
        "<ETag>&quot;x&quot;</ETag>",
        "<Size>6</Size>",
        "<LastModifiedTime>Thu, 01 Jan 2015 00:00:00 GMT</LastModifiedTime>",
    ] {
        assert_eq!(delete(wrong).await, failed, "{wrong}");
    }
    let all = format!(
        "<ETag>5d41402abc4b2a76b9719d911017c592</ETag><Size>5</Size>\
         <LastModifiedTime>{modified}</LastModifiedTime>"
    );
    assert_eq!(delete(&all).await, None);
    store.get("key").await.expect_error(404, "NoSuchKey");
    assert_eq!(delete("<ETag>*</ETag>").await, Some("NoSuchKey".to_owned()));
    assert_eq!(delete("<Size>6</Size>").await, None);
}

#[tokio::test]
async fn a_copy_may_name_what_it_replaces() {
    let (store, _) = with_key().await;
    store.put("other", "other").await;
    let copy = async |to: &str, name: &str, value: &str| {
        let headers = [("x-amz-copy-source", "bucket/key"), (name, value)];
        store.send("PUT", &format!("/bucket/{to}"), &headers, "").await
    };
    copy("new", "if-match", HELLO).await.expect_error(404, "NoSuchKey");
    copy("other", "if-none-match", "*").await.expect_error(412, "PreconditionFailed");
    copy("other", "if-match", HELLO).await.expect_error(412, "PreconditionFailed");
    assert_eq!(store.get("other").await.expect(200).text(), "other");
    let etag = store.get("other").await.header("etag").unwrap().to_owned();
    copy("other", "if-match", &etag).await.expect(200);
    copy("new", "if-none-match", "*").await.expect(200);
    for key in ["other", "new"] {
        assert_eq!(store.get(key).await.expect(200).text(), "hello");
    }
}

/// What lies below a delete marker is not there, for writes as for reads.
#[tokio::test]
async fn a_marker_is_no_object_to_match() {
    let (store, _) = with_key().await;
    store.set_versioning(Versioning::Enabled).await;
    store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    let put = async |name: &str, value: &str| {
        store.send("PUT", "/bucket/key", &[(name, value)], "again").await
    };
    put("if-match", "*").await.expect_error(404, "NoSuchKey");
    put("if-match", HELLO).await.expect_error(404, "NoSuchKey");
    for value in ["*", HELLO] {
        let deleted = store.send("DELETE", "/bucket/key", &[("if-match", value)], "").await;
        deleted.expect_error(412, "PreconditionFailed");
    }
    put("if-none-match", "*").await.expect(200);
    put("if-none-match", "*").await.expect_error(412, "PreconditionFailed");
}
