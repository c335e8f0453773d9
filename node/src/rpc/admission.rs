//! Who may call a node. There is no way to make one that lets everybody in.

use sixfold_proto::secret::ClusterSecret;
use tonic::transport::ServerTlsConfig;

/// What a call must show: the cluster secret, a certificate of the cluster's authority, or both.
#[derive(Clone, Debug)]
pub struct Admission {
    secret: Option<ClusterSecret>,
    tls: Option<ServerTlsConfig>,
}

impl Admission {
    /// Asks for the secret, and for a certificate too if `tls` is given.
    pub fn by_secret(secret: ClusterSecret, tls: Option<ServerTlsConfig>) -> Self {
        Self { secret: Some(secret), tls }
    }

    /// Asks for a certificate alone; `tls` must name the authority of the callers'.
    pub fn by_certificate(tls: ServerTlsConfig) -> Self {
        Self { secret: None, tls: Some(tls) }
    }

    pub(super) fn secret(&self) -> Option<&ClusterSecret> {
        self.secret.as_ref()
    }

    pub(super) fn tls(&self) -> Option<&ServerTlsConfig> {
        self.tls.as_ref()
    }
}
