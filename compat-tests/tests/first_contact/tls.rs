//! TLS and virtual-host style through real clients: curl, openssl and boto3.

use crate::place::{Place, answer};
use compat_tests::clients;
use compat_tests::cluster::{ACCESS_KEY, Process, SECRET_KEY};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Buckets are `BUCKET.s3.localhost` in the test.
const DOMAIN: &str = "s3.localhost";

/// A certificate authority and what it signs, made by openssl.
struct Authority(PathBuf);

impl Authority {
    fn new(folder: &Path) -> Self {
        let authority = Self(folder.to_owned());
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=Test \
             -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem",
        );
        authority
    }

    /// Writes `cert.pem` and `key.pem` anew.
    fn sign(&self) {
        self.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=sixfold \
             -keyout key.pem -out request.pem",
        );
        let names = format!("subjectAltName=DNS:{DOMAIN},DNS:*.{DOMAIN},IP:127.0.0.1");
        std::fs::write(self.0.join("names"), names).unwrap();
        self.openssl(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -days 2 -extfile names \
             -out cert.pem",
        );
    }

    fn openssl(&self, line: &str) {
        answer(Command::new("openssl").args(line.split_whitespace()).current_dir(&self.0));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// The serial number of the certificate that a server shows.
fn serial(address: &str) -> String {
    let shown = Command::new("openssl")
        .args(["s_client", "-connect", address])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), shown.stdout).unwrap();
    answer(Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(file.path()))
}

fn wait_for(process: &Process, line: &str) {
    let until = Instant::now() + Duration::from_secs(40);
    while !process.log_tail().contains(line) {
        assert!(Instant::now() < until, "{line:?} is not in {}", process.log_tail());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn https_works_and_a_renewed_certificate_needs_no_restart() {
    let place = Place::new();
    let authority = Authority::new(place.folder.path());
    authority.sign();
    let mut command = place.server();
    command.arg("--tls-cert").arg(authority.file("cert.pem"));
    command.arg("--tls-key").arg(authority.file("key.pem"));
    command.env("SIXFOLD_ROOT_ACCESS_KEY", ACCESS_KEY).env("SIXFOLD_ROOT_SECRET_KEY", SECRET_KEY);
    command.env("SIXFOLD_DOMAIN", DOMAIN);
    let mut process = place.start(&mut command);
    let ca = authority.file("ca.pem");
    assert_eq!(http_version(&place, &ca, "--http2"), "2", "by ALPN");
    assert_eq!(http_version(&place, &ca, "--http1.1"), "1.1");
    let stranger = Command::new("curl")
        .args(["-sS", &format!("https://{}/minio/health/live", place.address)])
        .output()
        .unwrap();
    assert!(!stranger.status.success(), "the certificate is checked");
    boto3(&place, &ca);

    let before = serial(&place.address);
    authority.sign();
    wait_for(&process, "was read again");
    let renewed = serial(&place.address);
    assert_ne!(before, renewed);
    std::fs::write(authority.file("cert.pem"), "half a certifi").unwrap();
    wait_for(&process, "is not used");
    assert_eq!(serial(&place.address), renewed);
    assert_eq!(http_version(&place, &ca, "--http2"), "2");
    assert!(process.stop().success());
}

fn http_version(place: &Place, ca: &Path, flag: &str) -> String {
    let url = format!("https://{}/minio/health/live", place.address);
    let wanted = ["-sS", "--fail", flag, "-o", "/dev/null", "-w", "%{http_version}", &url];
    answer(Command::new("curl").arg("--cacert").arg(ca).args(wanted))
}

/// boto3 in both styles, and links that curl opens.
fn boto3(place: &Place, ca: &Path) {
    let port = place.address.rsplit(':').next().unwrap();
    let mut command = Command::new(clients::folder().join("newest/bin/python"));
    command.arg("-c").arg(include_str!("tls.py")).arg(format!("https://{DOMAIN}:{port}"));
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.env("AWS_CA_BUNDLE", ca).env("AWS_REGION", "us-east-1");
    let links = answer(&mut command);
    assert_eq!(links.lines().count(), 2, "{links}");
    for link in links.lines() {
        let text =
            answer(Command::new("curl").args(["-sS", "--fail", "--cacert"]).arg(ca).arg(link));
        assert_eq!(text, "over TLS", "{link}");
    }
}
