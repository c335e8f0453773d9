//! Who is asking: the secret that a signature is checked against, and whom an operation is done
//! for. Nothing here ever answers "anonymous".

use crate::meta::types::User;

/// The verified signer of a request. Put into the request's extensions by the access check, so an
/// operation that finds none is not reached by any client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user whose key signed the request; owns what it creates.
    pub user: User,
    /// The access key that signed it, for the access log.
    pub access_key: String,
}
