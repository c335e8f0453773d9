//! A client that compares everything with a model of its own, and a second user that may touch
//! nothing of the first one's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use compat_tests::clients::{folder, program, run};
use compat_tests::cluster::{Form, Plan, Server, binary};
use compat_tests::raw::Request;

/// A new user's access key and secret key.
fn new_user(server: &Server, name: &str) -> (String, String) {
    let meta: &Path = &server.folder().join("meta");
    let mut command = Command::new(binary("sixfold"));
    command.args(["key", "create", "--json", "--name", name, "--dir"]).arg(meta);
    let output = command.output().expect("sixfold key create");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |name: &str| {
        let (_, rest) = text.split_once(&format!("\"{name}\": \"")).unwrap_or_else(|| {
            panic!("no {name} in {text}{}", String::from_utf8_lossy(&output.stderr))
        });
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    (field("access_key"), field("secret_key"))
}

/// The domain of virtual-host style; nobody has to resolve it.
const DOMAIN: &str = "s3.compat.test";

async fn virtual_hosts(server: &Server) {
    let send = async |request: Request, host: &str| {
        request.sign(&server.signer(), host).send(server.address()).await
    };
    let bucket = format!("virtual.{DOMAIN}");
    send(Request::put("/"), &bucket).await.expect_status(200);
    for key in ["/k", "/a//b/../c%20d%2Be", "//"] {
        send(Request::put(key).body("body"), &bucket).await.expect_status(200);
        let by_path = format!("/virtual{key}");
        for host in [DOMAIN, "anything:9000", "127.0.0.1"] {
            let got = send(Request::get(&by_path), host).await.expect_status(200);
            assert_eq!(got.text(), "body", "{host} {key}");
        }
        for host in [&bucket, &bucket.to_uppercase(), &format!("{bucket}:9000")] {
            let got = send(Request::get(key), host).await.expect_status(200);
            assert_eq!(got.text(), "body", "{host} {key}");
        }
        send(Request::delete(key), &bucket).await.expect_status(204);
    }
    let list = send(Request::get("/?list-type=2"), &bucket).await.expect_status(200);
    assert_eq!(
        (list.element("Name").as_str(), list.element("KeyCount").as_str()),
        ("virtual", "0")
    );
    let none = send(Request::get("/k"), &format!("absent.{DOMAIN}")).await;
    assert_eq!(none.outcome(), (404, "NoSuchBucket".to_owned()));
    send(Request::delete("/"), &bucket).await.expect_status(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_have_hosts_of_their_own() {
    let plan = Plan::new(Form::Embedded).set("SIXFOLD_DOMAIN", DOMAIN);
    let server = tokio::task::block_in_place(|| plan.start());
    virtual_hosts(&server).await;
}

#[test]
fn an_exacting_client_finds_nothing() {
    let server = Server::start(Form::Embedded);
    let (access_key, secret_key) = new_user(&server, "alt");
    let mut command = Command::new(folder().join("newest/bin/python"));
    command.arg(program("python/exacting.py"));
    command.env("ALT_ACCESS_KEY", access_key).env("ALT_SECRET_KEY", secret_key);
    run(&server, "exacting", &mut command);
}
