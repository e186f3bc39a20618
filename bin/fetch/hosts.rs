//! Pictures at addresses that requests name, from hosts of the server's owner alone: clients cannot make it reach another one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::header::LOCATION;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

/// Time limit of all downloads of a request.
pub(crate) const TIME: Duration = Duration::from_secs(30);
/// Most redirections within a host.
const MOST_REDIRECTIONS: usize = 3;

/// A host whose pictures are downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// Its name in lower case, or its IP address.
    name: String,
    /// The port; `None` for that of the scheme.
    port: Option<u16>,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} is not a host such as pictures.example or pictures.example:8443");
        let uri: Uri = format!("https://{text}/").parse().map_err(|_| fault())?;
        let is_host = uri.path() == "/" && uri.query().is_none() && !text.contains(['@', '*']);
        let host = uri.host().filter(|host| is_host && !host.is_empty()).ok_or_else(fault)?;
        let port = match text[host.len()..].strip_prefix(':') {
            Some(port) => Some(port.parse().map_err(|_| fault())?),
            None => None,
        };
        Ok(Self { name: plain(host), port })
    }
}

impl Host {
    fn is_loopback(&self) -> bool {
        self.name == "localhost" || self.ip().is_some_and(|address| address.is_loopback())
    }

    fn ip(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }

    /// Returns true if an address of this host may be downloaded: https, or http on this machine.
    fn allows(&self, uri: &Uri) -> bool {
        let usual = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") if self.is_loopback() => 80,
            _ => return false,
        };
        let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        let port = uri.port_u16().unwrap_or(usual);
        is_plain && uri.host().is_some_and(|host| plain(host) == self.name) && port == self.port.unwrap_or(usual)
    }

    /// Returns true if the host may be found at an address: a public one, or the one that it is.
    fn may_be_at(&self, address: IpAddr) -> bool {
        match self.ip() {
            Some(own) => own == address,
            None if self.is_loopback() => address.is_loopback(),
            None => is_public(address),
        }
    }
}

/// A host of an address in lower case, without the brackets of IPv6 addresses.
fn plain(host: &str) -> String {
    host.trim_matches(['[', ']']).to_lowercase()
}

/// Returns true for addresses outside of private, local and reserved networks.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && b & 0xc0 == 64;
    let is_reserved = a == 0 || a >= 240 || (a, b, c) == (192, 0, 0) || (a, b & 0xfe) == (198, 18);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || is_shared
        || is_reserved)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Global unicast alone, without those that lead to IPv4 (6to4, Teredo) and those of documents.
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000 && first != 0x2002 && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
}

/// Finds the addresses of a host, without those where it may not be. The connection is made to one of them, so that a name that changes
/// its address later leads nowhere else.
#[derive(Debug)]
struct Checked(Host);

impl Resolver for Checked {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        let may = |address: &&SocketAddr| self.0.may_be_at(address.ip().to_canonical());
        found.iter().filter(may).for_each(|address| allowed.push(*address));
        if allowed.is_empty() { Err(Error::HostNotFound) } else { Ok(allowed) }
    }
}

/// The file at an address of one of the hosts, of at most so many bytes, before `end`.
///
/// # Errors
/// The reason for which it is not downloaded.
pub(crate) fn get(address: &str, hosts: &[Host], most: u64, end: Instant) -> Result<Vec<u8>, String> {
    let parsed = address.parse::<Uri>().map_err(|_| "is not an address".to_owned());
    let mut uri = parsed?;
    let no_host = || {
        let host = uri.host().unwrap_or_default();
        format!(
            "{}://{host} is not an https address of a host that --fetch-pictures names",
            uri.scheme_str().unwrap_or_default()
        )
    };
    let host = hosts.iter().find(|host| host.allows(&uri)).ok_or_else(no_host)?;
    let secure = uri.scheme_str() == Some("https");
    let config = Agent::config_builder()
        .https_only(secure)
        .max_redirects(0)
        .http_status_as_error(false)
        // A proxy would find the address, and find a private one.
        .proxy(None)
        .user_agent(concat!("ocelli/", env!("CARGO_PKG_VERSION")));
    let agent = Agent::with_parts(config.build(), DefaultConnector::default(), Checked(host.clone()));
    for _ in 0..=MOST_REDIRECTIONS {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("the pictures of a request are downloaded in at most {} s", TIME.as_secs()));
        }
        let call = agent.get(&uri).config().timeout_global(Some(left)).build().call();
        let response = call.map_err(|error| reason(&error, host))?;
        match response.status().as_u16() {
            200 => {
                let body = response.into_body().into_with_config().limit(most).read_to_vec();
                return body.map_err(|error| match error {
                    Error::BodyExceedsLimit(_) => {
                        format!("has more than the {most} bytes that are left for this request")
                    }
                    error => reason(&error, host),
                });
            }
            301 | 302 | 303 | 307 | 308 => {
                let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
                let next = followed(&uri, to).filter(|next| host.allows(next) && next.scheme() == uri.scheme());
                uri = next.ok_or("leads to another host, which is not followed")?;
            }
            status => return Err(format!("{} answered with status {status}", host.name)),
        }
    }
    Err(format!("leads on more than {MOST_REDIRECTIONS} times"))
}

