//! The gRPC service over any [`Chunks`]: one file per call, [`Admission`] before all of them, and
//! the limits of a connection.

mod admission;
mod delete;
mod get;
mod health;
mod list;
mod listener;
mod of_request;
mod put;
mod secret;
mod short;
mod stat;

pub use admission::{Admission, Certificates};
pub use secret::{CheckSecret, SecretLayer};

use crate::trace::{Span, Tracer};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use listener::Limits;
use of_request::{logged, served};
use sixfold_proto::chunks::{Chunks, NodeError};
use sixfold_proto::name::NodeNumber;
use sixfold_proto::node_v1;
use sixfold_proto::node_v1::node_server::{Node, NodeServer};
use sixfold_proto::{FRAME_BYTES, MAX_LIST_MESSAGE_BYTES, MAX_MESSAGE_BYTES};
use std::future::Future;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// What one stream may have on its way unread: a few cells each way.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// What one connection may have on its way: four streams at full speed. The rest waits.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// Calls at once on one connection; a gateway keeps a connection or two to each node. Each
/// takes a few cells of memory at most.
const CALLS_PER_CONNECTION: u32 = 256;

/// An idle connection is asked for a sign of life this often, and dropped without one.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Who this node is by its registration. Until it has registered, nobody can mean it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The node's number.
    pub node: NodeNumber,
    /// The number of this registration; a later one has a higher number.
    pub registration: u64,
}

/// The registration, known once the database has answered.
#[derive(Clone, Default)]
pub struct Identity(Arc<RwLock<Option<Registered>>>);

impl Identity {
    /// Takes a new registration.
    pub fn set(&self, registered: Registered) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(registered);
    }

    /// Refuses a read that was meant for another node: what is not here may well be there. Before
    /// its registration a node serves all reads, since the database may be away; 0 means any
    /// node, as gateways of before ask.
    fn check_reader(&self, node_number: u32) -> Result<(), NodeError> {
        let here = *self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        match here {
            Some(here) if node_number != 0 && u32::from(here.node.0) != node_number => {
                Err(another(node_number, here.node))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a change that was meant for another node or an older registration; a
    /// registration of 0 means any.
    fn check(&self, node_number: u32, registration: u64) -> Result<(), NodeError> {
        let here = *self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let wrong = |text: String| Err(NodeError::WrongNode(text));
        let Some(here) = here else {
            return wrong("this node has not registered yet".to_owned());
        };
        if u32::from(here.node.0) != node_number {
            return Err(another(node_number, here.node));
        }
        if registration != 0 && registration != here.registration {
            let current = here.registration;
            return wrong(format!("registration {registration} was meant, {current} is here"));
        }
        Ok(())
    }
}

fn another(meant: u32, here: NodeNumber) -> NodeError {
    NodeError::WrongNode(format!("node {meant} was meant, node {here} is here"))
}

/// The service: a table of calls.
pub struct NodeService {
    chunks: Arc<dyn Chunks>,
    identity: Identity,
    /// Ends the streams of short calls, which gateways keep open.
    ending: CancellationToken,
    tracer: Tracer,
}

impl NodeService {
    /// The service of these chunks.
    pub fn new(chunks: Arc<dyn Chunks>, identity: Identity) -> Self {
        let (ending, tracer) = (CancellationToken::new(), Tracer::off());
        Self { chunks, identity, ending, tracer }
    }

    /// With spans for calls that are part of a trace.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }
}

#[tonic::async_trait]
impl Node for NodeService {
    type GetStream = BoxStream<'static, Result<node_v1::Cell, Status>>;
    type ShortStream = BoxStream<'static, Result<node_v1::ShortAnswer, Status>>;

    async fn put(
        &self,
        request: Request<Streaming<node_v1::PutRequest>>,
    ) -> Result<Response<node_v1::PutReply>, Status> {
        let (metadata, _, message) = request.into_parts();
        let call = put::put(&*self.chunks, &self.identity, message);
        let mut span = served(&self.tracer, "put", &metadata);
        answer(logged("put", &metadata, &mut span, call).await)
    }

    async fn get(
        &self,
        request: Request<node_v1::GetRequest>,
    ) -> Result<Response<Self::GetStream>, Status> {
        let (metadata, _, message) = request.into_parts();
        let call = get::get(&*self.chunks, &self.identity, message);
        let mut span = served(&self.tracer, "get", &metadata);
        let cells = logged("get", &metadata, &mut span, call).await;
        answer(cells.map(|cells| until_its_end(cells, span)))
    }

    async fn short(
        &self,
        request: Request<Streaming<node_v1::ShortCall>>,
    ) -> Result<Response<Self::ShortStream>, Status> {
        let (chunks, identity) = (Arc::clone(&self.chunks), self.identity.clone());
        let served = short::Served { chunks, identity, tracer: self.tracer.clone() };
        answer(Ok(short::serve(served, request.into_inner(), self.ending.clone())))
    }

    async fn delete(
        &self,
        request: Request<node_v1::DeleteRequest>,
    ) -> Result<Response<node_v1::DeleteReply>, Status> {
        let (metadata, _, message) = request.into_parts();
        let call = delete::delete(&*self.chunks, &self.identity, message);
        let mut span = served(&self.tracer, "delete", &metadata);
        answer(logged("delete", &metadata, &mut span, call).await)
    }

    async fn list(
        &self,
        request: Request<node_v1::ListRequest>,
    ) -> Result<Response<node_v1::ListReply>, Status> {
        answer(list::list(&*self.chunks, &self.identity, request.into_inner()).await)
    }

    async fn stat(
        &self,
        request: Request<node_v1::StatRequest>,
    ) -> Result<Response<node_v1::ChunkEntry>, Status> {
        let (metadata, _, message) = request.into_parts();
        let call = stat::stat(&*self.chunks, &self.identity, message);
        let mut span = served(&self.tracer, "stat", &metadata);
        answer(logged("stat", &metadata, &mut span, call).await)
    }

    async fn health(
        &self,
        request: Request<node_v1::HealthRequest>,
    ) -> Result<Response<node_v1::HealthReply>, Status> {
        answer(health::health(&*self.chunks, &self.identity, request.into_inner()).await)
    }
}

/// A read goes on after its answer has begun.
fn until_its_end<T: Send + 'static>(
    cells: BoxStream<'static, T>,
    span: Span,
) -> BoxStream<'static, T> {
    if !span.is_recorded() {
        return cells;
    }
    cells.inspect(move |_| _ = &span).boxed()
}

fn answer<T>(result: Result<T, NodeError>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(Status::from)
}

/// Serves the calls of `listener` until `stop` is ready, then finishes those that run.
pub async fn serve(
    listener: TcpListener,
    service: NodeService,
    admission: Admission,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    serve_within(Limits::default(), listener, service, admission, stop).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    service: NodeService,
    admission: Admission,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let ending = service.ending.clone();
    let stop = stop.inspect(move |()| ending.cancel());
    let service = NodeServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES.max(MAX_LIST_MESSAGE_BYTES));
    let mut server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(CALLS_PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
    if let Some(tls) = admission.tls() {
        server = server.tls_config(tls.clone())?;
    }
    server
        .layer(SecretLayer::new(admission.secret().cloned()))
        .serve_with_incoming_shutdown(service, listener::incoming(listener, limits).boxed(), stop)
        .await
}

#[cfg(test)]
mod tests;
