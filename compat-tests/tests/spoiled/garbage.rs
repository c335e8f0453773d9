//! F33: peers that send garbage to a node and to a gateway, while others are served.

use compat_tests::cluster::{CLUSTER_SECRET, Form, Plan, Server};
use compat_tests::http2::{DATA, frame, headers, node_call, preface};
use compat_tests::objects::Body;
use compat_tests::raw::{Connection, Request};

use super::{ask, census_without_lacks};

const MIB: u64 = 1024 * 1024;

/// Of each kind of garbage at the same time.
const CONNECTIONS: usize = 20;

/// What a process may grow by: far less than one of the lengths that are claimed.
const GROWTH: u64 = 160 * MIB;

/// What is sent, by a name for messages.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    let random = Body::new(33, 100_000).bytes();
    let call = |secret| headers(1, 0, &node_call("/sixfold.node.v1.Node/Put", secret));
    // One byte says "not compressed", four the length.
    let message = |length: u32, content: &[u8]| {
        let prefixed = [&[0], &length.to_be_bytes()[..], content].concat();
        frame(DATA, 0, 1, &prefixed)
    };
    let upon = |parts: &[Vec<u8>]| [&[preface()], parts].concat().concat();
    let empty_frames = vec![frame(DATA, 0, 1, &[]); 20_000].concat();
    // The beginning of a handshake of TLS 1.2 that claims more than it sends.
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &random[..100]].concat();
    vec![
        ("random bytes", random.clone()),
        ("HTTP/1", b"POST /x HTTP/1.1\r\nhost: n\r\ncontent-length: 99999999999\r\n\r\nx".into()),
        ("half a line", b"GET / HT".into()),
        ("a TLS hello", hello),
        ("half a preface", preface()[..11].to_vec()),
        ("random frames", [preface(), random[..5000].to_vec()].concat()),
        ("half a frame", upon(&[call(CLUSTER_SECRET), frame(DATA, 0, 1, &random)[..500].into()])),
        ("2 GiB", upon(&[call(CLUSTER_SECRET), message(1 << 31, &random[..9000])])),
        ("4 GiB", upon(&[call(CLUSTER_SECRET), message(u32::MAX, b"")])),
        ("no message", upon(&[call(CLUSTER_SECRET), message(1000, &random[..1000])])),
        ("empty frames", upon(&[call(CLUSTER_SECRET), empty_frames])),
        ("another secret", upon(&[call("no secret of theirs"), message(1 << 31, &random[..99])])),
    ]
}

/// Sends everything so often, and leaves the connections open.
async fn send_to(address: &str) -> Vec<Connection> {
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        for (_, bytes) in garbage() {
            let Ok(mut connection) = Connection::open(address).await else { continue };
            // The other end may close before it has read all.
            drop(connection.send(&bytes).await);
            open.push(connection);
        }
    }
    open
}

/// Objects that all nodes have a part in, there and back.
async fn others_are_served(server: &Server, name: &str) {
    for (seed, size) in [(1, 1000), (2, 100_000), (3, 6 * MIB)] {
        let key = format!("/garbage/{name}-{size}");
        let body = Body::new(seed, size);
        body.put(server.address(), &server.signer(), &key).await.unwrap();
        body.check(server.address(), &server.signer(), &key).await.unwrap();
    }
    let probe = Request::put("/garbage/probe").body(vec![2; 100_000]);
    let probe = probe.header("x-amz-storage-class", "SIXFOLD_SCRATCH");
    ask(server, probe).await.expect_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn f33_garbage_on_the_wire_harms_nobody_else() {
    // What is overwritten is soon collected, so that the census at the end need not wait.
    let plan = Plan::new(Form::Separate)
        .set("SIXFOLD_FREED_FOR", "1s")
        .set("SIXFOLD_COLLECT_EVERY", "500ms")
        .set("SIXFOLD_LEASE_RENEWAL", "500ms");
    let mut server = tokio::task::block_in_place(|| plan.start());
    ask(&server, Request::put("/garbage")).await.expect_status(200);
    others_are_served(&server, "before").await;
    let node = server.node_list()[0]["address"].as_str().unwrap().to_owned();
    let node = node.trim_start_matches("http://").to_owned();
    let before = peaks(&mut server);

    let addresses = [node, server.address().to_owned(), server.admin_address().to_owned()];
    for address in &addresses {
        let open = send_to(address).await;
        others_are_served(&server, "during").await;
        drop(open);
    }
    others_are_served(&server, "after").await;

    for ((name, before), (_, after)) in before.into_iter().zip(peaks(&mut server)) {
        assert!(after - before < GROWTH, "{name} grew by {} MiB", (after - before) / MIB);
    }
    census_without_lacks(&server).await;
}

/// The most memory that each process has had; they must all be running.
fn peaks(server: &mut Server) -> Vec<(String, u64)> {
    let mut peaks = vec![("the gateway".to_owned(), server.gateway().resident_bytes().1)];
    for index in 0..server.node_count() {
        let node = server.node(index);
        assert!(node.ended().is_none(), "node {index} ended:\n{}", node.log_tail());
        peaks.push((format!("node {index}"), node.resident_bytes().1));
    }
    assert!(server.gateway().ended().is_none(), "the gateway ended:\n{}", server.log_tail());
    peaks
}
