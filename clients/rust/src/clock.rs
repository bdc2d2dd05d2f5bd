//! Time and chance, handed in, so that tests decide both. The stopwatch is `tokio::time`; this is the calendar and the dice.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crewline_protocol::value::{Millis, MutationKey};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};

/// The calendar that keys are made from, and the dice that spread reconnects.
#[derive(Clone)]
pub struct Clock {
    calendar: Calendar,
    dice: Arc<Mutex<StdRng>>,
}

#[derive(Clone, Copy)]
enum Calendar {
    System,
    Simulated { start: Millis, since: tokio::time::Instant },
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
                let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
            Calendar::Simulated { start, since } => start.plus(i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)),
        }
    }
    /// A new key for a mutation.
    pub fn mutation_key(&self) -> MutationKey {
        let mut random = [0; 10];
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut random);
        MutationKey::new(self.now(), random)
    }
    /// A random time from nothing up to `bound`: full jitter, so that a crowd that was cut off together does not come back together.
    pub(crate) fn up_to(&self, bound: Duration) -> Duration {
        bound.mul_f64(self.dice.lock().unwrap_or_else(PoisonError::into_inner).random())
    }
    /// Full jitter up to a bound that doubles with every try, from `base` to `max`.
    pub(crate) fn jitter(&self, base: Duration, max: Duration, tries: u32) -> Duration {
        self.up_to(base.saturating_mul(1 << tries.min(16)).min(max))
    }
}
