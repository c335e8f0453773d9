//! Framed bodies.

use super::Bench;
use compat_tests::raw::{Connection, Frames, Request, Wire};

const FRAME: usize = 64 * 1024;

const CRC: &str = "x-amz-checksum-crc32";

fn put(bench: &Bench, frames: Frames) -> Wire {
    bench.signed(&Request::put("/bad-requests/new").body(vec![7; 150_000]).framed(frames))
}

pub(super) async fn check(bench: &Bench) {
    wrong_signatures(bench).await;
    wrong_frames(bench).await;
    wrong_heads(bench).await;
    wrong_trailers(bench).await;
}

/// Signatures of the seed, and of the first, middle and last frame.
async fn wrong_signatures(bench: &Bench) {
    let mut seed = put(bench, Frames::signed(FRAME));
    seed.edit("authorization", |value| {
        let (head, last) = value.split_at(value.len() - 1);
        format!("{head}{}", if last == "0" { "1" } else { "0" })
    });
    bench.check("seed", &seed, 403, "SignatureDoesNotMatch").await;
    for (name, at) in [("first", 0), ("middle", 1), ("last", 3)] {
        let mut wire = put(bench, Frames::signed(FRAME));
        flip_signature(&mut wire.body, at);
        bench.check(name, &wire, 403, "SignatureDoesNotMatch").await;
    }
}

/// Changes the first digit of one frame's signature.
fn flip_signature(body: &mut [u8], frame: usize) {
    let mark = b"chunk-signature=";
    let starts = body.windows(mark.len()).enumerate().filter(|(_, window)| window == mark);
    let at = starts.map(|(at, _)| at + mark.len()).nth(frame).expect("a frame");
    body[at] = if body[at] == b'0' { b'1' } else { b'0' };
}

async fn wrong_frames(bench: &Bench) {
    let mut no_hex = put(bench, Frames::signed(FRAME));
    no_hex.body[0] = b'x';
    bench.check("size that is not hex", &no_hex, 400, "IncompleteBody").await;

    let mut no_end = put(bench, Frames::signed(FRAME));
    no_end.replace_in_body(b"\r\n", b"..");
    let outcome = no_end.send(bench.address()).await.outcome();
    assert!(matches!(outcome.0, 400 | 403), "missing CRLF: {outcome:?}");

    // The last frame is missing, then the client says that it is done.
    let wire = put(bench, Frames::signed(FRAME));
    let mut connection = Connection::open(bench.address()).await.unwrap();
    connection.send(&wire.head_bytes()).await.unwrap();
    connection.send(&wire.body[..100_000]).await.unwrap();
    connection.finish().await.unwrap();
    let answer = connection.answer(false).await.unwrap();
    assert_eq!(answer.outcome(), (400, "IncompleteBody".to_owned()), "{}", answer.text());

    let small = put(bench, Frames::signed(4096));
    bench.check("frames of 4 KiB", &small, 400, "InvalidChunkSizeError").await;
    let mut prefixed = put(bench, Frames::unsigned(FRAME).trailer(CRC, "AAAAAA=="));
    prefixed.replace_in_body(b"10000\r\n", b"0x10000\r\n");
    set_length(&mut prefixed);
    bench.check("0x", &prefixed, 400, "IncompleteBody").await;
    no_last_frame(bench).await;
}

/// All bytes are there, and the frame of size zero is not, or not whole.
async fn no_last_frame(bench: &Bench) {
    let unsigned = Frames::unsigned(FRAME).trailer(CRC, "AAAAAA==");
    for frames in [Frames::signed(FRAME), unsigned] {
        let mut wire = put(bench, frames.clone());
        let mark = b"\r\n0";
        let at = wire.body.windows(mark.len()).rposition(|window| window == mark).unwrap();
        wire.body.truncate(at + 2);
        let mut connection = Connection::open(bench.address()).await.unwrap();
        connection.send(&wire.bytes()).await.unwrap();
        connection.finish().await.unwrap();
        let answer = connection.answer(false).await.unwrap();
        assert_eq!(answer.outcome(), (400, "IncompleteBody".to_owned()), "{}", answer.text());
        // With a length that fits, nothing tells but the framing.
        set_length(&mut wire);
        bench.check("no last frame", &wire, 400, "IncompleteBody").await;

        let mut no_line_end = put(bench, frames);
        let end = no_line_end.body.trim_ascii_end().len();
        no_line_end.body.truncate(end);
        set_length(&mut no_line_end);
        bench.check("no last line end", &no_line_end, 400, "IncompleteBody").await;
    }
    let empty = Request::put("/bad-requests/new").body("").framed(Frames::signed(FRAME));
    let mut nothing = bench.signed(&empty);
    nothing.body.clear();
    set_length(&mut nothing);
    bench.check("no frame at all", &nothing, 400, "IncompleteBody").await;
}

