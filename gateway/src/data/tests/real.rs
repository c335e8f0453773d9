//! The same path over real stores: in this process, and behind gRPC.

use super::{Body, Cluster, MIB, bytes, data_over, over};
use crate::data::{DataLimits, WriteError};
use crate::meta::Meta;
use crate::meta::model::Model;
use crate::nodes::{Directory, NodeLimits, RemoteSettings};
use sixfold_node::rpc::{Admission, Identity, NodeService, Registered, serve};
use sixfold_node::store::{Store, StoreOptions};
use sixfold_proto::chunks::Chunks;
use sixfold_proto::name::{LeaseId, NodeNumber};
use sixfold_proto::secret::ClusterSecret;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

const SECRET: &str = "a-secret-of-at-least-thirty-two-characters";

fn store(directory: &Path, number: u16) -> Store {
    let options = StoreOptions { node: NodeNumber(number), ..StoreOptions::default() };
    let path = directory.join(number.to_string());
    std::fs::create_dir_all(&path).unwrap();
    Store::open(&path, options).unwrap()
}

async fn written_and_checked(cluster: &Cluster) -> Vec<Body> {
    let mut bodies = Vec::new();
    for size in [1, 4096, MIB, 3 * MIB + 17] {
        let body = cluster.committed(&bytes(size)).await;
        cluster.check(&body).await;
        bodies.push(body);
    }
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_stores_keep_what_is_written() {
    let directory = TempDir::new().unwrap();
    let stores = (1..=6).map(|number| Arc::new(store(directory.path(), number)) as Arc<dyn Chunks>);
    let (model, data, bucket) = over(stores.collect(), DataLimits::default()).await;
    let cluster = Cluster { nodes: Vec::new(), model, data, bucket, movers: LeaseId(0) };
    written_and_checked(&cluster).await;
}

/// Six nodes behind gRPC on loopback, each in a task that can be aborted.
struct Remotes {
    cluster: Cluster,
    tasks: Vec<JoinHandle<()>>,
    _directory: TempDir,
}

async fn remotes(shown_secret: &str) -> Remotes {
    let directory = TempDir::new().unwrap();
    let model = Arc::new(Model::new());
    let mut tasks = Vec::new();
    for number in 1..=6 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let row = model.register_node(Uuid::new_v4(), Some(&address), "here", 1.0).await.unwrap();
        assert_eq!(row.number, NodeNumber(number));
        let identity = Identity::default();
        let registration = u64::try_from(row.registration).unwrap();
        identity.set(Registered { node: row.number, registration });
        let service = NodeService::new(Arc::new(store(directory.path(), number)), identity);
        let secret = ClusterSecret::parse(SECRET).unwrap();
        tasks.push(tokio::spawn(async move {
            serve(listener, service, Admission::by_secret(secret, None), std::future::pending())
                .await
                .unwrap();
        }));
    }
    let secret = Some(ClusterSecret::parse(shown_secret).unwrap());
    let settings = RemoteSettings { secret, tls: None };
    let id = model.cluster_id().await.unwrap();
    let rows = Arc::clone(&model) as Arc<dyn Meta>;
    let nodes =
        Directory::with_limits(id, rows, HashMap::new(), Some(settings), NodeLimits::default());
    let (data, bucket) = data_over(&model, nodes, DataLimits::default()).await;
    let cluster = Cluster { nodes: Vec::new(), model, data, bucket, movers: LeaseId(0) };
    Remotes { cluster, tasks, _directory: directory }
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_nodes_keep_what_is_written_and_two_may_stop() {
    let remotes = remotes(SECRET).await;
    let bodies = written_and_checked(&remotes.cluster).await;
    for task in &remotes.tasks[..2] {
        task.abort();
    }
    for body in &bodies {
        remotes.cluster.check(body).await;
    }
    for size in [1, 3 * MIB + 17] {
        let body = remotes.cluster.committed(&bytes(size)).await;
        remotes.cluster.check(&body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_stores_nothing() {
    let remotes = remotes(&SECRET.replace("secret", "riddle")).await;
    let outcome = remotes.cluster.write(&bytes(1000)).await;
    assert!(matches!(outcome, Err(WriteError::TooFewNodes(_))));
}
