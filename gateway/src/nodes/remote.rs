//! A node in another process, over gRPC.

use super::cells;
use super::short::{NoAnswer, ShortCalls, another_answer};
use crate::telemetry::trace;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use sixfold_node::log::OfRequest;
use sixfold_proto::chunks::{
    Cell, ChunkEntry, Chunks, Health, MAX_LIST_ENTRIES, MAX_SHORT_CELL_BYTES, NodeError, PutItem,
    next_cell,
};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};
use sixfold_proto::node_v1::node_client::NodeClient;
use sixfold_proto::node_v1::put_request::Item;
use sixfold_proto::node_v1::short_answer::Answer;
use sixfold_proto::node_v1::short_call::Call;
use sixfold_proto::node_v1::{
    DeleteRequest, GetRequest, HealthRequest, ListRequest, PutEnd, PutHeader, PutRequest, ShortGet,
    ShortPut, StatRequest,
};
use sixfold_proto::secret::{ClusterSecret, SECRET_METADATA_KEY};
use sixfold_proto::{
    FRAME_BYTES, MAX_LIST_MESSAGE_BYTES, MAX_MESSAGE_BYTES, REQUEST_ID_METADATA_KEY,
    TRACEPARENT_METADATA_KEY,
};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// While calls are open, the connection is asked for a sign of life this often, and given up
/// when none comes in time: a stopped process or a cut cable is noticed within four seconds,
/// however long the call itself may take.
const ALIVE_EVERY: Duration = Duration::from_secs(2);

/// See [`ALIVE_EVERY`].
const ALIVE_WITHIN: Duration = Duration::from_secs(2);

/// What one read may have under way: two cells. A reader that waits for its client holds this
/// much per chunk, so that it is kept small.
const STREAM_WINDOW: u32 = 2 * FRAME_BYTES;

/// What all reads on one connection may have under way. Each is bounded by its own window; a
/// small sum would let a few readers with slow clients block all others.
const CONNECTION_WINDOW: u32 = 1 << 30;

/// How remote nodes are called.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// What every call shows. Without it the nodes must take the certificate for enough.
    pub secret: Option<ClusterSecret>,
    /// The certificates of mutual TLS.
    pub tls: Option<ClientTlsConfig>,
}

impl RemoteSettings {
    /// Without TLS.
    pub fn new(secret: Option<ClusterSecret>) -> Self {
        Self { secret, tls: None }
    }

    /// With mutual TLS: certificate and key to show, and the authority of the nodes', in PEM.
    /// Texts that are none of these are refused here and not at the first call.
    pub fn with_tls(
        self,
        certificate: &str,
        key: &str,
        authority: &str,
    ) -> Result<Self, tonic::transport::Error> {
        let tls = ClientTlsConfig::new()
            .identity(Identity::from_pem(certificate, key))
            .ca_certificate(Certificate::from_pem(authority));
        Endpoint::from_static("https://node").tls_config(tls.clone())?;
        Ok(Self { tls: Some(tls), ..self })
    }
}

/// How nodes in other processes are reached.
pub(crate) trait Connect: Send + Sync + 'static {
    /// The node `node` in its registration `registration` at `address`, connected to within
    /// `connect` when it is first called.
    fn connect(
        &self,
        node: NodeNumber,
        registration: u64,
        address: &str,
        connect: Duration,
    ) -> Result<Arc<dyn Chunks>, AddressError>;
}

impl Connect for RemoteSettings {
    fn connect(
        &self,
        node: NodeNumber,
        registration: u64,
        address: &str,
        connect: Duration,
    ) -> Result<Arc<dyn Chunks>, AddressError> {
        Ok(Arc::new(Remote::new(node, registration, address, self, connect)?))
    }
}

/// Why a node can't be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    /// It is no address.
    #[error("its address can't be used: {0}")]
    Unusable(#[from] tonic::transport::Error),
    /// The node wants TLS, and this process was given none.
    #[error(
        "it wants mutual TLS: set cluster.tls_cert, cluster.tls_key and cluster.tls_ca \
         (SIXFOLD_CLUSTER_TLS_CERT, …_KEY, …_CA)"
    )]
    WantsTls,
}

/// See the module. One connection, made when it is first needed and again when it broke.
pub(super) struct Remote {
    node: NodeNumber,
    registration: u64,
    secret: Option<ClusterSecret>,
    channel: Channel,
    client: NodeClient<Channel>,
    /// Apart from the gets, so that no read waits behind writes that wait for a sync.
    pub(super) short_puts: ShortCalls,
    pub(super) short_gets: ShortCalls,
}

impl Remote {
    /// The node `node` in its registration `registration` at `address` (`host:port`, with or
    /// without a scheme), connected to within `connect`. An address that is none is an error of the registry.
    pub(super) fn new(
        node: NodeNumber,
        registration: u64,
        address: &str,
        settings: &RemoteSettings,
        connect: Duration,
    ) -> Result<Self, AddressError> {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let uri = match address.split_once("://") {
            Some(("https", _)) if settings.tls.is_none() => return Err(AddressError::WantsTls),
            // With TLS here, a node without it is not spoken to in the clear.
            Some((_, rest)) => format!("{scheme}://{rest}"),
            None => format!("{scheme}://{address}"),
        };
        let mut endpoint = Endpoint::from_shared(uri)?
            .connect_timeout(connect)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(ALIVE_EVERY)
            .keep_alive_timeout(ALIVE_WITHIN)
            .max_frame_size(FRAME_BYTES)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        if let Some(tls) = &settings.tls {
            endpoint = endpoint.tls_config(tls.clone())?;
        }
        let channel = endpoint.connect_lazy();
        let client = NodeClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let secret = settings.secret.clone();
        let [short_puts, short_gets] = [(); 2].map(|()| ShortCalls::new(client.clone()));
        Ok(Self { node, registration, secret, channel, client, short_puts, short_gets })
    }

