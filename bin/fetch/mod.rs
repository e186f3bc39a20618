//! Pictures at addresses, for the user's own commands only. A server downloads those of hosts that its owner named, in `hosts`.

pub(crate) mod hosts;

use std::time::Duration;

use ocelli::{Error, Result};
use ureq::Agent;

/// Most bytes of a picture.
const MOST_BYTES: u64 = 64 << 20;
/// Time limit of a picture.
const TIME: Duration = Duration::from_secs(60);

/// Returns true for an http or https address.
pub(crate) fn is_address(name: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| name.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// The file at an address.
///
/// # Errors
/// `io`.
pub(crate) fn get(address: &str) -> Result<Vec<u8>> {
    let fail = |reason: String| Error::Io { path: address.into(), reason };
    let config = Agent::config_builder()
        // A redirection from https to http is refused.
        .https_only(address.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("https")))
        .max_redirects(5)
        .timeout_global(Some(TIME))
        .user_agent(concat!("ocelli/", env!("CARGO_PKG_VERSION")));
    let agent: Agent = config.build().into();
    let response = agent.get(address).call().map_err(|error| fail(error.to_string()))?;
    let bytes = response.into_body().into_with_config().limit(MOST_BYTES).read_to_vec();
    bytes.map_err(|error| fail(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers requests one after another; returns its address, and the heads of requests.
    fn serve(replies: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let heads = std::thread::spawn(move || {
            let answer = |reply: String| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let lines = BufReader::new(&stream).lines().map_while(std::result::Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                stream.write_all(reply.as_bytes()).expect("a client");
                head.join("\n").to_lowercase()
            };
            replies.into_iter().map(answer).collect()
        });
        (address, heads)
    }

    fn redirection(to: &str) -> String {
        format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\nset-cookie: a=secret\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        )
    }

    #[test]
    fn a_redirection_carries_no_credentials_to_another_host() {
        let whole = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
        let (other, heads_of_other) = serve(vec![whole.into()]);
        let (first, heads) = serve(vec![redirection(&format!("http://{other}/b.png"))]);
        assert_eq!(get(&format!("http://{first}/a.png")), Ok(b"abc".to_vec()));
        for head in [heads, heads_of_other].into_iter().flat_map(|heads| heads.join().expect("heads")) {
            let secret = ["authorization", "cookie", "referer", "secret"].into_iter().find(|name| head.contains(name));
            assert_eq!(secret, None, "{head}");
        }
    }

    #[test]
    fn redirections_without_end_and_wrong_lengths_are_errors() {
        // Relative, so that they lead to the same server.
        let (address, heads) = serve((0..6).map(|_| redirection("/again")).collect());
        let refused = get(&format!("http://{address}/")).map_err(|error| error.code());
        assert_eq!((refused, heads.join().expect("heads").len()), (Err("io"), 6));
        for length in [9, MOST_BYTES + 1] {
            let reply = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\nabc");
            let (address, _heads) = serve(vec![reply]);
            assert_eq!(get(&format!("http://{address}/")).map_err(|error| error.code()), Err("io"), "{length}");
        }
    }
}
