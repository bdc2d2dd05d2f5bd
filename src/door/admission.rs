//! How many may be in: of all, from one address, and of those who have not signed in. Whoever is over a limit is let in as far as it
//! takes to tell them, and even those are counted.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crewline_protocol::fault::{Fault, FaultCode};

use crate::{connection::Place, settings::Settings};

/// After how long who is refused may try again.
pub(super) const RETRY_AFTER_MS: i64 = 5_000;

/// The places of a node.
#[derive(Clone)]
pub(super) struct Places(Arc<Inner>);

struct Inner {
    limits: Limits,
    taken: Mutex<Taken>,
}

struct Limits {
    all: Count,
    unsigned: Count,
    refusals: u32,
}

/// How many at once, and from one address.
struct Count {
    all: u32,
    by_address: u32,
}

#[derive(Default)]
struct Taken {
    all: u32,
    unsigned: u32,
    refused: u32,
    by_address: HashMap<IpAddr, Share>,
}

/// What one address has taken.
#[derive(Default)]
struct Share {
    all: u32,
    unsigned: u32,
}

/// A socket's place, given back when this is dropped.
pub struct Admission {
    places: Places,
    address: IpAddr,
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// A place of those who have not signed in.
    Unsigned,
    /// A place.
    Signed,
    /// None but the right to be told so, and why.
    Refusal(&'static str),
}

impl Places {
    pub(super) fn new(settings: &Settings) -> Self {
        let limits = Limits {
            all: Count { all: settings.connections, by_address: settings.connections_per_address },
            unsigned: Count { all: settings.unsigned_connections, by_address: settings.unsigned_per_address },
            refusals: settings.refusals,
        };
        Self(Arc::new(Inner { limits, taken: Mutex::default() }))
    }

    /// Takes a place for a socket from this address; `None`: there is not even room to say that there is none.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Admission> {
        let address = neighbourhood(address);
        let Limits { all, unsigned, refusals } = &self.0.limits;
        let mut taken = self.lock();
        let share = taken.by_address.get(&address);
        let (of_all, of_unsigned) = share.map_or((0, 0), |share| (share.all, share.unsigned));
        let over = [
            (taken.all >= all.all, "too many connections are open here"),
            (taken.unsigned >= unsigned.all, "too many connections here have not signed in"),
            (of_all >= all.by_address, "too many connections are open from this address"),
            (of_unsigned >= unsigned.by_address, "too many connections from this address have not signed in"),
        ];
        let holds = match over.iter().find(|(over, _)| *over) {
            Some((_, why)) if taken.refused < *refusals => {
                taken.refused += 1;
                Holds::Refusal(why)
            }
            Some(_) => return None,
            None => {
                taken.all += 1;
                taken.unsigned += 1;
                let share = taken.by_address.entry(address).or_default();
                share.all += 1;
                share.unsigned += 1;
                Holds::Unsigned
            }
        };
        drop(taken);
        Some(Admission { places: self.clone(), address, holds })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place for Admission {
    /// Why the socket has no place: it is told this, and closed with 4006.
    fn refused(&self) -> Option<Fault> {
        match self.holds {
            Holds::Refusal(why) => Some(Fault::new(FaultCode::Disconnected, why).after_ms(RETRY_AFTER_MS)),
            Holds::Unsigned | Holds::Signed => None,
        }
    }

    /// Somebody has signed in on it: its place among those who have not is free.
    fn signed_in(&mut self) {
        if self.holds == Holds::Unsigned {
            self.holds = Holds::Signed;
            let mut taken = self.places.lock();
            taken.unsigned -= 1;
            if let Some(share) = taken.by_address.get_mut(&self.address) {
                share.unsigned -= 1;
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Holds::Refusal(_) = self.holds {
            self.places.lock().refused -= 1;
            return;
        }
        self.signed_in();
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(share) = taken.by_address.get_mut(&self.address) {
            share.all -= 1;
            if share.all == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: of IPv6 its first 64 bits, for whoever has one of these has them all.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(settings: &Settings) -> Places {
        Places::new(settings)
    }

    fn few() -> Settings {
        Settings {
            connections: 4,
            connections_per_address: 3,
            unsigned_connections: 3,
            unsigned_per_address: 2,
            refusals: 1,
            ..Settings::default()
        }
    }

    fn from(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn why(admission: &Admission) -> Option<String> {
        admission.refused().map(|fault| fault.message.into_owned())
    }

    fn signed(places: &Places, address: IpAddr) -> Admission {
        let mut admission = places.admit(address).unwrap();
        assert_eq!(admission.refused(), None);
        admission.signed_in();
        admission
    }

    #[test]
    fn each_limit_holds_at_n_and_refuses_one_more() {
        let places = places(&few());
        let waiting: Vec<_> = (0..2).map(|_| places.admit(from(1)).unwrap()).collect();
        let over = places.admit(from(1)).unwrap();
        assert_eq!(why(&over).unwrap(), "too many connections from this address have not signed in");
        drop(over);
        let other = places.admit(from(2)).unwrap();
        assert_eq!(why(&places.admit(from(3)).unwrap()).unwrap(), "too many connections here have not signed in");
        drop((waiting, other));

        let signed_in: Vec<_> = (0..3).map(|_| signed(&places, from(1))).collect();
        assert_eq!(why(&places.admit(from(1)).unwrap()).unwrap(), "too many connections are open from this address");
        let fourth = signed(&places, from(2));
        let over = places.admit(from(2)).unwrap();
        let fault = Fault::new(FaultCode::Disconnected, "too many connections are open here").after_ms(RETRY_AFTER_MS);
        assert_eq!(over.refused(), Some(fault));
        assert!(places.admit(from(3)).is_none(), "one refusal at a time");
        drop((over, signed_in, fourth));
    }

    #[test]
    fn every_place_comes_back() {
        let places = places(&few());
        let mut held: Vec<_> = (1..=3).filter_map(|last| places.admit(from(last))).collect();
        held[0].signed_in();
        held[0].signed_in();
        held.extend(places.admit(from(1)));
        held.extend(places.admit(from(1)));
        drop(held);
        let taken = places.lock();
        assert_eq!((taken.all, taken.unsigned, taken.refused, taken.by_address.len()), (0, 0, 0, 0));
    }

    #[test]
    fn neighbours_in_ipv6_and_the_two_ways_to_write_ipv4_are_one_address() {
        let parse = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(parse("2001:db8:1:2:3:4:5:6"), parse("2001:db8:1:2::1"));
        assert_ne!(parse("2001:db8:1:2::1"), parse("2001:db8:1:3::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
        assert_ne!(parse("192.0.2.1"), parse("192.0.2.2"));
    }
}
