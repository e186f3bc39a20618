//! Access control. Any web page in the user's browser can reach a local server; without a key, only pages of this machine may send
//! requests.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};

use super::callers::{Caller, Keys};

/// Header for the key in Anthropic's API.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No key, or a wrong one.
    Key,
    /// A page of another site.
    Origin,
    /// A host name that resolves to this machine but is not its own (DNS rebinding).
    Host,
}

/// The access rules.
pub(crate) struct Access {
    host: IpAddr,
    pub(crate) keys: Keys,
    origins: Vec<String>,
}

impl Access {
    pub(crate) fn new(host: IpAddr, keys: Keys, origins: Vec<String>) -> Self {
        Self { host, keys, origins }
    }

    /// Checks a request's origin, and its key unless it is a preflight request. Returns its sender.
    pub(crate) fn check(&self, headers: &HeaderMap, is_preflight: bool) -> Result<Arc<Caller>, Refusal> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        // A page that this server has sent.
        let is_same = |origin: &str| origin.split_once("://").is_some_and(|(_, host)| text(HOST) == Some(host));
        if text(ORIGIN).is_some_and(|origin| !self.allows(origin) && !is_same(origin)) {
            return Err(Refusal::Origin);
        }
        if !self.keys.are_needed() {
            let is_known = |host: &str| is_local(host) || name_of(host) == self.host.to_string();
            return if text(HOST).is_none_or(is_known) { Ok(Caller::unnamed("")) } else { Err(Refusal::Host) };
        }
        if is_preflight {
            return Ok(Arc::default());
        }
        let sent = text(AUTHORIZATION).and_then(bearer).or_else(|| text(API_KEY));
        self.keys.caller(sent.unwrap_or_default()).ok_or(Refusal::Key)
    }

    /// Returns true if pages of an origin may send requests.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        let is_named = self.origins.iter().any(|allowed| allowed == origin || allowed == "*");
        let is_own =
            origin.split_once("://").is_some_and(|(scheme, host)| scheme.starts_with("http") && is_local(host));
        is_named || is_own || self.keys.are_needed() && self.origins.is_empty()
    }
}

/// The key in an `authorization` header. The scheme has no case (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key)
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    port.map_or(host, |(name, _)| name).trim_start_matches('[').trim_end_matches(']')
}

/// Returns true if a host, with or without a port, is this machine.
fn is_local(host: &str) -> bool {
    let name = name_of(host);
    let is_loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    name == "localhost" || name.ends_with(".localhost") || is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn without_a_key_only_this_machine_may_send_requests() {
        let access = Access::new(IpAddr::from([127, 0, 0, 1]), Keys::default(), Vec::new());
        let check = |pairs: &[(HeaderName, &str)]| access.check(&headers(pairs), false).map(|caller| caller.is_admin);
        let asked = |host: &str, origin: &str| check(&[(HOST, host), (ORIGIN, origin)]);
        assert_eq!(asked("localhost:8080", "http://127.0.0.1:3000"), Ok(true));
        assert_eq!(asked("[::1]:8080", "http://app.localhost"), Ok(true));
        assert_eq!(asked("127.0.0.1", "https://example.com"), Err(Refusal::Origin));
        assert_eq!(asked("127.0.0.1", "null"), Err(Refusal::Origin));
        assert_eq!(
            asked("evil.example:8080", "http://localhost"),
            Err(Refusal::Host),
            "a name that was made to lead here"
        );
        assert_eq!(asked("evil.example:8080", "http://evil.example:8080"), Err(Refusal::Host), "even for its own page");
        assert_eq!(check(&[]), Ok(true), "no browser");
    }

    #[test]
    fn with_a_key_only_its_holders_may_send_requests() {
        let keys = || Keys::open(Some("secret"), None).expect("a key");
        let access = Access::new(IpAddr::from([0, 0, 0, 0]), keys(), Vec::new());
        let check = |headers: &HeaderMap, is_preflight| access.check(headers, is_preflight).map(drop);
        let asked = |key: &str| check(&headers(&[(HOST, "box.lan"), (AUTHORIZATION, key)]), false);
        assert_eq!((asked("Bearer secret"), asked("bearer secret")), (Ok(()), Ok(())));
        assert_eq!(check(&headers(&[(HOST, "box.lan"), (API_KEY, "secret")]), false), Ok(()));
        assert_eq!(check(&headers(&[(HOST, "box.lan"), (API_KEY, "secret2")]), false), Err(Refusal::Key));
        for wrong in ["Bearer secret2", "Bearer ", "secret", "Basic secret"] {
            assert_eq!(asked(wrong), Err(Refusal::Key), "{wrong}");
        }
        let page = headers(&[(ORIGIN, "https://example.com")]);
        assert_eq!((check(&page, true), check(&page, false)), (Ok(()), Err(Refusal::Key)));
        let named = Access::new(IpAddr::from([0, 0, 0, 0]), keys(), vec!["https://a.example".into()]);
        let of = |host: &str, origin: &str| headers(&[(HOST, host), (ORIGIN, origin), (API_KEY, "secret")]);
        let asked = |headers: &HeaderMap| named.check(headers, false).map(drop);
        assert_eq!(asked(&of("box.lan:8080", "http://box.lan:8080")), Ok(()), "the page of the server");
        assert_eq!(asked(&of("box.lan:8080", "http://box.lan:3000")), Err(Refusal::Origin), "another server's");
        assert!(named.allows("https://a.example") && !named.allows("https://b.example"));
    }
}
