//! Which addresses of the web an agent may reach: public ones, and those that the operator allows besides.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use crewline_protocol::fault::{Fault, FaultCode};
use futures::future::BoxFuture;
use reqwest::Url;

use crate::settings::Places;

/// From a host's name to its addresses.
pub(super) type Resolve = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// As the operating system knows names.
pub(super) fn system() -> Resolve {
    Arc::new(|host| Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.map(|address| address.ip()).collect()) }))
}

/// Whom agents may reach.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) resolve: Resolve,
    pub(super) allow: Places,
}

impl Reach {
    /// The addresses to connect to for a URL, every one checked: connecting to any other would be to ask for the name again and
    /// believe another answer.
    ///
    /// # Errors
    /// `forbidden` for what agents may not reach, `invalid` for what is no URL of the web, `unavailable` for a name that is not known.
    pub(super) async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Fault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::invalid("url", "format", "only http and https can be fetched"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fault::invalid("url", "format", "a name or a password in a URL is not sent: leave it out"));
        }
        let Some((host, port)) = url.host_str().zip(url.port_or_known_default()) else {
            return Err(Fault::invalid("url", "format", "the URL names no host"));
        };
        let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let found = match literal {
            Some(address) => vec![address],
            None => (self.resolve)(host.to_owned()).await.map_err(|_| unknown(host))?,
        };
        if found.is_empty() {
            return Err(unknown(host));
        }
        let named = literal.is_none() && self.allow.names(host);
        let allowed = |address: &IpAddr| named || self.allow.hold(*address);
        if !found.iter().all(|address| allowed(address) || is_public(address.to_canonical())) {
            return Err(Fault::new(FaultCode::Forbidden, format!("`{host}` is no public address: agents may not reach it")));
        }
        // Below are other services than the web's, which may take a request for one of theirs.
        if !matches!(port, 80 | 443 | 1024..) && !found.iter().all(allowed) {
            return Err(Fault::new(FaultCode::Forbidden, format!("port {port} is none of the web's: agents may not reach it")));
        }
        Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

fn unknown(host: &str) -> Fault {
    Fault::new(FaultCode::Unavailable, format!("the host `{host}` can't be found"))
}

/// Whether an address is one that anyone on the internet has in mind by it.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Those that are given out, without what stands for IPv4 (6to4, Teredo), for protocols or for examples.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let given_out = (0x2000..=0x3fff).contains(&a);
    given_out && !matches!((a, b), (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff))
}
