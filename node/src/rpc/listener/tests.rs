use super::*;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LIMITS: Limits = Limits { connections: 2, admitted_within: Duration::from_secs(2) };

/// A listener out of descriptors goes on when there are some again.
#[tokio::test]
async fn f33_a_failed_accept_does_not_end_the_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = tokio::spawn(TcpStream::connect(address));
    let mut failures = 3;
    let accepted = next(|| {
        let fails = failures > 0;
        failures -= i32::from(fails);
        let accept = listener.accept();
        async move { if fails { Err(rustix::io::Errno::MFILE.into()) } else { accept.await } }
    })
    .await;
    let client = client.await.unwrap().unwrap();
    assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
}

#[tokio::test]
async fn a_connection_without_an_admitted_call_is_cut_and_gives_its_place_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = Box::pin(incoming(listener, LIMITS));
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(TcpStream::connect(address).await.unwrap());
    }
    let mut taken = async || futures::StreamExt::next(&mut incoming).await.unwrap().unwrap();
    let (mut silent, mut admitted) = (taken().await, taken().await);
    admitted.connect_info().set();
    let third = tokio::time::timeout(LIMITS.admitted_within, taken()).await;
    assert!(third.is_err(), "two places, three connections");

    // Bytes alone are no proof.
    clients[0].write_all(&[0; 3]).await.unwrap();
    let started = Instant::now();
    let read = async {
        let mut bytes = Vec::new();
        silent.read_to_end(&mut bytes).await
    };
    assert_eq!(read.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(started.elapsed() < LIMITS.admitted_within, "it was late already");
    drop(silent);
    taken().await;

    clients[1].write_all(&[7]).await.unwrap();
    assert_eq!(admitted.read_u8().await.unwrap(), 7, "an admitted connection stays");
}
