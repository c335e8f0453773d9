//! F20 and F24: what two gateways do that do not know of each other, or not the same.

use std::sync::Arc;

use compat_tests::cluster::{Form, Gateway, NODE_COUNT, Plan, Server};
use compat_tests::forms::is_long;
use compat_tests::objects::Body;
use compat_tests::proxy::{Loss, Proxy};
use compat_tests::raw::{Answer, Request};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{ask, ask_at, census_without_lacks, wait_for, wait_until_whole};

fn plan() -> Plan {
    Plan::new(Form::Separate)
        .set("SIXFOLD_HEARTBEAT", "500ms")
        .set("SIXFOLD_DEAD_AFTER", "3s")
        .set("SIXFOLD_RING_REFRESH", "500ms")
        .set("SIXFOLD_HEAL_EVERY", "500ms")
        .set("SIXFOLD_REBALANCE_EVERY", "1s")
        .set("SIXFOLD_FREED_FOR", "1s")
        .set("SIXFOLD_LEASE_RENEWAL", "500ms")
        .set("SIXFOLD_COLLECT_EVERY", "500ms")
        .set("SIXFOLD_SWEEP_EVERY", "2s")
}

/// A server and a second gateway, and a bucket.
async fn start() -> (Server, Gateway) {
    let server = tokio::task::block_in_place(|| plan().start());
    let second = tokio::task::block_in_place(|| Gateway::beside(&server));
    ask(&server, Request::put("/two")).await.expect_status(200);
    (server, second)
}

/// Sends each request to its address, all at the same moment.
async fn at_once(server: &Server, requests: Vec<(String, Request)>) -> Vec<Answer> {
    let barrier = Arc::new(Barrier::new(requests.len()));
    let mut tasks = JoinSet::new();
    for (index, (address, request)) in requests.into_iter().enumerate() {
        let (barrier, wire) = (barrier.clone(), request.sign(&server.signer(), &address));
        tasks.spawn(async move {
            barrier.wait().await;
            (index, wire.send(&address).await)
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// An upload with one part: its target, and the request that completes it.
async fn upload(server: &Server, key: &str, body: Vec<u8>) -> (String, Request) {
    let begun = ask(server, Request::post(&format!("{key}?uploads"))).await.expect_status(200);
    let target = format!("{key}?uploadId={}", begun.element("UploadId"));
    let part = Request::put(&format!("{target}&partNumber=1")).body(body);
    let part = ask(server, part).await.expect_status(200);
    let etag = part.header("etag").unwrap();
    let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    let list = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
    let complete = Request::post(&target).body(list);
    (target, complete)
}

/// Two completions and an abort of one upload: either both complete it and the abort comes too
/// late, or the abort does and both find no upload.
#[tokio::test(flavor = "multi_thread")]
async fn f20_complete_and_abort_through_two_gateways_have_one_winner() {
    let (server, second) = start().await;
    let own = server.address().to_owned();
    let both = [own, second.address().to_owned()];
    let (mut completed, mut aborted) = (0, 0);
    for round in 0..if is_long() { 1000 } else { 60 } {
        let key = format!("/two/{round}");
        let body = format!("round {round} ").repeat(1000).into_bytes();
        let (target, complete) = upload(&server, &key, body.clone()).await;
        let requests = vec![
            (both[0].clone(), complete.clone()),
            (both[1].clone(), complete.clone()),
            (both[round % 2].clone(), Request::delete(&target)),
        ];
        let answers = at_once(&server, requests).await;
        let outcomes: Vec<_> = answers.iter().map(Answer::outcome).collect();
        let gone = (404, "NoSuchUpload".to_owned());
        if answers[2].status == 204 {
            assert!(outcomes[..2].iter().all(|outcome| *outcome == gone), "{outcomes:?}");
            aborted += 1;
        } else {
            assert_eq!(outcomes[2], gone);
            let is_done = |answer: &Answer| answer.status == 200 && answer.code().is_empty();
            assert!(answers[..2].iter().all(is_done), "{outcomes:?}");
            assert_eq!(answers[0].element("ETag"), answers[1].element("ETag"));
            completed += 1;
        }
        for address in &both {
            let got = ask_at(&server, address, Request::get(&key)).await;
            if answers[2].status == 204 {
                assert_eq!(got.outcome(), (404, "NoSuchKey".to_owned()));
            } else {
                assert!(got.expect_status(200).body == body, "round {round}: other bytes");
            }
            let again = ask_at(&server, address, Request::delete(&target)).await;
            assert_eq!(again.outcome(), gone, "round {round}");
        }
    }
    println!("{completed} uploads were completed, {aborted} aborted");
    let census = census_without_lacks(&server).await;
    assert_eq!(census.placed_count, completed * 6);
}

/// Writes an object through one gateway and reads it through the other, both ways round.
async fn cross(server: &Server, second: &Gateway, name: &str) {
    let ways = [(server.address(), second.address()), (second.address(), server.address())];
    for (seed, (writer, reader)) in (1..).zip(ways) {
        for size in [70_000, 3_000_000] {
            let (key, body) = (format!("/two/{name}-{seed}-{size}"), Body::new(seed, size));
            body.put(writer, &server.signer(), &key).await.unwrap();
            body.check(reader, &server.signer(), &key).await.unwrap();
            // Overwritten the other way.
            let newer = Body::new(seed + 10, size + 1);
            newer.put(reader, &server.signer(), &key).await.unwrap();
            newer.check(writer, &server.signer(), &key).await.unwrap();
        }
    }
}

/// One gateway hears of no change of the registry, while a node comes, another is removed, and a
/// third registers anew at another address.
#[tokio::test(flavor = "multi_thread")]
async fn f24_a_gateway_with_an_old_ring_writes_and_reads_what_is_right() {
    let mut server = tokio::task::block_in_place(|| plan().start());
    let proxy = Proxy::to_postgres_of(&server).await;
    let url = [("DATABASE_URL", proxy.database_url())];
    let frozen = url.each_ref().map(|(name, value)| (*name, value.as_str()));
    let frozen = tokio::task::block_in_place(|| Gateway::beside_with(&server, &frozen));
    ask(&server, Request::put("/two")).await.expect_status(200);
    cross(&server, &frozen, "before").await;

    proxy.lose_all("from node order by number", Loss::Statement);
    tokio::task::block_in_place(|| {
        server.add_node();
    });
    wait_for("the seventh node", || server.node_list().len() > NODE_COUNT).await;
    cross(&server, &frozen, "with-a-seventh").await;
    tokio::task::block_in_place(|| {
        for arguments in [&["node", "drain", "1", "--wait"][..], &["node", "remove", "1"]] {
            let output = server.administer(arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{arguments:?}: {said}");
        }
        server.take_away(3);
        server.give_back(3);
    });
    let active = || {
        let nodes = server.node_list();
        nodes.iter().filter(|node| node["state"] == "active" && node["is_up"] == true).count()
    };
    wait_for("the registrations", || active() == NODE_COUNT).await;
    for round in 0..5 {
        cross(&server, &frozen, &format!("during-{round}")).await;
    }
    assert!(proxy.lose_nothing() > 0, "the registry was not asked for");

    cross(&server, &frozen, "after").await;
    wait_until_whole(&server).await;
    let on_removed = "select count(*) from extent e join placement p on p.id = e.placement_id
        where 1 = any(p.nodes)";
    assert_eq!(server.metadata(on_removed).trim(), "0", "chunks were placed on a removed node");
    census_without_lacks(&server).await;
}
