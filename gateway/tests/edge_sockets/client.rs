//! A client that says exactly what it is told to.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// One answer as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        pairs
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A connection that keeps what it has read beyond the present answer.
pub(crate) struct Raw<S = TcpStream> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

impl Raw<TcpStream> {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends a request without a body and reads its answer.
    pub(crate) async fn get(&mut self, target: &str, extra: &str) -> Answer {
        self.send(format!(
            "GET {target} HTTP/1.1\r\nHost: shop.example\r\n{extra}\r\n"
        ))
        .await;
        self.answer().await
    }

    /// Reads the next answer, interim ones included.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await.expect("an answer")
    }

    /// Reads the answer to a request by `method`; `None` where the connection ends first.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            self.read_more().await?;
        };
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        if method != "HEAD" && status >= 200 && status != 204 && status != 304 {
            answer.body = self.body(&answer).await?;
        }
        Some(answer)
    }

    async fn body(&mut self, answer: &Answer) -> Option<Vec<u8>> {
        if answer.header("transfer-encoding") == Some("chunked") {
            return self.chunks().await;
        }
        if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length {
                self.read_more().await?;
            }
            return Some(self.buffer.drain(..length).collect());
        }
        while self.read_more().await.is_some() {}
        Some(std::mem::take(&mut self.buffer))
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            while self.buffer.len() < size + 2 {
                self.read_more().await?;
            }
            if size == 0 {
                while self.line().await?.trim() != "" {}
                return Some(body);
            }
            body.extend(self.buffer.drain(..size));
            assert_eq!(self.buffer.drain(..2).collect::<Vec<_>>(), b"\r\n");
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                return Some(String::from_utf8(self.buffer.drain(..end + 2).collect()).unwrap());
            }
            self.read_more().await?;
        }
    }

    /// Reads until `needle` has come, and returns everything read so far without consuming it.
    pub(crate) async fn read_until(&mut self, needle: &[u8]) -> Vec<u8> {
        while find(&self.buffer, needle).is_none() {
            self.read_more().await.expect("the connection stays open");
        }
        self.buffer.clone()
    }

    /// Reads until the other side closes; panics if it does not.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.read_more().await.is_some() {}
        std::mem::take(&mut self.buffer)
    }

    /// `None` at the end of the connection, however it came.
    async fn read_more(&mut self) -> Option<()> {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        match read.expect("the gateway neither answers nor closes") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
