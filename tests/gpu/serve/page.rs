//! The page at `/`, or the text of a build without one, over a socket.

use super::client::{Reply, Server};

/// A request with a host.
fn get(server: &Server, path: &str, host: &str, more: &str) -> Reply {
    server.exchange(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n").as_bytes())
}

#[test]
fn the_page_needs_no_key_and_gives_no_other_file() {
    let server = Server::start(&["--api-key", "a-key-of-16-signs", "--origin", "https://app.example"]);
    let host = format!("box.lan:{}", server.address.port());
    let page = get(&server, "/", &host, "");
    assert_eq!(page.status, 200, "{page:?}");
    match page.header("content-security-policy") {
        // A build with the page.
        Some(policy) => {
            assert!(policy.contains("connect-src 'self' blob: data:; "), "{policy}");
            assert!(page.body.contains("<meta name=\"ocelli-server\" />"), "{page:?}");
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
            let etag = page.header("etag").expect("a tag").to_owned();
            assert_eq!(get(&server, "/", &host, &format!("if-none-match: {etag}\r\n")).status, 304);
            let script = get(&server, "/page.js", &host, "");
            assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
            let worker = get(&server, "/server-worker.js", &host, "");
            let policy = worker.header("content-security-policy");
            assert_eq!(policy, Some("default-src 'none'; connect-src 'self'"), "no request goes elsewhere");
        }
        None => assert!(page.body.contains("./build.sh command"), "{page:?}"),
    }
    for path in ["/Cargo.toml", "/../Cargo.toml", "/..%2fCargo.toml", "/ocelli/worker.js", "/index.html/"] {
        assert_eq!(get(&server, path, &host, "").status, 401, "{path}");
        let known = get(&server, path, &host, "authorization: Bearer a-key-of-16-signs\r\n");
        assert_eq!(known.status, 404, "{path}: {known:?}");
    }
    let asked = |origin: &str| {
        let body = r#"{"prompt": "x"}"#;
        let head =
            format!("host: {host}\r\norigin: {origin}\r\nauthorization: Bearer a-key-of-16-signs\r\nconnection: close");
        let kind = format!("content-type: application/json\r\ncontent-length: {}", body.len());
        server.exchange(format!("POST /v1/tokenize HTTP/1.1\r\n{head}\r\n{kind}\r\n\r\n{body}").as_bytes()).status
    };
    assert_eq!(asked(&format!("http://{host}")), 200, "its own page, though another origin is named");
    assert_eq!(asked("http://other.example"), 403);
}

#[test]
fn without_a_key_the_page_is_for_this_machine_alone() {
    let server = Server::start(&[]);
    assert_eq!(get(&server, "/", "localhost:1", "").status, 200);
    let rebound = get(&server, "/", "evil.example", "origin: http://evil.example\r\n");
    assert_eq!(rebound.error().0, 403, "{rebound:?}");
}
