//! Conditional writes, deletes and completions are decided once, however many come at the same time;
//! and where versions are kept, each write makes one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use compat_tests::cluster::{Form, Server};
use compat_tests::raw::{Answer, Request};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const WRITERS: usize = 16;
const ROUNDS: usize = 10;
const COMPLETIONS: usize = 100;

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

/// Of deletes that name the same ETag at the same time one removes the object.
async fn check_deletes(server: &Server) {
    let send = async |request: Request| {
        let wire = request.sign(&server.signer(), server.address());
        wire.send(server.address()).await.expect_status(200)
    };
    send(Request::put("/deletes")).await;
    for round in 0..ROUNDS {
        let target = format!("/deletes/{round}");
        let put = send(Request::put(&target).body("gone")).await;
        let etag = put.header("etag").unwrap();
        let delete = Request::delete(&target).header("if-match", etag);
        let answers = at_once(server, vec![delete; WRITERS]).await;
        let outcomes: Vec<_> = answers.iter().map(|(_, answer)| answer.outcome()).collect();
        let is_told = |status: &u16| matches!(status, 204 | 404 | 409);
        assert!(outcomes.iter().all(|(status, _)| is_told(status)), "{outcomes:?}");
        let gone = outcomes.iter().filter(|(status, _)| *status == 204).count();
        assert_eq!(gone, 1, "{outcomes:?}");
    }
}

/// Each write of a key and each delete makes a version, and all agree on which is the latest.
async fn check_versions(server: &Server) {
    let send = async |request: Request| {
        let wire = request.sign(&server.signer(), server.address());
        wire.send(server.address()).await
    };
    send(Request::put("/versions")).await.expect_status(200);
    let enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    send(Request::put("/versions?versioning").body(enable)).await.expect_status(200);
    for round in 0..ROUNDS {
        let target = format!("/versions/{round}");
        let write = |writer: usize| match writer % 4 {
            3 => Request::delete(&target),
            _ => Request::put(&target).body(format!("writer {writer}")),
        };
        let answers = at_once(server, (0..WRITERS).map(write).collect()).await;
        // A crowded key may be refused for now; whether that made a version is not said.
        let told = answers.iter().filter(|(_, answer)| answer.status != 503);
        let made = told.map(|(writer, answer)| {
            assert!(matches!(answer.status, 200 | 204), "{writer}: {}", answer.text());
            (answer.header("x-amz-version-id").unwrap().to_owned(), *writer)
        });
        let made: BTreeMap<String, usize> = made.collect();
        assert!(!made.is_empty());
        let list = send(Request::get(&format!("/versions?versions&prefix={round}"))).await;
        let text = list.expect_status(200).text();
        let ids = text.split("<VersionId>").skip(1).filter_map(|rest| rest.split_once('<'));
        let ids: Vec<&str> = ids.map(|(id, _)| id).collect();
        assert!(made.keys().all(|id| ids.contains(&id.as_str())), "{text}");
        assert!((made.len()..=WRITERS).contains(&ids.len()), "{text}");
        assert_eq!(text.matches("<IsLatest>true<").count(), 1, "{text}");
        let latest = send(Request::get(&target)).await;
        assert_eq!(latest.header("x-amz-version-id"), Some(ids[0]), "the latest is listed first");
        for (id, writer) in made {
            let got = send(Request::get(&format!("{target}?versionId={id}"))).await;
            match writer % 4 {
                3 => assert_eq!(got.outcome(), (405, "MethodNotAllowed".to_owned())),
                _ => assert_eq!(got.expect_status(200).text(), format!("writer {writer}")),
            }
        }
    }
}

/// The same completion at the same time is one completion; one that comes together with an abort
/// finds the upload or does not.
async fn check_completions(server: &Server) {
    let send = async |request: Request| {
        let wire = request.sign(&server.signer(), server.address());
        wire.send(server.address()).await.expect_status(200)
    };
    send(Request::put("/completions")).await;
    for round in 0..COMPLETIONS {
        let target = format!("/completions/{round}");
        let upload = send(Request::post(&format!("{target}?uploads"))).await.element("UploadId");
        let part = format!("{target}?partNumber=1&uploadId={upload}");
        let part = send(Request::put(&part).body("part")).await;
        let etag = part.header("etag").unwrap();
        let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
        let body = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
        let upload = format!("{target}?uploadId={upload}");
        let complete = Request::post(&upload).body(body);
        let is_aborted = round % 2 == 1;
        let other = if is_aborted { Request::delete(&upload) } else { complete.clone() };
        let answers = at_once(server, vec![complete.clone(), other, complete]).await;
        for (index, answer) in answers {
            let outcome = answer.outcome();
            let is_right = match (is_aborted, index) {
                (false, _) => outcome.0 == 200,
                (true, 1) => matches!(outcome.0, 204 | 404),
                (true, _) => outcome.0 == 200 || outcome == (404, "NoSuchUpload".to_owned()),
            };
            assert!(is_right, "round {round}, request {index}: {outcome:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_completions_and_aborts_that_meet() {
    check_completions(&Server::start(Form::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_and_versions_that_meet() {
    let server = Server::start(Form::Separate);
    check_deletes(&server).await;
    check_versions(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_conditional_writers_embedded() {
    check(Form::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_conditional_writers_separate() {
    check(Form::Separate).await;
}
