//! XML documents.

use super::Bench;
use compat_tests::raw::{Payload, Request};

const KEPT: &str = "<Delete><Object><Key>kept</Key></Object></Delete>";

pub(super) async fn check(bench: &Bench) {
    let utf16: Vec<u8> = KEPT.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let many = (0..1001).map(|n| format!("<Object><Key>{n}</Key></Object>"));
    let many = many.collect::<Vec<_>>().concat();
    let spaces = (0..100_000).map(|n| format!(" xmlns:a{n}=\"u\""));
    let spaces = spaces.collect::<Vec<_>>().concat();
    for (name, document) in [
        ("empty", Vec::new()),
        ("laughs", b"<!DOCTYPE a [<!ENTITY l \"l\">]><Delete>&l;</Delete>".to_vec()),
        ("external", b"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><Delete/>".to_vec()),
        ("depth", format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)).into()),
        ("namespaces", format!("<Delete{spaces}></Delete>").into()),
        ("utf-16", utf16),
        ("byte order mark", format!("\u{feff}{KEPT}").into()),
        ("gzip", vec![0x1f, 0x8b, 8, 0, 0]),
        ("half", KEPT.as_bytes()[..20].to_vec()),
        ("1001 keys", format!("<Delete>{many}</Delete>").into()),
        ("unknown element", KEPT.replace("<Delete>", "<Delete><Foo/>").into()),
        ("text behind", format!("{KEPT}zzz").into()),
    ] {
        let wire = bench.signed(&Request::post("/bad-requests?delete").body(document));
        bench.check(name, &wire, 400, "MalformedXML").await;
    }
    integrity(bench).await;
}

async fn integrity(bench: &Bench) {
    let delete = || Request::post("/bad-requests?delete").body(KEPT);
    let unproven = bench.signed(&delete().unsigned_payload());
    bench.check("no integrity", &unproven, 400, "InvalidRequest").await;
    for (name, value, code) in [
        ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==", "BadDigest"),
        ("content-md5", "nonsense", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-sha256", "AAAA", "BadDigest"),
    ] {
        let wire = bench.signed(&delete().unsigned_payload().header(name, value));
        bench.check(name, &wire, 400, code).await;
    }
    let other = delete().payload(Payload::Claimed("0".repeat(64)));
    bench.check("another hash", &bench.signed(&other), 400, "XAmzContentSHA256Mismatch").await;
}
