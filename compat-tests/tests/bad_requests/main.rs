//! Malformed requests over the wire against a real server: each gets its code within a second,
//! nothing is stored, and the server goes on.
//!
//! The rows follow the list of malformed requests that the project keeps; the head's checks have
//! unit tests of their own in the gateway, here it is shown that they hold together.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod auth;
mod framing;
mod names;
mod objects;
mod presigned;
mod settings;
mod streaming;
mod xml;

use compat_tests::cluster::{Form, Plan, Server};
use compat_tests::raw::{Answer, Request, Signer, Wire};
use std::time::{Duration, Instant};

/// The only object of the bucket that must stay as it is.
const KEY: &str = "/bad-requests/kept";

/// How long a client may pause within a body here; by default it is a minute.
const BODY_IDLE: &str = "3s";

/// How long any refusal may take on a busy machine; the promise is a second on an idle one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server with one bucket and one object.
struct Bench {
    server: Server,
    signer: Signer,
}

impl Bench {
    async fn start() -> Self {
        let plan = Plan::new(Form::Embedded).set("SIXFOLD_BODY_IDLE", BODY_IDLE);
        let server = tokio::task::block_in_place(|| plan.start());
        let bench = Self { signer: server.signer(), server };
        bench.send(Request::put("/bad-requests")).await.expect_status(200);
        bench.send(Request::put(KEY).body("kept")).await.expect_status(200);
        bench
    }

    fn address(&self) -> &str {
        self.server.address()
    }

    fn signed(&self, request: &Request) -> Wire {
        request.sign(&self.signer, self.address())
    }

    async fn send(&self, request: Request) -> Answer {
        self.signed(&request).send(self.address()).await
    }

    /// Sends a request and compares status and code; the error names its request.
    async fn check(&self, name: &str, wire: &Wire, status: u16, code: &str) {
        let started = Instant::now();
        let answer = wire.send(self.address()).await;
        assert_eq!(answer.outcome(), (status, code.to_owned()), "{name}: {}", answer.text());
        assert!(started.elapsed() < PATIENCE, "{name}: {:?}", started.elapsed());
        let id = answer.header("x-amz-request-id").unwrap_or_default().to_owned();
        assert_eq!(answer.element("RequestId"), id, "{name}: {}", answer.text());
    }

    /// Shows that nothing was stored, and that the server goes on.
    async fn is_unharmed(&self) {
        let list = self.send(Request::get("/bad-requests?list-type=2")).await.expect_status(200);
        assert_eq!(list.element("KeyCount"), "1", "{}", list.text());
        let kept = self.send(Request::get(KEY)).await.expect_status(200);
        assert_eq!(kept.text(), "kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_get_their_codes_and_store_nothing() {
    let bench = Bench::start().await;
    auth::check(&bench).await;
    presigned::check(&bench).await;
    streaming::check(&bench).await;
    framing::check(&bench).await;
    names::check(&bench).await;
    xml::check(&bench).await;
    objects::check(&bench).await;
    settings::check(&bench).await;
    bench.is_unharmed().await;
}
