//! A client's end of one HTTP/1.1 connection, kept small: a socket, and nothing else while idle.
//!
//! A general client keeps buffers and a channel per connection, about 25 KiB; a crowd of thousands
//! of waiting shoppers shares its machine with what it tests. Here buffers live only while a request
//! is under way. Answers are framed as RFC 9112 section 6 says; heads are parsed by `httparse`.

mod answer;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Uri, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) use self::answer::Answer;
use self::answer::{Framing, Head, Unchunked};

/// Where an `http://` address points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `host:port`, for connecting and for the Host header.
    pub(crate) authority: String,
    pub(crate) path: String,
}

/// Why an exchange failed. All of them may be tried again on a new connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("the address is not a plain http:// one")]
    Address,
    #[error("connecting failed")]
    Connect(#[source] io::Error),
    #[error("the request could not be formed")]
    Request(#[source] http::Error),
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the connection was closed before the answer was complete")]
    Closed,
    #[error("the answer is not HTTP/1.1")]
    Malformed,
    #[error("the answer is too long")]
    TooLong,
    #[error("no answer in time")]
    Late,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, LinkError> {
        let uri: Uri = url.parse().map_err(|_| LinkError::Address)?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(LinkError::Address);
        };
        let port = authority.port_u16().unwrap_or(80);
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Ok(Self {
            authority: format!("{}:{port}", authority.host()),
            path: path.to_owned(),
        })
    }
}

/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 32 * 1024;
const READ_BYTES: usize = 4 * 1024;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    /// Whether the last answer left the connection in a state to be used again.
    reusable: bool,
}

impl Link {
    /// Connects within `deadline`.
    pub(crate) async fn open(authority: &str, deadline: Duration) -> Result<Self, LinkError> {
        let connected = tokio::time::timeout(deadline, TcpStream::connect(authority)).await;
        let stream = connected
            .map_err(|_| LinkError::Late)?
            .map_err(LinkError::Connect)?;
        stream.set_nodelay(true).map_err(LinkError::Connect)?;
        Ok(Self {
            stream,
            reusable: true,
        })
    }

    /// Whether another request may be sent. An idle connection has nothing to read: if there is
    /// something, it is the other side's goodbye.
    pub(crate) fn is_open(&self) -> bool {
        let waiting = self.stream.try_read(&mut [0]);
        self.reusable && waiting.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and reads the whole answer, of at most `limit` bytes, within `deadline`.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Bytes>,
        limit: usize,
        deadline: Duration,
    ) -> Result<Answer, LinkError> {
        // Until the answer is complete, nothing may be sent after it.
        self.reusable = false;
        let talk = async {
            self.stream
                .write_all(&serialise(&request))
                .await
                .map_err(LinkError::Broken)?;
            self.receive(request.method(), limit).await
        };
        let (answer, reusable) = tokio::time::timeout(deadline, talk)
            .await
            .map_err(|_| LinkError::Late)??;
        self.reusable = reusable;
        Ok(answer)
    }

    async fn receive(&mut self, method: &Method, limit: usize) -> Result<(Answer, bool), LinkError> {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let head = loop {
            match Head::parse(&mut buffer, method)? {
                // 1xx answers precede the real one.
                Some(head) if head.status.is_informational() => {}
                Some(head) => break head,
                None if buffer.len() > HEAD_BYTES_MAX => return Err(LinkError::TooLong),
                None => self.read_more(&mut buffer).await?,
            }
        };
        let body = match head.framing {
            Framing::Length(length) if length > limit => return Err(LinkError::TooLong),
            Framing::Length(length) => {
                while buffer.len() < length {
                    self.read_more(&mut buffer).await?;
                }
                buffer.split_to(length)
            }
            Framing::Chunked => self.receive_chunks(&mut buffer, limit).await?,
            Framing::UntilClose => {
                // What came along with the head counts too, even if nothing follows.
                check_length(buffer.len(), limit)?;
                while self
                    .stream
                    .read_buf(&mut buffer)
                    .await
                    .map_err(LinkError::Broken)?
                    > 0
                {
                    check_length(buffer.len(), limit)?;
                }
                buffer.split()
            }
        };
        // Bytes beyond the answer belong to nothing that was asked for.
        let reusable = head.keeps_open && buffer.is_empty();
        Ok((
            Answer {
                status: head.status,
                headers: head.headers,
                body: body.freeze(),
            },
            reusable,
        ))
    }

    async fn receive_chunks(&mut self, buffer: &mut BytesMut, limit: usize) -> Result<BytesMut, LinkError> {
        let mut chunks = Unchunked::default();
        while !chunks.take(buffer)? {
            check_length(
                chunks.body.len().saturating_add(buffer.len()),
                limit.saturating_add(HEAD_BYTES_MAX),
            )?;
            self.read_more(buffer).await?;
        }
        check_length(chunks.body.len(), limit)?;
        Ok(chunks.body)
    }

    async fn read_more(&mut self, buffer: &mut BytesMut) -> Result<(), LinkError> {
        buffer.reserve(READ_BYTES);
        match self.stream.read_buf(buffer).await {
            Ok(0) => Err(LinkError::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(LinkError::Broken(error)),
        }
    }
}

fn check_length(length: usize, limit: usize) -> Result<(), LinkError> {
    if length > limit {
        Err(LinkError::TooLong)
    } else {
        Ok(())
    }
}

/// A request as it goes over the wire. `http` has checked names and values already.
fn serialise(request: &Request<Bytes>) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    let has_body = !request.body().is_empty() || request.method() != Method::GET;
    if has_body {
        // Writing to a string cannot fail.
        let _ = write!(head, "{}: {}\r\n", header::CONTENT_LENGTH, request.body().len());
    }
    let mut wire = head.into_bytes();
    for (name, value) in request.headers() {
        wire.extend_from_slice(name.as_str().as_bytes());
        wire.extend_from_slice(b": ");
        wire.extend_from_slice(value.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(request.body());
    wire
}
