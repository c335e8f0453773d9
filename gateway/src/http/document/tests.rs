use super::{Document, Expected, MAX_DOCUMENT_BYTES, check_xml};
use crate::http::body::{Fate, IdleLimited};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use md5::{Digest, Md5};
use std::fmt::Write;
use std::time::{Duration, Instant};

const DELETE: &str = "<Delete><Object><Key>a&amp;b</Key></Object></Delete>";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// Reads a document through the body and gives the code it was refused with.
async fn read(document: Vec<u8>, given: &[(&'static str, &str)]) -> Result<Bytes, &'static str> {
    let fate = Fate::default();
    let expected = Expected::from_headers(&headers(given), true).map_err(|refusal| refusal.code)?;
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

#[test]
fn documents_of_s3_pass() {
    for document in [
        DELETE,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet/></Delete>",
        "<CreateBucketConfiguration/>",
    ] {
        assert_eq!(check_xml(document.as_bytes()), Ok(()), "{document}");
    }
}

#[test]
fn bombs_are_refused_quickly() {
    let mut attributes = String::from("<Delete");
    let mut spaces = String::from("<Delete");
    for index in 0..100_000 {
        let _ = write!(attributes, " a{index}=\"\"");
        let _ = write!(spaces, " xmlns:a{index}=\"u\"");
    }
    attributes.push_str("></Delete>");
    spaces.push_str("></Delete>");
    let utf16: Vec<u8> = DELETE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, Vec<u8>); 12] = [
        ("laughs", b"<!DOCTYPE a [<!ENTITY l \"lol\">]><Delete>&l;</Delete>".to_vec()),
        ("external", b"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><Delete/>".to_vec()),
        ("depth", format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)).into()),
        ("attributes", attributes.into()),
        ("namespaces", spaces.into()),
        ("utf16", utf16),
        ("bom", format!("\u{feff}{DELETE}").into()),
        ("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]),
        ("cdata", b"<Delete><![CDATA[x]]></Delete>".to_vec()),
        ("unclosed", b"<Delete><Object>".to_vec()),
        ("crossed", b"<Delete><Object></Delete></Object>".to_vec()),
        ("text", b"hello".to_vec()),
    ];
    for (name, document) in cases {
        let started = Instant::now();
        assert!(check_xml(&document).is_err(), "{name}");
        assert!(started.elapsed() < Duration::from_secs(1), "{name}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_document_over_the_limit_is_cut() {
    let hash = "0".repeat(64);
    let read = read(vec![b' '; MAX_DOCUMENT_BYTES + 1], &[("x-amz-content-sha256", &hash)]).await;
    assert_eq!(read, Err("MaxMessageLengthExceeded"));
}
