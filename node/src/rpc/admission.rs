//! Who may call a node. There is no way to make one that lets everybody in: without a secret
//! there are certificates, and with them the authority that callers' must come from.

use sixfold_proto::secret::ClusterSecret;
use std::time::Duration;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What mutual TLS needs, in PEM.
#[derive(Clone)]
pub struct Certificates {
    /// The node's own certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The authority of the callers' certificates.
    pub authority: String,
}

impl Certificates {
    fn tls(self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(Identity::from_pem(self.certificate, self.key))
            .client_ca_root(Certificate::from_pem(self.authority))
            .client_auth_optional(false)
            .timeout(HANDSHAKE)
    }
}

/// What a call must show: the cluster secret, a certificate of the cluster's authority, or both.
#[derive(Clone, Debug)]
pub struct Admission {
    secret: Option<ClusterSecret>,
    tls: Option<ServerTlsConfig>,
}

impl Admission {
    /// Asks for the secret, and for a certificate too if `certificates` are given.
    pub fn by_secret(secret: ClusterSecret, certificates: Option<Certificates>) -> Self {
        Self { secret: Some(secret), tls: certificates.map(Certificates::tls) }
    }

    /// Asks for a certificate alone.
    pub fn by_certificate(certificates: Certificates) -> Self {
        Self { secret: None, tls: Some(certificates.tls()) }
    }

    pub(super) fn secret(&self) -> Option<&ClusterSecret> {
        self.secret.as_ref()
    }

    pub(super) fn tls(&self) -> Option<&ServerTlsConfig> {
        self.tls.as_ref()
    }
}
