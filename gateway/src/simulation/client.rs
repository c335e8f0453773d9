//! Clients: each does one thing after the other, through any gateway, and notes what it saw.

use super::gateway::{Answer, Asked, Gateway};
use super::history::{History, Requires, Writes};
use super::values::{Etags, Value, content, etags, is_large};
use super::world::World;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(super) const KEY_COUNT: usize = 6;

/// The header that names a value.
const VALUE_HEADER: &str = "x-amz-meta-value";

/// What all clients share.
pub(super) struct Clients {
    pub(super) world: Arc<World>,
    pub(super) gateways: Vec<Arc<Gateway>>,
    pub(super) history: History,
    pub(super) etags: Etags,
    last_value: AtomicU32,
    /// Whether nothing is done to the cluster, so that every request must succeed.
    pub(super) is_calm: bool,
}

/// How a request ended.
pub(super) enum Ended {
    Answered(Answer),
    /// Whether it did anything is not known.
    Unknown,
}

fn path(key: usize) -> String {
    format!("/bucket/key-{key}")
}

impl Clients {
    pub(super) fn new(world: &Arc<World>, gateways: Vec<Arc<Gateway>>, is_calm: bool) -> Arc<Self> {
        let (history, etags) = (History::default(), Etags::default());
        let (world, last_value) = (Arc::clone(world), AtomicU32::new(0));
        Arc::new(Self { world, gateways, history, etags, last_value, is_calm })
    }

    /// One client's life.
    pub(super) async fn work(&self, count: usize) {
        for _ in 0..count {
            let key = self.world.below(KEY_COUNT as u64) as usize;
            match self.world.below(100) {
                0..28 => self.put(key).await,
                28..58 => self.get(key).await,
                58..66 => self.delete(key).await,
                66..73 => self.put_if_absent(key).await,
                73..80 => self.put_if_match(key).await,
                80..88 => self.copy(key).await,
                88..95 => self.upload(key).await,
                _ => self.list().await,
            }
            self.world.sleep(0, 1500).await;
        }
    }

    pub(super) fn new_value(&self) -> Value {
        let mut value = self.last_value.fetch_add(1, Ordering::Relaxed) + 1;
        // Large values, so that slow readers meet overwrites.
        while self.is_calm && self.world.happens(50) && !is_large(value) {
            value = self.last_value.fetch_add(1, Ordering::Relaxed) + 1;
        }
        etags(value).into_iter().for_each(|etag| self.etags.learn(etag, value));
        value
    }

    /// Sends a request through one of the gateways.
    pub(super) async fn send(&self, what: &str, asked: Asked) -> Ended {
        let ready = self.gateways.iter().filter(|gateway| gateway.is_ready());
        let ready = ready.collect::<Vec<_>>();
        if ready.is_empty() {
            return Ended::Unknown;
        }
        let gateway = self.world.one_of(&ready);
        let ended = gateway.send(asked).await;
        let status = ended.as_ref().map_or("no answer".to_owned(), |answer| {
            let code = answer.elements("Code").join(" ");
            let cut = if answer.body.is_err() { " cut" } else { "" };
            format!("{}{cut} {code}", answer.status)
        });
        self.world.note(format!("{} {what}: {status}", gateway.name()));
        let has_failed =
            ended.as_ref().is_none_or(|answer| answer.status >= 500 || answer.body.is_err());
        if has_failed && self.is_calm {
            self.world.wrong(format!("{what} failed although all is well: {status}"));
        }
        match ended {
            Some(answer) if answer.status < 500 => Ended::Answered(answer),
            _ => Ended::Unknown,
        }
    }

    async fn put(&self, key: usize) {
        let value = self.new_value();
        let called = self.history.moment();
        let ended = self.send(&format!("puts {value} at {key}"), put(key, value)).await;
        let answered = self.answered(&ended, &[200]);
        self.history.note(key, (called, answered), Requires::Nothing, Writes::This(Some(value)));
    }

