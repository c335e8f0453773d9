//! Memory that grows with the number of something: connections, uploads and downloads under way,
//! chunks on a node.

use std::time::Duration;

use anyhow::ensure;
use compat_tests::cluster::{Form, NODE_COUNT, Server};
use compat_tests::raw::{Connection, Request};

use super::Target;
use super::client::Work;
use super::plan::{KIB, MIB};
use super::session::{BUCKET, Session};
use super::tables::{row, short};
use super::usage::Watched;

/// Connections held open; below the usual limit of open files.
const CONNECTIONS: usize = 500;

/// Uploads and downloads held in the middle.
const TRANSFERS: usize = 32;

/// An upload's size, and how much of it is sent before it is held.
const UPLOAD_BYTES: usize = 64 * MIB;
const SENT_BYTES: usize = 16 * MIB;

/// Longer than the allocator keeps what is freed, which is ten seconds.
const SETTLING: Duration = Duration::from_secs(15);

/// Longer than anything here.
const VALID: Duration = Duration::from_hours(1);

/// Measures all; answers the table. A node is given so many small chunks.
pub(super) async fn measure(chunks: usize) -> anyhow::Result<String> {
    let mut rows = vec![
        row(["what".into(), "process".into(), "resident memory".into()]),
        row(vec!["---".to_owned(); 3]),
    ];
    rows.extend(of_clients().await?);
    rows.push(of_chunks(chunks).await?);
    Ok(rows.concat())
}

async fn of_clients() -> anyhow::Result<Vec<String>> {
    let server = Server::start(Form::Embedded);
    let started = settled(&Session::open(target(&server), false).await?, "sixfold").await?;
    drop(server);
    let idle = each(CONNECTIONS, async |target, _| answered(target, "HEAD").await).await?;
    let download = each(TRANSFERS, async |target, _| answered(target, "GET").await).await?;
    let body = vec![7; SENT_BYTES];
    let upload = each(TRANSFERS, async |target, number| {
        let mut connection =
            request(target, "PUT", &format!("/held/{number}"), UPLOAD_BYTES).await?;
        connection.send(&body).await?;
        Ok(connection)
    });
    Ok(vec![
        line("a server that has just started", started as f64),
        line("an idle connection", idle),
        line("a download of 16 MiB, held by its client", download),
        line("an upload of 64 MiB, held after 16 MiB", upload.await?),
    ])
}

/// What each of so many connections takes that `open` leaves as they are to be measured: on a server of
/// their own, since what others have left behind stays resident for a while.
async fn each(
    count: usize,
    open: impl AsyncFn(&Target, usize) -> anyhow::Result<Connection>,
) -> anyhow::Result<f64> {
    let server = Server::start(Form::Embedded);
    let session = Session::open(target(&server), false).await?;
    let large = Work::Steps { steps: vec![session.put("large", 0, 16 * MIB)], repeat: false };
    session.finish(large).await?;
    // The first one takes what is there once for all.
    drop(open(session.target(), count).await?);
    let before = settled(&session, "sixfold").await?;
    let mut held = Vec::new();
    for number in 0..count {
        held.push(open(session.target(), number).await?);
    }
    let now = settled(&session, "sixfold").await?;
    Ok(share(now, before, count))
}

/// A connection that has the head of an answer for the large object.
async fn answered(target: &Target, verb: &str) -> anyhow::Result<Connection> {
    let mut connection = request(target, verb, "/large/0000000", 0).await?;
    ensure!(connection.head().await?.status == 200, "no answer to a {verb}");
    Ok(connection)
}

/// A node's memory after a start, with chunks and without.
async fn of_chunks(chunks: usize) -> anyhow::Result<String> {
    let mut server = Server::start(Form::Separate);
    let session = Session::open(target(&server), false).await?;
    restart_nodes(&mut server);
    let empty = settled(&session, "sixfold-node").await?;
    let steps = (0..chunks).map(|number| session.put("small", number, 4 * KIB)).collect();
    // Six chunks each, one on each node.
    session.finish(Work::Steps { steps, repeat: false }).await?;
    restart_nodes(&mut server);
    let full = settled(&session, "sixfold-node").await?;
    let each = share(full, empty, chunks * NODE_COUNT);
    let text = format!("{} MiB ({} bytes each)", short(each * 1e6 / MIB as f64), short(each));
    Ok(row(["a million chunks on a node".to_owned(), "sixfold-node".to_owned(), text]))
}

fn restart_nodes(server: &mut Server) {
    for index in 0..NODE_COUNT {
        server.take_away(index);
        server.give_back(index);
    }
}

fn target(server: &Server) -> Target {
    Target {
        name: String::new(),
        address: server.address().to_owned(),
        signer: server.signer(),
        watched: Watched::default(),
    }
}

/// Opens a connection and sends the head of a request.
async fn request(
    target: &Target,
    verb: &str,
    path: &str,
    length: usize,
) -> anyhow::Result<Connection> {
    let (signer, address) = (&target.signer, &target.address);
    let wire = Request::new(verb, &format!("{BUCKET}{path}")).presign(signer, address, VALID);
    let url = wire.target();
    let head =
        format!("{verb} {url} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n");
    let mut connection = Connection::open(address).await?;
    connection.send(head.as_bytes()).await?;
    Ok(connection)
}

/// The resident memory of all processes of this name, once they have taken and given back what they will.
async fn settled(session: &Session, process: &str) -> anyhow::Result<u64> {
    tokio::time::sleep(SETTLING).await;
    session.target().watched.resident(process)
}

fn share(now: u64, before: u64, count: usize) -> f64 {
    now.saturating_sub(before) as f64 / count as f64
}

fn line(what: &str, bytes: f64) -> String {
    let text = if bytes < MIB as f64 {
        format!("{} KiB", short(bytes / KIB as f64))
    } else {
        format!("{} MiB", short(bytes / MIB as f64))
    };
    row([what.to_owned(), "sixfold server".to_owned(), text])
}
