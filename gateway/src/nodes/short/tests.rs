//! Short calls to real gRPC servers, which fail on cue.

use crate::nodes::fake::{FakeNode, Faults};
use crate::nodes::remote::{Remote, RemoteSettings};
use bytes::Bytes;
use futures::future::join_all;
use sixfold_node::conformance::{self, ByCell};
use sixfold_node::rpc::{Admission, Identity, NodeService, Registered, serve};
use sixfold_node::store::{Store, StoreOptions};
use sixfold_proto::chunks::{Cell, Chunks, NodeError, SHORT_CALLS_AT_ONCE};
use sixfold_proto::name::{ChunkName, CopyNumber, LeaseId, NodeNumber};
use sixfold_proto::node_v1::node_server::NodeServer;
use sixfold_proto::secret::ClusterSecret;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

const SECRET: &str = "a-secret-of-at-least-thirty-two-characters";
const NODE: NodeNumber = NodeNumber(1);

/// A server on a thread of its own, so that it can be stopped, cut off or held like a process.
struct Server {
    address: String,
    stop: CancellationToken,
    handle: Handle,
    /// Ends the runtime with all connections when it is dropped.
    cut: Option<tokio::sync::oneshot::Sender<()>>,
    ended: mpsc::Receiver<()>,
}

impl Server {
    async fn start(chunks: Arc<dyn Chunks>, address: &str) -> Self {
        let listener = listener(address).await;
        let address = listener.local_addr().unwrap().to_string();
        let listener = listener.into_std().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let (cut, is_cut) = tokio::sync::oneshot::channel::<()>();
        let (end, ended) = mpsc::channel();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let secret = ClusterSecret::parse(SECRET).unwrap();
                let admission = Admission::by_secret(secret, None);
                tokio::select! {
                    served = serve(listener, service(chunks), admission, stopped) => served.unwrap(),
                    _ = is_cut => {}
                }
            });
            drop(runtime);
            let _ = end.send(());
        });
        Self { address, stop, handle, cut: Some(cut), ended }
    }

    /// Ends it as a killed process ends.
    fn kill(&mut self) {
        drop(self.cut.take());
        self.ended.recv_timeout(Duration::from_mins(1)).unwrap();
    }

    /// Holds it as a stopped process is held, until the sender is dropped.
    fn hold(&self) -> mpsc::Sender<()> {
        let (sender, held) = mpsc::channel::<()>();
        let (entered, is_held) = mpsc::channel();
        self.handle.spawn(async move {
            let _ = entered.send(());
            held.recv()
        });
        is_held.recv_timeout(Duration::from_mins(1)).unwrap();
        sender
    }
}

