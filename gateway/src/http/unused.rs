//! The body of an operation that takes none: nobody reads it, and its hash is compared all the
//! same, because the client signed it.

use super::Refusal;
use super::body::{BodyError, Fate, incomplete};
use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

/// The most of such a body that is read; more of it is no mistake of a client.
const MAX_UNUSED_BYTES: u64 = 64 * 1024;

/// The hash in `x-amz-content-sha256`, when it is one.
pub(super) fn parse_hash(value: &str) -> Option<[u8; 32]> {
    hex::decode(value).ok()?.try_into().ok()
}

/// Compares a body with the hash that was announced, if one was.
pub(super) async fn check<B>(
    mut body: B,
    announced: Option<[u8; 32]>,
    fate: &Fate,
) -> Result<(), Refusal>
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin,
{
    let Some(announced) = announced else { return Ok(()) };
    let mut hash = Sha256::new();
    let mut size = 0;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|_| fate.get().unwrap_or_else(incomplete))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len() as u64;
        if size > MAX_UNUSED_BYTES {
            let message =
                "This operation takes no body, and what was sent is too long for a mistake.";
            return Err(Refusal::bad_request("MaxMessageLengthExceeded", message));
        }
        hash.update(&data);
    }
    if hash.finalize()[..] == announced {
        return Ok(());
    }
    Err(mismatch())
}

/// 400: not the bytes that were signed.
pub(super) fn mismatch() -> Refusal {
    let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    Refusal::bad_request("XAmzContentSHA256Mismatch", message)
}

#[cfg(test)]
mod tests {
    use super::{check, parse_hash};
    use crate::http::body::{Fate, IdleLimited};
    use bytes::Bytes;
    use http_body_util::Full;
    use sha2::{Digest, Sha256};
    use std::time::Duration;

    async fn code(body: &'static [u8], hash: Option<&str>) -> &'static str {
        let fate = Fate::default();
        let body = Full::new(Bytes::from_static(body));
        let body = IdleLimited::new(body, Duration::from_secs(1), fate.clone());
        let hash = hash.and_then(parse_hash);
        check(body, hash, &fate).await.err().map_or("ok", |refusal| refusal.code)
    }

    #[tokio::test]
    async fn the_hash_of_a_body_that_nobody_reads_is_compared() {
        static LARGE: [u8; 70_000] = [0; 70_000];
        let mismatch = "XAmzContentSHA256Mismatch";
        for (body, hash, expected) in [
            (&b""[..], hex::encode(Sha256::digest("")), "ok"),
            (b"x", hex::encode_upper(Sha256::digest("x")), "ok"),
            (b"", hex::encode(Sha256::digest("x")), mismatch),
            (b"x", hex::encode(Sha256::digest("")), mismatch),
            (b"", "0".repeat(64), mismatch),
            (b"x", "UNSIGNED-PAYLOAD".to_owned(), "ok"),
            (&LARGE[..], "0".repeat(64), "MaxMessageLengthExceeded"),
        ] {
            assert_eq!(code(body, Some(&hash)).await, expected, "{hash}");
        }
        assert_eq!(code(b"x", None).await, "ok");
    }
}
