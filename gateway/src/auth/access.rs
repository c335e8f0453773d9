//! Whether a request may go on to its operation, and for whom.
//!
//! s3s calls this once the signature (if there is one) is verified and the operation is known,
//! before it reads a body. A custom check replaces s3s's own demand for a signature, so this one
//! refuses the anonymous itself.

use super::secrets::find;
use super::{Caller, Identities};
use crate::http::RequestRecord;
use crate::http::operation::Operation;
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Result, s3_error};
use std::sync::Arc;

/// The header and the query parameter of temporary credentials, in lower case.
const TOKEN: &str = "x-amz-security-token";

/// The access check.
pub struct Access(Arc<dyn Identities>);

impl Access {
    /// A check over a look-up of keys.
    pub fn new(identities: Arc<dyn Identities>) -> Self {
        Self(identities)
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let record = context.extensions_mut().get::<Arc<RequestRecord>>().cloned();
        if let Some(record) = &record {
            let _ = record.operation.set(Operation::named(context.s3_op().name()));
        }
        let Some(credentials) = context.credentials() else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let access_key = credentials.access_key.clone();
        if has_token(context) {
            return Err(s3_error!(InvalidToken, "The provided token is malformed or invalid."));
        }
        let identity = find(self.0.as_ref(), &access_key).await?;
        if let Some(record) = &record {
            let _ = record.access_key.set(access_key.clone());
        }
        context.extensions_mut().insert(Caller { user: identity.user, access_key });
        Ok(())
    }
}

/// No key here has a token yet, so any token is somebody else's.
fn has_token(context: &S3AccessContext<'_>) -> bool {
    let query = context.uri().query().unwrap_or("");
    let in_query = query
        .split('&')
        .any(|pair| pair.split('=').next().is_some_and(|key| key.eq_ignore_ascii_case(TOKEN)));
    in_query || context.headers().contains_key(TOKEN)
}
