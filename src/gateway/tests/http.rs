//! The HTTP of strangers: what is taken, what is refused, and that it never depends on how it was cut.

mod http {
    mod answer;
    mod head;
    mod origin;
    mod route;
}

use fanwire_gateway::http::{BodyReader, Cause, Head, HeadReader, Reason, Refusal};

/// The head at the front of this, which is there and right.
fn head(request: &str) -> Head<'_> {
    HeadReader::default().read(request.as_bytes()).unwrap().expect("the head is complete").0
}

/// A GET with these lines behind the request line.
fn get(target: &str, fields: &str) -> String {
    request("GET", target, fields)
}

fn request(method: &str, target: &str, fields: &str) -> String {
    let host = if fields.to_lowercase().contains("host:") { "" } else { "Host: localhost:7400\r\n" };
    format!("{method} {target} HTTP/1.1\r\n{host}{fields}\r\n")
}

fn reason(refusal: &Refusal) -> Reason {
    match refusal.cause {
        Cause::Reason(reason) => reason,
        Cause::Code(code) => panic!("{code}"),
    }
}

#[test]
fn a_pipeline_of_requests_is_read_one_by_one() {
    let requests = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n\r\nPOST /v1/topics/a HTTP/1.1\r\nHost: a\r\n\
                    Content-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n";
    let (mut reader, mut rest, mut paths) = (HeadReader::default(), requests.as_bytes(), Vec::new());
    while let Some((head, used)) = reader.read(rest).unwrap() {
        paths.push(head.path);
        let mut body = BodyReader::new(head.body, 10).unwrap();
        rest = &rest[used..];
        rest = &rest[body.read(rest, &mut Vec::new()).unwrap().used..];
        assert!(body.is_complete() && !reader.is_begun());
    }
    assert_eq!(paths, ["/healthz", "/v1/topics/a", "/"]);
}