/// Listens on a port that may just have been used.
async fn listener(address: &str) -> TcpListener {
    for _ in 0..100 {
        if let Ok(listener) = TcpListener::bind(address).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{address} is in use")
}

fn service(chunks: Arc<dyn Chunks>) -> NodeService {
    let identity = Identity::default();
    identity.set(Registered { node: NODE, registration: 8 });
    NodeService::new(chunks, identity)
}

fn remote_with(address: &str, secret: &str) -> Arc<Remote> {
    let settings = RemoteSettings::new(Some(ClusterSecret::parse(secret).unwrap()));
    let connect = Duration::from_secs(1);
    Arc::new(Remote::new(NODE, 8, address, &settings, connect).unwrap())
}

fn remote(address: &str) -> Arc<Remote> {
    remote_with(address, SECRET)
}

async fn faulty() -> (Arc<FakeNode>, Server, Arc<Remote>) {
    let fake = FakeNode::new(NODE);
    let server = Server::start(fake.clone(), "127.0.0.1:0").await;
    let remote = remote(&server.address);
    (fake, server, remote)
}

fn name(number: u64) -> ChunkName {
    conformance::name(1, number, 0)
}

fn cell(number: u64) -> Cell {
    let size = 1 + usize::try_from(number).unwrap() % 700;
    conformance::cells(name(number), size, size, 0).remove(0)
}

async fn put(remote: &Remote, number: u64) -> Result<CopyNumber, NodeError> {
    remote.put_cell(name(number), LeaseId(1), cell(number)).await
}

/// Starts puts, each in a task.
fn start_puts(
    remote: &Arc<Remote>,
    count: usize,
) -> Vec<tokio::task::JoinHandle<Result<CopyNumber, NodeError>>> {
    let puts = (0..count as u64).map(|number| {
        let remote = Arc::clone(remote);
        tokio::spawn(async move { put(&remote, number).await })
    });
    puts.collect()
}

fn is_unavailable<T>(answer: &Result<T, NodeError>) -> bool {
    matches!(answer, Err(NodeError::Unavailable(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_conforms() {
    let directory = tempfile::tempdir().unwrap();
    for (folder, by_cell) in [("calls", false), ("short", true)] {
        let path = directory.path().join(folder);
        std::fs::create_dir(&path).unwrap();
        let store = Store::open(&path, StoreOptions::default()).unwrap();
        store.set_node(NODE);
        let server = Server::start(Arc::new(store), "127.0.0.1:0").await;
        let remote = remote(&server.address);
        if by_cell {
            conformance::all(Arc::new(ByCell(remote.clone()))).await;
        } else {
            conformance::all(remote.clone()).await;
        }
        assert_eq!(remote.short_puts.unanswered(), 0);
        assert_eq!(remote.short_gets.unanswered(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_side_by_side_are_not_mixed_up_and_fail_alone() {
    let (fake, _server, remote) = faulty().await;
    let count = 3 * SHORT_CALLS_AT_ONCE as u64;
    let others = (0..count).filter(|number| number % 3 == 0);
    for number in others {
        let other =
            Cell { data: Bytes::from_static(b"other bytes"), checksum: 1, is_verified: false };
        fake.put_cell(name(number), LeaseId(1), other).await.unwrap();
    }
    let puts = join_all(start_puts(&remote, count as usize)).await;
    for (number, put) in (0_u64..).zip(puts) {
        let put = put.unwrap();
        let is_right = if number % 3 == 0 { put == Err(NodeError::Conflict) } else { put.is_ok() };
        assert!(is_right, "{number}: {put:?}");
    }
    let gets = (0..2 * count).map(|number| remote.get_cell(name(number), 0));
    for (number, get) in (0_u64..).zip(join_all(gets).await) {
        match get {
            Ok(found) if number % 3 == 0 => assert_eq!(&found.data[..], b"other bytes"),
            found if number < count => assert_eq!(found, Ok(cell(number))),
            found => assert_eq!(found, Err(NodeError::NotFound)),
        }
    }
    assert_eq!((remote.short_puts.unanswered(), remote.short_gets.unanswered()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_node_dies_every_waiting_call_fails_at_once() {
    let (fake, mut server, remote) = faulty().await;
    put(&remote, 9999).await.unwrap();
    fake.fail(Faults { hangs: true, ..Faults::default() });
    let puts = start_puts(&remote, 2 * SHORT_CALLS_AT_ONCE);
    while remote.short_puts.unanswered() < SHORT_CALLS_AT_ONCE {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(puts.iter().all(|put| !put.is_finished()));
    assert_eq!(remote.short_puts.unanswered(), SHORT_CALLS_AT_ONCE, "the others wait their turn");
    server.kill();
    for put in join_all(puts).await {
        assert!(is_unavailable(put.as_ref().unwrap()), "{put:?}");
    }
    assert!(is_unavailable(&put(&remote, 1).await), "nobody listens");
    fake.fail(Faults::default());
    let _again = Server::start(fake, &server.address).await;
    put(&remote, 1).await.unwrap();
    assert_eq!(remote.get_cell(name(1), 0).await, Ok(cell(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_held_fails_its_calls_by_its_silence() {
    let (_fake, server, remote) = faulty().await;
    put(&remote, 1).await.unwrap();
    let hold = server.hold();
    let held = Instant::now();
    let puts = join_all(start_puts(&remote, 10)).await;
    assert!(puts.iter().all(|put| is_unavailable(put.as_ref().unwrap())), "{puts:?}");
    assert!(held.elapsed() < Duration::from_mins(1), "{:?}", held.elapsed());
    drop(hold);
    assert_eq!(remote.get_cell(name(1), 0).await, Ok(cell(1)));
    put(&remote, 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_given_up_keeps_its_place_until_it_is_answered() {
    let (fake, _server, remote) = faulty().await;
    put(&remote, 1).await.unwrap();
    fake.fail(Faults { delay: Duration::from_secs(2), ..Faults::default() });
    let gets = (0..SHORT_CALLS_AT_ONCE).map(|_| async {
        let get = remote.get_cell(name(1), 0);
        tokio::time::timeout(Duration::from_millis(200), get).await
    });
    assert!(join_all(gets).await.iter().all(Result::is_err));
    assert_eq!(remote.short_gets.unanswered(), SHORT_CALLS_AT_ONCE);
    assert_eq!(remote.get_cell(name(1), 0).await, Ok(cell(1)));
    assert_eq!(remote.short_gets.unanswered(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_answers_what_runs_and_then_ends() {
    let (fake, server, remote) = faulty().await;
    put(&remote, 1).await.unwrap();
    fake.fail(Faults { delay: Duration::from_secs(1), ..Faults::default() });
    let get = remote.get_cell(name(1), 0);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.stop.cancel();
    };
    let (get, ()) = tokio::join!(get, stop);
    assert_eq!(get, Ok(cell(1)));
    server.ended.recv_timeout(Duration::from_mins(1)).unwrap();
    assert!(is_unavailable(&put(&remote, 2).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_on_the_stream() {
    let (fake, server, _) = faulty().await;
    let remote = remote_with(&server.address, &SECRET.replace("secret", "riddle"));
    assert_eq!(put(&remote, 1).await, Err(NodeError::Unauthenticated));
    assert_eq!(remote.get_cell(name(1), 0).await, Err(NodeError::Unauthenticated));
    assert_eq!(fake.chunk_count(), 0);
}

/// A node of before has no short calls, and is asked in calls of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_an_older_version_is_called_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path(), StoreOptions::default()).unwrap());
    let listener = listener("127.0.0.1:0").await;
    let address = listener.local_addr().unwrap().to_string();
    let older = tower::ServiceBuilder::new().map_request(|mut request: http::Request<Body>| {
        if request.uri().path().ends_with("/Short") {
            *request.uri_mut() = http::Uri::from_static("http://node/sixfold.node.v1.Node/Later");
        }
        request
    });
    let server = tonic::transport::Server::builder().layer(older.into_inner());
    let service = NodeServer::new(service(store));
    tokio::spawn(async move {
        server.serve_with_incoming(service, TcpListenerStream::new(listener)).await
    });
    let remote = remote(&address);
    for put in join_all(start_puts(&remote, 2 * SHORT_CALLS_AT_ONCE)).await {
        put.unwrap().unwrap();
    }
    let gets = join_all((0..100).map(|number| remote.get_cell(name(number), 0))).await;
    for (number, get) in (0..).zip(gets) {
        assert_eq!(get, Ok(cell(number)));
    }
    assert_eq!((remote.short_puts.unanswered(), remote.short_gets.unanswered()), (0, 0));
}
