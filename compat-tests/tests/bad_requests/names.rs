//! Names of buckets and keys.

use super::Bench;
use compat_tests::raw::Request;

pub(super) async fn check(bench: &Bench) {
    let long = "a".repeat(64);
    for name in ["ab", &long, "Abc", "a_b", "192.168.5.4", "a..b", "-ab", "ab-", "xn--a", "minio"] {
        let wire = bench.signed(&Request::put(&format!("/{name}")));
        bench.check(name, &wire, 400, "InvalidBucketName").await;
    }
    let key = format!("/bad-requests/{}", "k".repeat(1025));
    let wire = bench.signed(&Request::put(&key).body("x"));
    bench.check("key of 1025 bytes", &wire, 400, "KeyTooLongError").await;
    literal_keys(bench).await;
}

/// Dots and slashes in a key are letters like others: never a way to another bucket.
async fn literal_keys(bench: &Bench) {
    bench.send(Request::put("/other-bucket")).await.expect_status(200);
    for key in ["%2e%2e%2fother-bucket%2fk", "a%2F..%2F..%2Fother-bucket%2Fk", "%252e", "C%3A"] {
        let target = format!("/bad-requests/{key}");
        let status = bench.send(Request::put(&target).body("x")).await.status;
        // 403: a path that is not encoded as signatures want it does not match its signature.
        assert!(matches!(status, 200 | 400 | 403), "{key}: {status}");
        if status == 200 {
            assert_eq!(bench.send(Request::get(&target)).await.text(), "x", "{key}");
            bench.send(Request::delete(&target)).await.expect_status(204);
        }
    }
    let other = bench.send(Request::get("/other-bucket?list-type=2")).await.expect_status(200);
    assert_eq!(other.element("KeyCount"), "0", "{}", other.text());
    bench.send(Request::delete("/other-bucket")).await.expect_status(204);
}
