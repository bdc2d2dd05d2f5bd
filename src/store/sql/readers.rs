//! The connections that read: few, each lent to one read at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::driver::{Connection, Failure, Options, Purpose, Query};
use crate::{
    settings::store::{READER_WAIT, READERS, STATEMENT_TIMEOUT},
    store::{StoreError, Value},
};

pub(super) struct Readers {
    options: Options,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// A connection that is lent, and what it was found in.
pub(super) struct Reader {
    readers: Arc<Readers>,
    connection: Option<Connection>,
    /// It has been used before, and may have been lost since.
    used: bool,
    in_snapshot: bool,
    permit: Option<OwnedSemaphorePermit>,
}

impl Readers {
    pub(super) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self { options, idle: Mutex::default(), permits: Arc::new(Semaphore::new(READERS)) })
    }

    /// Runs a statement by itself.
    pub(super) async fn run(self: &Arc<Self>, query: &Query<'_>) -> Result<Vec<Vec<Value>>, StoreError> {
        let mut reader = self.lend().await?;
        match reader.run(query).await {
            Err(Failure::Away(_)) if reader.used => Ok(self.lend_anew(reader).await?.run(query).await?),
            result => Ok(result?),
        }
    }

    /// A connection on which everything that is read was true at the same moment.
    pub(super) async fn snapshot(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let mut reader = self.lend().await?;
        match reader.begin().await {
            Err(Failure::Away(_)) if reader.used => {
                reader = self.lend_anew(reader).await?;
                reader.begin().await?;
            }
            result => result?,
        }
        Ok(reader)
    }

    /// Ends all that are not lent.
    pub(super) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            connection.close().await;
        }
    }

    async fn lend(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let permit = timeout(READER_WAIT, self.permits.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| StoreError::Unavailable("all its readers are busy".into()))?.map_err(|_| StoreError::closed())?;
        let idle = self.idle().pop();
        let used = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.options.connect(Purpose::Read).await?,
        };
        Ok(Reader { readers: self.clone(), connection: Some(connection), used, in_snapshot: false, permit: Some(permit) })
    }

    /// Another connection for one that was lost, and surely not an old one: those were lost with it.
    async fn lend_anew(self: &Arc<Self>, mut lost: Reader) -> Result<Reader, StoreError> {
        drop(std::mem::take(&mut *self.idle()));
        let connection = self.options.connect(Purpose::Read).await?;
        Ok(Reader { readers: self.clone(), connection: Some(connection), used: false, in_snapshot: false, permit: lost.permit.take() })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    pub(super) async fn run(&mut self, query: &Query<'_>) -> Result<Vec<Vec<Value>>, Failure> {
        // A connection on which something is under way when this is cancelled is dropped with it.
        let mut connection = self.connection.take().ok_or_else(|| Failure::Away("the connection was lost".into()))?;
        let rows = timeout(STATEMENT_TIMEOUT, connection.run(query)).await.unwrap_or_else(|_| Err(too_slow()));
        if !matches!(rows, Err(Failure::Away(_))) {
            self.connection = Some(connection);
        }
        rows
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        let mut connection = self.connection.take().ok_or_else(|| Failure::Away("the connection was lost".into()))?;
        let begin = self.readers.options.begin_snapshot();
        timeout(STATEMENT_TIMEOUT, connection.execute(begin)).await.unwrap_or_else(|_| Err(too_slow()))?;
        self.connection = Some(connection);
        self.in_snapshot = true;
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let (readers, permit) = (self.readers.clone(), self.permit.take());
        if !self.in_snapshot {
            readers.idle().push(connection);
            return;
        }
        // Ending a snapshot asks the database, which can't be awaited here; the task ends by itself, within the timeout.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Ok(Ok(())) = timeout(STATEMENT_TIMEOUT, connection.execute("ROLLBACK")).await {
                    readers.idle().push(connection);
                }
                drop(permit);
            });
        }
    }
}

fn too_slow() -> Failure {
    Failure::Away("it did not answer in time".into())
}
