//! One connection that makes requests, one after the other, and times them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use compat_tests::raw::{Answer, Connection, Request};

use super::Target;

/// A part of an upload; S3 wants at least 5 MiB of all but the last.
const PART_BYTES: usize = 8 << 20;

/// A presigned URL is valid for longer than any load runs.
const VALID: Duration = Duration::from_hours(1);

/// How often a request that was refused with 503 is made again, and after how long.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// A request that was signed in advance.
#[derive(Clone)]
pub(super) struct Step {
    /// Request line and headers.
    head: Vec<u8>,
    /// How many bytes of the common body are sent behind it.
    sent: usize,
    wants: Wants,
}

/// What a right answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Status(u16),
    /// 200, and so many bytes of the common body.
    Object(usize),
    /// 200 without a body, which would have so many bytes.
    Head(usize),
    /// A document in which the element stands so often.
    Elements(&'static str, usize),
}

impl Step {
    pub(super) fn new(target: &Target, verb: &str, path: &str, sent: usize, wants: Wants) -> Self {
        let wire = Request::new(verb, path).presign(&target.signer, &target.address, VALID);
        let (url, host) = (wire.target(), &target.address);
        let length = match verb {
            "PUT" | "POST" => format!("content-length: {sent}\r\n"),
            _ => String::new(),
        };
        let head = format!("{verb} {url} HTTP/1.1\r\nhost: {host}\r\n{length}\r\n");
        Self { head: head.into_bytes(), sent, wants }
    }
}

/// What the clients of a load do together.
pub(super) enum Work {
    /// These, each once; or over and over again.
    Steps { steps: Vec<Step>, repeat: bool },
    /// Multipart uploads of objects of that size.
    Uploads { size: usize },
}

/// Times of one request.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// To the last byte of the answer.
    pub(super) whole: Duration,
    /// To the answer's head.
    pub(super) first_byte: Duration,
}

pub(super) struct Client {
    pub(super) connection: Connection,
    pub(super) target: Target,
    pub(super) work: Arc<Work>,
    /// Objects consist of its first bytes.
    pub(super) body: Arc<[u8]>,
    /// Requests that were refused with 503 and made again.
    pub(super) refused: Arc<AtomicUsize>,
    pub(super) buffer: Vec<u8>,
}

impl Client {
    /// Works until all steps are done or the time is over.
    pub(super) async fn run(
        mut self,
        next: Arc<AtomicUsize>,
        until: Instant,
    ) -> anyhow::Result<Vec<Times>> {
        let work = Arc::clone(&self.work);
        let mut times = Vec::new();
        while Instant::now() < until {
            let number = next.fetch_add(1, Ordering::Relaxed);
            times.push(match &*work {
                Work::Steps { steps, repeat } if *repeat || number < steps.len() => {
                    self.step(&steps[number % steps.len()]).await?
                }
                Work::Steps { .. } => break,
                Work::Uploads { size } => self.upload(*size, number).await?,
            });
        }
        Ok(times)
    }

    /// Makes a request, again when it is refused for the moment, and checks the answer.
    async fn step(&mut self, step: &Step) -> anyhow::Result<Times> {
        let started = Instant::now();
        for _ in 0..TRIES {
            let head = self.send(step, 0).await?;
            if head.status != 503 {
                let first_byte = started.elapsed();
                self.check(step, head).await?;
                return Ok(Times { whole: started.elapsed(), first_byte });
            }
            self.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
            self.connection = Connection::open(&self.target.address).await?;
        }
        bail!("refused with 503 {TRIES} times")
    }

    /// Sends the request and reads the head of its answer.
    async fn send(&mut self, step: &Step, from: usize) -> anyhow::Result<Answer> {
        self.connection.send(&step.head).await?;
        if step.sent > 0 {
            let sent = self.connection.send(&self.body[from..from + step.sent]).await;
            // A server may refuse and close before it has read everything.
            return match self.connection.head().await {
                Ok(head) if sent.is_ok() || head.status == 503 => Ok(head),
                Ok(head) => bail!("{} before the body was read: {:?}", head.status, sent),
                Err(error) => Err(error),
            };
        }
        self.connection.head().await
    }

