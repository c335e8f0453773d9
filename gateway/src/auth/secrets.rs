//! Gives s3s the secret of an access key; s3s verifies the signature with it.

use super::{Identities, Identity};
use crate::meta::MetaError;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3Result, s3_error};
use std::sync::Arc;

/// Secrets of access keys.
pub struct Secrets(Arc<dyn Identities>);

impl Secrets {
    /// Secrets from a look-up.
    pub fn new(identities: Arc<dyn Identities>) -> Self {
        Self(identities)
    }
}

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        Ok(find(self.0.as_ref(), access_key).await?.secret)
    }
}

/// An identity, or the S3 error that says why there is none.
pub(super) async fn find(identities: &dyn Identities, access_key: &str) -> S3Result<Identity> {
    match identities.identity(access_key).await {
        Ok(Some(identity)) => Ok(identity),
        Ok(None) => Err(s3_error!(
            InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records."
        )),
        Err(MetaError::Broken(why)) => Err(broken(&why)),
        Err(error) => Err(unavailable(&error)),
    }
}

/// No pause mends this, so nobody is asked to come back later.
fn broken(why: &str) -> S3Error {
    tracing::error!("an access key can't be used: {why}");
    s3_error!(
        InternalError,
        "The server can't open the secret of this access key. Its log says more."
    )
}

fn unavailable(error: &MetaError) -> S3Error {
    tracing::warn!("an access key could not be looked up: {error}");
    s3_error!(ServiceUnavailable, "Please reduce your request rate.")
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::auth::keys::Keys;
    use crate::auth::seal::MasterKey;
    use crate::meta::Meta;
    use crate::meta::model::Model;
    use s3s::S3ErrorCode;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_secret_under_another_master_key_is_no_slow_down() {
        let meta: Arc<dyn Meta> = Arc::new(Model::new());
        let dir = tempfile::tempdir().unwrap();
        let keys = |name: &str| {
            let master = MasterKey::load_or_create(&dir.path().join(name)).unwrap();
            Keys::new(Arc::clone(&meta), master)
        };
        let key = keys("old").create("alice").await.unwrap();
        let Err(error) = find(&keys("new"), &key.access_key).await else {
            panic!("it opened under another key")
        };
        assert_eq!(*error.code(), S3ErrorCode::InternalError);
    }
}
