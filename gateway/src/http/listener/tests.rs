use super::{Limits, serve};
use crate::pressure::Pressure;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMITS: Limits = Limits {
    connections: 8,
    header: Duration::from_millis(300),
    stall: Duration::from_secs(5),
    drain: Duration::from_secs(5),
};

/// A server that answers `ok` after a pause.
async fn start(pause: Duration, stop: CancellationToken) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handle = move |_| async move {
        tokio::time::sleep(pause).await;
        Response::new(Full::new(Bytes::from_static(b"ok")))
    };
    let task =
        tokio::spawn(serve(listener, None, LIMITS, Pressure::new(1), stop, (handle, |_, _| ())));
    (address, task)
}

/// What never became a request is known to whoever keeps the access log.
#[tokio::test]
async fn what_the_parser_refuses_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, mut refused) = tokio::sync::mpsc::unbounded_channel();
    let handle = |_| async { Response::new(Full::new(Bytes::new())) };
    let tell = move |status: StatusCode, _| told.send(status.as_u16()).unwrap();
    let stop = CancellationToken::new();
    // Half a megabyte of a header takes a busy machine a while.
    let limits = Limits { header: Duration::from_mins(1), ..LIMITS };
    let task =
        tokio::spawn(serve(listener, None, limits, Pressure::new(1), stop.clone(), (handle, tell)));
    let long_header = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "a".repeat(500_000));
    let long_target = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000));
    let no_http = "GET / HTTP/9.9\r\n\r\n".to_owned();
    for (sent, status) in [(long_header, 431), (long_target, 414), (no_http, 400)] {
        // What is not read any more resets the connection, which may overtake the answer.
        let mut answer = String::new();
        while answer.is_empty() {
            answer = exchange(address, sent.as_bytes()).await;
            assert_eq!(refused.recv().await, Some(status));
        }
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(refused.recv().await, None, "a request that is one is none of them");
}

async fn exchange(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Refused before its end, the rest may not be taken.
    let _ = stream.write_all(sent).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // A reset is an end too: what was peeked at is never read.
    let _ = tokio::time::timeout(Duration::from_mins(1), read).await.expect("closed");
    String::from_utf8_lossy(&answer).into_owned()
}

/// F30: hyper's own limit is off without a timer, and its look for HTTP/2 has none at all.
#[tokio::test]
async fn f30_a_header_that_never_ends_is_cut() {
    let (address, _) = start(Duration::ZERO, CancellationToken::new()).await;
    assert_eq!(exchange(address, b"").await, "");
    assert_eq!(exchange(address, b"PRI * HTT").await, "");
    assert_eq!(exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\n").await, "");
    let answer = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.ends_with("ok"), "{answer}");
}

#[tokio::test]
async fn f31_broken_framing_is_refused_and_the_connection_closed() {
    let (address, _) = start(Duration::ZERO, CancellationToken::new()).await;
    for head in [
        "content-length: 5\r\ncontent-length: 6",
        "transfer-encoding: xchunked",
        "content-length : 5",
        "content-length: 5\r\n folded: x",
        "content-length: -1",
    ] {
        let sent = format!("PUT /b/k HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\nhello");
        let answer = exchange(address, sent.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head}: {answer}");
    }
}

#[tokio::test]
async fn a_request_that_runs_is_finished_when_the_process_stops() {
    let stop = CancellationToken::new();
    let (address, task) = start(Duration::from_secs(2), stop.clone()).await;
    let request = tokio::spawn(exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!task.is_finished(), "the listener waits for the request");
    assert!(request.await.unwrap().ends_with("ok"));
    tokio::time::timeout(Duration::from_mins(1), task).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
