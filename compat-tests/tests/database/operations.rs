//! Operations of which another gateway can say afterwards whether they were done.

use compat_tests::raw::Request;

use super::Cluster;

/// Each touches the database in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Put,
    PutIfNoneMatch,
    Get,
    List,
    Delete,
    Copy,
    CreateUpload,
    UploadPart,
    Complete,
    Abort,
}

impl Operation {
    pub(super) const ALL: [Self; 10] = [
        Self::Put,
        Self::PutIfNoneMatch,
        Self::Get,
        Self::List,
        Self::Delete,
        Self::Copy,
        Self::CreateUpload,
        Self::UploadPart,
        Self::Complete,
        Self::Abort,
    ];

    /// Whether a refusal of it says that nothing was done: one that is unknown is resolved.
    pub(super) fn is_resolved(self) -> bool {
        matches!(self, Self::Put | Self::PutIfNoneMatch | Self::UploadPart | Self::Complete)
    }
}

/// An operation on a key of its own.
pub(super) struct Prepared {
    pub(super) operation: Operation,
    key: String,
    body: Vec<u8>,
    pub(super) request: Request,
    upload: String,
}

/// Does what the operation needs to be there, through the gateway with the good way.
pub(super) async fn prepare(cluster: &Cluster, operation: Operation, number: usize) -> Prepared {
    let key = format!("/rows/key-{number}");
    // Large enough for a row of an extent and chunks on all nodes.
    let body = format!("body {number} ").repeat(3000).into_bytes();
    let put = Request::put(&key).body(body.clone());
    let needs_object = matches!(operation, Operation::Get | Operation::List | Operation::Delete);
    if needs_object {
        cluster.ask(put.clone()).await.expect_status(200);
    }
    let mut upload = String::new();
    if matches!(operation, Operation::UploadPart | Operation::Complete | Operation::Abort) {
        let begun = cluster.ask(Request::post(&format!("{key}?uploads"))).await;
        upload = begun.expect_status(200).element("UploadId");
    }
    let of_upload = format!("{key}?uploadId={upload}");
    let part = Request::put(&format!("{of_upload}&partNumber=1")).body(body.clone());
    let request = match operation {
        Operation::Put => put,
        Operation::PutIfNoneMatch => put.header("if-none-match", "*"),
        Operation::Get => Request::get(&key),
        Operation::List => Request::get(&format!("/rows?list-type=2&prefix=key-{number}")),
        Operation::Delete => Request::delete(&key),
        Operation::Copy => {
            let source = format!("{key}-source");
            cluster.ask(Request::put(&source).body(body.clone())).await.expect_status(200);
            Request::put(&key).header("x-amz-copy-source", &source)
        }
        Operation::CreateUpload => Request::post(&format!("{key}?uploads")),
        Operation::UploadPart => part,
        Operation::Complete => {
            let stored = cluster.ask(part).await.expect_status(200);
            let etag = stored.header("etag").unwrap();
            let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
            let list = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
            Request::post(&of_upload).body(list)
        }
        Operation::Abort => Request::delete(&of_upload),
    };
    Prepared { operation, key, body, request, upload }
}

impl Prepared {
    /// Whether it was done, as the gateway with the good way sees it; half done is a failure.
    pub(super) async fn is_done(&self, cluster: &Cluster) -> bool {
        let of_upload = Request::get(&format!("{}?uploadId={}", self.key, self.upload));
        match self.operation {
            Operation::Get | Operation::List => true,
            Operation::Delete => !self.is_there(cluster).await,
            Operation::CreateUpload => {
                let prefix = self.key.trim_start_matches("/rows/");
                let list = Request::get(&format!("/rows?uploads&prefix={prefix}"));
                !cluster.ask(list).await.expect_status(200).element("UploadId").is_empty()
            }
            Operation::UploadPart => {
                let parts = cluster.ask(of_upload).await.expect_status(200);
                parts.element("Size") == self.body.len().to_string()
            }
            Operation::Abort => cluster.ask(of_upload).await.status == 404,
            _ => self.is_there(cluster).await,
        }
    }

    async fn is_there(&self, cluster: &Cluster) -> bool {
        let got = cluster.ask(Request::get(&self.key)).await;
        if got.status == 404 {
            return false;
        }
        assert!(got.expect_status(200).body == self.body, "{}: other bytes", self.key);
        true
    }
}