/// Lets the length be that of the body as it is now.
fn set_length(wire: &mut Wire) {
    let length = wire.body.len().to_string();
    wire.set("content-length", &length);
}

async fn wrong_heads(bench: &Bench) {
    let request = Request::put("/bad-requests/new").body("hello");
    let undecoded =
        request.clone().framed(Frames::signed(FRAME)).without("x-amz-decoded-content-length");
    bench.check("no length", &bench.signed(&undecoded), 411, "MissingContentLength").await;

    let framed_get = Request::get("/bad-requests/kept").framed(Frames::signed(FRAME));
    bench.check("framed GET", &bench.signed(&framed_get), 400, "InvalidRequest").await;

    let anonymous = request.framed(Frames::signed(FRAME)).sign(&bench.signer, bench.address());
    let mut anonymous = anonymous;
    anonymous.remove("authorization");
    bench.check("anonymous frames", &anonymous, 400, "InvalidRequest").await;
}

/// Trailers that are no trailers, or not those that were announced.
async fn altered_trailers(bench: &Bench) {
    let line = b"x-amz-checksum-crc32:AAAAAA==\r\n";
    for (name, instead) in [
        ("no colon", &b"x-amz-checksum-crc32\r\n"[..]),
        ("twice", &[&line[..], line].concat()),
        ("one more", &[&line[..], b"x-amz-meta-a:b\r\n"].concat()),
        ("none", b""),
    ] {
        let mut wire = put(bench, Frames::unsigned(FRAME).trailer(CRC, "AAAAAA=="));
        wire.replace_in_body(line, instead);
        set_length(&mut wire);
        bench.check(name, &wire, 400, "MalformedTrailerError").await;
    }
    let mut unsigned = put(bench, Frames::signed(FRAME).trailer(CRC, "AAAAAA=="));
    let mark = b"x-amz-trailer-signature:";
    let at = unsigned.body.windows(mark.len()).position(|window| window == mark).unwrap();
    unsigned.body.truncate(at);
    unsigned.body.extend_from_slice(b"\r\n");
    set_length(&mut unsigned);
    bench.check("no signature", &unsigned, 400, "MalformedTrailerError").await;
}

async fn wrong_trailers(bench: &Bench) {
    let crc = |value: &str| Frames::unsigned(FRAME).trailer(CRC, value);
    bench.check("wrong checksum", &put(bench, crc("AAAAAA==")), 400, "BadDigest").await;
    bench.check("ill-formed checksum", &put(bench, crc("????")), 400, "InvalidRequest").await;

    let unannounced = Request::put("/bad-requests/new")
        .body("hello")
        .framed(crc("AAAAAA=="))
        .without("x-amz-trailer");
    let wire = bench.signed(&unannounced);
    bench.check("no x-amz-trailer", &wire, 400, "MalformedTrailerError").await;

    for (name, status, code) in [
        ("x-amz-checksum-sha512", 501, "NotImplemented"),
        ("x-amz-checksum-foo", 400, "InvalidRequest"),
        ("x-amz-meta-foo", 400, "InvalidRequest"),
        ("content-md5", 400, "InvalidRequest"),
    ] {
        let wire = put(bench, Frames::unsigned(FRAME).trailer(name, "AAAA"));
        bench.check(name, &wire, status, code).await;
    }
    let unknown = Request::put("/bad-requests/new").body("x").header("x-amz-checksum-foo", "AAAA");
    bench.check("unknown checksum", &bench.signed(&unknown), 400, "InvalidRequest").await;
    altered_trailers(bench).await;

    let two = Request::put("/bad-requests/new")
        .body("hello")
        .header("x-amz-checksum-crc32", "NhCmhg==")
        .header("x-amz-checksum-sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00=");
    bench.check("two checksums", &bench.signed(&two), 400, "InvalidRequest").await;

    // MinIO CVE-2025-31489: the head of an unsigned trailer upload is signed all the same.
    let mut forged = put(bench, crc("AAAAAA=="));
    forged.edit("authorization", |value| {
        let (head, _) = value.split_once("Signature=").unwrap();
        format!("{head}Signature={}", "0".repeat(64))
    });
    bench.check("forged signature", &forged, 403, "SignatureDoesNotMatch").await;
}
