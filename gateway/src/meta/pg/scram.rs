//! What PostgreSQL keeps of a password (SCRAM-SHA-256, RFC 5802 and 7677), computed here: a statement
//! that fails is logged by the database, and then holds nothing that anybody could log in with.

use super::super::Result;
use super::columns::broken;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// PostgreSQL's own default.
const ITERATIONS: u32 = 4096;

const SALT_BYTES: usize = 16;

type Key = [u8; 32];

/// The verifier of a password in printable ASCII: other ones would have to be normalised first.
pub(super) fn verifier(password: &str) -> Result<String> {
    if password.is_empty() || !password.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(broken("a password that is empty or not in printable ASCII"));
    }
    let salt: [u8; SALT_BYTES] = rand::random();
    let salted = salted(password.as_bytes(), &salt)?;
    let stored = Sha256::digest(keyed(&salted, &[b"Client Key"])?);
    let server = keyed(&salted, &[b"Server Key"])?;
    let [salt, stored, server] =
        [&salt[..], &stored[..], &server[..]].map(|bytes| BASE64_STANDARD.encode(bytes));
    Ok(format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored}:{server}"))
}

/// `Hi()` of RFC 5802: PBKDF2 for a single block.
fn salted(password: &[u8], salt: &[u8]) -> Result<Key> {
    let mut last = keyed(password, &[salt, &1_u32.to_be_bytes()])?;
    let mut sum = last;
    for _ in 1..ITERATIONS {
        last = keyed(password, &[&last])?;
        sum.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    Ok(sum)
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Result<Key> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.map_err(|_| broken("a key of a length that HMAC does not take"))?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::verifier;

    #[test]
    fn a_verifier_is_salted_and_does_not_hold_the_password() {
        let first = verifier("canary-password").unwrap();
        assert!(first.starts_with("SCRAM-SHA-256$4096:") && first.len() == 133, "{first}");
        assert!(!first.contains("canary"), "{first}");
        assert_ne!(verifier("canary-password").unwrap(), first);
        assert!(verifier("").is_err() && verifier("pässword").is_err());
    }
}
