//! Versions: the states of a bucket, what each keeps and replaces, and every operation by id.

use super::{Answer, Store};
use std::collections::BTreeSet;

impl Store {
    /// Sets the versioning state as a client does.
    async fn versioning(&self, status: &str) {
        let path = "/bucket?versioning";
        self.send("PUT", path, &[], document(status)).await.expect(200);
    }

    /// Stores under `key`; answers the version's id, when it was told.
    async fn put_version(&self, body: &'static str) -> Option<String> {
        self.put("key", body).await.header("x-amz-version-id").map(str::to_owned)
    }

    async fn by_id(&self, method: &str, id: &str) -> Answer {
        self.send(method, &format!("/bucket/key?versionId={id}"), &[], "").await
    }

    /// All versions and markers as `id latest?`. The front end puts them into one order.
    async fn listed(&self) -> BTreeSet<String> {
        let list = self.send("GET", "/bucket?versions", &[], "").await.expect(200);
        let (ids, latest) = (list.elements("VersionId"), list.elements("IsLatest"));
        ids.iter().zip(latest).map(|(id, latest)| format!("{id} {latest}")).collect()
    }
}

fn document(status: &str) -> String {
    format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>")
}

/// A bucket that keeps versions.
async fn versioned() -> Store {
    let store = Store::with_bucket().await;
    store.versioning("Enabled").await;
    store
}

#[tokio::test]
async fn the_state_is_set_and_told() {
    let store = Store::with_bucket().await;
    let path = "/bucket?versioning";
    let get = async || store.send("GET", path, &[], "").await.expect(200);
    assert_eq!(get().await.element("Status"), None);
    for status in ["Enabled", "Suspended", "Enabled", "Enabled"] {
        store.versioning(status).await;
        assert_eq!(get().await.element("Status"), Some(status));
    }
    for (wrong, code) in [
        ("<VersioningConfiguration/>".to_owned(), "IllegalVersioningConfigurationException"),
        (document("Off"), "MalformedXML"),
        (document("enabled"), "MalformedXML"),
        ("<VersioningConfiguration>".to_owned(), "MalformedXML"),
    ] {
        store.send("PUT", path, &[], wrong).await.expect_error(400, code);
    }
    let alt = [("x-caller", "alt")];
    store.send("PUT", path, &alt, document("Suspended")).await.expect_error(403, "AccessDenied");
    let absent = store.send("PUT", "/absent?versioning", &[], document("Enabled")).await;
    absent.expect_error(404, "NoSuchBucket");
    assert_eq!(get().await.element("Status"), Some("Enabled"));
}

#[tokio::test]
async fn mfa_delete_is_refused_by_name() {
    let store = Store::with_bucket().await;
    let asked = |mfa: &str| {
        format!(
            "<VersioningConfiguration><MfaDelete>{mfa}</MfaDelete><Status>Enabled</Status>\
             </VersioningConfiguration>"
        )
    };
    let refused = store.send("PUT", "/bucket?versioning", &[], asked("Enabled")).await;
    assert!(refused.expect_error(501, "NotImplemented").text().contains("MfaDelete"));
    let mfa = [("x-amz-mfa", "20899872 301749")];
    let refused = store.send("PUT", "/bucket?versioning", &mfa, asked("Disabled")).await;
    refused.expect_error(501, "NotImplemented");
    store.send("PUT", "/bucket?versioning", &[], asked("Disabled")).await.expect(200);
    assert!(store.put_version("x").await.is_some());
}

/// Amazon's rules: what was there before is the null version and stays; a suspended bucket replaces
/// the null version and nothing else.
#[tokio::test]
async fn the_null_version_is_kept_and_replaced_as_on_amazon() {
    let store = Store::with_bucket().await;
    assert_eq!(store.put_version("before").await, None);
    store.versioning("Enabled").await;
    let kept = store.put_version("kept").await.unwrap();
    assert_eq!(store.by_id("GET", "null").await.expect(200).text(), "before");
    store.versioning("Suspended").await;
    assert_eq!(store.put_version("suspended").await.as_deref(), Some("null"));
    assert_eq!(store.put_version("again").await.as_deref(), Some("null"));
    let listed = ["null true".to_owned(), format!("{kept} false")];
    assert_eq!(store.listed().await, listed.clone().into());
    let got = store.get("key").await.expect(200);
    assert_eq!((got.text(), got.header("x-amz-version-id")), ("again", Some("null")));

    let deleted = store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    assert_eq!(deleted.header("x-amz-version-id"), Some("null"));
    assert_eq!(deleted.header("x-amz-delete-marker"), Some("true"));
    assert_eq!(store.listed().await, listed.into());
    store.by_id("DELETE", "null").await.expect(204);
    assert_eq!(store.get("key").await.expect(200).text(), "kept");
}

