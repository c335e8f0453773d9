//! HTTP/2 by hand, to say what no client library would: frames as bytes, headers as literals.

/// What a client begins with, its empty settings behind it.
pub fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, &[])].concat()
}

/// Kinds of frames.
pub const DATA: u8 = 0;
/// As [`DATA`].
pub const HEADERS: u8 = 1;
/// As [`DATA`].
pub const SETTINGS: u8 = 4;

/// Flag of [`DATA`] and [`HEADERS`]: the stream's last frame.
pub const END_STREAM: u8 = 1;
/// Flag of [`HEADERS`]: all headers are in it.
pub const END_HEADERS: u8 = 4;

/// One frame.
///
/// # Panics
/// When the payload is longer than a frame can say.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame's length").to_be_bytes();
    assert_eq!(length[0], 0, "a frame's length");
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A HEADERS frame that begins a stream, each header a literal that nobody remembers.
///
/// # Panics
/// When a name or value has 127 bytes or more.
pub fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "a longer text needs more than a byte for its length");
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

/// The headers of a gRPC call of a node.
pub fn node_call<'a>(method: &'a str, secret: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "node"),
        (":path", method),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("sixfold-cluster-secret", secret),
    ]
}

#[cfg(test)]
mod tests {
    use super::{END_STREAM, frame, headers};

    #[test]
    fn frames_have_length_kind_flags_and_stream() {
        assert_eq!(frame(0, 1, 3, b"ab"), [0, 0, 2, 0, 1, 0, 0, 0, 3, b'a', b'b']);
        let head = headers(1, END_STREAM, &[("a", "bc")]);
        assert_eq!(head, [0, 0, 6, 1, 5, 0, 0, 0, 1, 0, 1, b'a', 2, b'b', b'c']);
    }
}
