//! Secrets at rest: the master key in a file of its own, and access keys' secrets sealed under
//! it before they reach the database.
//!
//! ```text
//! sealed secret:  version 1 | nonce, 24 bytes | ciphertext and tag (XChaCha20-Poly1305)
//! ```
//! The access key id is authenticated beside it, so a sealed secret moved to another row does
//! not open.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A secret access key. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret that came from a client, a file or the random generator.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Its characters, for a signature or to be shown to its owner once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where container engines put secrets, with modes that a container has no say in. Nothing but the
/// container sees them there.
const HANDED_OUT: &str = "/run/secrets";

/// Why the master key can't be used; each message says the mend.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Others could read it.
    #[error(
        "the master key {path} is open to others (mode {mode:o}): chmod 600 it, \
         and consider the keys sealed under it as known"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not 64 hexadecimal digits.
    #[error("the master key {path} is not 32 bytes in hexadecimal: restore it from a backup")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It could not be read or made.
    #[error("can't use the master key {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The sealed secret does not open: another master key, another row, or damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret of this access key does not open under the master key")]
pub struct Unopenable;

/// The key that seals secrets. `Debug` does not show it.
#[derive(Clone)]
pub struct MasterKey(XChaCha20Poly1305);

impl MasterKey {
    /// Reads the key file, or makes it with a random key when there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|source| at(path, source))?;
                Self::load(path)
            }
            result => result,
        }
    }

    /// Reads the key file, which a stateless gateway never makes.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let mut file = File::open(path).map_err(|source| at(path, source))?;
        let mode = file.metadata().map_err(|source| at(path, source))?.mode() & 0o777;
        // Somebody may read it, and nobody but its owner may write it.
        let is_handed_out = path.starts_with(HANDED_OUT) && mode & 0o022 == 0;
        if mode & 0o077 != 0 && !is_handed_out {
            return Err(MasterKeyError::Open { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|source| at(path, source))?;
        let mut key = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut key)
            .map_err(|_| MasterKeyError::Malformed { path: path.to_owned() })?;
        Ok(Self::from_bytes(&key))
    }

    fn from_bytes(key: &[u8; KEY_BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Seals the secret of an access key.
    pub fn seal(&self, access_key: &str, secret: &Secret) -> Result<Vec<u8>, Unopenable> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: access_key.as_bytes() };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| Unopenable)?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens the secret of an access key.
    pub fn open(&self, access_key: &str, sealed: &[u8]) -> Result<Secret, Unopenable> {
        let (&[VERSION], rest) = sealed.split_first_chunk().ok_or(Unopenable)? else {
            return Err(Unopenable);
        };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Unopenable)?;
        let payload = Payload { msg: sealed, aad: access_key.as_bytes() };
        let secret = self.0.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| Unopenable)?;
        String::from_utf8(secret).map(Secret).map_err(|_| Unopenable)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

fn at(path: &Path, source: io::Error) -> MasterKeyError {
    MasterKeyError::Io { path: path.to_owned(), source }
}

/// Written aside, synced and linked under its name: never half there, never over another's.
fn create(path: &Path) -> io::Result<()> {
    let key: [u8; KEY_BYTES] = rand::random();
    let aside = path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    writeln!(file, "{}", hex::encode(key))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&aside, path);
    std::fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_master_key_is_made_once_private_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let first = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        let sealed = first.seal("SXA", &Secret::new("hush")).unwrap();
        let again = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(again.open("SXA", &sealed).unwrap().expose(), "hush");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn an_open_or_damaged_key_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        MasterKey::load_or_create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "abc").unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, MasterKeyError::Malformed { .. }), "{error}");
    }

    #[test]
    fn a_secret_opens_only_where_it_was_sealed() {
        let key = MasterKey::from_bytes(&[7; KEY_BYTES]);
        let sealed = key.seal("SXA", &Secret::new("hush")).unwrap();
        assert_eq!(key.open("SXB", &sealed), Err(Unopenable), "another access key");
        let other = MasterKey::from_bytes(&[8; KEY_BYTES]);
        assert_eq!(other.open("SXA", &sealed), Err(Unopenable), "another master key");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(key.open("SXA", &damaged), Err(Unopenable), "byte {at}");
        }
        assert_eq!(key.open("SXA", &[]), Err(Unopenable));
        assert_ne!(key.seal("SXA", &Secret::new("hush")).unwrap(), sealed, "a fresh nonce");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let key = MasterKey::from_bytes(&[7; KEY_BYTES]);
        assert_eq!(format!("{:?} {key:?}", Secret::new("hush")), "Secret(…) MasterKey(…)");
    }
}