#[tokio::test]
async fn the_latest_goes_and_the_one_below_is_latest() {
    let store = versioned().await;
    let first = store.put_version("first").await.unwrap();
    let second = store.put_version("second").await.unwrap();
    let deleted = store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    let marker = deleted.header("x-amz-version-id").unwrap().to_owned();
    let unmarked = store.by_id("DELETE", &marker).await.expect(204);
    assert_eq!(unmarked.header("x-amz-delete-marker"), Some("true"));
    assert_eq!(unmarked.header("x-amz-version-id"), Some(marker.as_str()));
    assert_eq!(store.get("key").await.expect(200).text(), "second");
    let gone = store.by_id("DELETE", &second).await.expect(204);
    assert_eq!(gone.header("x-amz-delete-marker"), None);
    assert_eq!(gone.header("x-amz-version-id"), Some(second.as_str()));
    let got = store.get("key").await.expect(200);
    assert_eq!((got.text(), got.header("x-amz-version-id")), ("first", Some(first.as_str())));
    store.by_id("GET", &second).await.expect_error(404, "NoSuchVersion");
    store.by_id("DELETE", &second).await.expect(204);
    assert_eq!(store.listed().await, [format!("{first} true")].into());
}

#[tokio::test]
async fn every_read_takes_a_version() {
    let store = versioned().await;
    let first = store.put_version("first").await.unwrap();
    store.put_version("the second").await.unwrap();
    let head = store.by_id("HEAD", &first).await.expect(200);
    assert_eq!(head.header("content-length"), Some("5"));
    assert_eq!(head.header("x-amz-version-id"), Some(first.as_str()));
    let size = [("x-amz-object-attributes", "ObjectSize")];
    let path = format!("/bucket/key?attributes&versionId={first}");
    let attributes = store.send("GET", &path, &size, "").await.expect(200);
    assert_eq!(attributes.element("ObjectSize"), Some("5"));
    assert_eq!(attributes.header("x-amz-version-id"), Some(first.as_str()));

    let deleted = store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    let marker = deleted.header("x-amz-version-id").unwrap().to_owned();
    let latest = store.send("HEAD", "/bucket/key", &[], "").await.expect(404);
    assert_eq!(latest.header("x-amz-delete-marker"), Some("true"));
    assert_eq!(latest.header("x-amz-version-id"), Some(marker.as_str()));
    let named = store.by_id("HEAD", &marker).await.expect(405);
    assert_eq!(named.header("x-amz-delete-marker"), Some("true"));
    assert_eq!(named.header("allow"), Some("DELETE"));
    assert!(named.header("last-modified").is_some());
    let path = format!("/bucket/key?attributes&versionId={marker}");
    store.send("GET", &path, &size, "").await.expect_error(405, "MethodNotAllowed");
    store.by_id("HEAD", "garbage").await.expect(400);
    store.by_id("HEAD", &"0".repeat(32)).await.expect(404);
}

