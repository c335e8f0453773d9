//! One connection through a proxy.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::statements::{Fate, Session};
use super::{End, Shared, Way};

/// How much is read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Pieces under way that are late.
const PIECES: usize = 1024;

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

async fn connect(end: &End) -> io::Result<(Reader, Writer)> {
    match end {
        End::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            Ok((Box::new(reader), Box::new(writer)))
        }
        End::Socket(path) => {
            let (reader, writer) = UnixStream::connect(path).await?.into_split();
            Ok((Box::new(reader), Box::new(writer)))
        }
    }
}

/// Forwards until either side ends, or the way is closed.
pub(super) async fn forward(client: TcpStream, shared: Arc<Shared>) {
    let mut way = shared.way.subscribe();
    let both = async {
        drop(client.set_nodelay(true));
        passable(&mut shared.way.subscribe()).await;
        let (from_server, to_server) = connect(&shared.end).await?;
        let (from_client, to_client) = client.into_split();
        let session = shared.statements.as_ref().map(Session::of);
        tokio::select! {
            ended = requests(Box::new(from_client), to_server, &shared, session.as_ref()) => ended,
            ended = answers(from_server, Box::new(to_client), &shared, session.as_ref()) => ended,
        }
    };
    // What ended how is for the two ends to find out.
    tokio::select! {
        _ = both => {}
        _ = way.wait_for(|way| *way == Way::Closed) => {}
    }
}

/// Waits until something may pass.
async fn passable(way: &mut watch::Receiver<Way>) {
    // The sender lives as long as any connection does.
    drop(way.wait_for(|way| *way != Way::Silent).await);
}

async fn requests(
    mut from: Reader,
    mut to: Writer,
    shared: &Shared,
    session: Option<&Session<'_>>,
) -> io::Result<()> {
    let mut way = shared.way.subscribe();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let size = from.read(&mut piece).await?;
        if size == 0 {
            return Ok(());
        }
        let is_lost = session.is_some_and(|session| session.sends(&piece[..size]) == Fate::Lost);
        passable(&mut way).await;
        if is_lost {
            return Ok(());
        }
        to.write_all(&piece[..size]).await?;
    }
}

async fn answers(
    from: Reader,
    to: Writer,
    shared: &Shared,
    session: Option<&Session<'_>>,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(PIECES);
    // What was collected before the end is delivered before it.
    let (collected, delivered) =
        tokio::join!(collect(from, sender, shared, session), deliver(receiver, to, shared));
    collected.and(delivered)
}

/// Reads the server's answers, with the moment at which each is due.
async fn collect(
    mut from: Reader,
    sender: mpsc::Sender<(Instant, Vec<u8>)>,
    shared: &Shared,
    session: Option<&Session<'_>>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let size = from.read(&mut piece).await?;
        if size == 0 {
            return Ok(());
        }
        match session.map(|session| session.receives(&piece[..size])) {
            Some(Fate::Lost) => return Ok(()),
            Some(Fate::Kept) => continue,
            Some(Fate::Passed) | None => {}
        }
        let late = match *shared.way.borrow() {
            Way::Late(late) => late,
            Way::Open | Way::Silent | Way::Closed => Duration::ZERO,
        };
        if sender.send((Instant::now() + late, piece[..size].to_vec())).await.is_err() {
            return Ok(());
        }
    }
}

async fn deliver(
    mut receiver: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut to: Writer,
    shared: &Shared,
) -> io::Result<()> {
    let mut way = shared.way.subscribe();
    while let Some((due, piece)) = receiver.recv().await {
        tokio::time::sleep_until(due).await;
        passable(&mut way).await;
        to.write_all(&piece).await?;
    }
    Ok(())
}
