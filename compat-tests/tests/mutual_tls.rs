//! Mutual TLS between the gateway and the nodes, with certificates made by `openssl` on the spot:
//! the right ones work, none and foreign ones get nothing; with the cluster secret and without it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use compat_tests::cluster::{CLUSTER_SECRET, Form, Plan, Process, Server, free_address};
use compat_tests::objects::Body;
use compat_tests::raw::{Connection, Request};

/// The files of one authority and of a certificate that it signed.
struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    fn make(folder: PathBuf) -> Self {
        std::fs::create_dir(&folder).unwrap();
        let made = Self { folder };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];
        let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=authority"];
        made.openssl(&[&authority[..], &key, &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
        let names = "subjectAltName=IP:127.0.0.1,DNS:localhost";
        let request = ["req", "-subj", "/CN=sixfold", "-addext", names];
        made.openssl(&[&request[..], &key, &["-keyout", "own.key", "-out", "own.csr"]].concat());
        let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        let sign = ["x509", "-req", "-days", "2", "-copy_extensions", "copy"];
        made.openssl(&[&sign[..], &by, &["-in", "own.csr", "-out", "own.pem"]].concat());
        made
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.folder).output();
        let output = output.expect("openssl must be installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

/// Starts a second gateway beside the server's, with its own certificates.
fn gateway_with(server: &Server, name: &str, files: [&str; 3]) -> (Process, String, PathBuf) {
    let (address, admin) = (free_address(), free_address());
    let mut command = server.gateway_command_at(&address, &admin);
    let settings =
        ["SIXFOLD_CLUSTER_TLS_CERT", "SIXFOLD_CLUSTER_TLS_KEY", "SIXFOLD_CLUSTER_TLS_CA"];
    command.envs(settings.into_iter().zip(files));
    // Whatever it shows beside its certificates is not what it lacks.
    command.env("SIXFOLD_CLUSTER_SECRET", CLUSTER_SECRET);
    let log = server.folder().join(format!("{name}.log"));
    (Process::start(name, &mut command, &log), address, log)
}

async fn wait_until_open(address: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while Connection::open(address).await.is_err() {
        assert!(Instant::now() < until, "nobody listens on {address}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// This gateway can neither write nor read, and its log says why.
async fn gets_nothing(server: &Server, address: &str, log: &Path, why: &str) {
    wait_until_open(address).await;
    let put = Request::put("/tls/refused").body(vec![1; 100_000]);
    for request in [put, Request::get("/tls/kept")] {
        let answer = request.sign(&server.signer(), address).send(address).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    let said = std::fs::read_to_string(log).unwrap();
    assert!(said.contains(why), "no `{why}` in:\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_the_same_authority_are_served() {
    served_by_certificate(|plan| plan).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_enough_without_a_cluster_secret() {
    served_by_certificate(|plan| plan.set("SIXFOLD_CLUSTER_SECRET", "")).await;
}

async fn served_by_certificate(with: impl FnOnce(Plan) -> Plan) {
    let folder = tempfile::tempdir().unwrap();
    let own = Certificates::make(folder.path().join("own"));
    let foreign = Certificates::make(folder.path().join("foreign"));
    let (cert, key, ca) = (own.path("own.pem"), own.path("own.key"), own.path("ca.pem"));
    let plan = Plan::new(Form::Separate)
        .node_arguments(&["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca])
        .set("SIXFOLD_CLUSTER_TLS_CERT", &cert)
        .set("SIXFOLD_CLUSTER_TLS_KEY", &key)
        .set("SIXFOLD_CLUSTER_TLS_CA", &ca);
    let server = with(plan).start();
    let bucket = Request::put("/tls").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    let body = Body::new(1, 3_000_000);
    body.put(server.address(), &server.signer(), "/tls/kept").await.unwrap();
    body.check(server.address(), &server.signer(), "/tls/kept").await.unwrap();
    assert!(server.node_list().iter().all(|node| {
        node["address"].as_str().is_some_and(|address| address.starts_with("https://"))
    }));

    let (_none, address, log) = gateway_with(&server, "none", ["", "", ""]);
    gets_nothing(&server, &address, &log, "it wants mutual TLS").await;

    // The nodes are who they should be; this gateway is not.
    let files = [&foreign.path("own.pem"), &foreign.path("own.key"), &ca];
    let (_stranger, address, log) = gateway_with(&server, "stranger", files.map(String::as_str));
    gets_nothing(&server, &address, &log, "chunks were not stored").await;

    // This gateway could be one of them, but takes these nodes for impostors.
    let files = [&cert, &key, &foreign.path("ca.pem")];
    let (_wary, address, log) = gateway_with(&server, "wary", files.map(String::as_str));
    gets_nothing(&server, &address, &log, "certificate").await;

    body.check(server.address(), &server.signer(), "/tls/kept").await.unwrap();
}
