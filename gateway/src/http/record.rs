//! What is known of one request, from its head to the last byte of its answer.

use super::operation::Operation;
use super::target::Target;
use crate::telemetry::trace::TraceId;
use http::Method;
use rand::RngCore;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Shared by the front, the access check and the response's body; put into the request's
/// extensions so that the access check can complete it.
#[derive(Debug)]
pub struct RequestRecord {
    /// `x-amz-request-id`: 16 hex digits, random.
    pub id: Arc<str>,
    /// `x-amz-id-2`, the error document's `HostId`.
    pub host_id: String,
    /// The first half of all the randomness in both: the trace's id, when the caller has none. So
    /// the two headers name the trace.
    pub fresh_trace: TraceId,
    /// The method.
    pub method: Method,
    /// What the path and host name.
    pub target: Target,
    /// Where the client is.
    pub peer: Option<SocketAddr>,
    /// When the head had been read.
    pub started: Instant,
    /// The S3 operation, once it is resolved.
    pub operation: OnceLock<Operation>,
    /// The access key, once its signature is verified.
    pub access_key: OnceLock<String>,
}

impl RequestRecord {
    /// Begins a record with fresh ids.
    pub fn new(method: Method, target: Target) -> Self {
        let mut random = [0u8; 32];
        rand::rng().fill_bytes(&mut random);
        let mut fresh_trace = TraceId::default();
        fresh_trace.copy_from_slice(&random[..16]);
        Self {
            fresh_trace,
            id: hex::encode_upper(&random[..8]).into(),
            host_id: hex::encode(&random[8..]),
            method,
            target,
            peer: None,
            started: Instant::now(),
            operation: OnceLock::new(),
            access_key: OnceLock::new(),
        }
    }

    /// With the client's address.
    #[must_use]
    pub fn from_peer(self, peer: Option<SocketAddr>) -> Self {
        Self { peer, ..self }
    }

    /// The operation for logs and metrics.
    pub fn operation(&self) -> Operation {
        self.operation.get().copied().unwrap_or_else(|| Operation::named("none"))
    }

    /// Its name.
    pub fn operation_name(&self) -> &'static str {
        self.operation().name()
    }
}
