use super::{Document, DocumentKind, Expected, MAX_DOCUMENT_BYTES};
use crate::http::body::{Fate, IdleLimited};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use md5::{Digest, Md5};
use std::time::Duration;

const DELETE: &str = "<Delete><Object><Key>a&amp;b</Key></Object></Delete>";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// Reads a document through the body and gives the code it was refused with.
async fn read(document: Vec<u8>, given: &[(&'static str, &str)]) -> Result<Bytes, &'static str> {
    read_as(DocumentKind::Delete, document, given).await
}

async fn read_as(
    kind: DocumentKind,
    document: Vec<u8>,
    given: &[(&'static str, &str)],
) -> Result<Bytes, &'static str> {
    let fate = Fate::default();
    let expected = Expected::from_headers(&headers(given), kind).map_err(|refusal| refusal.code)?;
    let inner =
        IdleLimited::new(Full::new(Bytes::from(document)), Duration::from_secs(1), fate.clone());
    match Document::new(inner, expected, fate.clone()).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(_) => Err(fate.get().unwrap().code),
    }
}

#[tokio::test]
async fn every_announced_digest_is_verified() {
    for name in [
        "content-md5",
        "x-amz-checksum-crc32",
        "x-amz-checksum-crc32c",
        "x-amz-checksum-crc64nvme",
        "x-amz-checksum-sha1",
        "x-amz-checksum-sha256",
    ] {
        let value = match name.strip_prefix("x-amz-checksum-") {
            Some(algorithm) => super::checksum(algorithm, DELETE.as_bytes()),
            None => BASE64_STANDARD.encode(Md5::digest(DELETE)),
        };
        let whole = read(DELETE.into(), &[(name, &value)]).await;
        assert_eq!(whole.unwrap(), DELETE.as_bytes(), "{name}");
        let altered = read(DELETE.replace('a', "b").into(), &[(name, &value)]).await;
        assert_eq!(altered.unwrap_err(), "BadDigest", "{name}");
    }
    assert_eq!(read(DELETE.into(), &[("content-md5", "x")]).await, Err("InvalidDigest"));
    let hash = "0".repeat(64);
    let mismatch = read(DELETE.into(), &[("x-amz-content-sha256", &hash)]).await;
    assert_eq!(mismatch, Err("XAmzContentSHA256Mismatch"));
    assert_eq!(read(DELETE.into(), &[]).await, Err("InvalidRequest"));
}

/// Known answers from the CRC catalogue, so that the names and byte orders are right.
#[test]
fn checksums_have_their_known_values() {
    for (name, value) in [
        ("crc32", "y/Q5Jg=="),
        ("crc32c", "4waSgw=="),
        ("crc64nvme", "rosUhgp5mIg="),
        ("sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
    ] {
        assert_eq!(super::checksum(name, b"123456789"), value, "{name}");
    }
}

#[tokio::test]
async fn a_document_over_the_limit_is_cut() {
    let hash = "0".repeat(64);
    let read = read(vec![b' '; MAX_DOCUMENT_BYTES + 1], &[("x-amz-content-sha256", &hash)]).await;
    assert_eq!(read, Err("MaxMessageLengthExceeded"));
}

/// 1000 keys of 1 KiB are legal whatever bytes they have.
#[tokio::test]
async fn the_longest_list_of_keys_is_read() {
    let object = format!("<Object><Key>{}</Key></Object>", "&quot;".repeat(1024));
    let document = format!("<Delete>{}</Delete>", object.repeat(1000));
    let hash = hex::encode(sha2::Sha256::digest(&document));
    let read = read(document.clone().into(), &[("x-amz-content-sha256", &hash)]).await;
    assert_eq!(read.map(|document| document.len()), Ok(document.len()));
}

/// SDKs send a checksum with every setting; without any, the signature is what there is.
#[tokio::test]
async fn a_setting_is_compared_with_what_was_announced() {
    let setting = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let kind = DocumentKind::Setting;
    let crc32 = [("x-amz-checksum-crc32", super::checksum("crc32", setting.as_bytes()))];
    let crc32 = crc32.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(read_as(kind, setting.into(), &crc32).await.unwrap(), setting.as_bytes());
    assert_eq!(read_as(kind, setting.into(), &[]).await.unwrap(), setting.as_bytes());
    let altered = setting.replace("Enabled", "Suspended");
    assert_eq!(read_as(kind, altered.into(), &crc32).await, Err("BadDigest"));
    assert_eq!(read_as(kind, Vec::new(), &[]).await, Err("MalformedXML"));
}
