//! How often somebody may ask: budgets by address for checks of passwords and tokens, by principal for the rest.

use std::{hash::Hash, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operation::Rate,
    value::UserId,
};
use governor::{Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware, state::keyed::DashMapStateStore};
use tokio::time::Instant;

use crate::{access::Identity, settings::Settings};

/// Every budget of a node. A node counts for itself.
#[derive(Clone)]
pub struct Limits(Arc<Budgets>);

struct Budgets {
    sign_in_by_address: Budget<IpAddr>,
    sign_in_by_account: Budget<String>,
    read: Budget<UserId>,
    write: Budget<UserId>,
    lease: Budget<UserId>,
}

type Budget<K> = RateLimiter<K, DashMapStateStore<K>, Stopwatch, NoOpMiddleware<Duration>>;

/// tokio's time, so that tests in paused time see budgets fill up again.
#[derive(Clone)]
struct Stopwatch(Instant);

impl Clock for Stopwatch {
    type Instant = Duration;
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Limits {
    /// Full budgets of these sizes.
    pub fn new(settings: &Settings) -> Self {
        let sign_in = Quota::per_minute(at_least_one(settings.sign_in_rate));
        Self(Arc::new(Budgets {
            sign_in_by_address: budget(sign_in),
            sign_in_by_account: budget(sign_in),
            read: budget(Quota::per_second(at_least_one(settings.read_rate))),
            write: budget(Quota::per_second(at_least_one(settings.write_rate))),
            lease: budget(Quota::per_second(at_least_one(settings.lease_rate))),
        }))
    }

    /// Takes one request from the budget that it draws on.
    ///
    /// # Errors
    /// `rate_limited`, with the time until there is room again.
    pub fn check(&self, rate: Rate, identity: Option<&Identity>, address: IpAddr) -> Result<(), Fault> {
        match (rate, identity) {
            (Rate::Read, Some(identity)) => take(&self.0.read, &identity.user),
            (Rate::Write, Some(identity)) => take(&self.0.write, &identity.user),
            (Rate::Lease, Some(identity)) => take(&self.0.lease, &identity.user),
            (Rate::SignIn, _) | (Rate::Read | Rate::Write | Rate::Lease, None) => take(&self.0.sign_in_by_address, &address),
        }
    }

    /// Takes one attempt to sign in to an account, by its address, from whichever network address it comes.
    ///
    /// # Errors
    /// `rate_limited`, with the time until there is room again.
    pub fn check_account(&self, email: &str) -> Result<(), Fault> {
        take(&self.0.sign_in_by_account, &email.to_owned())
    }

    /// Forgets whose budgets are full again.
    pub fn forget_idle(&self) {
        self.0.sign_in_by_address.retain_recent();
        self.0.sign_in_by_account.retain_recent();
        self.0.read.retain_recent();
        self.0.write.retain_recent();
        self.0.lease.retain_recent();
    }
}

fn at_least_one(rate: u32) -> NonZeroU32 {
    NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN)
}

fn budget<K: Hash + Eq + Clone>(quota: Quota) -> Budget<K> {
    RateLimiter::new(quota, DashMapStateStore::default(), Stopwatch(Instant::now()))
}

fn take<K: Hash + Eq + Clone>(budget: &Budget<K>, key: &K) -> Result<(), Fault> {
    budget.check_key(key).map_err(|full| {
        let wait = full.wait_time_from(budget.clock().now());
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).saturating_add(1);
        Fault::new(FaultCode::RateLimited, format!("too many requests: wait {wait_ms} ms")).after_ms(wait_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_budget_holds_at_n_faults_at_one_more_and_says_when() {
        let limits = Limits::new(&Settings { sign_in_rate: 3, ..Settings::default() });
        let address = IpAddr::from([127, 0, 0, 1]);
        for _ in 0..3 {
            assert_eq!(limits.check(Rate::SignIn, None, address), Ok(()));
        }
        let fault = limits.check(Rate::SignIn, None, address).unwrap_err();
        assert_eq!(fault.code, FaultCode::RateLimited);
        assert_eq!(limits.check(Rate::SignIn, None, IpAddr::from([127, 0, 0, 2])), Ok(()), "another address has its own");
        let wait = u64::try_from(fault.retry_after_ms.unwrap()).unwrap();
        tokio::time::advance(Duration::from_millis(wait - 2)).await;
        assert!(limits.check(Rate::SignIn, None, address).is_err());
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(limits.check(Rate::SignIn, None, address), Ok(()));
    }
}
