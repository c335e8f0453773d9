//! The cluster secret, checked in front of everything: whatever the path, known or not, a call
//! without the secret gets `Unauthenticated` and nothing else. There is no list of methods
//! here that one could be missing from.

use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use sixfold_proto::chunks::NodeError;
use sixfold_proto::secret::{ClusterSecret, SECRET_METADATA_KEY};
use std::task::{Context, Poll};
use tonic::Status;
use tower::{Layer, Service};

/// Puts [`CheckSecret`] around a service.
#[derive(Clone, Debug)]
pub struct SecretLayer {
    secret: ClusterSecret,
}

impl SecretLayer {
    /// Lets calls with this secret pass.
    pub fn new(secret: ClusterSecret) -> Self {
        Self { secret }
    }
}

impl<S> Layer<S> for SecretLayer {
    type Service = CheckSecret<S>;

    fn layer(&self, inner: S) -> CheckSecret<S> {
        CheckSecret { secret: self.secret.clone(), inner }
    }
}

/// Refuses calls that don't carry the secret exactly once.
#[derive(Clone, Debug)]
pub struct CheckSecret<S> {
    secret: ClusterSecret,
    inner: S,
}

impl<S, In, Out> Service<Request<In>> for CheckSecret<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    Out: Default,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Out>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let mut shown = request.headers().get_all(SECRET_METADATA_KEY).iter();
        let allowed = match (shown.next(), shown.next()) {
            (Some(shown), None) => self.secret.matches(shown.as_bytes()),
            _ => false,
        };
        if allowed {
            return Either::Left(self.inner.call(request));
        }
        let refusal = Status::from(NodeError::Unauthenticated);
        Either::Right(ready(Ok(refusal.into_http())))
    }
}