    /// Reads the rest of an answer and compares it with what is wanted.
    async fn check(&mut self, step: &Step, head: Answer) -> anyhow::Result<()> {
        let what = || String::from_utf8_lossy(&step.head).into_owned();
        let status = if let Wants::Status(status) = step.wants { status } else { 200 };
        if head.status != status {
            let text = self.connection.rest(&head).await.unwrap_or_default();
            bail!("{} {}: {}", what(), head.status, String::from_utf8_lossy(&text));
        }
        match step.wants {
            Wants::Head(size) => ensure!(length(&head)? == size, "a wrong length: {}", what()),
            Wants::Object(size) => {
                ensure!(length(&head)? == size, "a wrong length: {}", what());
                self.object(size).await.with_context(what)?;
            }
            Wants::Status(_) => drop(self.connection.rest(&head).await?),
            Wants::Elements(name, count) => {
                let text = String::from_utf8(self.connection.rest(&head).await?)?;
                let found = text.matches(name).count();
                ensure!(found == count, "{found} of {count} {name}: {}", what());
            }
        }
        Ok(())
    }

    /// Reads an object. Of each piece the beginning is compared, which costs the generator next
    /// to nothing and shows a byte that is out of place.
    async fn object(&mut self, size: usize) -> anyhow::Result<()> {
        let mut at = 0;
        while at < size {
            let wanted = self.buffer.len().min(size - at);
            let count = self.connection.read(&mut self.buffer[..wanted]).await?;
            ensure!(count > 0, "cut after {at} of {size} bytes");
            let sample = count.min(64);
            ensure!(self.buffer[..sample] == self.body[at..at + sample], "wrong bytes at {at}");
            at += count;
        }
        Ok(())
    }

    /// A whole multipart upload; its first byte is that of the last answer.
    async fn upload(&mut self, size: usize, number: usize) -> anyhow::Result<Times> {
        let started = Instant::now();
        let path = format!("/bench/multipart-{size}/{number:07}");
        let start =
            Step::new(&self.target, "POST", &format!("{path}?uploads"), 0, Wants::Status(200));
        let answer = self.send_whole(&start, 0).await?;
        let id = answer.element("UploadId");
        let mut list = String::from("<CompleteMultipartUpload>");
        for (index, from) in (0..size).step_by(PART_BYTES).enumerate() {
            let number = index + 1;
            let target = format!("{path}?partNumber={number}&uploadId={id}");
            let sent = PART_BYTES.min(size - from);
            let step = Step::new(&self.target, "PUT", &target, sent, Wants::Status(200));
            let answer = self.send_whole(&step, from).await?;
            let etag = answer.header("etag").context("a part's ETag")?;
            let part = format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
            list.push_str(&part);
        }
        list += "</CompleteMultipartUpload>";
        let complete = Request::post(&format!("{path}?uploadId={id}")).body(list);
        let complete = complete.sign(&self.target.signer, &self.target.address);
        self.connection.send(&complete.bytes()).await?;
        let answer = self.connection.answer(false).await?;
        let first_byte = started.elapsed();
        ensure!(!answer.element("ETag").is_empty(), "no completion: {}", answer.text());
        Ok(Times { whole: started.elapsed(), first_byte })
    }

    /// Sends a step of an upload until it isn't refused; answers the whole answer.
    async fn send_whole(&mut self, step: &Step, from: usize) -> anyhow::Result<Answer> {
        for _ in 0..TRIES {
            let mut answer = self.send(step, from).await?;
            if answer.status == 200 {
                answer.body = self.connection.rest(&answer).await?;
                return Ok(answer);
            }
            ensure!(answer.status == 503, "a step of an upload was answered {}", answer.status);
            self.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
            self.connection = Connection::open(&self.target.address).await?;
        }
        bail!("refused with 503 {TRIES} times")
    }
}

fn length(head: &Answer) -> anyhow::Result<usize> {
    head.header("content-length").context("an answer without length")?.parse().context("a length")
}
