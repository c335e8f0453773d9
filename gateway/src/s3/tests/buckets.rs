//! Buckets: names, owners, regions, and what clients probe.

use super::Store;
use crate::meta::Meta;

#[tokio::test]
async fn a_bucket_lives_and_dies() {
    let store = Store::with_bucket().await;
    let head = store.send("HEAD", "/bucket", &[], "").await.expect(200);
    assert_eq!(head.header("x-amz-bucket-region"), Some("us-east-1"));
    store.put("key", "x").await;
    store.send("DELETE", "/bucket", &[], "").await.expect_error(409, "BucketNotEmpty");
    store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    store.send("DELETE", "/bucket", &[], "").await.expect(204);
    store.send("GET", "/bucket", &[], "").await.expect_error(404, "NoSuchBucket");
    store.send("PUT", "/bucket/key", &[], "x").await.expect_error(404, "NoSuchBucket");
    store.get("key").await.expect_error(404, "NoSuchBucket");
}

#[tokio::test]
async fn a_bucket_made_anew_elsewhere_is_noticed_by_a_write() {
    let store = Store::with_bucket().await;
    store.put("key", "old").await;
    store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    // Behind this gateway's back: its cache still has the old bucket.
    let meta: &dyn crate::meta::Meta = store.meta.as_ref();
    let old = meta.bucket("bucket").await.unwrap().unwrap();
    meta.delete_bucket(old.id).await.unwrap();
    meta.create_bucket("bucket", old.owner).await.unwrap();
    store.put("key", "new").await;
    assert_eq!(store.get("key").await.expect(200).text(), "new");
    // And to another user.
    store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    let old = meta.bucket("bucket").await.unwrap().unwrap();
    meta.delete_bucket(old.id).await.unwrap();
    let alt = meta.user("alt").await.unwrap().unwrap();
    meta.create_bucket("bucket", alt.id).await.unwrap();
    store.send("PUT", "/bucket/key", &[], "x").await.expect_error(403, "AccessDenied");
}

#[tokio::test]
async fn names_and_places() {
    let store = Store::new().await;
    for name in ["ab", "Abc", "a_b", "192.168.5.4", "a..b", "-a-", "a-", "xn--a", "minio"] {
        let answer = store.send("PUT", &format!("/{name}"), &[], "").await;
        answer.expect_error(400, "InvalidBucketName");
    }
    let long = format!("/{}", "a".repeat(64));
    store.send("PUT", &long, &[], "").await.expect_error(400, "InvalidBucketName");
    let body = "<CreateBucketConfiguration><LocationConstraint>nowhere</LocationConstraint>\
                </CreateBucketConfiguration>";
    let answer = store.send("PUT", "/bucket", &[], body).await;
    answer.expect_error(400, "InvalidLocationConstraint");
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let store = Store::with_bucket().await;
    store.send("PUT", "/bucket", &[], "").await.expect(200);
    let alt = [("x-caller", "alt")];
    store.send("PUT", "/bucket", &alt, "").await.expect_error(409, "BucketAlreadyExists");
    let elsewhere = Store::in_region("eu-west-1").await;
    elsewhere.send("PUT", "/bucket", &[], "").await.expect(200);
    let again = elsewhere.send("PUT", "/bucket", &[], "").await;
    again.expect_error(409, "BucketAlreadyOwnedByYou");
    let location = elsewhere.send("GET", "/bucket?location", &[], "").await.expect(200);
    assert!(location.text().contains(">eu-west-1</LocationConstraint>"), "{}", location.text());
}

#[tokio::test]
async fn only_the_owner_touches_a_bucket() {
    let store = Store::with_bucket().await;
    store.put("key", "secret").await;
    let alt = [("x-caller", "alt")];
    for (method, path) in [
        ("GET", "/bucket"),
        ("HEAD", "/bucket"),
        ("DELETE", "/bucket"),
        ("GET", "/bucket?versions"),
        ("GET", "/bucket?uploads"),
        ("GET", "/bucket?acl"),
        ("GET", "/bucket?policy"),
        ("GET", "/bucket/key"),
        ("HEAD", "/bucket/key"),
        ("PUT", "/bucket/key"),
        ("DELETE", "/bucket/key"),
        ("GET", "/bucket/key?tagging"),
        ("GET", "/bucket/absent"),
        ("POST", "/bucket/key?uploads"),
    ] {
        let answer = store.send(method, path, &alt, "").await.expect(403);
        if (method, path) == ("HEAD", "/bucket") {
            assert_eq!(answer.header("x-amz-bucket-region"), Some("us-east-1"));
        }
        if method != "HEAD" {
            assert_eq!(answer.element("Code"), Some("AccessDenied"), "{method} {path}");
        }
    }
    store.send("PUT", "/other", &alt, "").await.expect(200);
    let copy = [("x-caller", "alt"), ("x-amz-copy-source", "bucket/key")];
    store.send("PUT", "/other/key", &copy, "").await.expect_error(403, "AccessDenied");
    let wrong = [("x-amz-expected-bucket-owner", "123456789012")];
    store.send("GET", "/bucket/key", &wrong, "").await.expect_error(403, "AccessDenied");
    assert_eq!(store.get("key").await.expect(200).text(), "secret");
}