    fn put_header(&self, name: ChunkName, writer: LeaseId) -> PutHeader {
        PutHeader {
            name: Some(name.into()),
            writer: writer.0,
            node_number: u32::from(self.node.0),
            registration: self.registration,
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = self.secret.as_ref().and_then(ClusterSecret::metadata_value) {
            request.metadata_mut().insert(SECRET_METADATA_KEY, value);
        }
        request
    }

    /// A call of its own, which carries the id of the request that it is made for, and its span when
    /// that is sampled. Short calls share a stream, and with it what they carry: no id.
    fn call<T>(&self, message: T) -> Request<T> {
        let mut request = self.request(message);
        if let Some(id) = OfRequest::current().and_then(|request| request.id.parse().ok()) {
            request.metadata_mut().insert(REQUEST_ID_METADATA_KEY, id);
        }
        if let Some(span) = trace::context().and_then(|span| span.header().parse().ok()) {
            request.metadata_mut().insert(TRACEPARENT_METADATA_KEY, span);
        }
        request
    }
}

#[async_trait]
impl Chunks for Remote {
    async fn put(
        &self,
        name: ChunkName,
        writer: LeaseId,
        items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError> {
        let messages = Messages { header: Some(self.put_header(name, writer)), items };
        let reply = self.client.clone().put(self.call(messages)).await?;
        Ok(CopyNumber(reply.into_inner().copy_number))
    }

    async fn get(
        &self,
        name: ChunkName,
        cells: Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
        let message = GetRequest {
            name: Some(name.into()),
            first_cell: cells.start,
            cell_count: cells.end - cells.start,
            node_number: u32::from(self.node.0),
        };
        cells::get(self.channel.clone(), self.call(message)).await
    }

    async fn put_cell(
        &self,
        name: ChunkName,
        writer: LeaseId,
        cell: Cell,
    ) -> Result<CopyNumber, NodeError> {
        if cell.data.len() <= MAX_SHORT_CELL_BYTES {
            let header = Some(self.put_header(name, writer));
            let call = Call::Put(ShortPut { header, cell: Some(cell.clone().into()) });
            match self.short_puts.ask(call, |queue| self.request(queue)).await {
                Ok(Answer::Put(reply)) => return Ok(CopyNumber(reply.copy_number)),
                Ok(_) => return Err(another_answer()),
                Err(NoAnswer::Failed(error)) => return Err(error),
                Err(NoAnswer::Unknown) => {}
            }
        }
        self.put(name, writer, stream::iter([PutItem::Cell(cell), PutItem::End]).boxed()).await
    }

    async fn get_cell(&self, name: ChunkName, number: u32) -> Result<Cell, NodeError> {
        let node_number = u32::from(self.node.0);
        let call = Call::Get(ShortGet { name: Some(name.into()), cell: number, node_number });
        match self.short_gets.ask(call, |queue| self.request(queue)).await {
            // It shares a buffer with the answers to others, which must not live as long as it.
            Ok(Answer::Get(cell)) => {
                let data = Bytes::copy_from_slice(&cell.data);
                Ok(Cell { data, checksum: cell.checksum, is_verified: false })
            }
            Ok(_) => Err(another_answer()),
            Err(NoAnswer::Failed(error)) => Err(error),
            Err(NoAnswer::Unknown) => {
                next_cell(&mut self.get(name, number..number.saturating_add(1)).await?).await
            }
        }
    }

    async fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        let message = DeleteRequest {
            name: Some(name.into()),
            copy_number: copy.0,
            node_number: u32::from(self.node.0),
            registration: self.registration,
        };
        self.client.clone().delete(self.call(message)).await?;
        Ok(())
    }

    async fn list(
        &self,
        after: Option<ChunkName>,
        limit: usize,
    ) -> Result<Vec<ChunkEntry>, NodeError> {
        let limit = u32::try_from(limit.min(MAX_LIST_ENTRIES)).unwrap_or(u32::MAX);
        let node_number = u32::from(self.node.0);
        let message = ListRequest { after: after.map(Into::into), limit, node_number };
        let mut client = self.client.clone().max_decoding_message_size(MAX_LIST_MESSAGE_BYTES);
        let reply = client.list(self.request(message)).await?.into_inner();
        reply.entries.into_iter().map(TryInto::try_into).collect()
    }

    async fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError> {
        let node_number = u32::from(self.node.0);
        let message = StatRequest { name: Some(name.into()), node_number };
        self.client.clone().stat(self.call(message)).await?.into_inner().try_into()
    }

    async fn health(&self) -> Result<Health, NodeError> {
        let message = HealthRequest { node_number: u32::from(self.node.0) };
        let reply = self.client.clone().health(self.request(message)).await?.into_inner();
        let health = Health::try_from(reply)?;
        if health.node != self.node {
            return Err(NodeError::WrongNode(format!("node {} answers", health.node)));
        }
        Ok(health)
    }
}

/// What a put sends: the header, then the items.
struct Messages {
    header: Option<PutHeader>,
    items: BoxStream<'static, PutItem>,
}

impl Stream for Messages {
    type Item = PutRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PutRequest>> {
        if let Some(header) = self.header.take() {
            return Poll::Ready(Some(PutRequest { item: Some(Item::Header(header)) }));
        }
        let item = ready!(self.items.poll_next_unpin(cx));
        Poll::Ready(item.map(|item| match item {
            PutItem::Cell(cell) => PutRequest { item: Some(Item::Cell(cell.into())) },
            PutItem::End => PutRequest { item: Some(Item::End(PutEnd {})) },
        }))
    }
}
