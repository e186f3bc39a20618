//! The link to the page, with the key if only the user sees it.

use std::io::{IsTerminal, stderr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::shared::io;

/// Says where the page is. A terminal also shows the key and, if other machines reach the page, its code for a camera; a log must not have the
/// key.
pub(crate) fn inform(listening: SocketAddr, key: Option<&str>, is_key_needed: bool) {
    let address = SocketAddr::new(reached(listening.ip()), listening.port());
    let shown = key.filter(|_| stderr().is_terminal());
    let link = link(address, shown);
    let more = if is_key_needed && shown.is_none() { " (#key=KEY at its end enters the key)" } else { "" };
    io::inform(&format!("its page is at {link}{more}"));
    if stderr().is_terminal()
        && !listening.ip().is_loopback()
        && let Ok(code) = QrCode::new(&link)
    {
        io::inform(&code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build());
    }
}

/// A link to the page, which enters the key in its fragment: no server sees that.
fn link(address: SocketAddr, key: Option<&str>) -> String {
    let key = key.map(|key| format!("#key={}", utf8_percent_encode(key, NON_ALPHANUMERIC)));
    format!("http://{address}/{}", key.unwrap_or_default())
}

/// The address by which other machines reach one that stands for all addresses of this machine.
fn reached(host: IpAddr) -> IpAddr {
    // An address of the documentation: nothing is sent to it, the system only chooses a route.
    let (any, other): (IpAddr, IpAddr) = match host {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()),
    };
    if host != any {
        return host;
    }
    let local = || UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((other, 9)).and(socket.local_addr()));
    local().map_or(host, |local| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_the_key_in_its_fragment() {
        let address = SocketAddr::from(([192, 168, 1, 2], 8080));
        assert_eq!(link(address, None), "http://192.168.1.2:8080/");
        assert_eq!(link(address, Some("a%b #c")), "http://192.168.1.2:8080/#key=a%25b%20%23c");
    }

    #[test]
    fn a_link_names_an_address_that_can_be_opened() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(reached(loopback), loopback);
        let any = IpAddr::from([0, 0, 0, 0]);
        assert!(reached(any) != loopback);
    }
}
