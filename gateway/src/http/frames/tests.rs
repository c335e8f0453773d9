use super::{Framing, MAX_SIGNED_FRAME_BYTES, Wrong};
use proptest::prelude::{prop_assert_eq, proptest};

const CRC: &str = "x-amz-checksum-crc32:AAAAAA==\r\n";
const SIGNED: &str = "x-amz-trailer-signature:00\r\n";

/// Signed frames of these sizes, with the frame of size zero behind them.
fn framed(sizes: &[usize]) -> Vec<u8> {
    let mut body = Vec::new();
    for size in sizes {
        body.extend(format!("{size:x};chunk-signature={:064}\r\n", 7).bytes());
        body.extend(vec![b'\n'; *size]);
        body.extend(b"\r\n");
    }
    body.extend(format!("0;chunk-signature={:064}\r\n\r\n", 7).bytes());
    body
}

fn follow(mut framing: Framing, body: &[u8], piece: usize) -> Result<(), Wrong> {
    for piece in body.chunks(piece) {
        framing.look(piece)?;
    }
    framing.finish()
}

fn signed(body: &[u8], piece: usize) -> Result<(), Wrong> {
    follow(Framing::new(true, Vec::new()), body, piece)
}

proptest! {
    #[test]
    fn a_small_frame_is_the_last_one(
        sizes in proptest::collection::vec(1..20_000_usize, 0..6),
        piece in 1..5000_usize,
    ) {
        let small = sizes.iter().position(|size| *size < 8192);
        let is_right = small.is_none_or(|at| at + 1 == sizes.len());
        prop_assert_eq!(signed(&framed(&sizes), piece).is_ok(), is_right);
    }

    /// Wherever a body is cut, it is not taken for a whole one.
    #[test]
    fn a_cut_body_is_incomplete(
        sizes in proptest::collection::vec(8192..20_000_usize, 0..4),
        piece in 1..5000_usize,
        cut in proptest::prelude::any::<proptest::sample::Index>(),
    ) {
        let body = framed(&sizes);
        let cut = &body[..cut.index(body.len())];
        prop_assert_eq!(signed(cut, piece), Err(Wrong::Incomplete));
    }
}

#[test]
fn a_frame_of_over_16_mib_is_refused() {
    let head = |size: usize| format!("{size:X};chunk-signature=0\r\n").into_bytes();
    let look = |size, is_signed| Framing::new(is_signed, Vec::new()).look(&head(size));
    assert_eq!(look(MAX_SIGNED_FRAME_BYTES, true), Ok(()));
    assert!(matches!(look(MAX_SIGNED_FRAME_BYTES + 1, true), Err(Wrong::Size(_))));
    assert_eq!(look(MAX_SIGNED_FRAME_BYTES + 1, false), Ok(()));
}

#[test]
fn what_is_no_frame_is_refused() {
    for body in ["hello", "xyz;", "0x5\r\n", "123456789\r\n", "10 \r\n", ";\r\n", "\r\n", ""] {
        for piece in [1, 100] {
            assert_eq!(signed(body.as_bytes(), piece), Err(Wrong::Incomplete), "{body}");
        }
    }
}

#[test]
fn trailers_are_those_that_were_announced() {
    let check = |is_signed: bool, announced: &str, lines: &str| {
        let announced = announced.split_whitespace().map(str::to_owned).collect();
        let body = format!("5\r\nhello\r\n0\r\n{lines}");
        follow(Framing::new(is_signed, announced), body.as_bytes(), 7)
    };
    let crc = "x-amz-checksum-crc32";
    for (is_signed, announced, lines) in [
        (false, "", "\r\n".to_owned()),
        (false, crc, format!("{CRC}\r\n")),
        (false, crc, CRC.to_owned()),
        (false, crc, format!("{}\r\n", CRC.to_ascii_uppercase())),
        (true, "", "\r\n".to_owned()),
        (true, crc, format!("{CRC}{SIGNED}\r\n")),
        // A client in wide use ends the first line like this.
        (true, crc, format!("{}\n\r\n{SIGNED}\r\n", CRC.trim_end())),
    ] {
        assert_eq!(check(is_signed, announced, &lines), Ok(()), "{lines}");
    }
    for (is_signed, announced, lines) in [
        (false, "", format!("{CRC}\r\n")),
        (false, crc, "\r\n".to_owned()),
        (false, crc, format!("{CRC}{CRC}\r\n")),
        (false, crc, format!("{CRC}x-amz-meta-a:b\r\n\r\n")),
        (false, crc, "x-amz-checksum-crc32\r\n\r\n".to_owned()),
        (true, crc, format!("{CRC}\r\n")),
        (true, crc, format!("{CRC}{SIGNED}{SIGNED}\r\n")),
    ] {
        assert_eq!(check(is_signed, announced, &lines), Err(Wrong::Trailer), "{lines}");
    }
    for lines in ["", "x-amz-checksum-crc32:AAAAAA==", "\r"] {
        assert_eq!(check(false, crc, lines), Err(Wrong::Incomplete), "{lines}");
    }
}
