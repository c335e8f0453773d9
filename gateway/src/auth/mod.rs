//! Who is asking: the secret that a signature is checked against, and whom an operation is done
//! for. Nothing here ever answers "anonymous".

pub mod access;
pub mod keys;
pub mod seal;
pub mod secrets;

use crate::meta::MetaError;
use crate::meta::types::User;
use async_trait::async_trait;
use s3s::auth::SecretKey;

/// The verified signer of a request. Put into the request's extensions by the access check, so an
/// operation that finds none is not reached by any client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user whose key signed the request; owns what it creates.
    pub user: User,
    /// The access key that signed it, for the access log.
    pub access_key: String,
}

/// What an access key stands for.
#[derive(Clone)]
pub struct Identity {
    /// Its owner.
    pub user: User,
    /// Its secret; wiped from memory when dropped, never printed.
    pub secret: SecretKey,
}

/// Where access keys are looked up. An answer may be a few seconds old, "there is none" may not.
#[async_trait]
pub trait Identities: Send + Sync + 'static {
    /// The identity of an access key, `None` when there is none.
    async fn identity(&self, access_key: &str) -> Result<Option<Identity>, MetaError>;
}
