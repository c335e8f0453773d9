//! F12: each statement of each operation gets lost, or its answer does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use compat_tests::forms::within;
use compat_tests::proxy::Loss;

use super::operations::{Operation, prepare};
use super::{ANSWERED_WITHIN, Cluster, status_of};

/// Two completions that are waited for take 22 s.
const NOT_BEGUN_WITHIN: Duration = Duration::from_secs(15);

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
    assert!(took < within(ANSWERED_WITHIN).min(NOT_BEGUN_WITHIN), "refused after {took:?}");
    assert!(cluster.proxy.lose_nothing() > 0, "no completion was begun");
    assert!(!prepared.is_done(&cluster).await);
    cluster.ask_until_served(&prepared.request).await.expect_status(200);
    assert!(prepared.is_done(&cluster).await);
}
