//! TLS for the listeners: rustls with ring. Certificate and key are read again when their files
//! change, so a renewed certificate needs no restart.

use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Accepts TLS on connections; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
}

/// The certificate in use, and where it came from.
#[derive(Debug)]
struct Current {
    certificate: PathBuf,
    key: PathBuf,
    pair: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair.load_full())
    }
}

impl Tls {
    /// Reads both files; the error names the one that is wrong.
    pub fn load(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let current = Arc::new(Current {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            pair: ArcSwap::from_pointee(read_pair(certificate, key)?),
        });
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), current })
    }

    /// Shakes hands.
    pub async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// When the certificate in use ends, in seconds since 1970.
    pub fn ends(&self) -> Option<u64> {
        sixfold_node::certificate::ends(self.current.pair.load().cert.first()?)
    }

    /// Looks at the files until `stop`. A pair that can't be read leaves the old one in use.
    pub async fn reload_when_changed(self, stop: CancellationToken) {
        let mut seen = self.current.modified();
        let mut refused = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(RELOAD_INTERVAL) => {}
                () = stop.cancelled() => return,
            }
            let now = self.current.modified();
            if now == seen {
                continue;
            }
            match read_pair(&self.current.certificate, &self.current.key) {
                Ok(pair) => {
                    seen = now;
                    self.current.pair.store(Arc::new(pair));
                    tracing::info!("the TLS certificate was read again");
                }
                // The two files are replaced one after the other: try again at the next look,
                // and say it once.
                Err(error) if refused != Some(now) => {
                    refused = Some(now);
                    tracing::warn!("the changed TLS certificate is not used: {error:#}");
                }
                Err(_) => {}
            }
        }
    }
}

impl Current {
    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).ok()?.modified().ok())
    }
}

fn read_pair(certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| mend("certificate", certificate, "the chain, the server's own first"))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "{} holds no certificate: --tls-cert takes the chain in PEM, the server's own first",
        certificate.display()
    );
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| mend("key", key, "the private key without a passphrase"))?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).with_context(|| {
        let (key, certificate) = (key.display(), certificate.display());
        format!("{key} does not belong to {certificate}: name the key that it was made with")
    })
}

fn mend(what: &str, path: &Path, wanted: &str) -> String {
    let uid = rustix::process::geteuid().as_raw();
    format!(
        "can't read the TLS {what} {} as uid {uid}; it must be PEM and hold {wanted}",
        path.display()
    )
}
