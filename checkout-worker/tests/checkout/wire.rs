//! A request on a bare socket, for receivers that the tests stand in for.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Reads one request, head and body; what had arrived, where the sender goes away before its end.
pub(crate) async fn read_request(socket: &mut TcpStream) -> String {
    let (mut text, mut chunk) = (String::new(), [0; 4_096]);
    loop {
        let read = socket.read(&mut chunk).await.unwrap_or(0);
        text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = header(head, "content-length");
            length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
        });
        if read == 0 || whole {
            return text;
        }
    }
}

/// The value of a header.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let (_, value) = lines.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(value)
}
