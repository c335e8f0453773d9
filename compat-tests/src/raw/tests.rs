//! Amazon's own examples, and answers of every framing.

use std::time::{Duration, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Connection, Frames, Request, Signer};

/// 2013-05-24T00:00:00Z, the time of the examples in Amazon's documentation.
const EXAMPLE_TIME: u64 = 1_369_353_600;

fn example() -> Signer {
    let signer = Signer::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    signer.at(|_| UNIX_EPOCH + Duration::from_secs(EXAMPLE_TIME))
}

#[test]
fn signs_amazons_get_example() {
    let wire = Request::get("/test.txt")
        .header("range", "bytes=0-9")
        .sign(&example(), "examplebucket.s3.amazonaws.com");
    let expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
    assert!(wire.header("authorization").unwrap().ends_with(expected));
}

#[test]
fn signs_amazons_streaming_example() {
    let wire = Request::put("/examplebucket/chunkObject.txt")
        .header("x-amz-storage-class", "REDUCED_REDUNDANCY")
        .header("content-length", "66824")
        .body(vec![b'a'; 66_560])
        .framed(Frames::signed(65_536))
        .sign(&example(), "s3.amazonaws.com");
    let authorization = wire.header("authorization").unwrap();
    assert!(
        authorization.ends_with("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"),
        "{authorization}"
    );
    let body = String::from_utf8(wire.body).unwrap();
    assert!(body.starts_with(
        "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
    ));
    assert!(body.ends_with(
        "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    ));
    assert_eq!(body.len(), 66_824);
}

#[test]
fn presigns_amazons_example() {
    let wire = Request::get("/test.txt").presign(
        &example(),
        "examplebucket.s3.amazonaws.com",
        Duration::from_hours(24),
    );
    assert!(wire.target().contains(
        "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    ));
}

#[test]
fn frames_end_with_their_trailers() {
    let frames = Frames::unsigned(4).trailer("x-amz-checksum-crc32", "AAAAAA==");
    let wire = Request::put("/b/k").body("sixfold").framed(frames).sign(&example(), "h");
    let expected = "4\r\nsixf\r\n3\r\nold\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
    assert_eq!(String::from_utf8(wire.body.clone()).unwrap(), expected);
    assert_eq!(wire.header("x-amz-trailer"), Some("x-amz-checksum-crc32"));
    assert_eq!(wire.header("x-amz-content-sha256"), Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER"));
}

/// Serves `answer` to one request and returns what the connection makes of it.
async fn check(answer: &'static str, status: u16, body: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let answer = Request::get("/").unsigned(&address).send(&address).await;
    server.await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (status, body));
}

#[tokio::test]
async fn reads_answers_of_every_framing() {
    check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", 200, "abc").await;
    check("HTTP/1.1 404 Not Found\r\n\r\n<Code>x</Code>", 404, "<Code>x</Code>").await;
    check("HTTP/1.1 204 No Content\r\n\r\n", 204, "").await;
    let chunked = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
                   \r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n";
    check(chunked, 200, "abc").await;
}

#[tokio::test]
async fn a_cut_body_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
    });
    let mut connection = Connection::open(&address).await.unwrap();
    let error = connection.answer(false).await.unwrap_err();
    assert!(error.to_string().contains("cut after 3 of 9"), "{error}");
}
