//! Lists: order, prefixes, pages, encodings.

use super::Store;
use crate::meta::types::Versioning;
use crate::s3::list::page;

async fn filled() -> Store {
    let store = Store::with_bucket().await;
    for key in ["a", "b/1", "b/2", "c", "d/1", "%C3%A9"] {
        store.put(key, "x").await;
    }
    store
}

#[tokio::test]
async fn both_forms_list_in_byte_order() {
    let store = filled().await;
    for path in ["/bucket", "/bucket?list-type=2"] {
        let list = store.send("GET", path, &[], "").await.expect(200);
        assert_eq!(list.elements("Key"), ["a", "b/1", "b/2", "c", "d/1", "é"]);
        assert_eq!(list.element("IsTruncated"), Some("false"));
        assert_eq!(list.elements("ETag").len(), 6);
    }
    let rolled = store.send("GET", "/bucket?list-type=2&delimiter=/", &[], "").await.expect(200);
    assert_eq!(rolled.elements("Key"), ["a", "c", "é"]);
    assert_eq!(rolled.element("KeyCount"), Some("5"));
    assert!(rolled.text().contains("<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"));
    let inside = store.send("GET", "/bucket?prefix=b/&delimiter=/", &[], "").await.expect(200);
    assert_eq!(inside.elements("Key"), ["b/1", "b/2"]);
}

#[tokio::test]
async fn pages_of_any_size_make_the_same_list() {
    let store = filled().await;
    for max in 1..=6 {
        let (mut keys, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("/bucket?list-type=2&max-keys={max}{token}");
            let page = store.send("GET", &path, &[], "").await.expect(200);
            keys.extend(page.elements("Key").into_iter().map(str::to_owned));
            let Some(next) = page.element("NextContinuationToken") else { break };
            assert_eq!(page.element("IsTruncated"), Some("true"));
            token = format!("&continuation-token={next}");
        }
        assert_eq!(keys, ["a", "b/1", "b/2", "c", "d/1", "é"], "{max}");
    }
}

#[tokio::test]
async fn the_first_form_names_the_next_marker_only_with_a_delimiter() {
    let store = filled().await;
    let page = store.send("GET", "/bucket?max-keys=2&delimiter=/", &[], "").await.expect(200);
    assert_eq!(page.element("NextMarker"), Some("b/"));
    let rest = store.send("GET", "/bucket?marker=b/&delimiter=/", &[], "").await.expect(200);
    assert_eq!(rest.elements("Key"), ["c", "é"]);
    let plain = store.send("GET", "/bucket?max-keys=2", &[], "").await.expect(200);
    assert_eq!((plain.element("NextMarker"), plain.element("IsTruncated")), (None, Some("true")));
}

#[tokio::test]
async fn limits_and_encodings_are_checked() {
    let store = filled().await;
    let none = store.send("GET", "/bucket?max-keys=0", &[], "").await.expect(200);
    assert!(none.elements("Key").is_empty());
    assert_eq!(none.element("IsTruncated"), Some("false"));
    for query in [
        "max-keys=-1",
        "max-keys=abc",
        "encoding-type=foo",
        "list-type=2&continuation-token=garbage",
        "versions&version-id-marker=null",
    ] {
        let answer = store.send("GET", &format!("/bucket?{query}"), &[], "").await;
        answer.expect_error(400, "InvalidArgument");
    }
    let encoded = store.send("GET", "/bucket?encoding-type=url", &[], "").await.expect(200);
    assert_eq!(encoded.elements("Key").last(), Some(&"%C3%A9"));
    assert_eq!(encoded.element("EncodingType"), Some("url"));
    // A key that XML can't hold makes the page encoded, so that it can be read at all.
    store.put("bell%07", "x").await;
    let forced = store.send("GET", "/bucket?prefix=bell", &[], "").await.expect(200);
    // Clients send start-after again with every token.
    let token = page::token("a");
    let query = format!("/bucket?list-type=2&start-after=%EF%BF%BF&continuation-token={token}");
    let continued = store.send("GET", &query, &[], "").await.expect(200);
    assert_eq!(continued.element("StartAfter"), Some("%EF%BF%BF"));
    assert_eq!(forced.elements("Key"), ["bell%07"]);
    assert_eq!(forced.element("EncodingType"), Some("url"));
}

