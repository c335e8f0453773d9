//! F17: one key, many writers and readers, two gateways, and nodes and a gateway that fail
//! meanwhile: every read is what a single register would have shown.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use compat_tests::cluster::{Form, Gateway, NODE_COUNT, Plan, Server};
use compat_tests::forms::is_long;
use compat_tests::history::{Operation, check};
use compat_tests::raw::{Request, Signer};

const WRITERS: usize = 8;
const READERS: usize = 4;
const KEY: &str = "/register/key";

/// Two stripes of a large object's form, so that a read could mix two writes if anything let it.
const WORDS: usize = 160_000;

/// What all clients share.
struct Clients {
    addresses: [String; 2],
    signer: Signer,
    began: Instant,
    next: AtomicU64,
    stop: AtomicBool,
}

impl Clients {
    /// Microseconds since the start, from 1 on.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap() + 1
    }

    async fn write(&self, address: &str) -> Operation {
        let value = self.next.fetch_add(1, Ordering::Relaxed);
        let body: Vec<u8> = value.to_le_bytes().repeat(WORDS);
        let began = self.now();
        let put = Request::put(KEY).body(body).unsigned_payload().sign(&self.signer, address);
        let answer = put.try_send(address).await;
        let ended = self.now();
        let is_done = answer.is_ok_and(|answer| answer.status == 200);
        Operation { is_write: true, value, began, ended: is_done.then_some(ended) }
    }

    /// A read; `None` when there was no answer, or none to the end.
    async fn read(&self, address: &str) -> Option<Operation> {
        let began = self.now();
        let answer = Request::get(KEY).sign(&self.signer, address).try_send(address).await.ok()?;
        let ended = self.now();
        let value = match answer.status {
            404 => 0,
            200 => the_value(&answer.body),
            _ => return None,
        };
        Some(Operation { is_write: false, value, began, ended: Some(ended) })
    }

    /// One client until the stop; what it did and saw.
    async fn run(self: Arc<Self>, number: usize) -> Vec<Operation> {
        let mut history = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let address = &self.addresses[number % 2];
            if number < WRITERS {
                history.push(self.write(address).await);
            } else {
                history.extend(self.read(address).await);
            }
            // A gateway that is away refuses at once.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        history
    }
}

/// The one value that a body is made of.
fn the_value(body: &[u8]) -> u64 {
    assert_eq!(body.len(), WORDS * 8, "a body of another length");
    let first = &body[..8];
    assert!(body.chunks(8).all(|word| word == first), "a body of two writes");
    u64::from_le_bytes(first.try_into().unwrap())
}

/// One thing after the other goes wrong and is put right.
async fn trouble(server: &mut Server, second: &mut Gateway, round: usize) {
    let (node, wait) = (round % NODE_COUNT, Duration::from_millis(700));
    match round % 3 {
        0 => {
            server.take_away(node);
            tokio::time::sleep(wait).await;
            server.give_back(node);
        }
        1 => {
            server.node(node).freeze();
            tokio::time::sleep(wait).await;
            server.node(node).thaw();
        }
        _ => {
            second.kill();
            second.start(server);
        }
    }
    tokio::time::sleep(wait).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_one_key_is_a_register_through_two_gateways() {
    let mut server = Plan::new(Form::Separate).start();
    let mut second = Gateway::beside(&server);
    let bucket = Request::put("/register").sign(&server.signer(), server.address());
    bucket.send(server.address()).await.expect_status(200);
    let clients = Arc::new(Clients {
        addresses: [server.address().to_owned(), second.address().to_owned()],
        signer: server.signer(),
        began: Instant::now(),
        next: AtomicU64::new(1),
        stop: AtomicBool::new(false),
    });
    let running: Vec<_> = (0..WRITERS + READERS)
        .map(|number| tokio::spawn(Arc::clone(&clients).run(number)))
        .collect();
    for round in 0..if is_long() { 300 } else { 6 } {
        trouble(&mut server, &mut second, round).await;
    }
    clients.stop.store(true, Ordering::Relaxed);
    let mut history = Vec::new();
    for client in running {
        history.extend(client.await.unwrap());
    }
    let last = clients.read(server.address()).await.expect("a last read");
    history.push(last);
    let of = |is_write| history.iter().filter(|operation| operation.is_write == is_write).count();
    println!("register: {} writes, {} reads", of(true), of(false));
    assert!(of(true) > 5 && of(false) > 5, "too little was done to show anything");
    check(&history).unwrap();
}