    /// Once all is well, every gateway takes writes.
    pub(super) async fn write_through_all(&self) {
        for (key, gateway) in self.gateways.iter().enumerate() {
            let value = self.new_value();
            let called = self.history.moment();
            let answer = gateway.send(put(key, value)).await;
            if answer.is_none_or(|answer| answer.status != 200) {
                let name = gateway.name();
                self.world.wrong(format!("{name} takes no writes although all is well"));
                continue;
            }
            let times = (called, Some(self.history.moment()));
            self.history.note(key, times, Requires::Nothing, Writes::This(Some(value)));
        }
    }

    /// The moment of an answer of one of these statuses; others are told.
    fn answered(&self, ended: &Ended, statuses: &[u16]) -> Option<u64> {
        let Ended::Answered(answer) = ended else { return None };
        if statuses.contains(&answer.status) {
            return Some(self.history.moment());
        }
        let code = answer.elements("Code").join(" ");
        self.world.wrong(format!("I3: an answer of status {} {code}", answer.status));
        None
    }

    async fn delete(&self, key: usize) {
        let called = self.history.moment();
        let asked = Asked { method: "DELETE", path: path(key), ..Asked::default() };
        let ended = self.send(&format!("deletes {key}"), asked).await;
        let answered = self.answered(&ended, &[204]);
        self.history.note(key, (called, answered), Requires::Nothing, Writes::This(None));
    }

    async fn put_if_absent(&self, key: usize) {
        let value = self.new_value();
        let mut asked = put(key, value);
        asked.headers.push(("if-none-match", "*".to_owned()));
        self.put_if(key, value, asked, Requires::Is(None), Requires::Present).await;
    }

    /// Reads a key and writes it if it is still as it was.
    async fn put_if_match(&self, key: usize) {
        let Some((Some(seen), tag)) = self.read(key, Asked::default()).await else { return };
        self.world.sleep(0, 500).await;
        let value = self.new_value();
        let mut asked = put(key, value);
        asked.headers.push(("if-match", tag));
        self.put_if(key, value, asked, Requires::Is(Some(seen)), Requires::Not(seen)).await;
    }

    async fn put_if(
        &self,
        key: usize,
        value: Value,
        asked: Asked,
        holds: Requires,
        fails: Requires,
    ) {
        let called = self.history.moment();
        let ended = self.send(&format!("puts {value} at {key} if {holds:?}"), asked).await;
        let answered = self.answered(&ended, &[200, 404, 409, 412]);
        let status = if let Ended::Answered(answer) = &ended { answer.status } else { 0 };
        let (requires, writes) = match status {
            404 => (Requires::Is(None), Writes::Nothing),
            409 => return,
            412 => (fails, Writes::Nothing),
            _ => (holds, Writes::This(Some(value))),
        };
        self.history.note(key, (called, answered), requires, writes);
    }

    async fn get(&self, key: usize) {
        let mut asked = Asked::default();
        if self.world.happens(25) {
            let range =
                self.world.one_of(&["bytes=3-", "bytes=0-4", "bytes=-7", "bytes=2-2000000"]);
            asked.headers.push(("range", (*range).to_owned()));
        }
        if self.world.happens(if self.is_calm { 60 } else { 20 }) {
            asked.reads_slowly = self.world.time(Duration::ZERO, Duration::from_secs(3));
        }
        self.read(key, asked).await;
    }

    /// Reads a key, checks every byte, and notes what was there; `None` when that is not known.
    pub(super) async fn read(&self, key: usize, asked: Asked) -> Option<(Option<Value>, String)> {
        let called = self.history.moment();
        let range = asked.headers.iter().find(|header| header.0 == "range");
        let range = range.map(|range| range.1.clone());
        let asked = Asked { method: "GET", path: path(key), ..asked };
        let ended =
            self.send(&format!("gets {key} {}", range.as_deref().unwrap_or("")), asked).await;
        let answered = self.answered(&ended, &[200, 206, 404, 416])?;
        let Ended::Answered(answer) = ended else { return None };
        let value = match answer.status {
            404 => None,
            416 => return None,
            _ => Some(self.checked(key, range.as_deref(), &answer)?),
        };
        let times = (called, Some(answered));
        self.history.note(key, times, Requires::Is(value), Writes::Nothing);
        Some((value, answer.header("etag").unwrap_or_default().to_owned()))
    }