#[tokio::test]
async fn copies_take_a_version_and_make_one() {
    let store = versioned().await;
    let first = store.put_version("first").await.unwrap();
    let second = store.put_version("second").await.unwrap();
    let deleted = store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    let marker = deleted.header("x-amz-version-id").unwrap().to_owned();
    let copy = async |to: &str, id: &str| {
        let source = format!("bucket/key?versionId={id}");
        store.send("PUT", to, &[("x-amz-copy-source", source.as_str())], "").await
    };
    // Onto itself: an old version becomes the latest again.
    let copied = copy("/bucket/key", &first).await.expect(200);
    assert_eq!(copied.header("x-amz-copy-source-version-id"), Some(first.as_str()));
    let restored = copied.header("x-amz-version-id").unwrap().to_owned();
    assert!(![&first, &second, &marker].contains(&&restored));
    assert_eq!(store.get("key").await.expect(200).text(), "first");
    store.by_id("DELETE", &first).await.expect(204);
    assert_eq!(store.get("key").await.expect(200).text(), "first");
    copy("/bucket/other", &marker).await.expect_error(400, "InvalidRequest");
    copy("/bucket/other", &"0".repeat(32)).await.expect_error(404, "NoSuchVersion");
    copy("/bucket/other", "garbage").await.expect_error(400, "InvalidArgument");

    let created = store.send("POST", "/bucket/parts?uploads", &[], "").await.expect(200);
    let upload = created.element("UploadId").unwrap();
    let part = format!("/bucket/parts?partNumber=1&uploadId={upload}");
    let part = copy(&part, &second).await.expect(200);
    assert_eq!(part.header("x-amz-copy-source-version-id"), Some(second.as_str()));
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>\
         </CompleteMultipartUpload>",
        part.element("ETag").unwrap()
    );
    let path = format!("/bucket/parts?uploadId={upload}");
    let complete = async || store.send("POST", &path, &[], list.clone()).await.expect(200);
    let completed = complete().await.header("x-amz-version-id").unwrap().to_owned();
    let again = complete().await;
    assert_eq!(again.header("x-amz-version-id"), Some(completed.as_str()));
    let path = format!("/bucket/parts?versionId={completed}");
    assert_eq!(store.send("GET", &path, &[], "").await.expect(200).text(), "second");
}

#[tokio::test]
async fn many_versions_and_markers_are_deleted_at_once() {
    let store = versioned().await;
    let first = store.put_version("first").await.unwrap();
    let delete = async |objects: &str| {
        let body = format!("<Delete>{objects}</Delete>");
        store.send("POST", "/bucket?delete", &[], body).await.expect(200)
    };
    let marked = delete("<Object><Key>key</Key></Object>").await;
    assert_eq!(marked.element("DeleteMarker"), Some("true"));
    assert_eq!(marked.element("VersionId"), None);
    let marker = marked.element("DeleteMarkerVersionId").unwrap().to_owned();
    store.get("key").await.expect_error(404, "NoSuchKey");
    let absent = "0".repeat(32);
    let objects = [marker.as_str(), &first, &absent]
        .map(|id| format!("<Object><Key>key</Key><VersionId>{id}</VersionId></Object>"));
    let gone = delete(&objects.concat()).await;
    assert_eq!(gone.elements("VersionId"), [marker.as_str(), &first, &absent]);
    assert_eq!(gone.elements("DeleteMarkerVersionId"), [marker.as_str()]);
    assert_eq!(gone.elements("DeleteMarker"), ["true"]);
    assert!(store.listed().await.is_empty());
}

#[tokio::test]
async fn a_bucket_with_versions_or_markers_is_not_empty() {
    let store = versioned().await;
    let version = store.put_version("x").await.unwrap();
    let deleted = store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    let marker = deleted.header("x-amz-version-id").unwrap().to_owned();
    let list = store.send("GET", "/bucket?list-type=2", &[], "").await.expect(200);
    assert_eq!(list.element("KeyCount"), Some("0"));
    for id in [&version, &marker] {
        let refused = store.send("DELETE", "/bucket", &[], "").await;
        refused.expect_error(409, "BucketNotEmpty");
        store.by_id("DELETE", id).await.expect(204);
    }
    store.send("DELETE", "/bucket", &[], "").await.expect(204);
}

/// Through another gateway the bucket began to keep versions; this one remembers that it did not.
#[tokio::test]
async fn what_another_gateway_enabled_holds_here() {
    let store = Store::with_bucket().await;
    store.put("key", "null").await;
    store.set_versioning(super::Versioning::Enabled).await;
    let second = store.put_version("second").await.unwrap();
    store.set_versioning(super::Versioning::Suspended).await;
    let deleted = store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    assert_eq!(deleted.header("x-amz-version-id"), Some("null"));
    assert_eq!(store.by_id("GET", &second).await.expect(200).text(), "second");
}
