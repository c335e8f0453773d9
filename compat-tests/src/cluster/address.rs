//! Addresses of this machine: free ones, and whether a server answers there.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Ports below those that the system gives to connections that go out: one that is free now is
/// not taken by a connection before a process that was just told to listens on it.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// A loopback address whose port is free now, and that no other call in this process gets soon.
///
/// # Panics
/// When there is none.
pub fn free_address() -> String {
    static NEXT: OnceLock<AtomicU32> = OnceLock::new();
    // Other test processes begin elsewhere.
    let next = NEXT.get_or_init(|| AtomicU32::new(RandomState::new().hash_one(0) as u32));
    for _ in PORTS {
        let port = PORTS.start + next.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
    panic!("no free port");
}

/// Whether `GET /health/ready` answers 200.
pub fn is_ready(address: &str) -> bool {
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let request =
        format!("GET /health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    let sent = stream.write_all(request.as_bytes());
    sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}
