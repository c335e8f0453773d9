//! What is deleted or overwritten really leaves the drives.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, Server};
use compat_tests::objects::Body;
use compat_tests::raw::{Request, Signer};

const MIB: u64 = 1024 * 1024;
/// At least 60 s must pass before freed chunks go; two minutes are promised.
const PATIENCE: Duration = Duration::from_secs(150);

async fn send(server: &Server, request: Request, status: u16) {
    let wire = request.sign(&server.signer(), server.address());
    wire.send(server.address()).await.expect_status(status);
}

/// Waits until the drives hold less than `limit`.
async fn shrinks_below(server: &Server, limit: u64) {
    let until = Instant::now() + PATIENCE;
    while server.used_bytes() >= limit {
        let used = server.used_bytes();
        assert!(Instant::now() < until, "{used} bytes are still used, expected below {limit}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn put(server: &Server, signer: &Signer, key: &str, body: Body) {
    body.put(server.address(), signer, &format!("/gone/{key}")).await.unwrap();
}

/// Stores a version of `key`; answers its id.
async fn version(server: &Server, body: Body) -> String {
    body.put(server.address(), &server.signer(), "/versions/key").await.unwrap();
    let head = Request::head("/versions/key").sign(&server.signer(), server.address());
    let head = head.send(server.address()).await.expect_status(200);
    head.header("x-amz-version-id").expect("a version id").to_owned()
}

async fn check(form: Form) {
    let server = Server::start(form);
    let signer = server.signer();
    send(&server, Request::put("/gone"), 200).await;
    let empty = server.used_bytes();

    // Deleted, overwritten, aborted, copied and deleted on one side only; and many small ones.
    let kept = Body::new(7, 16 * MIB);
    put(&server, &signer, "kept", kept).await;
    put(&server, &signer, "deleted", Body::new(1, 40 * MIB)).await;
    put(&server, &signer, "overwritten", Body::new(2, 40 * MIB)).await;
    put(&server, &signer, "overwritten", Body::new(3, 1000)).await;
    for index in 0..200 {
        put(&server, &signer, &format!("small/{index}"), Body::new(index, 20_000)).await;
    }
    let copy = Request::put("/gone/copy").header("x-amz-copy-source", "/gone/kept");
    send(&server, copy, 200).await;
    let create = Request::post("/gone/upload?uploads").sign(&signer, server.address());
    let upload = create.send(server.address()).await.expect_status(200).element("UploadId");
    let part = format!("upload?partNumber=1&uploadId={upload}");
    put(&server, &signer, &part, Body::new(4, 40 * MIB)).await;
    // Of two versions the older one is deleted by its id, and a marker hides the other.
    send(&server, Request::put("/versions"), 200).await;
    let enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    send(&server, Request::put("/versions?versioning").body(enable), 200).await;
    let (old, latest) = (Body::new(5, 40 * MIB), Body::new(6, 1000));
    let old = version(&server, old).await;
    let latest_id = version(&server, latest).await;
    let peak = server.used_bytes();
    assert!(peak - empty > 170 * MIB, "only {peak} bytes are used");

    send(&server, Request::delete(&format!("/versions/key?versionId={old}")), 204).await;
    send(&server, Request::delete("/versions/key"), 204).await;
    send(&server, Request::delete("/gone/deleted"), 204).await;
    send(&server, Request::delete("/gone/kept"), 204).await;
    send(&server, Request::delete(&format!("/gone/upload?uploadId={upload}")), 204).await;
    for index in 0..200 {
        send(&server, Request::delete(&format!("/gone/small/{index}")), 204).await;
    }
    // Six chunks of the copy's body, 24 MiB in all, stay; segments keep a little.
    shrinks_below(&server, empty + 24 * MIB + 16 * MIB).await;
    kept.check(server.address(), &signer, "/gone/copy").await.unwrap();
    let latest_path = format!("/versions/key?versionId={latest_id}");
    latest.check(server.address(), &signer, &latest_path).await.unwrap();
    send(&server, Request::delete("/gone/copy"), 204).await;
    shrinks_below(&server, empty + 16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    check(Form::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn separate() {
    check(Form::Separate).await;
}