#[tokio::test]
async fn the_owner_is_told_on_demand() {
    let store = filled().await;
    let silent = store.send("GET", "/bucket?list-type=2", &[], "").await.expect(200);
    assert_eq!(silent.element("Owner"), None);
    let path = "/bucket?list-type=2&fetch-owner=true";
    let told = store.send("GET", path, &[], "").await.expect(200);
    assert_eq!(told.element("DisplayName"), Some("main"));
}

#[tokio::test]
async fn versions_are_listed_newest_first() {
    let store = Store::with_bucket().await;
    store.put("key", "1").await;
    let null = store.send("GET", "/bucket?versions", &[], "").await.expect(200);
    assert_eq!(null.elements("VersionId"), ["null"]);
    store.set_versioning(Versioning::Enabled).await;
    store.put("key", "2").await;
    store.send("DELETE", "/bucket/key", &[], "").await.expect(204);
    let list = store.send("GET", "/bucket?versions", &[], "").await.expect(200);
    assert_eq!(list.elements("Version").len(), 2);
    assert_eq!(list.elements("DeleteMarker").len(), 1);
    assert_eq!(list.elements("VersionId").iter().filter(|id| **id == "null").count(), 1);

    let (mut seen, mut marker) = (0, String::new());
    loop {
        let path = format!("/bucket?versions&max-keys=1{marker}");
        let page = store.send("GET", &path, &[], "").await.expect(200);
        seen += page.elements("Version").len() + page.elements("DeleteMarker").len();
        let Some(key) = page.element("NextKeyMarker") else { break };
        let id = page.element("NextVersionIdMarker").unwrap();
        marker = format!("&key-marker={key}&version-id-marker={id}");
    }
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn last_modified_is_the_same_everywhere() {
    let store = Store::with_bucket().await;
    store.put("key", "x").await;
    let head = store.send("HEAD", "/bucket/key", &[], "").await.expect(200);
    let list = store.send("GET", "/bucket", &[], "").await.expect(200);
    let (head, list) =
        (head.header("last-modified").unwrap(), list.element("LastModified").unwrap());
    assert!(list.contains(".000Z"), "{list}");
    assert_eq!(&list[11..19], &head[17..25]);
}

/// XML 1.0 has no way to write most control characters, but a key may have them: what is done
/// must not be answered as a failure.
#[tokio::test]
async fn keys_that_xml_cannot_carry() {
    let store = Store::with_bucket().await;
    let path = "/bucket/a%01%EF%BF%BF";
    let created = store.send("POST", &format!("{path}?uploads"), &[], "").await.expect(200);
    assert_eq!(created.element("Key"), Some("a\u{fffd}\u{fffd}"));
    let id = created.element("UploadId").unwrap();
    store.send("GET", &format!("{path}?uploadId={id}"), &[], "").await.expect(200);
    let part = format!("{path}?partNumber=1&uploadId={id}");
    let part = store.send("PUT", &part, &[], "x").await.expect(200);
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>\
         </CompleteMultipartUpload>",
        part.header("etag").unwrap()
    );
    store.send("POST", &format!("{path}?uploadId={id}"), &[], list).await.expect(200);
    assert_eq!(store.send("GET", path, &[], "").await.expect(200).text(), "x");
    let list = store.send("GET", "/bucket?list-type=2", &[], "").await.expect(200);
    assert_eq!(list.element("Key"), Some("a%01%EF%BF%BF"));
    assert_eq!(list.element("EncodingType"), Some("url"));
}
