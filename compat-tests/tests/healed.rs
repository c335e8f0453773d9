//! What a dead node had is made anew on a node that has nothing of it, so that two more may go.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, NODE_COUNT, Plan, Process, Server, free_address};
use compat_tests::forms::within;
use compat_tests::objects::Body;
use compat_tests::raw::Request;

/// Promised, once there is a node to heal to and the dead one is given up.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

const SIZES: [u64; 4] = [1000, 100_000, 3_000_000, 40_000_000];

/// One more node than the plan has.
fn start_seventh(server: &Server) -> Process {
    let mut command = server.node_command(&server.folder().join("drive6"), &free_address());
    Process::start("sixfold-node", &mut command, &server.folder().join("node6.log"))
}

async fn check_all(server: &Server) {
    for (seed, size) in (0..).zip(SIZES) {
        let body = Body::new(seed, size);
        body.check(server.address(), &server.signer(), &format!("/healed/{size}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f28_what_a_dead_node_had_is_made_anew() {
    let plan = Plan::new(Form::Separate)
        .set("SIXFOLD_HEARTBEAT", "500ms")
        .set("SIXFOLD_DEAD_AFTER", "2s")
        .set("SIXFOLD_RING_REFRESH", "500ms")
        .set("SIXFOLD_HOLD_DOWN", "4s")
        .set("SIXFOLD_HEAL_EVERY", "500ms");
    let mut server = plan.start();
    let bucket = Request::put("/healed").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    for (seed, size) in (0..).zip(SIZES) {
        let body = Body::new(seed, size);
        body.put(server.address(), &server.signer(), &format!("/healed/{size}")).await.unwrap();
    }

    server.take_away(0);
    let _seventh = start_seventh(&server);
    let begun = Instant::now();
    let left = "select count(*) from extent e join placement p on p.id = e.placement_id
        where e.missing <> 0 or p.nodes @> array(select number from node order by heartbeat limit 1)";
    while server.node_list().len() <= NODE_COUNT || server.metadata(left).trim() != "0" {
        let took = begun.elapsed();
        assert!(took < within(HEALED_WITHIN), "not healed: {}", server.metadata(left));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!(
        "healed {:?} after a node died, which is given up after four seconds",
        begun.elapsed()
    );
    check_all(&server).await;

    server.take_away(1);
    server.take_away(2);
    check_all(&server).await;
}
