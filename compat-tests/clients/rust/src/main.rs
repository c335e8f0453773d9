//! The AWS SDK for Rust.
//!
//! Environment: `S3_ENDPOINT`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `BUCKET`.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete,
    ObjectIdentifier,
};
use aws_smithy_http_client::Builder;

const MIB: usize = 1 << 20;

struct Check {
    client: Client,
    bucket: String,
    big: Vec<u8>,
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

#[track_caller]
fn refused<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    status: u16,
    result: Result<T, SdkError<E>>,
) {
    let error = result.expect_err("a refusal");
    let got = error.raw_response().expect("an answer").status().as_u16();
    assert_eq!(got, status, "{error:?}");
}

impl Check {
    async fn put(&self, key: &str, body: impl Into<ByteStream>) -> String {
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(body.into());
        put.send().await.unwrap().e_tag.unwrap()
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        let got = self.client.get_object().bucket(&self.bucket).key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    async fn objects(&self) {
        let client = &self.client;
        client.create_bucket().bucket(&self.bucket).send().await.unwrap();
        client.head_bucket().bucket(&self.bucket).send().await.unwrap();
        let listed = client.list_buckets().send().await.unwrap();
        assert!(listed.buckets().iter().any(|b| b.name() == Some(&self.bucket)));
        let etag = self.put("dir/hello.txt", b"hello sixfold".to_vec()).await;
        assert_eq!(etag.len(), 34);
        assert_eq!(self.get("dir/hello.txt").await, b"hello sixfold");
        let odd = "grüße/日本 + &.txt";
        self.put(odd, self.big.clone()).await;
        assert!(self.get(odd).await == self.big);
        let part = client.get_object().bucket(&self.bucket).key("dir/hello.txt");
        let part = part.range("bytes=6-8").send().await.unwrap();
        assert_eq!(part.content_length(), Some(3));
        assert_eq!(part.body.collect().await.unwrap().to_vec(), b"six");
        let none = client.get_object().bucket(&self.bucket).key("none").send().await;
        assert!(none.unwrap_err().into_service_error().is_no_such_key());
    }

    async fn conditions(&self) {
        let put = || self.client.put_object().bucket(&self.bucket).key("once");
        let etag = put().if_none_match("*").send().await.unwrap().e_tag.unwrap();
        refused(412, put().if_none_match("*").send().await);
        refused(412, put().if_match("\"no\"").send().await);
        put().if_match(etag).body(b"2".to_vec().into()).send().await.unwrap();
        assert_eq!(self.get("once").await, b"2");
    }

    async fn checksums(&self) {
        let object = || self.client.get_object().bucket(&self.bucket).key("sum");
        for algorithm in [
            ChecksumAlgorithm::Crc32,
            ChecksumAlgorithm::Crc32C,
            ChecksumAlgorithm::Crc64Nvme,
            ChecksumAlgorithm::Sha1,
            ChecksumAlgorithm::Sha256,
        ] {
            let put = self.client.put_object().bucket(&self.bucket).key("sum");
            let body = ByteStream::from(self.big[..70_000].to_vec());
            put.checksum_algorithm(algorithm).body(body).send().await.unwrap();
            let got = object().checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
            let sums = [
                got.checksum_crc32(),
                got.checksum_crc32_c(),
                got.checksum_crc64_nvme(),
                got.checksum_sha1(),
                got.checksum_sha256(),
            ];
            assert_eq!(sums.iter().flatten().count(), 1, "{sums:?}");
            assert_eq!(got.body.collect().await.unwrap().to_vec(), self.big[..70_000]);
        }
        let wrong = self.client.put_object().bucket(&self.bucket).key("wrong");
        let wrong = wrong.checksum_crc32("AAAAAA==").body(b"x".to_vec().into());
        refused(400, wrong.send().await);
    }

    async fn multipart(&self) {
        let client = &self.client;
        let create = client.create_multipart_upload().bucket(&self.bucket).key("big");
        let upload = create.send().await.unwrap().upload_id.unwrap();
        let mut done = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(self.big.chunks(5 * MIB)) {
            let put = client.upload_part().bucket(&self.bucket).key("big").upload_id(&upload);
            let put = put.part_number(number).body(part.to_vec().into()).send().await.unwrap();
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(put.e_tag)
                .set_checksum_crc32(put.checksum_crc32)
                .build();
            done = done.parts(part);
        }
        let complete = client.complete_multipart_upload().bucket(&self.bucket).key("big");
        let complete = complete.upload_id(&upload).multipart_upload(done.build());
        assert!(complete.send().await.unwrap().e_tag.unwrap().ends_with("-3\""));
        assert!(self.get("big").await == self.big);

        let create = client.create_multipart_upload().bucket(&self.bucket).key("aborted");
        let upload = create.send().await.unwrap().upload_id.unwrap();
        let abort = client.abort_multipart_upload().bucket(&self.bucket).key("aborted");
        abort.upload_id(&upload).send().await.unwrap();
        let parts = client.list_parts().bucket(&self.bucket).key("aborted").upload_id(&upload);
        refused(404, parts.send().await);
    }

    async fn presigned(&self) {
        let expires = || PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
        let get = self.client.get_object().bucket(&self.bucket).key("dir/hello.txt");
        let link = get.presigned(expires()).await.unwrap();
        let got = std::process::Command::new("curl").args(["-sS", "--fail", link.uri()]).output();
        assert_eq!(got.unwrap().stdout, b"hello sixfold");
        let put = self.client.put_object().bucket(&self.bucket).key("by link");
        let link = put.presigned(expires()).await.unwrap();
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sS", "--fail", "-X", "PUT", "--data-binary", "by link", link.uri()]);
        for (name, value) in link.headers() {
            curl.args(["-H", &format!("{name}: {value}")]);
        }
        assert!(curl.status().unwrap().success());
        assert_eq!(self.get("by link").await, b"by link");
    }

    async fn lists_and_deletes(&self) {
        let client = &self.client;
        let copy = client.copy_object().bucket(&self.bucket).key("copy");
        copy.copy_source(format!("{}/dir/hello.txt", self.bucket)).send().await.unwrap();
        let mut keys = Vec::new();
        let list = client.list_objects_v2().bucket(&self.bucket).max_keys(3);
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents().iter().filter_map(|o| o.key.clone()));
        }
        let expected =
            ["big", "by link", "copy", "dir/hello.txt", "grüße/日本 + &.txt", "once", "sum"];
        assert_eq!(keys, expected);
        let gone = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
        let gone = Delete::builder().set_objects(Some(gone.collect())).build().unwrap();
        let deleted = client.delete_objects().bucket(&self.bucket).delete(gone).send().await;
        assert_eq!(deleted.unwrap().deleted().len(), keys.len());
        client.delete_bucket().bucket(&self.bucket).send().await.unwrap();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (access, secret) = (setting("AWS_ACCESS_KEY_ID"), setting("AWS_SECRET_ACCESS_KEY"));
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(Builder::new().build_http())
        .credentials_provider(Credentials::new(access, secret, None, None, "compat-tests"))
        .region(Region::new("us-east-1"))
        .endpoint_url(setting("S3_ENDPOINT"))
        .force_path_style(true)
        .build();
    let big = (0..12 * MIB + 5).map(|at| (at % 251) as u8).collect();
    let check = Check { client: Client::from_conf(config), bucket: setting("BUCKET"), big };
    println!("step: objects");
    check.objects().await;
    println!("step: conditions");
    check.conditions().await;
    println!("step: checksums");
    check.checksums().await;
    println!("step: multipart");
    check.multipart().await;
    println!("step: presigned links");
    check.presigned().await;
    println!("step: lists and deletes");
    check.lists_and_deletes().await;
}
