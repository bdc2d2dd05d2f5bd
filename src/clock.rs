//! Time and chance, handed in, so that tests decide both. The stopwatch is `tokio::time`; this is the calendar and the dice.

use std::sync::{Arc, Mutex, PoisonError};

use crewline_protocol::value::Millis;
use rand::{RngCore, SeedableRng, rngs::StdRng};

/// The calendar and the dice.
#[derive(Clone)]
pub struct Clock {
    calendar: Calendar,
    dice: Arc<Mutex<StdRng>>,
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
        Self { calendar: Calendar::System, dice: Arc::new(Mutex::new(StdRng::from_os_rng())) }
    }
    /// A calendar that starts at `start` and moves with tokio's time, and dice that fall the same for the same seed.
    pub fn simulated(seed: u64, start: Millis) -> Self {
        let calendar = Calendar::Simulated { start, since: tokio::time::Instant::now() };
        Self { calendar, dice: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
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
    /// A new id of any kind: `clock.id(RunId::new)`.
    pub fn id<I>(&self, new: fn(Millis, [u8; 10]) -> I) -> I {
        new(self.now(), self.random())
    }
    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }
}
