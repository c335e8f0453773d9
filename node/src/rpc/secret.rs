//! The cluster secret, checked in front of everything: whatever the path, known or not, a call
//! without the secret gets `Unauthenticated` and nothing else. There is no list of methods
//! here that one could be missing from. Where certificates alone admit, nothing is checked here:
//! who has none did not get a connection.

use super::listener::Admitted;
use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use sixfold_proto::chunks::NodeError;
use sixfold_proto::secret::{ClusterSecret, SECRET_METADATA_KEY};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tonic::Status;
use tower::{Layer, Service};

/// A refusal is told in the log, and the next ones only after this long: whoever calls without
/// the secret must not fill the log.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// Puts [`CheckSecret`] around a service.
#[derive(Clone, Debug)]
pub struct SecretLayer {
    secret: Option<ClusterSecret>,
    told: LastTold,
}

impl SecretLayer {
    /// Lets calls with this secret pass; without one, all that came this far.
    pub fn new(secret: Option<ClusterSecret>) -> Self {
        Self { secret, told: Arc::default() }
    }
}

impl<S> Layer<S> for SecretLayer {
    type Service = CheckSecret<S>;

    fn layer(&self, inner: S) -> CheckSecret<S> {
        CheckSecret { secret: self.secret.clone(), told: Arc::clone(&self.told), inner }
    }
}

/// Refuses calls that don't carry the secret exactly once.
#[derive(Clone, Debug)]
pub struct CheckSecret<S> {
    secret: Option<ClusterSecret>,
    told: LastTold,
    inner: S,
}

/// When a refusal was last told, on any connection.
type LastTold = Arc<Mutex<Option<Instant>>>;

fn tell(told: &LastTold, is_without: bool) {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if told.is_some_and(|at| at.elapsed() < TOLD_EVERY) {
        return;
    }
    *told = Some(Instant::now());
    let shown = if is_without { "without a cluster secret" } else { "with another cluster secret" };
    tracing::warn!("refused a call {shown}: gateways and nodes must be given the same one");
}

fn shows(secret: &ClusterSecret, headers: &http::HeaderMap) -> bool {
    let mut shown = headers.get_all(SECRET_METADATA_KEY).iter();
    match (shown.next(), shown.next()) {
        (Some(shown), None) => secret.matches(shown.as_bytes()),
        _ => false,
    }
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
        if self.secret.as_ref().is_none_or(|secret| shows(secret, request.headers())) {
            if let Some(admitted) = request.extensions().get::<Admitted>() {
                admitted.set();
            }
            return Either::Left(self.inner.call(request));
        }
        tell(&self.told, request.headers().get(SECRET_METADATA_KEY).is_none());
        let refusal = Status::from(NodeError::Unauthenticated);
        Either::Right(ready(Ok(refusal.into_http())))
    }
}