    /// The value of an answer whose every byte is right.
    fn checked(&self, key: usize, range: Option<&str>, answer: &Answer) -> Option<Value> {
        let wrong = |what: &str| self.world.wrong(format!("I2: key {key}: {what}"));
        let value = answer.header(VALUE_HEADER).and_then(|value| value.parse::<Value>().ok());
        let Some(value) = value else {
            wrong("an object that nobody wrote");
            return None;
        };
        if self.etags.value(answer.header("etag").unwrap_or_default()) != Some(value) {
            wrong("the ETag is not that of the value");
        }
        let whole = content(value);
        let expected = match range {
            None => whole,
            Some("bytes=3-") => whole.slice(3..),
            Some("bytes=0-4") => whole.slice(..5),
            Some("bytes=-7") => whole.slice(whole.len() - 7..),
            Some(_) => whole.slice(2..whole.len().min(2_000_001)),
        };
        match &answer.body {
            Ok(bytes) if *bytes == expected => Some(value),
            Ok(bytes) => {
                let (count, wanted) = (bytes.len(), expected.len());
                wrong(&format!("wrong bytes of {value}: {count}, not those {wanted}"));
                None
            }
            // Cut, and so no answer.
            Err(_) => None,
        }
    }

    async fn copy(&self, to: usize) {
        let from = (to + 1 + self.world.below(KEY_COUNT as u64 - 1) as usize) % KEY_COUNT;
        let called = self.history.moment();
        let source = ("x-amz-copy-source", path(from));
        let asked =
            Asked { method: "PUT", path: path(to), headers: vec![source], ..Asked::default() };
        let ended = self.send(&format!("copies {from} to {to}"), asked).await;
        let answered = self.answered(&ended, &[200, 404, 409]);
        let times = (called, answered);
        let status = if let Ended::Answered(answer) = &ended { answer.status } else { 0 };
        match (status, &ended) {
            (200, Ended::Answered(answer)) => {
                let tag = answer.elements("ETag").join("");
                let Some(value) = self.etags.value(&tag) else {
                    self.world.wrong(format!("I2: a copy of what nobody wrote: {tag}"));
                    return;
                };
                let read = Requires::Is(Some(value));
                self.history.note(from, times, read, Writes::Nothing);
                self.history.note(to, times, Requires::Nothing, Writes::This(Some(value)));
            }
            (404, _) => self.history.note(from, times, Requires::Is(None), Writes::Nothing),
            (409, _) => {}
            _ => self.history.note(to, times, Requires::Nothing, Writes::Unknown),
        }
    }

    pub(super) async fn list(&self) {
        let called = self.history.moment();
        let path = "/bucket?list-type=2".to_owned();
        let asked = Asked { method: "GET", path, ..Asked::default() };
        let ended = self.send("lists", asked).await;
        let Some(answered) = self.answered(&ended, &[200]) else { return };
        let Ended::Answered(answer) = ended else { return };
        let tags = answer.elements("ETag");
        let listed = answer.elements("Key").into_iter().zip(tags).collect::<Vec<_>>();
        for key in 0..KEY_COUNT {
            let name = format!("key-{key}");
            let tag = listed.iter().find(|(listed, _)| *listed == name).map(|(_, tag)| tag);
            let value = tag.and_then(|tag| self.etags.value(tag));
            let times = (called, Some(answered));
            self.history.note(key, times, Requires::Is(value), Writes::Nothing);
        }
    }
}

fn put(key: usize, value: Value) -> Asked {
    Asked {
        method: "PUT",
        path: path(key),
        headers: vec![(VALUE_HEADER, value.to_string())],
        body: content(value),
        ..Asked::default()
    }
}
