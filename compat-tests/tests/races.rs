//! Conditional writes are decided once, however many come at the same time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use compat_tests::cluster::{Form, Server};
use compat_tests::raw::{Answer, Request};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const WRITERS: usize = 16;
const ROUNDS: usize = 10;

/// Sends all requests at the same moment.
async fn at_once(server: &Server, requests: Vec<Request>) -> Vec<(usize, Answer)> {
    let barrier = Arc::new(Barrier::new(requests.len()));
    let mut tasks = JoinSet::new();
    for (index, request) in requests.into_iter().enumerate() {
        let (barrier, address) = (barrier.clone(), server.address().to_owned());
        let wire = request.sign(&server.signer(), &address);
        tasks.spawn(async move {
            barrier.wait().await;
            (index, wire.send(&address).await)
        });
    }
    tasks.join_all().await
}

/// Exactly one 200, whose bytes are there; the others were told so.
async fn one_wins(server: &Server, target: &str, answers: Vec<(usize, Answer)>) -> Answer {
    let won: Vec<_> = answers.iter().filter(|(_, answer)| answer.status == 200).collect();
    let statuses: Vec<_> = answers.iter().map(|(_, answer)| answer.outcome()).collect();
    assert_eq!(won.len(), 1, "{statuses:?}");
    let lost = |answer: &Answer| matches!(answer.status, 200 | 409 | 412);
    assert!(answers.iter().all(|(_, answer)| lost(answer)), "{statuses:?}");
    let got = Request::get(target).sign(&server.signer(), server.address());
    let got = got.send(server.address()).await.expect_status(200);
    assert_eq!(got.text(), format!("writer {}", won[0].0));
    assert_eq!(got.header("etag"), won[0].1.header("etag"));
    got
}

async fn check(form: Form) {
    let server = Server::start(form);
    let bucket = Request::put("/race").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    for round in 0..ROUNDS {
        let target = format!("/race/{round}");
        let put = |writer| Request::put(&target).body(format!("writer {writer}"));
        let create = (0..WRITERS).map(|writer| put(writer).header("if-none-match", "*")).collect();
        let answers = at_once(&server, create).await;
        let got = one_wins(&server, &target, answers).await;
        let etag = got.header("etag").unwrap().to_owned();
        // The winner's own number is left out: its bytes, and so its ETag, would be the same again.
        let replace = (0..WRITERS).filter(|writer| got.text() != format!("writer {writer}"));
        let writers: Vec<usize> = replace.collect();
        let replace = writers.iter().map(|writer| put(*writer).header("if-match", &etag)).collect();
        let answers = at_once(&server, replace).await;
        let named = answers.into_iter().map(|(index, answer)| (writers[index], answer)).collect();
        one_wins(&server, &target, named).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    check(Form::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn separate() {
    check(Form::Separate).await;
}
