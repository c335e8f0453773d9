use super::*;
use crate::store::{Store, StoreOptions};
use futures::{StreamExt, stream};
use sixfold_proto::chunks::{Cell, ChunkEntry, Health, PutItem};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId};
use sixfold_proto::node_v1::node_client::NodeClient;
use sixfold_proto::node_v1::put_request::Item;
use sixfold_proto::secret::{ClusterSecret, SECRET_METADATA_KEY};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::transport::Channel;
use tower::{Layer, Service, ServiceExt};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(super) const NODE: u32 = 3;

/// A node on a loopback port, and a channel to it.
pub(super) async fn node() -> (tempfile::TempDir, Arc<Store>, Channel) {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path(), StoreOptions::default()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let identity = Identity::default();
    identity.set(Registered { node: NodeNumber(3), registration: 8 });
    let service = NodeService::new(store.clone(), identity);
    let secret = ClusterSecret::parse(SECRET).unwrap();
    tokio::spawn(serve(
        listener,
        service,
        Admission::by_secret(secret, None),
        std::future::pending(),
    ));
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    (directory, store, endpoint.connect_lazy())
}

pub(super) fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let secret = ClusterSecret::parse(SECRET).unwrap().metadata_value().unwrap();
    request.metadata_mut().insert(SECRET_METADATA_KEY, secret);
    request
}

/// The plainest client, to run the conformance suite over the wire.
struct Loopback(Channel);

impl Loopback {
    fn client(&self) -> NodeClient<Channel> {
        NodeClient::new(self.0.clone()).max_decoding_message_size(MAX_LIST_MESSAGE_BYTES)
    }
}

pub(super) fn header(name: ChunkName, writer: LeaseId) -> node_v1::PutHeader {
    node_v1::PutHeader {
        name: Some(name.into()),
        writer: writer.0,
        node_number: NODE,
        registration: 8,
    }
}

/// A named type: the compiler can't prove that a future which holds the stream as `dyn` is
/// `Send` for every lifetime.
struct Messages(BoxStream<'static, node_v1::PutRequest>);

impl futures::Stream for Messages {
    type Item = node_v1::PutRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

fn messages(header: node_v1::PutHeader, items: BoxStream<'static, PutItem>) -> Messages {
    let items = items.map(|item| match item {
        PutItem::Cell(cell) => Item::Cell(cell.into()),
        PutItem::End => Item::End(node_v1::PutEnd {}),
    });
    let items = stream::iter([Item::Header(header)]).chain(items);
    Messages(items.map(|item| node_v1::PutRequest { item: Some(item) }).boxed())
}

#[tonic::async_trait]
impl Chunks for Loopback {
    async fn put(
        &self,
        name: ChunkName,
        writer: LeaseId,
        items: BoxStream<'static, PutItem>,
    ) -> Result<CopyNumber, NodeError> {
        let messages = messages(header(name, writer), items);
        let reply = self.client().put(request(messages)).await?;
        Ok(CopyNumber(reply.into_inner().copy_number))
    }

    async fn get(
        &self,
        name: ChunkName,
        cells: Range<u32>,
    ) -> Result<BoxStream<'static, Result<Cell, NodeError>>, NodeError> {
        let (first_cell, cell_count) = (cells.start, cells.end - cells.start);
        let name = Some(name.into());
        let message = node_v1::GetRequest { name, first_cell, cell_count, node_number: NODE };
        let cells = self.client().get(request(message)).await?.into_inner();
        Ok(cells.map(|cell| cell.map(Cell::from).map_err(NodeError::from)).boxed())
    }

    async fn delete(&self, name: ChunkName, copy: CopyNumber) -> Result<(), NodeError> {
        let message = node_v1::DeleteRequest {
            name: Some(name.into()),
            copy_number: copy.0,
            node_number: NODE,
            registration: 0,
        };
        self.client().delete(request(message)).await?;
        Ok(())
    }

    async fn list(
        &self,
        after: Option<ChunkName>,
        limit: usize,
    ) -> Result<Vec<ChunkEntry>, NodeError> {
        let limit = u32::try_from(limit).unwrap();
        let after = after.map(Into::into);
        let message = node_v1::ListRequest { after, limit, node_number: NODE };
        let entries = self.client().list(request(message)).await?.into_inner().entries;
        entries.into_iter().map(ChunkEntry::try_from).collect()
    }

    async fn stat(&self, name: ChunkName) -> Result<ChunkEntry, NodeError> {
        let message = node_v1::StatRequest { name: Some(name.into()), node_number: NODE };
        self.client().stat(request(message)).await?.into_inner().try_into()
    }

    async fn health(&self) -> Result<Health, NodeError> {
        let reply =
            self.client().health(request(node_v1::HealthRequest { node_number: NODE })).await?;
        reply.into_inner().try_into()
    }
}

#[tokio::test]
async fn the_service_conforms() {
    let (_directory, _store, channel) = node().await;
    crate::conformance::all(Arc::new(Loopback(channel))).await;
}

/// Calls a path with an empty message and a secret, if any.
async fn call(channel: &Channel, path: &'static str, secrets: &[&str]) -> tonic::Code {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let mut request = Request::new(node_v1::HealthRequest::default());
    for secret in secrets {
        request.metadata_mut().append(SECRET_METADATA_KEY, secret.parse().unwrap());
    }
    let codec = tonic_prost::ProstCodec::<node_v1::HealthRequest, node_v1::HealthReply>::default();
    let path = http::uri::PathAndQuery::from_static(path);
    grpc.unary(request, path, codec).await.err().map_or(tonic::Code::Ok, |status| status.code())
}

#[tokio::test]
async fn cve_2025_68926_every_path_wants_the_secret() {
    let (_directory, _store, channel) = node().await;
    let wrong = [
        &[][..],
        &[""],
        &["0123456789abcdef0123456789abcdee"],
        &["0123456789ABCDEF0123456789ABCDEF"],
        &["0123456789abcdef0123456789abcdef0"],
        &[SECRET, SECRET],
        &["wrong", SECRET],
    ];
    let paths = [
        ("/sixfold.node.v1.Node/Put", tonic::Code::InvalidArgument),
        ("/sixfold.node.v1.Node/Get", tonic::Code::InvalidArgument),
        ("/sixfold.node.v1.Node/Short", tonic::Code::Internal),
        ("/sixfold.node.v1.Node/Delete", tonic::Code::FailedPrecondition),
        ("/sixfold.node.v1.Node/List", tonic::Code::Ok),
        ("/sixfold.node.v1.Node/Stat", tonic::Code::InvalidArgument),
        ("/sixfold.node.v1.Node/Health", tonic::Code::Ok),
        ("/sixfold.node.v1.Node/Other", tonic::Code::Unimplemented),
        ("//sixfold.node.v1.Node/Health", tonic::Code::Unimplemented),
        ("/sixfold.node.v1.Node/Health/", tonic::Code::Unimplemented),
        ("/grpc.reflection.v1.ServerReflection/X", tonic::Code::Unimplemented),
        ("/", tonic::Code::Unimplemented),
    ];
    for (path, with_secret) in paths {
        for secrets in wrong {
            let code = call(&channel, path, secrets).await;
            assert_eq!(code, tonic::Code::Unauthenticated, "{path} {secrets:?}");
        }
        assert_eq!(call(&channel, path, &[SECRET]).await, with_secret, "{path}");
    }
}

#[test]
fn every_method_of_the_service_is_in_the_table_above() {
    let proto = include_str!("../../../proto/node.proto");
    let table = include_str!("tests.rs");
    let methods: Vec<_> = proto
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next())
        .collect();
    assert_eq!(methods.len(), 7);
    for method in methods {
        assert!(table.contains(&format!("\"/sixfold.node.v1.Node/{method}\"")), "{method}");
    }
}

