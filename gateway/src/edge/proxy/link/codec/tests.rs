//! What is plainly whole is read; whatever takes judgement is left to hyper.

use http::{Request, header};

use super::*;

fn request(method: &Method) -> Parts {
    let request = Request::builder().method(method).header(header::COOKIE, "a=b");
    request.body(()).unwrap().into_parts().0
}

fn answer(text: &str) -> (Response<Bytes>, bool) {
    match read(text.as_bytes(), &mut request(&Method::GET)) {
        Read::Whole { response, keeps } => (response, keeps),
        Read::Partial | Read::Other => panic!("not whole: {text:?}"),
    }
}

fn is_left(text: &str, method: &Method) -> bool {
    matches!(read(text.as_bytes(), &mut request(method)), Read::Other)
}

#[test]
fn a_head_is_written_as_it_was_given() {
    let request = Request::get("/shoes?size=42")
        .header(header::HOST, "shop.example")
        .header(header::ACCEPT, "*/*")
        .header(header::ACCEPT, "text/html");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    assert_eq!(
        String::from_utf8(head(&parts, &Added::none())).unwrap(),
        "GET /shoes?size=42 HTTP/1.1\r\nhost: shop.example\r\naccept: */*\r\naccept: text/html\r\n\r\n"
    );
}

#[test]
fn a_whole_answer_is_read_with_all_its_lines() {
    let (response, keeps) = answer(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\
         Connection: keep-alive\r\nX-Text: gr\u{fc}n \r\n\r\ngone",
    );
    assert!(keeps);
    assert_eq!(response.status(), 404);
    assert_eq!(response.body(), "gone");
    let headers = response.headers();
    assert_eq!(headers[CONTENT_LENGTH], "4");
    let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(headers["x-text"].as_bytes(), "gr\u{fc}n".as_bytes());
    assert!(!headers.contains_key(CONNECTION), "it ends at this hop");
    assert!(!headers.contains_key(header::COOKIE), "that was the request's");
}

#[test]
fn an_answer_may_end_its_connection() {
    let (response, keeps) = answer("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n");
    assert!(!keeps);
    assert!(response.body().is_empty());
}

#[test]
fn some_answers_have_no_body_whatever_they_announce() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let Read::Whole { response, .. } = read(head.as_bytes(), &mut request(&Method::HEAD)) else {
        panic!("an answer to HEAD is whole with its head");
    };
    assert!(response.body().is_empty());
    assert_eq!(response.headers()[CONTENT_LENGTH], "1000");
    for text in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    ] {
        assert!(answer(text).0.body().is_empty(), "{text}");
    }
}

#[test]
fn a_head_that_is_not_complete_is_waited_for() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for cut in 0..whole.len() {
        assert!(matches!(
            read(&whole.as_bytes()[..cut], &mut request(&Method::GET)),
            Read::Partial
        ));
    }
}

#[test]
fn what_takes_judgement_is_left() {
    for text in [
        // Still on its way, or more than announced.
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
        // Framed otherwise.
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        // Lengths with two readings.
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0, 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        // Not the last word, or another protocol.
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: x-own\r\nContent-Length: 0\r\n\r\n",
        // No HTTP.
        "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        assert!(is_left(text, &Method::GET), "{text:?}");
    }
    assert!(is_left(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        &Method::HEAD
    ));
}

#[test]
fn more_lines_than_fit_are_left() {
    let lines = "x-line: 1\r\n".repeat(LINES_MAX + 1);
    assert!(is_left(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), &Method::GET));
}
