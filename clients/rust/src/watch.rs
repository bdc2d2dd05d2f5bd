//! A live query: a read that stays true.

use std::sync::Arc;

use crewline_protocol::{
    live::{Live, LiveChange},
    value::{Revision, decode},
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::{
    error::{FollowError, Stopped},
    reading::{Reading, Taken},
};

/// What a read answers, kept true by the server over any number of connections. Reading it is what grants the server credit for
/// more. Dropping it ends the subscription.
pub struct Watch<T: Live> {
    reading: Reading<Told>,
    value: Option<T>,
    revision: Revision,
}

/// How a read's output became another.
#[derive(Debug, Clone, PartialEq)]
pub enum Update<T, R> {
    /// This is all of it: what was there before means nothing any more.
    Snapshot(T),
    /// These changes, in this order and at once.
    Changes(Vec<LiveChange<R, T>>),
}

/// What the driver puts into the queue.
#[derive(Debug)]
pub(crate) enum Told {
    Snapshot { value: Vec<u8>, revision: Revision, bytes: i64 },
    Changes { changes: Vec<u8>, revision: Revision, bytes: i64 },
    End(FollowError),
}

impl<T: Live> Watch<T> {
    pub(crate) fn new(queue: mpsc::Receiver<Told>, taken: Arc<Taken>) -> Self {
        Self { reading: Reading::new(queue, taken), value: None, revision: Revision(0) }
    }
    /// Waits until the output is another, and gives it; the first time as soon as it is there.
    ///
    /// # Errors
    /// Why it is kept true no longer: the row was deleted, the right to it was taken away, or the client has stopped.
    pub async fn next(&mut self) -> Result<&T, FollowError> {
        let update = self.told().await?;
        self.apply(update)
    }
    /// The same, telling what changed instead.
    ///
    /// # Errors
    /// The same.
    pub async fn next_update(&mut self) -> Result<Update<T, T::Row>, FollowError>
    where
        T: Clone,
        T::Row: Clone,
    {
        let update = self.told().await?;
        self.apply(update.clone())?;
        Ok(update)
    }
    /// The output as it was last given; absent: it never was.
    pub fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }
    /// The workspace's revision at which that is true.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The next snapshot, or the next changes that are any. May be dropped while it waits.
    async fn told(&mut self) -> Result<Update<T, T::Row>, FollowError> {
        loop {
            let (update, revision, bytes) = match self.reading.next().await {
                Some(Told::Snapshot { value, revision, bytes }) => (read(&value).map(Update::Snapshot), revision, bytes),
                Some(Told::Changes { changes, revision, bytes }) => (read(&changes).map(Update::Changes), revision, bytes),
                Some(Told::End(error)) => return Err(error),
                None => return Err(FollowError::Stopped(Stopped { code: None, fault: None })),
            };
            self.reading.grant(bytes);
            self.revision = revision;
            match update {
                Ok(Update::Changes(changes)) if changes.is_empty() => {}
                Ok(update) => return Ok(update),
                Err(error) => return Err(self.unreadable(error)),
            }
        }
    }
    fn apply(&mut self, update: Update<T, T::Row>) -> Result<&T, FollowError> {
        let applied = match (update, &mut self.value) {
            (Update::Snapshot(value), _) => {
                self.value = Some(value);
                Ok(())
            }
            (Update::Changes(changes), Some(value)) => value.apply(changes).map_err(|misfit| misfit.to_string()),
            (Update::Changes(_), None) => Err("changes came before there was anything to change".to_owned()),
        };
        if let Err(error) = applied {
            return Err(self.unreadable(error));
        }
        self.value.as_ref().ok_or(FollowError::Deleted)
    }
    fn unreadable(&mut self, error: String) -> FollowError {
        self.reading.leave();
        FollowError::Unreadable(error)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    decode(bytes).map_err(|mismatch| mismatch.to_string())
}
