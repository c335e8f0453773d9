//! `sixfold health`: whether the server or gateway on this machine is ready, for containers, which
//! have no curl. It asks the admin address what a load balancer would ask, and its exit code is the
//! answer.

use crate::config::{Config, Flags};
use crate::role::say::say;
use anyhow::{Context, bail};
use clap::Args;
use sixfold_node::probe::reachable;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take; a probe costs the other side one load.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is read of an answer at most: a status line, some headers and a reason.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;

/// Which process is asked, and what.
#[derive(Args, Debug)]
#[expect(clippy::doc_markdown, reason = "--help shows these lines as they stand")]
pub struct Arguments {
    /// The process's admin address [env: SIXFOLD_ADMIN_ADDRESS] [default: 127.0.0.1:9001]
    #[arg(long, value_name = "HOST:PORT")]
    admin_address: Option<String>,
    /// Only whether the process lives, whatever becomes of its database and nodes
    #[arg(long)]
    live: bool,
}

/// Prints the answer; an error is a process that is not ready, or not there.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let flags = Flags { admin_address: arguments.admin_address, ..Flags::default() };
    let config = Config::load(&flags, &super::environment)?;
    let address = reachable(config.http.admin_address);
    let path = if arguments.live { "/health/live" } else { "/health/ready" };
    let answer = tokio::time::timeout(PATIENCE, ask(address, path));
    let answer = answer.await.with_context(|| format!("{address} does not answer"))?;
    let answer = answer.with_context(|| format!("{address} can't be asked"))?;
    let (is_good, said) = understand(&answer);
    if !is_good {
        bail!("{address}: {said}");
    }
    say!("{said}")?;
    Ok(())
}

async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether the status is 200, and the reason in the body.
fn understand(answer: &str) -> (bool, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let is_good = head.starts_with("HTTP/1.1 200 ");
    let said = body.trim();
    (is_good, if said.is_empty() { head.lines().next().unwrap_or("no answer") } else { said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_200_is_good_and_reasons_are_told() {
        let ready = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n";
        assert_eq!(understand(ready), (true, "ready"));
        let refused = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\r\nstarting\n";
        assert_eq!(understand(refused), (false, "starting"));
        assert_eq!(understand("HTTP/1.1 2000 OK\r\n\r\n"), (false, "HTTP/1.1 2000 OK"));
        assert_eq!(understand(""), (false, "no answer"));
    }

    #[test]
    fn every_address_is_asked_at_the_loopback() {
        for (listening, asked) in [
            ("0.0.0.0:9001", "127.0.0.1:9001"),
            ("[::]:9001", "[::1]:9001"),
            ("10.1.2.3:1", "10.1.2.3:1"),
        ] {
            assert_eq!(reachable(listening.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_that_names_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let arguments = Arguments { admin_address: Some(address.to_string()), live: false };
        let error = format!("{:#}", run(arguments).await.unwrap_err());
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