/// The address to which a redirection leads: a whole one, or a path on the same host.
fn followed(from: &Uri, to: &str) -> Option<Uri> {
    let is_path = to.starts_with('/') && !to.starts_with("//");
    let whole = if is_path { format!("{}://{}{to}", from.scheme_str()?, from.authority()?) } else { to.to_owned() };
    whole.parse().ok()
}

/// The reason of a failure, without the addresses of networks.
fn reason(error: &Error, host: &Host) -> String {
    let name = &host.name;
    match error {
        Error::HostNotFound => format!("{name} has no public address"),
        Error::Timeout(_) => format!("{name} did not send it within {} s", TIME.as_secs()),
        _ => format!("{name} could not be reached, or ended the answer early"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        text.parse().expect("a host")
    }

    #[test]
    fn hosts_allow_their_own_https_addresses() {
        let allows = |name: &str, address: &str| host(name).allows(&address.parse().expect("an address"));
        assert!(allows("Pictures.example", "https://pictures.example/a.png?b=c"));
        assert!(allows("pictures.example", "HTTPS://PICTURES.EXAMPLE:443/a.png"));
        assert!(allows("pictures.example:8443", "https://pictures.example:8443/"));
        assert!(allows("localhost:80", "http://localhost/") && allows("[::1]:81", "http://[::1]:81/"));
        for other in [
            "http://pictures.example/",
            "https://pictures.example:8443/",
            "https://pictures.example.other/",
            "https://a.pictures.example/",
            "https://user@pictures.example/",
            "https://pictures.example@other/",
        ] {
            assert!(!allows("pictures.example", other), "{other}");
        }
        for wrong in ["", "a/b", "a?b", "https://a", "user@a", "*.a", "a b", "a:b"] {
            assert!(wrong.parse::<Host>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_found_at_public_addresses_alone() {
        let name = host("pictures.example");
        for address in ["93.184.215.14", "2606:2800:21f::1"] {
            assert!(name.may_be_at(address.parse().expect("an address")), "{address}");
        }
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "ff02::1",
        ];
        for address in private {
            assert!(!name.may_be_at(address.parse().expect("an address")), "{address}");
        }
        let own = host("192.168.1.1");
        let is_at = |address: &str| own.may_be_at(address.parse().expect("an address"));
        assert_eq!((is_at("192.168.1.1"), is_at("192.168.1.2"), is_at("8.8.8.8")), (true, false, false));
        let local = host("localhost");
        assert!(local.may_be_at(Ipv4Addr::LOCALHOST.into()) && !local.may_be_at(Ipv4Addr::new(10, 0, 0, 1).into()));
    }

    #[test]
    fn redirections_are_read_as_whole_addresses_and_paths() {
        let from = "https://a.example:8443/b/c".parse().expect("an address");
        let to = |to: &str| followed(&from, to).map(|uri| uri.to_string());
        assert_eq!(to("/d?e"), Some("https://a.example:8443/d?e".into()));
        assert_eq!(to("https://b.example/"), Some("https://b.example/".into()));
        // Without a scheme, they are no address of a host that is allowed.
        assert!(followed(&from, "//b.example/").is_none_or(|uri| uri.scheme().is_none()));
        assert_eq!(to(""), None);
    }
}
