//! `sixfold-node --health`: whether the node on this machine answers, for containers, which have no
//! gRPC client. It calls as a gateway would, with the same secret or certificate.

use crate::config::{Arguments, Probed};
use anyhow::{Context, ensure};
use sixfold_proto::node_v1::node_client::NodeClient;
use sixfold_proto::node_v1::{HealthReply, HealthRequest};
use sixfold_proto::secret::{ClusterSecret, SECRET_METADATA_KEY};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tonic::Request;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// How long connecting and the answer may take together.
const PATIENCE: Duration = Duration::from_secs(5);

/// What any node answers to.
const ANY_NODE: u32 = 0;

/// Asks, and prints the answer. A fenced drive is an error: it takes nothing until somebody has
/// looked at it. A full one is not.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let probed = Probed::from_arguments(arguments)?;
    let address = reachable(probed.listen);
    let answer = tokio::time::timeout(PATIENCE, ask(&probed, address)).await;
    let answer = answer.with_context(|| format!("{address} does not answer"))??;
    ensure!(answer.state != "fenced", "{address}: the drive is fenced: look at it");
    println!("{}, {} chunks, {} bytes free", answer.state, answer.chunk_count, answer.free_bytes);
    Ok(())
}

async fn ask(probed: &Probed, address: SocketAddr) -> anyhow::Result<HealthReply> {
    let scheme = if probed.tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?;
    if let Some(tls) = &probed.tls {
        let tls = ClientTlsConfig::new()
            .identity(Identity::from_pem(&tls.certificate, &tls.key))
            .ca_certificate(Certificate::from_pem(&tls.authority))
            .domain_name(&probed.host);
        endpoint = endpoint.tls_config(tls)?;
    }
    let channel = endpoint.connect().await;
    let channel = channel.with_context(|| format!("can't connect to {address}"))?;
    let mut request = Request::new(HealthRequest { node_number: ANY_NODE });
    if let Some(value) = probed.secret.as_ref().and_then(ClusterSecret::metadata_value) {
        request.metadata_mut().insert(SECRET_METADATA_KEY, value);
    }
    let answer = NodeClient::new(channel).health(request).await;
    Ok(answer.with_context(|| format!("{address} refused"))?.into_inner())
}

/// Where a process on this machine is asked that listens there: on every address of the machine the
/// loopback is one of them.
pub fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listening.port())
}
