//! F12: each statement of each operation gets lost, or its answer does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use compat_tests::forms::within;
use compat_tests::proxy::{Loss, Way};

use super::operations::{Operation, prepare};
use super::{ANSWERED_WITHIN, Cluster, status_of};

/// Less than the database may work on a completion: nobody waited for what it can't be doing.
const SILENT_WITHIN: Duration = Duration::from_secs(10);

/// What does the work of each operation; all of them must have been lost once.
const ESSENTIAL: [&str; 7] = [
    "commit_v1(",
    "delete_v1(",
    "commit_part_v1(",
    "complete_v1(",
    "abort_upload_v1(",
    "list_objects_v1(",
    "insert into upload",
];

/// The statements that an operation sends, each once.
async fn statements_of(cluster: &Cluster, operation: Operation, number: usize) -> Vec<String> {
    let prepared = prepare(cluster, operation, number).await;
    cluster.proxy.take_statements();
    let status = cluster.ask_spoiled(&prepared.request).await.status;
    assert!((200..300).contains(&status), "{operation:?}: {status}");
    assert!(prepared.is_done(cluster).await, "{operation:?}");
    let sent: BTreeSet<String> = cluster.proxy.take_statements().into_iter().collect();
    sent.into_iter().collect()
}

/// The operation with a loss: its answer is right and in time, and its repetition succeeds. Answers
/// whether the loss took place.
async fn check(
    cluster: &Cluster,
    operation: Operation,
    number: usize,
    (text, loss): (&str, Loss),
) -> bool {
    let prepared = prepare(cluster, operation, number).await;
    let what = format!("{operation:?} with {loss:?} of {text}");
    cluster.proxy.lose_next(text, loss);
    let asked = Instant::now();
    let answer = cluster.ask_spoiled(&prepared.request).await;
    let took = asked.elapsed();
    let is_lost = cluster.proxy.lose_nothing() > 0;
    assert!(took < within(ANSWERED_WITHIN), "{what}: answered after {took:?}");
    let is_done = prepared.is_done(cluster).await;
    match status_of(&answer) {
        200..300 => assert!(is_done, "{what}: acknowledged and not done"),
        503 => {
            let is_refused = !operation.is_resolved() || !is_done;
            assert!(is_refused, "{what}: refused and done");
            assert!(!answer.element("RequestId").is_empty(), "{what}: {}", answer.text());
        }
        status => panic!("{what}: {status} {}", answer.text()),
    }
    let again = cluster.ask_until_served(&prepared.request).await.status;
    // What was done after all is not there any more to be aborted, or there already.
    let is_repeated = match operation {
        Operation::Abort => is_done && again == 404,
        Operation::PutIfNoneMatch => is_done && again == 412,
        _ => false,
    };
    assert!((200..300).contains(&again) || is_repeated, "{what}: then {again}");
    assert!(prepared.is_done(cluster).await, "{what}: not done in the end");
    is_lost
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_any_statement_and_any_answer_may_get_lost() {
    let cluster = Cluster::start().await;
    let (mut number, mut lost) = (0, BTreeSet::new());
    for operation in Operation::ALL {
        number += 1;
        for text in statements_of(&cluster, operation, number).await {
            for loss in [Loss::Statement, Loss::Answer] {
                number += 1;
                if check(&cluster, operation, number, (&text, loss)).await {
                    lost.insert(text.clone());
                }
            }
        }
    }
    println!("lost: {number} operations, {} statements", lost.len());
    for text in ESSENTIAL {
        assert!(lost.iter().any(|statement| statement.contains(text)), "{text} was never lost");
    }
}

/// A completion may take the database ten seconds; one that it does not even begin is refused in
/// the time of all other calls.
#[tokio::test(flavor = "multi_thread")]
async fn f12_a_completion_that_does_not_begin_is_refused_in_time() {
    let cluster = Cluster::start().await;
    let prepared = prepare(&cluster, Operation::Complete, 0).await;
    cluster.proxy.lose_all("BEGIN", Loss::AnswerSilently);
    let asked = Instant::now();
    let answer = cluster.ask_spoiled(&prepared.request).await;
    let took = asked.elapsed();
    assert_eq!(status_of(&answer), 503, "{}", answer.text());
    assert!(took < within(ANSWERED_WITHIN).min(SILENT_WITHIN), "refused after {took:?}");
    assert!(cluster.proxy.lose_nothing() > 0, "no completion was begun");
    assert!(!prepared.is_done(&cluster).await);
    cluster.ask_until_served(&prepared.request).await.expect_status(200);
    assert!(prepared.is_done(&cluster).await);
}

/// The database falls silent in the midst of an operation, when its work has been sent.
#[tokio::test(flavor = "multi_thread")]
async fn f12_a_database_that_falls_silent_in_mid_operation_is_told_in_time() {
    let cluster = Cluster::start().await;
    let operations = [
        (Operation::Put, "commit_v1("),
        (Operation::UploadPart, "commit_part_v1("),
        (Operation::Complete, "complete_v1("),
    ];
    for (number, (operation, statement)) in operations.into_iter().enumerate() {
        let prepared = prepare(&cluster, operation, number).await;
        cluster.proxy.take_statements();
        let asked = Instant::now();
        let answer = async {
            let answer = cluster.ask_spoiled(&prepared.request).await;
            (answer, asked.elapsed())
        };
        let falls_silent = async {
            while !cluster.proxy.take_statements().iter().any(|sent| sent.contains(statement)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            cluster.proxy.set(Way::Silent);
        };
        cluster.proxy.lose_all(statement, Loss::AnswerSilently);
        let ((answer, took), ()) = tokio::join!(answer, falls_silent);
        assert_eq!(status_of(&answer), 503, "{operation:?}: {}", answer.text());
        assert!(took < within(ANSWERED_WITHIN).min(SILENT_WITHIN), "{operation:?}: {took:?}");
        println!("{operation:?}: answered after {took:?}");
        assert!(cluster.proxy.lose_nothing() > 0, "{operation:?}: nothing was lost");
        cluster.proxy.set(Way::Open);
        cluster.ask_until_served(&prepared.request).await.expect_status(200);
        assert!(prepared.is_done(&cluster).await, "{operation:?}: not done in the end");
    }
}

/// Only the answer to a completion is lost, and its connection stays open: that the database is done
/// with it is seen, and it is completed again.
#[tokio::test(flavor = "multi_thread")]
async fn f13_a_completion_whose_answer_does_not_come_is_done_once() {
    let cluster = Cluster::start().await;
    let prepared = prepare(&cluster, Operation::Complete, 0).await;
    cluster.proxy.lose_next("complete_v1(", Loss::AnswerSilently);
    let answer = cluster.ask_spoiled(&prepared.request).await;
    assert!(cluster.proxy.lose_nothing() > 0, "nothing was lost");
    if status_of(&answer) == 503 {
        cluster.ask_until_served(&prepared.request).await.expect_status(200);
    }
    assert!(prepared.is_done(&cluster).await);
}
