//! One TCP connection and the HTTP/1.1 answers that come back on it.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer header sections than this are no answer of ours.
const HEAD_LIMIT: usize = 256 * 1024;

/// An answer that was read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, its transfer coding undone.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first XML element of that name, empty when there is none.
    pub fn element(&self, name: &str) -> String {
        let text = self.text();
        let inner = text.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
        let inner = inner.and_then(|rest| rest.split_once(&format!("</{name}>")));
        inner.map(|(inner, _)| inner.to_owned()).unwrap_or_default()
    }

    /// The `Code` of an S3 error, empty when there is none.
    pub fn code(&self) -> String {
        self.element("Code")
    }

    /// Status and code together, for one comparison: `(404, "NoSuchKey")`.
    pub fn outcome(&self) -> (u16, String) {
        (self.status, self.code())
    }

    /// Asserts the status, showing the whole answer when it is another.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:#?}\n{}", self.headers, self.text());
        self
    }

    fn framing(&self) -> anyhow::Result<Framing> {
        if self.status / 100 == 1 || matches!(self.status, 204 | 304) {
            return Ok(Framing::Length(0));
        }
        if self.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return Ok(Framing::Chunked);
        }
        match self.header("content-length") {
            Some(length) => Ok(Framing::Length(length.parse().context("content-length")?)),
            None => Ok(Framing::UntilClose),
        }
    }
}

/// How the end of a body is known.
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A connection to a server, driven in single steps.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    patience: Duration,
}

impl Connection {
    /// How long any single step may take before the test fails: long enough for a busy machine.
    pub const PATIENCE: Duration = Duration::from_mins(1);

    /// Connects.
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = timeout(Self::PATIENCE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), patience: Self::PATIENCE })
    }

    /// The same connection with another limit per step.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let sent = timeout(self.patience, self.stream.get_mut().write_all(bytes)).await;
        sent.context("the server stopped reading")?.context("send")
    }

    /// Says that nothing more will be sent (FIN); answers can still be read.
    pub async fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.stream.get_mut().shutdown().await?)
    }

    /// Reads one whole answer, passing over `100 Continue`.
    pub async fn answer(&mut self, to_head: bool) -> anyhow::Result<Answer> {
        let mut answer = self.head().await?;
        while answer.status == 100 {
            answer = self.head().await?;
        }
        if !to_head {
            answer.body = self.rest(&answer).await?;
        }
        Ok(answer)
    }

    /// Reads the body that follows `head`, the answer to anything but a HEAD.
    pub async fn rest(&mut self, head: &Answer) -> anyhow::Result<Vec<u8>> {
        let read = timeout(self.patience, self.body(head.framing()?)).await;
        read.context("the answer's body stopped")?
    }

    /// Reads one status line and its headers, `100 Continue` included; the body is left unread.
    pub async fn head(&mut self) -> anyhow::Result<Answer> {
        let read = timeout(self.patience, self.head_bytes()).await;
        let bytes = read.context("no answer in time")??;
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Response::new(&mut headers);
        parsed.parse(&bytes).context("not an HTTP answer")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer {
            status: parsed.code.context("an answer without status")?,
            headers: (parsed.headers.iter())
                .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
                .collect(),
            body: Vec::new(),
        })
    }

    /// Reads some of a body that carries a content length; 0 at the end of the connection.
    pub async fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<usize> {
        let read = timeout(self.patience, self.stream.read(buffer)).await;
        Ok(read.context("the body stopped")??)
    }

    /// Whether the server has closed the connection, waiting for it up to the patience.
    pub async fn is_closed(&mut self) -> bool {
        let mut byte = [0; 1];
        matches!(timeout(self.patience, self.stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
    }

    async fn head_bytes(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let read = self.stream.read_until(b'\n', &mut bytes).await?;
            ensure!(read > 0, "closed without an answer");
            ensure!(bytes.len() <= HEAD_LIMIT, "the answer's head has no end");
            if bytes.ends_with(b"\r\n\r\n") {
                return Ok(bytes);
            }
        }
    }

    async fn body(&mut self, framing: Framing) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        match framing {
            Framing::Length(length) => {
                let read = (&mut self.stream).take(length).read_to_end(&mut body).await?;
                ensure!(read as u64 == length, "body cut after {read} of {length} bytes");
            }
            Framing::UntilClose => {
                self.stream.read_to_end(&mut body).await?;
            }
            Framing::Chunked => while self.chunk(&mut body).await? {},
        }
        Ok(body)
    }

    /// Appends one transfer chunk; false after the last.
    async fn chunk(&mut self, body: &mut Vec<u8>) -> anyhow::Result<bool> {
        let line = self.line().await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).context("chunk size")?;
        if size == 0 {
            while !self.line().await?.is_empty() {}
            return Ok(false);
        }
        let read = (&mut self.stream).take(size).read_to_end(body).await?;
        ensure!(read as u64 == size, "chunk cut after {read} of {size} bytes");
        ensure!(self.line().await?.is_empty(), "no line end behind a chunk");
        Ok(true)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            bail!("closed inside a chunked body");
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
