//! Turns a connection away with an answer, before any HTTP is read from it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::observe::ConnectionEnd;
use super::caps::RefusalPlace;

/// How long a refused client may take to fetch its answer.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes read from a refused client at most, so that closing does not reset the answer away.
const DISCARDED_BYTES_MAX: usize = 16 * 1_024;

/// Writes the refusal, lets the client finish talking, and closes.
pub(super) async fn turn_away(mut stream: TcpStream, why: ConnectionEnd, place: RefusalPlace) {
    let farewell = async {
        stream.write_all(answer(why).as_bytes()).await?;
        stream.shutdown().await?;
        let mut discarded = 0;
        let mut buffer = [0_u8; 1_024];
        while discarded < DISCARDED_BYTES_MAX {
            match stream.read(&mut buffer).await? {
                0 => break,
                n => discarded += n,
            }
        }
        std::io::Result::Ok(())
    };
    // Whether the client heard us is its own affair.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
    drop(place);
}

fn answer(why: ConnectionEnd) -> String {
    let (status, slug, title, detail) = if why == ConnectionEnd::PerAddress {
        (
            "429 Too Many Requests",
            "too-many-connections",
            "Too many connections",
            "All connections that one address may hold are open.",
        )
    } else {
        (
            "503 Service Unavailable",
            "overloaded",
            "Too busy right now",
            "All connections that can be held are open.",
        )
    };
    let number = &status[..3];
    let body = format!(
        r#"{{"type":"/.doorline/problems/{slug}","title":"{title}","status":{number},"detail":"{detail}","retry_after":5}}"#
    );
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         retry-after: 5\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
