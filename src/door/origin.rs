//! Which pages may open a socket or ask for a token. Loopback is no boundary: any page that a browser shows can reach it, so that each
//! origin is compared with a list, whole and exact.

use http::{HeaderMap, HeaderValue, header};

use crate::settings::Settings;

/// The origins that may.
#[derive(Debug)]
pub(super) struct Origins(Vec<String>);

/// From where a request comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin<'a> {
    /// No page: a program, which says nothing of origins.
    None,
    /// A page that may.
    Allowed(&'a HeaderValue),
    /// A page that may not.
    Foreign,
}

impl Origins {
    /// The server's own on localhost, and what the settings add.
    pub(super) fn new(port: u16, settings: &Settings) -> Self {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(|host| match port {
            // RFC 6454, section 6.2: a default port is left out.
            80 => format!("http://{host}"),
            port => format!("http://{host}:{port}"),
        });
        Self(own.into_iter().chain(settings.origins.0.iter().cloned()).collect())
    }

    pub(super) fn of<'a>(&self, headers: &'a HeaderMap) -> Origin<'a> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Origin::None,
            (Some(origin), None) if self.0.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) => Origin::Allowed(origin),
            (Some(_), _) => Origin::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    fn of(origins: &[&str], port: u16) -> bool {
        let listed = "https://app.example.com".parse::<settings::Origins>().unwrap();
        let allowed = Origins::new(port, &Settings { origins: listed, ..Settings::default() });
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        match allowed.of(&headers) {
            Origin::None => panic!("there was one"),
            Origin::Allowed(origin) => origin == origins[0],
            Origin::Foreign => false,
        }
    }

    #[test]
    fn the_own_origins_and_the_listed_ones_may() {
        for origin in ["http://localhost:4040", "http://127.0.0.1:4040", "http://[::1]:4040", "https://app.example.com"] {
            assert!(of(&[origin], 4040), "{origin}");
        }
        assert!(of(&["http://localhost"], 80));
        assert_eq!(Origins::new(4040, &Settings::default()).of(&HeaderMap::new()), Origin::None);
    }

    #[test]
    fn what_only_looks_alike_may_not() {
        let alike = [
            "null",
            "",
            "http://localhost",
            "http://localhost:40400",
            "http://localhost:4040/",
            "https://localhost:4040",
            "http://localhost:4040.evil.example",
            "http://evil.example:4040",
            "http://127.0.0.1.nip.io:4040",
            "http://127.0.0.2:4040",
            "http://0.0.0.0:4040",
            "http://[::]:4040",
            "HTTP://LOCALHOST:4040",
            "http://localhost:4040 ",
            "http://localhost:4040, http://evil.example",
            "https://app.example.com.evil.example",
            "https://evil.app.example.com",
            "https://evilapp.example.com",
            "https://app.example.com:443",
            "https://app.example.com@evil.example",
            "http://app.example.com",
            "https://APP.example.com",
            "*",
        ];
        for origin in alike.map(str::trim_start) {
            assert!(!of(&[origin], 4040), "{origin}");
        }
        assert!(!of(&["http://localhost:4040"], 80));
        assert!(!of(&["https://app.example.com", "https://app.example.com"], 4040), "twice");
        assert!(!of(&["https://app.example.com", "https://evil.example"], 4040));
    }
}
