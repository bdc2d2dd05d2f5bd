//! Places in a network, by name or by address.

use std::{fmt, net::IpAddr, str::FromStr};

/// Hosts and networks, separated by commas: `wiki.example.com`, `10.1.0.0/16`, `127.0.0.1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Host(String),
    /// Addresses that begin with these bits.
    Network(IpAddr, u8),
}

impl Places {
    /// Whether a host is among them by its name.
    pub fn names(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.0.iter().any(|place| matches!(place, Place::Host(name) if name.eq_ignore_ascii_case(host)))
    }

    /// Whether an address is in one of the networks.
    pub fn hold(&self, address: IpAddr) -> bool {
        self.0.iter().any(|place| matches!(place, Place::Network(network, bits) if begins_with(address, *network, *bits)))
    }
}

fn begins_with(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |a: &[u8], b: &[u8]| {
        let (whole, rest) = (usize::from(bits / 8), bits % 8);
        a[..whole] == b[..whole] && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0)
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => same(&address.octets(), &network.octets()),
        (IpAddr::V6(address), IpAddr::V6(network)) => same(&address.octets(), &network.octets()),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

impl FromStr for Place {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        if let Ok(address) = address.parse::<IpAddr>() {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(drop))?;
            return if bits <= most { Ok(Self::Network(address, bits)) } else { Err(()) };
        }
        let is_name = bits.is_none() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        if is_name { Ok(Self::Host(text.trim_end_matches('.').to_ascii_lowercase())) } else { Err(()) }
    }
}

impl FromStr for Places {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.split(',').map(str::trim).filter(|place| !place.is_empty()).map(str::parse).collect::<Result<_, ()>>().map(Self)
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match place {
                Place::Host(name) => write!(f, "{comma}{name}")?,
                Place::Network(address, bits) => write!(f, "{comma}{address}/{bits}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_go_by_name_and_networks_by_their_bits() {
        let places: Places = "Wiki.example.com., 10.1.0.0/12, fd00::/8,127.0.0.1".parse().unwrap();
        assert_eq!(places.to_string(), "wiki.example.com,10.1.0.0/12,fd00::/8,127.0.0.1/32");
        assert!(places.names("WIKI.example.com") && places.names("wiki.example.com.") && !places.names("a.wiki.example.com"));
        let holds = |address: &str| places.hold(address.parse().unwrap());
        assert!(holds("10.15.255.255") && holds("127.0.0.1") && holds("fdff::1"));
        assert!(!holds("10.16.0.0") && !holds("127.0.0.2") && !holds("fe00::1") && !holds("::ffff:127.0.0.1"));
        for wrong in ["10.0.0.0/33", "a/b", "http://a", "*.example.com", "10.0.0.0/x"] {
            assert!(wrong.parse::<Places>().is_err(), "{wrong}");
        }
    }
}