#[tokio::test]
async fn each_lists_his_own() {
    let store = Store::new().await;
    for name in ["/one", "/two", "/two-b"] {
        store.send("PUT", name, &[], "").await.expect(200);
    }
    store.send("PUT", "/alts", &[("x-caller", "alt")], "").await.expect(200);
    let list = store.send("GET", "/", &[], "").await.expect(200);
    assert_eq!(list.elements("Name"), ["one", "two", "two-b"]);
    let page = store.send("GET", "/?max-buckets=1&prefix=two", &[], "").await.expect(200);
    assert_eq!(page.elements("Name"), ["two"]);
    let token = page.element("ContinuationToken").unwrap();
    let path = format!("/?prefix=two&continuation-token={token}");
    let rest = store.send("GET", &path, &[], "").await.expect(200);
    assert_eq!(rest.elements("Name"), ["two-b"]);
    for bad in ["0", "-1", "10001"] {
        let answer = store.send("GET", &format!("/?max-buckets={bad}"), &[], "").await;
        answer.expect_error(400, "InvalidArgument");
    }
}

#[tokio::test]
async fn probes_are_answered_truthfully() {
    let store = Store::with_bucket().await;
    store.put("key", "x").await;
    for (query, code) in [
        ("policy", "NoSuchBucketPolicy"),
        ("policyStatus", "NoSuchBucketPolicy"),
        ("cors", "NoSuchCORSConfiguration"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("tagging", "NoSuchTagSet"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
        ("ownershipControls", "OwnershipControlsNotFoundError"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
        ("website", "NoSuchWebsiteConfiguration"),
    ] {
        let answer = store.send("GET", &format!("/bucket?{query}"), &[], "").await;
        answer.expect_error(404, code);
        let absent = store.send("GET", &format!("/absent?{query}"), &[], "").await;
        absent.expect_error(404, "NoSuchBucket");
    }
    for query in ["versioning", "logging", "notification", "requestPayment", "accelerate", "acl"] {
        store.send("GET", &format!("/bucket?{query}"), &[], "").await.expect(200);
    }
    let acl = store.send("GET", "/bucket/key?acl", &[], "").await.expect(200);
    assert_eq!(acl.element("Permission"), Some("FULL_CONTROL"));
    let retention = store.send("GET", "/bucket/key?retention", &[], "").await;
    retention.expect_error(404, "NoSuchObjectLockConfiguration");
}

#[tokio::test]
async fn settings_that_do_not_exist_cannot_be_made() {
    let store = Store::with_bucket().await;
    let policy = "{\"Version\":\"2012-10-17\",\"Statement\":[]}";
    let logging = "<BucketLoggingStatus/>";
    for (query, body) in [("logging", logging), ("policy", policy)] {
        let answer = store.send("PUT", &format!("/bucket?{query}"), &[], body).await;
        answer.expect_error(501, "NotImplemented");
    }
}

/// Through another gateway a bucket was deleted and made anew by somebody else: whoever owns it now
/// is not refused by what is remembered.
#[tokio::test]
async fn a_refusal_goes_by_the_owner_of_today() {
    let store = Store::with_bucket().await;
    store.put("key", "remembers the bucket").await;
    store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    let old = store.meta.bucket("bucket").await.unwrap().unwrap();
    store.meta.delete_bucket(old.id).await.unwrap();
    let alt = store.meta.user("alt").await.unwrap().unwrap();
    store.meta.create_bucket("bucket", alt.id).await.unwrap();
    let caller = [("x-caller", "alt")];
    store.send("PUT", "/bucket/key", &caller, "mine").await.expect(200);
    store.send("PUT", "/bucket/key", &[], "not mine").await.expect_error(403, "AccessDenied");
}
