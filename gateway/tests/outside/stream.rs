//! Server-sent events, read as they come.

use serde_json::Value;

use crate::client::{Browser, PATIENCE};

/// Reads one event stream piece by piece.
pub(crate) struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    pub(crate) async fn open(browser: &Browser, path: &str) -> Self {
        let response = browser.open("GET", path, &[], None).await;
        assert_eq!(response.status(), 200);
        let header = |name: &str| response.headers()[name].to_str().expect("readable").to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event or comment; nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("a stream says something").expect("a whole chunk")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    /// The next state that is told.
    pub(crate) async fn state(&mut self) -> Option<Value> {
        loop {
            let event = self.next().await?;
            if let Some(data) = event.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).expect("JSON in one line"));
            }
        }
    }
}
