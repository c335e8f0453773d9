//! F30: clients that are slow on purpose do not keep the others out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use compat_tests::cluster::{Form, Plan, Server};
use compat_tests::objects::Body;
use compat_tests::raw::{Connection, Request, Wire};
use h2::client::SendRequest;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Twice as many slow clients as there is room for.
const SLOW: usize = 16;
const ROOM: &str = "8";

/// A slow client is called that after ten seconds; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// What SDKs make of a request by themselves.
const TRIES: usize = 3;

async fn start() -> Server {
    let plan = Plan::new(Form::Embedded)
        .set("SIXFOLD_STRIPES_IN_PROCESS", ROOM)
        // The limits on clients that do nothing at all have no part in this.
        .set("SIXFOLD_STALL", "10m")
        .set("SIXFOLD_BODY_IDLE", "10m");
    let server = tokio::task::block_in_place(|| plan.start());
    let bucket = Request::put("/slow").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    server
}

/// Puts an object and gets it, with the tries that an SDK has.
async fn one_round(server: &Server, round: u64) -> anyhow::Result<()> {
    let (address, signer, body) = (server.address(), server.signer(), Body::new(round, 2_000_000));
    let target = format!("/slow/fast-{round}");
    let mut last = Ok(());
    for _ in 0..TRIES {
        last = body.put(address, &signer, &target).await;
        if last.is_ok() {
            last = body.check(address, &signer, &target).await;
        }
        if last.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    last
}

/// Fast clients are served, each soon. Not at once: whoever was there before may be one more slow
/// client, whose turn it is first.
async fn others_are_served(server: &Server) {
    for round in 0..5 {
        let until = Instant::now() + PATIENCE;
        while let Err(error) = one_round(server, round).await {
            assert!(Instant::now() < until, "nobody else is served: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f30_readers_that_take_nothing_give_way() {
    let server = start().await;
    let (address, signer) = (server.address(), server.signer());
    Body::new(9, 24_000_000).put(address, &signer, "/slow/large").await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..SLOW {
        let mut connection = Connection::open(address).await.unwrap();
        connection.send(&Request::get("/slow/large").sign(&signer, address).bytes()).await.unwrap();
        readers.push(connection);
    }
    others_are_served(&server).await;
    drop(readers);
}

#[tokio::test(flavor = "multi_thread")]
async fn f30_uploads_of_a_byte_a_second_give_way() {
    let server = start().await;
    let mut uploads = Vec::new();
    for number in 0..SLOW {
        let (address, signer) = (server.address().to_owned(), server.signer());
        uploads.push(tokio::spawn(async move {
            let put = Request::put(&format!("/slow/{number}")).body(vec![1; 900_000]);
            let wire = put.unsigned_payload().sign(&signer, &address);
            let mut connection = Connection::open(&address).await.unwrap();
            connection.send(&wire.head_bytes()).await.unwrap();
            connection.send(&wire.body[..200_000]).await.unwrap();
            for byte in wire.body[200_000..].chunks(1) {
                if connection.send(byte).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }));
    }
    others_are_served(&server).await;
    uploads.iter().for_each(JoinHandle::abort);
}

/// One connection of HTTP/2, wide enough for all its streams together.
async fn http2(address: &str) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = h2::client::Builder::new();
    client.initial_connection_window_size(64 << 20);
    let (requests, connection) = client.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests.ready().await.unwrap()
}

/// A signed request's head as HTTP/2 says it.
fn head(wire: &Wire, address: &str) -> http::Request<()> {
    let method = wire.request_line.split(' ').next().unwrap();
    let uri = format!("http://{address}{}", wire.target());
    let mut request =
        http::Request::builder().method(method).uri(uri).version(http::Version::HTTP_2);
    for (name, value) in &wire.headers {
        request = request.header(name, value);
    }
    request.body(()).unwrap()
}

/// Gets an object on a stream of its own: half of the streams take a KiB a second, the others
/// nothing behind the head.
async fn take_slowly(mut requests: SendRequest<Bytes>, head: http::Request<()>, is_mute: bool) {
    let (answer, _) = requests.send_request(head, true).unwrap();
    // One that came too late for room is told so, or is cut before its head.
    let Ok(answer) = answer.await else { return };
    let mut body = answer.into_body();
    while !is_mute && body.flow_control().release_capacity(1024).is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    std::future::pending::<()>().await;
}

/// The streams of one connection have a pace each: hyper asks the body of one whose window is
/// closed for nothing, so that only somebody beside it can see that nothing is taken.
#[tokio::test(flavor = "multi_thread")]
async fn f30_streams_that_take_nothing_give_way() {
    let server = start().await;
    let (address, signer) = (server.address(), server.signer());
    Body::new(9, 24_000_000).put(address, &signer, "/slow/large").await.unwrap();
    let requests = http2(address).await;
    let readers = (0..SLOW).map(|number| {
        let wire = Request::get("/slow/large").sign(&signer, address);
        tokio::spawn(take_slowly(requests.clone(), head(&wire, address), number % 2 == 0))
    });
    let readers = readers.collect::<Vec<_>>();
    others_are_served(&server).await;

    // The connection itself is as good as before.
    let wire = Request::head("/slow/large").sign(&signer, address);
    let (answer, _) = requests.clone().send_request(head(&wire, address), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    readers.iter().for_each(JoinHandle::abort);
}

/// Sends an object of which all but a beginning comes a byte a second.
async fn send_slowly(mut requests: SendRequest<Bytes>, head: http::Request<()>) {
    let (_answer, mut body) = requests.send_request(head, false).unwrap();
    let mut piece = Bytes::from(vec![1; 200_000]);
    while body.send_data(piece, false).is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        piece = Bytes::from_static(&[1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f30_uploads_of_a_byte_a_second_on_streams_give_way() {
    let server = start().await;
    let (address, signer) = (server.address(), server.signer());
    let requests = http2(address).await;
    let uploads = (0..SLOW).map(|number| {
        let put = Request::put(&format!("/slow/{number}")).header("content-length", "900000");
        let wire = put.unsigned_payload().sign(&signer, address);
        tokio::spawn(send_slowly(requests.clone(), head(&wire, address)))
    });
    let uploads = uploads.collect::<Vec<_>>();
    others_are_served(&server).await;
    uploads.iter().for_each(JoinHandle::abort);
}