#[tokio::test]
async fn cve_2026_33186_paths_without_a_slash_want_the_secret_too() {
    let layer = SecretLayer::new(Some(ClusterSecret::parse(SECRET).unwrap()));
    let inner = tower::service_fn(|_: http::Request<()>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(true))
    });
    for uri in ["*", "sixfold.node.v1.Node", "http://node/%2e%2e/x", "/?a=b"] {
        for (secret, passes) in [(None, false), (Some("x"), false), (Some(SECRET), true)] {
            let mut request = http::Request::builder().uri(uri);
            if let Some(secret) = secret {
                request = request.header(SECRET_METADATA_KEY, secret);
            }
            let mut service = layer.layer(inner);
            let service = service.ready().await.unwrap();
            let reply = service.call(request.body(()).unwrap()).await.unwrap();
            assert_eq!(*reply.body(), passes, "{uri} {secret:?}");
        }
    }
}

#[tokio::test]
async fn f24_a_put_for_another_node_or_registration_is_refused() {
    let (_directory, store, channel) = node().await;
    let name = crate::conformance::name(1, 1, 1);
    let right = header(name, LeaseId(1));
    let wrong = [
        node_v1::PutHeader { node_number: 4, ..right },
        node_v1::PutHeader { node_number: 0, ..right },
        node_v1::PutHeader { registration: 7, ..right },
        node_v1::PutHeader { registration: 9, ..right },
    ];
    for header in wrong {
        let message = node_v1::PutRequest { item: Some(Item::Header(header)) };
        let reply = NodeClient::new(channel.clone()).put(request(stream::iter([message]))).await;
        let error = NodeError::from(reply.unwrap_err());
        assert!(matches!(error, NodeError::WrongNode(_)), "{error:?}");
    }
    assert_eq!(store.condition().unwrap().chunk_count, 0);
    let unknown = Identity::default();
    assert!(matches!(unknown.check(0, 0), Err(NodeError::WrongNode(_))));
}

