//! Addresses of this machine: free ones, and whether a server answers there.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

/// A loopback address whose port is free now.
///
/// # Panics
/// When there is none.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
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
