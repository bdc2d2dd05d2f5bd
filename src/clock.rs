//! Time and chance, handed in, so that tests decide both. The stopwatch is `tokio::time`; this is the calendar and the dice.

use std::sync::{Arc, Mutex, PoisonError};

use crewline_protocol::value::Millis;
use rand::{RngCore, SeedableRng, rngs::StdRng};

/// The calendar and the dice.
#[derive(Clone)]
pub struct Clock {
    calendar: Calendar,
    dice: Arc<Mutex<StdRng>>,
    /// The time and the random bytes of the last id.
    last: Arc<Mutex<(Millis, [u8; 10])>>,
}

#[derive(Clone, Copy)]
enum Calendar {
    System,
    /// Moves with tokio's time, which tests can pause.
    Simulated {
        start: Millis,
        since: tokio::time::Instant,
    },
}

impl Clock {
    /// The machine's calendar, and dice seeded by the operating system.
    pub fn system() -> Self {
        Self { calendar: Calendar::System, dice: Arc::new(Mutex::new(StdRng::from_os_rng())), last: Arc::default() }
    }
    /// A calendar that starts at `start` and moves with tokio's time, and dice that fall the same for the same seed.
    pub fn simulated(seed: u64, start: Millis) -> Self {
        let calendar = Calendar::Simulated { start, since: tokio::time::Instant::now() };
        Self { calendar, dice: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))), last: Arc::default() }
    }
    /// The time now.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's calendar")]
    pub fn now(&self) -> Millis {
        match self.calendar {
            Calendar::System => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Calendar::Simulated { start, since } => start.plus(i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)),
        }
    }
    /// A new id of any kind: `clock.id(RunId::new)`. Each is greater than those before it (RFC 9562, section 6.2, method 2).
    pub fn id<I>(&self, new: fn(Millis, [u8; 10]) -> I) -> I {
        let (now, mut bytes) = (self.now(), self.random());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, [head_0, head_1, tail @ ..]) = *last;
        *last = if now > before {
            // Room to count up within the millisecond.
            bytes[2] &= 0x1f;
            (now, bytes)
        } else {
            let step = 1 + u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            let tail = (u64::from_be_bytes(tail) & (u64::MAX >> 2)) + step;
            let [t0, t1, t2, t3, t4, t5, t6, t7] = tail.to_be_bytes();
            (before, [head_0, head_1, t0, t1, t2, t3, t4, t5, t6, t7])
        };
        new(last.0, last.1)
    }
    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use crewline_protocol::value::RunId;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ids_of_one_millisecond_come_in_their_order_and_no_two_are_the_same() {
        let clock = Clock::simulated(1, Millis(1_700_000_000_000));
        let ids: Vec<String> = (0..100_000).map(|_| clock.id(RunId::new).to_string()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        let system = Clock::system();
        let ids: Vec<String> = (0..10_000).map(|_| system.id(RunId::new).to_string()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
