//! The operations, driven as requests through the front end's parser, over the model of the rows
//! and nodes in memory. Signatures are not the matter here: the access check names the caller.

mod buckets;
mod compatibility;
mod conditions;
mod copies;
mod lists;
mod objects;
mod tags;
mod uploads;
mod versions;

use super::service::Service;
use crate::app::App;
use crate::auth::Caller;
use crate::data::{CurrentLease, Data, DataLimits};
use crate::meta::Meta;
use crate::meta::model::Model;
use crate::meta::types::{User, Versioning};
use crate::nodes::Directory;
use crate::nodes::fake::FakeNode;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Result};
use sixfold_proto::chunks::Chunks;
use sixfold_proto::name::{LeaseId, NodeNumber};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// A store with two users, `main` and `alt`, in `us-east-1`.
struct Store {
    service: S3Service,
    meta: Arc<Model>,
    nodes: Vec<Arc<FakeNode>>,
}

struct FixedLease(LeaseId);

impl CurrentLease for FixedLease {
    fn current(&self) -> LeaseId {
        self.0
    }
}

/// Takes the caller from a header: `main` without one.
struct NamedCaller(HashMap<String, User>);

#[async_trait::async_trait]
impl S3Access for NamedCaller {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let name = context.headers().get("x-caller").map_or("main", |name| name.to_str().unwrap());
        let user = self.0[name].clone();
        context.extensions_mut().insert(Caller { user, access_key: "key".to_owned() });
        Ok(())
    }
}

impl Store {
    async fn new() -> Self {
        Self::in_region("us-east-1").await
    }

    async fn in_region(region: &str) -> Self {
        let meta = Arc::new(Model::new());
        let mut nodes = Vec::new();
        let mut embedded: HashMap<NodeNumber, Arc<dyn Chunks>> = HashMap::new();
        for index in 0..6 {
            let drive = Uuid::from_u128(index + 1);
            let row = meta.register_node(drive, None, &format!("zone-{index}"), 1.0).await.unwrap();
            let node = FakeNode::new(row.number);
            embedded.insert(row.number, node.clone());
            nodes.push(node);
        }
        let cluster = meta.cluster_id().await.unwrap();
        let directory = Directory::new(cluster, meta.clone(), embedded);
        directory.refresh().await.unwrap();
        let lease = Arc::new(FixedLease(meta.begin_lease("test").await.unwrap()));
        let data = Data::new(directory, meta.clone(), lease.clone(), DataLimits::default());
        let app = Arc::new(App::new(region.to_owned(), meta.clone(), data, lease));

        let mut users = HashMap::new();
        for name in ["main", "alt"] {
            users.insert(name.to_owned(), meta.create_user(name).await.unwrap());
        }
        let mut builder = S3ServiceBuilder::new(Service::new(app));
        builder.set_auth(SimpleAuth::new());
        builder.set_access(NamedCaller(users));
        Self { service: builder.build(), meta, nodes }
    }

    /// A store with the bucket `bucket`.
    async fn with_bucket() -> Self {
        let store = Self::new().await;
        store.send("PUT", "/bucket", &[], "").await.expect(200);
        store
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body: Bytes = body.into();
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if !headers.iter().any(|header| header.0 == "content-length") {
            request = request.header("content-length", body.len());
        }
        for (name, value) in headers.iter().filter(|header| !header.1.is_empty()) {
            request = request.header(*name, *value);
        }
        let response = self.service.call(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        let body = body.map_err(|error| error.to_string());
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn put(&self, key: &str, body: impl Into<Bytes>) -> Answer {
        self.send("PUT", &format!("/bucket/{key}"), &[], body).await.expect(200)
    }

    async fn get(&self, key: &str) -> Answer {
        self.send("GET", &format!("/bucket/{key}"), &[], "").await
    }

    async fn set_versioning(&self, versioning: Versioning) {
        let bucket = self.meta.bucket("bucket").await.unwrap().unwrap();
        self.meta.set_versioning(bucket.id, versioning).await.unwrap();
    }
}

/// An answer, its body collected; `Err` when it was cut.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Result<Bytes, String>,
}

impl Answer {
    /// Fails the test on any other status.
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Fails the test on any other error.
    #[track_caller]
    fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.element("Code"), Some(code), "{}", answer.text());
        answer
    }

    #[track_caller]
    fn bytes(&self) -> Bytes {
        self.body.clone().unwrap()
    }

    fn text(&self) -> &str {
        self.body.as_ref().map_or("cut", |body| str::from_utf8(body).unwrap_or("binary"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The text of the first element of that name.
    fn element(&self, name: &str) -> Option<&str> {
        self.elements(name).first().copied()
    }

    /// The texts of all elements of that name.
    fn elements(&self, name: &str) -> Vec<&str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let pieces = self.text().split(&open).skip(1);
        pieces.filter_map(|piece| piece.split_once(&close)).map(|(text, _)| text).collect()
    }
}

/// Bytes that differ from place to place.
fn pattern(size: usize) -> Bytes {
    (0..size).map(|index| u8::try_from(index % 251).unwrap()).collect()
}
