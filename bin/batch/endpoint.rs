//! Servers with OpenAI's API that answer a batch: one request at a time, with retries.

use std::thread;
use std::time::Duration;

use ocelli::{Error, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::http::{HeaderMap, StatusCode, Uri};

use super::BatchRequest;
use super::answers::{Answered, Response};
use crate::shared::api::random_name;

/// Most attempts of a request.
const MOST_ATTEMPTS: u32 = 8;
/// Time before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longest time to wait because a server asks for it.
const LONGEST_ORDERED: Duration = Duration::from_secs(600);
/// Time limit of an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30 * 60);
/// Most bytes of an answer.
const MOST_BYTES: u64 = 64 << 20;

/// Servers with the same models.
pub(super) struct Endpoints {
    agent: Agent,
    /// Addresses, without `/v1` at their ends.
    servers: Vec<String>,
    key: Option<String>,
}

/// The outcome of one attempt.
enum Attempt {
    Answered(Answered),
    /// A later attempt may succeed.
    Failed {
        reason: String,
        /// Time that the server asks to wait.
        pause: Option<Duration>,
    },
}

impl Endpoints {
    /// # Errors
    /// `invalid-request` for what is no http or https address.
    pub(super) fn new(servers: &[String], key: Option<String>) -> Result<Self> {
        let plain = |server: &String| {
            let uri: Option<Uri> = server.parse().ok();
            let is_http =
                uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none());
            let server = server.trim_end_matches('/');
            let server = server.strip_suffix("/v1").unwrap_or(server).to_owned();
            if is_http {
                Ok(server)
            } else {
                Err(Error::request("--endpoint", format!("{server:?} is no http(s) address")))
            }
        };
        let servers = servers.iter().map(plain).collect::<Result<_>>()?;
        let config = Agent::config_builder()
            // A redirection could carry the key to another host.
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_global(Some(ANSWER_TIME))
            .user_agent(concat!("ocelli/", env!("CARGO_PKG_VERSION")));
        Ok(Self { agent: config.build().into(), servers, key })
    }

    /// Sends a request until it is answered or refused. Its attempts go to the servers in turn, beginning with number `first`.
    ///
    /// # Errors
    /// `io` with the last reason after [`MOST_ATTEMPTS`], and `aborted` once `is_stopped`.
    pub(super) fn answer(
        &self,
        request: &BatchRequest,
        first: usize,
        is_stopped: impl Fn() -> bool,
    ) -> Result<Answered> {
        let mut attempt = 0;
        loop {
            let server = &self.servers[(first + attempt as usize) % self.servers.len()];
            let (reason, pause) = match self.attempt(server, request) {
                Attempt::Answered(answered) => return Ok(answered),
                Attempt::Failed { reason, pause } => (reason, pause),
            };
            attempt += 1;
            if attempt >= MOST_ATTEMPTS {
                return Err(Error::Io { path: server.clone(), reason: format!("{reason}, {MOST_ATTEMPTS} times") });
            }
            let mut rest = pause.unwrap_or_else(|| back_off(attempt));
            while !rest.is_zero() {
                if is_stopped() {
                    return Err(Error::Aborted);
                }
                let piece = rest.min(Duration::from_millis(100));
                thread::sleep(piece);
                rest -= piece;
            }
        }
    }

    fn attempt(&self, server: &str, request: &BatchRequest) -> Attempt {
        let failed = |reason: String, pause| Attempt::Failed { reason, pause };
        let mut post = self
            .agent
            .post(format!("{server}{}", request.url))
            .header("content-type", "application/json")
            .header("idempotency-key", idempotency_key(request));
        if let Some(key) = &self.key {
            post = post.header("authorization", format!("Bearer {key}"));
        }
        let response = match post.send(request.body.as_str()) {
            Ok(response) => response,
            Err(error) => return failed(error.to_string(), None),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.into_body().into_with_config().limit(MOST_BYTES).read_to_string();
        let body = match text.map(|text| serde_json::from_str::<Value>(&text)) {
            Ok(Ok(body)) => Some(body),
            // Proxies write errors as HTML.
            Ok(Err(_)) if status.is_success() => return failed("the answer is not JSON".into(), None),
            Ok(Err(_)) => None,
            Err(error) => return failed(format!("the answer is incomplete: {error}"), None),
        };
        if may_retry(status, &headers) {
            return failed(format!("status {status}"), ordered_pause(&headers));
        }
        let request_id =
            text_of(&headers, "x-request-id").map_or_else(|| format!("req_{}", random_name()), str::to_owned);
        let response = Response { status_code: status.as_u16(), request_id, body: body.unwrap_or_default() };
        let (id, custom_id) = (format!("batch_req_{}", random_name()), Some(request.custom_id.clone()));
        Attempt::Answered(Answered { id, custom_id, response: Some(response), error: None })
    }
}

/// The same key for all attempts, also of later processes: servers that know such keys answer a request once.
fn idempotency_key(request: &BatchRequest) -> String {
    let mut hash = Sha256::new();
    for part in [&request.custom_id, &request.url, &request.body] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("ocelli-{digits}")
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns true if the same request may be answered later. `x-should-retry` decides, as in OpenAI's clients.
fn may_retry(status: StatusCode, headers: &HeaderMap) -> bool {
    let passes = status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 425 | 429);
    match text_of(headers, "x-should-retry") {
        _ if status.is_success() => false,
        Some("true") => true,
        Some("false") => false,
        _ => passes,
    }
}

/// Time that a server asks to wait. Dates are not read: their clock may differ from that of this machine.
fn ordered_pause(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| text_of(headers, name)?.trim().parse::<f64>().ok().filter(|number| *number >= 0.0);
    let seconds = number("retry-after-ms").map(|ms| ms / 1e3).or_else(|| number("retry-after"))?;
    Some(Duration::from_secs_f64(seconds.min(LONGEST_ORDERED.as_secs_f64())))
}

/// Between half of the pause and all of it, so that many requests do not come back at the same moment.
fn back_off(attempt: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(10)).min(LONGEST_PAUSE);
    let random = u32::from_str_radix(&random_name()[..8], 16).unwrap_or(0);
    pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn what_may_pass_is_retried_after_the_time_that_the_server_asks_for() {
        let retried =
            |status: u16, pairs: &[_]| may_retry(StatusCode::from_u16(status).expect("a status"), &headers(pairs));
        assert!([408, 409, 425, 429, 500, 502, 503, 504].iter().all(|status| retried(*status, &[])));
        assert!([200, 301, 400, 401, 403, 404, 413, 422].iter().all(|status| !retried(*status, &[])));
        assert!(!retried(500, &[("x-should-retry", "false")]) && retried(404, &[("x-should-retry", "true")]));
        let pause = |name, value| ordered_pause(&headers(&[(name, value)]));
        assert_eq!(pause("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(pause("retry-after-ms", "30"), Some(Duration::from_millis(30)));
        assert_eq!(pause("retry-after", "1e9"), Some(LONGEST_ORDERED));
        for other in ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "NaN", ""] {
            assert_eq!(pause("retry-after", other), None, "{other}");
        }
    }

    #[test]
    fn pauses_grow_within_bounds() {
        for attempt in 1..40 {
            let most = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(10)).min(LONGEST_PAUSE);
            assert!((most / 2..=most).contains(&back_off(attempt)), "{attempt}");
        }
    }

    #[test]
    fn addresses_with_and_without_a_version_are_the_same() {
        let of = |server: &str| Endpoints::new(&[server.to_owned()], None).map(|endpoints| endpoints.servers);
        for server in ["http://host:8000", "http://host:8000/", "http://host:8000/v1", "http://host:8000/v1/"] {
            assert_eq!(of(server), Ok(vec!["http://host:8000".into()]), "{server}");
        }
        assert_eq!(of("https://host/openai/v1"), Ok(vec!["https://host/openai".into()]));
        for other in ["host:8000", "ftp://host/v1", "http://host/v1?x=1", ""] {
            assert!(of(other).is_err(), "{other}");
        }
    }

    #[test]
    fn the_key_of_a_request_depends_on_nothing_else() {
        let key = |id: &str, body: &str| {
            idempotency_key(&BatchRequest { custom_id: id.into(), url: "/v1/a".into(), body: body.into() })
        };
        assert_eq!(key("a", "{}"), key("a", "{}"));
        assert!(key("a", "{}") != key("b", "{}") && key("a", "{}") != key("a", "{ }"));
    }
}
