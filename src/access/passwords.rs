//! Passwords: argon2id on few threads behind a bounded queue, so that a flood of sign-ins costs those who sign in and no one else.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::phc::{self, Output, ParamsString, Salt},
    {PasswordHasher, PasswordVerifier},
};
use crewline_protocol::fault::{Fault, FaultCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    settings::Settings,
    store::{ColumnKind, Stored, Value},
};

/// How much work a hash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB; argon2 needs 8 at least.
    pub memory_kib: u32,
    /// How often it is gone through.
    pub passes: u32,
}

impl Cost {
    /// What a server uses: OWASP's first choice for argon2id, 19 MiB gone through twice, some 27 ms.
    pub const STRONG: Self = Self { memory_kib: 19 * 1024, passes: 2 };
}

/// Where hashing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// On threads of their own, so that no socket waits for it.
    Own,
    /// On the task that asks: in simulated time other threads would make each run another.
    None,
}

/// What a password is checked against, as a PHC string. It is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Hashes and checks passwords.
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    /// What a password of nobody is checked against: the same work, and no password fits.
    nobody: PasswordHash,
    threads: Threads,
    /// Who may be in here at all, and who of them may work.
    places: Arc<Semaphore>,
    working: Arc<Semaphore>,
    clock: Clock,
}

impl Passwords {
    /// # Errors
    /// A cost below what argon2 can do.
    pub(super) fn new(cost: Cost, threads: Threads, clock: Clock, settings: &Settings) -> Result<Self, argon2::Error> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None)?;
        let nobody = nobody(&params, &clock).map_err(|_| argon2::Error::OutputTooShort)?;
        let (working, waiting) = (settings.password_hashes as usize, settings.password_queue as usize);
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            nobody,
            threads,
            places: Arc::new(Semaphore::new(working + waiting)),
            working: Arc::new(Semaphore::new(working)),
            clock,
        })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// `unavailable` when too many passwords wait.
    pub(super) async fn hash(&self, password: SecretString) -> Result<PasswordHash, Fault> {
        let salt: [u8; 16] = self.clock.random();
        let hashed = self.work(move |argon2| argon2.hash_password_with_salt(password.expose_secret().as_bytes(), &salt)).await?;
        hashed.map(|hash| PasswordHash(hash.to_string())).map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            Fault::new(FaultCode::Internal, "the password could not be stored")
        })
    }

    /// Whether the password is the one that was hashed. Without a hash the answer is no, and takes as long.
    ///
    /// # Errors
    /// `unavailable` when too many passwords wait.
    pub(super) async fn fits(&self, password: SecretString, hash: Option<&PasswordHash>) -> Result<bool, Fault> {
        let hash = hash.unwrap_or(&self.nobody).clone();
        self.work(move |argon2| argon2.verify_password(password.expose_secret().as_bytes(), hash.0.as_str()).is_ok()).await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static) -> Result<T, Fault> {
        let full = || Fault::new(FaultCode::Unavailable, "too many people sign in at this moment: try again").after_ms(1_000);
        let place = self.places.clone().try_acquire_owned().map_err(|_| full())?;
        let worker = self.working.clone().acquire_owned().await.map_err(|_| full())?;
        if self.threads == Threads::None {
            return Ok(work(&self.argon2));
        }
        let argon2 = self.argon2.clone();
        // A request that is cancelled meanwhile doesn't stop the thread: its place stays taken until the thread is done.
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&argon2);
            drop((place, worker));
            result
        });
        done.await.map_err(|_| full())
    }
}

fn nobody(params: &Params, clock: &Clock) -> argon2::password_hash::Result<PasswordHash> {
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)?,
        salt: Some(Salt::new(&clock.random::<16>())?),
        hash: Some(Output::new(&clock.random::<{ Params::DEFAULT_OUTPUT_LEN }>())?),
    };
    Ok(PasswordHash(hash.to_string()))
}

impl Stored for PasswordHash {
    const KIND: ColumnKind = ColumnKind::Text;
    fn to_value(&self) -> Value {
        Value::Text(self.0.clone())
    }
    fn from_value(value: Value) -> Option<Self> {
        String::from_value(value).map(Self)
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(cost: Cost, settings: &Settings) -> Passwords {
        Passwords::new(cost, Threads::Own, Clock::system(), settings).unwrap()
    }

    fn cheap() -> Cost {
        Cost { memory_kib: 8, passes: 1 }
    }

    #[tokio::test]
    async fn only_the_password_that_was_hashed_fits() {
        let passwords = passwords(cheap(), &Settings::default());
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", hash.0);
        assert_ne!(passwords.hash("correct horse".into()).await.unwrap(), hash, "each has a salt of its own");
        for (password, fits) in [("correct horse", true), ("correct horse ", false), ("Correct horse", false), ("", false)] {
            assert_eq!(passwords.fits(password.into(), Some(&hash)).await, Ok(fits), "{password}");
            assert_eq!(passwords.fits(password.into(), None).await, Ok(false));
        }
        assert_eq!(format!("{hash:?}"), "PasswordHash(…)");
    }

    #[test]
    fn nobody_is_checked_with_the_work_of_somebody() {
        let passwords = passwords(Cost::STRONG, &Settings::default());
        assert!(passwords.nobody.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", passwords.nobody.0);
        let parsed = phc::PasswordHash::new(&passwords.nobody.0).unwrap();
        assert_eq!((parsed.salt.unwrap().len(), parsed.hash.unwrap().len()), (16, 32));
    }

    #[tokio::test]
    async fn a_full_queue_answers_at_once_and_takes_the_next_when_one_has_gone() {
        let settings = Settings { password_hashes: 1, password_queue: 2, ..Settings::default() };
        let passwords = Arc::new(passwords(cheap(), &settings));
        let (go, wait) = std::sync::mpsc::sync_channel::<()>(0);
        let blocks = passwords.clone();
        let first = tokio::spawn(async move { blocks.work(move |_| wait.recv().is_ok()).await });
        let others: Vec<_> = (0..2)
            .map(|_| {
                tokio::spawn({
                    let passwords = passwords.clone();
                    async move { passwords.work(|_| ()).await }
                })
            })
            .collect();
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let fault = passwords.fits("x".into(), None).await.unwrap_err();
        assert_eq!((fault.code, fault.retry_after_ms), (FaultCode::Unavailable, Some(1_000)));
        go.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(true));
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(()));
        }
        assert_eq!(passwords.fits("x".into(), None).await, Ok(false));
    }

    #[tokio::test]
    async fn work_whose_asker_has_gone_keeps_its_place_until_it_is_done() {
        let settings = Settings { password_hashes: 1, password_queue: 1, ..Settings::default() };
        let passwords = Arc::new(passwords(cheap(), &settings));
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (go, wait) = std::sync::mpsc::sync_channel::<()>(0);
        let blocks = passwords.clone();
        let asker = tokio::spawn(async move {
            let work = move |_: &Argon2<'static>| {
                let _ = begun.send(());
                wait.recv().is_ok()
            };
            blocks.work(work).await
        });
        begins.await.unwrap();
        asker.abort();
        assert!(asker.await.unwrap_err().is_cancelled());
        assert_eq!((passwords.places.available_permits(), passwords.working.available_permits()), (1, 0));
        go.send(()).unwrap();
        let _ = passwords.working.acquire().await.unwrap();
        assert_eq!(passwords.places.available_permits(), 2);
    }
}
