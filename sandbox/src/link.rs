//! A client's end of one HTTP/1.1 connection, kept small: no task of its own, no pool.
//!
//! The connection is driven only while a request is under way, so thousands of waiting shoppers cost
//! a socket and a read buffer each.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

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
    Connect(#[source] std::io::Error),
    #[error("the request could not be formed")]
    Request(#[source] http::Error),
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    #[error("the answer is too long or broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
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

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Connection = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// An open connection.
pub(crate) struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: Option<Pin<Box<Connection>>>,
}

impl Link {
    /// Connects within `deadline`.
    pub(crate) async fn open(authority: &str, deadline: Duration) -> Result<Self, LinkError> {
        let connected = tokio::time::timeout(deadline, TcpStream::connect(authority)).await;
        let stream = connected
            .map_err(|_| LinkError::Late)?
            .map_err(LinkError::Connect)?;
        stream.set_nodelay(true).map_err(LinkError::Connect)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(16 * 1024)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(LinkError::Broken)?;
        Ok(Self {
            sender,
            connection: Some(Box::pin(connection)),
        })
    }

    /// Whether another request may be sent; a connection the other side closed in the meantime is
    /// found out by trying.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some() && !self.sender.is_closed()
    }

    /// Sends a request and reads the whole answer, of at most `limit` bytes, within `deadline`.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: usize,
        deadline: Duration,
    ) -> Result<Answer, LinkError> {
        let Self { sender, connection } = self;
        let talk = async {
            sender.ready().await.map_err(LinkError::Broken)?;
            let response = sender.send_request(request).await.map_err(LinkError::Broken)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, limit)
                .collect()
                .await
                .map_err(LinkError::Body)?;
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        let driven = async {
            let mut talk = pin!(talk);
            if let Some(open) = connection {
                tokio::select! {
                    biased;
                    answer = &mut talk => return answer,
                    _ended = open.as_mut() => {}
                }
                // The other side closed; what it sent before that is still to be read.
                *connection = None;
            }
            talk.await
        };
        if let Ok(answer) = tokio::time::timeout(deadline, driven).await {
            return answer;
        }
        // The late answer must not be taken for the answer to the next request.
        self.connection = None;
        Err(LinkError::Late)
    }
}
