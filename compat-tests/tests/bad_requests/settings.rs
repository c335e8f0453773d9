//! Versioning and tags: documents, headers and ids that make no sense, and what is not done.

use super::{Bench, KEY};
use compat_tests::raw::Request;

const VERSIONING: &str = "/bad-requests?versioning";

pub(super) async fn check(bench: &Bench) {
    versioning(bench).await;
    ids(bench).await;
    tags(bench).await;
    let state = bench.send(Request::get(VERSIONING)).await.expect_status(200);
    assert!(!state.text().contains("Status"), "{}", state.text());
    let tagging = format!("{KEY}?tagging");
    let tags = bench.send(Request::get(&tagging)).await.expect_status(200);
    assert!(!tags.text().contains("<Tag>"), "{}", tags.text());
}

async fn versioning(bench: &Bench) {
    let document =
        |inside: &str| format!("<VersioningConfiguration>{inside}</VersioningConfiguration>");
    for (body, status, code) in [
        (String::new(), 400, "MalformedXML"),
        ("<Tagging/>".to_owned(), 400, "MalformedXML"),
        (document(""), 400, "IllegalVersioningConfigurationException"),
        (document("<Status>On</Status>"), 400, "MalformedXML"),
        (document("<Foo/><Status>Enabled</Status>"), 400, "MalformedXML"),
        (document("<MfaDelete>Enabled</MfaDelete><Status>Enabled</Status>"), 501, "NotImplemented"),
    ] {
        let wire = bench.signed(&Request::put(VERSIONING).body(body.as_str()));
        bench.check(&body, &wire, status, code).await;
    }
    let right = document("<Status>Enabled</Status>");
    let altered =
        Request::put(VERSIONING).body(right.as_str()).header("x-amz-checksum-crc32", "AAAAAA==");
    bench.check("another checksum", &bench.signed(&altered), 400, "BadDigest").await;
    let mfa = Request::put(VERSIONING).body(right).header("x-amz-mfa", "serial 123456");
    bench.check("a second factor", &bench.signed(&mfa), 501, "NotImplemented").await;
}

async fn ids(bench: &Bench) {
    for method in ["GET", "DELETE"] {
        for id in ["garbage", "NULL", "0123456789ABCDEF0123456789ABCDEF"] {
            let wire = bench.signed(&Request::new(method, &format!("{KEY}?versionId={id}")));
            bench.check(id, &wire, 400, "InvalidArgument").await;
        }
    }
    let unknown = format!("{KEY}?versionId={}", "0".repeat(32));
    bench.check("unknown", &bench.signed(&Request::get(&unknown)), 404, "NoSuchVersion").await;
}

async fn tags(bench: &Bench) {
    let tag = |key: &str, value: &str| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    let document = |tags: &str| format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    let many: String = (0..11).map(|number| tag(&number.to_string(), "v")).collect();
    for (body, code) in [
        ("<Tagging/>".to_owned(), "MalformedXML"),
        (document("<Foo/>"), "MalformedXML"),
        (document(&many), "BadRequest"),
        (document(&tag(&"k".repeat(129), "v")), "InvalidTag"),
        (document(&tag("k", &"v".repeat(257))), "InvalidTag"),
        (document(&tag("k", "1").repeat(2)), "InvalidTag"),
    ] {
        let wire = bench.signed(&Request::put(&format!("{KEY}?tagging")).body(body.as_str()));
        bench.check(&body, &wire, 400, code).await;
    }
    let twice = Request::put("/bad-requests/new").header("x-amz-tagging", "a=1&a=2").body("x");
    bench.check("a tag twice", &bench.signed(&twice), 400, "InvalidArgument").await;
}