/// A wiped drive at the same address has another number: that a chunk is not there says nothing
/// of the node that was meant.
#[tokio::test]
async fn f27_a_read_for_another_node_is_refused() {
    let (_directory, store, channel) = node().await;
    let client = || NodeClient::new(channel.clone());
    let name = Some(crate::conformance::name(1, 1, 1).into());
    for (node_number, is_meant) in [(NODE, true), (0, true), (4, false)] {
        let get = node_v1::GetRequest { name, first_cell: 0, cell_count: 1, node_number };
        let stat = node_v1::StatRequest { name, node_number };
        let list = node_v1::ListRequest { after: None, limit: 1, node_number };
        let health = node_v1::HealthRequest { node_number };
        let answers = [
            client().get(request(get)).await.err(),
            client().stat(request(stat)).await.err(),
            client().list(request(list)).await.err(),
            client().health(request(health)).await.err(),
        ];
        let refused = answers
            .map(|error| matches!(error.map(NodeError::from), Some(NodeError::WrongNode(_))));
        assert_eq!(refused, [!is_meant; 4], "{node_number}");
    }
    assert_eq!(store.condition().unwrap().chunk_count, 0);
    assert_eq!(Identity::default().check_reader(4), Ok(()), "reads do not wait for the database");
}

/// Serves with limits of a test's own; answers where.
async fn serving(limits: Limits, admission: Admission) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path(), StoreOptions::default()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let service = NodeService::new(store, Identity::default());
    tokio::spawn(serve_within(limits, listener, service, admission, std::future::pending()));
    (directory, address)
}

#[tokio::test]
async fn a_connection_stays_by_the_secret_only() {
    let limits = Limits { connections: 3, admitted_within: Duration::from_millis(500) };
    let secret = ClusterSecret::parse(SECRET).unwrap();
    let (_directory, address) = serving(limits, Admission::by_secret(secret, None)).await;
    let connect = async |secret: &'static str| {
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect().await.unwrap();
        (call(&channel, "/sixfold.node.v1.Node/Health", &[secret]).await, channel)
    };
    let started = std::time::Instant::now();
    // One that speaks HTTP/2 and stays silent, and one with another secret.
    let (refused, _foreign) = connect("another secret of thirty-two characters").await;
    assert_eq!(refused, tonic::Code::Unauthenticated);
    let mut silent = tokio::net::TcpStream::connect(&address).await.unwrap();
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    tokio::io::AsyncWriteExt::write_all(&mut silent, hello).await.unwrap();
    let (admitted, ours) = connect(SECRET).await;
    assert_eq!(admitted, tonic::Code::Ok);
    let mut said = Vec::new();
    let cut = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut said);
    let cut = tokio::time::timeout(Duration::from_secs(5), cut).await;
    assert!(cut.is_ok() && started.elapsed() >= limits.admitted_within);
    // All three places were taken, and two are free again, since ours still has one.
    assert_eq!(call(&ours, "/sixfold.node.v1.Node/Health", &[SECRET]).await, tonic::Code::Ok);
    for _ in 0..2 {
        assert_eq!(connect(SECRET).await.0, tonic::Code::Ok);
    }
}

#[tokio::test]
async fn certificates_without_an_authority_admit_nobody() {
    let authority = String::new();
    let certificates = Certificates { certificate: String::new(), key: String::new(), authority };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path(), StoreOptions::default()).unwrap());
    let service = NodeService::new(store, Identity::default());
    let admission = Admission::by_certificate(certificates);
    let served = serve(listener, service, admission, std::future::pending()).await;
    assert!(served.is_err(), "it must not serve");
}

#[tokio::test]
async fn a_put_that_is_out_of_order_or_too_large_stores_nothing() {
    let (_directory, store, channel) = node().await;
    let name = crate::conformance::name(1, 1, 1);
    let header = Item::Header(header(name, LeaseId(1)));
    let cell = Item::Cell(node_v1::Cell { data: vec![1; 10].into(), checksum: 1 });
    let large = Item::Cell(node_v1::Cell { data: vec![1; 2_000_000].into(), checksum: 1 });
    let end = Item::End(node_v1::PutEnd {});
    let streams = [
        vec![],
        vec![cell.clone(), end.clone()],
        vec![end.clone()],
        vec![header.clone()],
        vec![header.clone(), cell.clone()],
        vec![header.clone(), cell.clone(), header.clone(), end.clone()],
        vec![header.clone(), large, end.clone()],
        vec![header, end],
    ];
    for items in streams {
        let messages: Vec<_> =
            items.into_iter().map(|item| node_v1::PutRequest { item: Some(item) }).collect();
        let reply = NodeClient::new(channel.clone()).put(request(stream::iter(messages))).await;
        let error = NodeError::from(reply.unwrap_err());
        assert!(matches!(error, NodeError::Invalid(_)), "{error:?}");
        assert_eq!(store.condition().unwrap().chunk_count, 0);
    }
}
