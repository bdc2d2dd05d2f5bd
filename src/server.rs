//! A server put together: store, rooms, engine, door, and the order in which they start and stop.

use std::{
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpSocket,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};
use tracing::info;

use crate::{
    access::{Access, Doubts},
    apps::{App, Problem},
    clock::Clock,
    connection::{self, Node},
    context::Services,
    dispatch::{Agents, Router},
    door::{self, Door},
    engine::{Engine, EngineHandle, Operations},
    hub::Hub,
    leases,
    limits::Limits,
    lines::Lines,
    query::{Feeds, Live},
    reload::{self, List, Refused, reload_forever},
    sessions,
    settings::Settings,
    store::{Location, Store, StoreError, Tell, Told},
    sweep::sweep_forever,
    workers::assign_forever,
};

/// Connections that the operating system holds until they are accepted: a reconnecting crowd comes at once.
const BACKLOG: u32 = 4_096;

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on; port 0: one that is free.
    pub listen: SocketAddr,
    /// The folder of the signing key, the node's id and, without `database`, the SQLite file. Made when it is missing.
    pub data: PathBuf,
    /// A `postgres://` URL; absent: SQLite in the data folder.
    pub database: Option<String>,
    /// The app's folder; absent: KP, which is built in.
    pub app: Option<PathBuf>,
    /// Limits and intervals.
    pub settings: Settings,
}

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder can't be used.
    #[error("the data folder {0} can't be used: {1}")]
    Data(PathBuf, std::io::Error),
    /// The address can't be listened on.
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The database's URL is of no kind that is known.
    #[error("`{0}` is no database: give postgres://user@host/name, or leave it out for SQLite in the data folder")]
    Database(String),
    /// The database can't be used.
    #[error("{0}: {1}")]
    Store(String, StoreError),
    /// Stored records would not fit the app.
    #[error("the app would break what is stored: {0}; change the schema, or serve the app as it was and change the records")]
    Breaks(List),
    /// Models can't be asked.
    #[error("models can't be asked: {0}")]
    Models(String),
    /// The app's folder has problems.
    #[error("the app in {} has {} problem(s):\n{}", .0.display(), .1.len(), lines(.1))]
    App(PathBuf, Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// A server that listens.
pub struct Server {
    address: SocketAddr,
    services: Arc<Services>,
    engine: EngineHandle,
    draining: watch::Sender<bool>,
    door: JoinHandle<()>,
    sweep: JoinHandle<()>,
    assigning: JoinHandle<()>,
    /// Takes changes in the app's folder; absent for the app that is built in.
    reloading: Option<JoinHandle<()>>,
    _name: leases::Name,
}

/// Where the rows of a server with these options are.
///
/// # Errors
/// For a database URL of a kind that is not known.
pub fn location(data: &Path, database: Option<&str>) -> Result<Location, StartError> {
    match database {
        None => Ok(Location::Sqlite(data.join("crewline.db"))),
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => Ok(Location::Postgres(url.to_owned())),
        Some(url) => Err(StartError::Database(without_user(url))),
    }
}

/// A location as an error names it.
fn named(location: &Location) -> String {
    match location {
        Location::Memory => "memory".to_owned(),
        Location::Sqlite(file) => file.display().to_string(),
        Location::Postgres(url) => without_user(url),
    }
}

/// A database's URL without user and password, which stand before the last `@`, and without options.
fn without_user(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

/// Makes the data folder when it is missing, for its owner alone: passwords' hashes, the signing key and what people write are in it.
/// One that is there keeps the rights that somebody gave it.
///
/// # Errors
/// Where it can't be made.
pub fn make_data_folder(data: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data)
}

impl Server {
    /// Starts a server; it serves when this returns.
    ///
    /// # Errors
    /// See [`StartError`]; each says what to do.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let Options { listen, data, database, app, settings } = options;
        let location = location(&data, database.as_deref())?;
        make_data_folder(&data).map_err(|error| StartError::Data(data.clone(), error))?;
        let (app, folder) = match app {
            Some(folder) => (App::read(&folder).map_err(|problems| StartError::App(folder.clone(), problems))?, Some(folder)),
            None => (App::built_in(), None),
        };
        let listener = listen_on(listen).map_err(|error| StartError::Listen(listen, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(listen, error))?;

        let clock = Clock::system();
        let hub = Hub::new(usize::try_from(settings.tail_bytes).unwrap_or(usize::MAX));
        let feeds = Feeds::new(&settings);
        let at_database = |error| StartError::Store(named(&location), error);
        let store = Store::open(&location, tell(&hub, &feeds)).await.map_err(at_database)?;
        let at_data = |error| StartError::Data(data.clone(), error);
        let access = Access::open(&data, store.clone(), clock.clone(), &settings).await.map_err(at_data)?;
        let name = leases::Name::take(&data, &clock).map_err(at_data)?;
        let apps = reload::begin(app, &store, &clock).await.map_err(|refused| match refused {
            Refused::Store(error) => at_database(error),
            Refused::Breaks(broken) => StartError::Breaks(broken),
        })?;
        let limits = Limits::new(&settings);
        let live = Live::new(feeds, store.clone());
        let services = Arc::new(Services { settings, clock, store, hub, live, access, apps, limits, lines: Lines::default() });

        let router = Arc::new(Router::new());
        let operations: Arc<dyn Operations> = Arc::new(Agents { router: router.clone(), services: services.clone() });
        let engine = Engine::start(services.clone(), name.id.clone(), &operations).map_err(StartError::Models)?;
        let sweep = tokio::spawn(sweep_forever(services.clone()));
        let assigning = tokio::spawn(assign_forever(services.clone()));
        let reloading = folder.map(|folder| tokio::spawn(reload_forever(folder, services.clone())));
        let (draining, drains) = watch::channel(false);
        let node = Node { services: services.clone(), router };
        let on_socket = move |stream, early, peer: SocketAddr, admission| {
            tokio::spawn(connection::serve(stream, early, peer.ip(), node.clone(), admission));
        };
        let door = Door { services: services.clone(), on_socket: Arc::new(on_socket), draining: drains };
        let door = tokio::spawn(door::serve(listener, door));
        info!(%address, "listening");
        Ok(Self { address, services, engine, draining, door, sweep, assigning, reloading, _name: name })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks everyone to leave, waits until they have or the time is up, and stops. The engine's runs are left where they are: the
    /// next start goes on with them.
    pub async fn shut_down(self, within: Duration) {
        info!(connections = self.services.hub.connections(), within_ms = within.as_millis(), "draining");
        self.draining.send_replace(true);
        self.services.hub.drain(within);
        self.engine.stop().await;
        // The closes with 4001 are on their way when the time is up; their sockets get a moment to take them.
        let last = tokio::time::Instant::now() + within + Duration::from_secs(1);
        while self.services.hub.connections() > 0 && tokio::time::Instant::now() < last {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.sweep.abort();
        self.assigning.abort();
        self.reloading.iter().for_each(JoinHandle::abort);
        self.services.store.close().await;
        self.door.abort();
        info!("stopped");
    }

    /// Serves until a signal comes, then drains. A second one ends the process at once.
    pub async fn run_until(self, mut signals: Signals) {
        let within = Duration::from_millis(self.services.settings.drain_ms);
        signals.next().await;
        tokio::select! {
            () = self.shut_down(within) => {}
            () = signals.next() => info!("a second signal: stopping at once"),
        }
    }
}

/// SIGTERM and Ctrl-C: from the moment that this is there they end nothing by themselves.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// Where signals can't be waited for.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Passes on what the store has written: first whose rights it puts in doubt, so that nothing that was written later reaches them.
pub(crate) fn tell(hub: &Hub, feeds: &Feeds) -> Tell {
    let (hub, feeds) = (hub.clone(), feeds.clone());
    Arc::new(move |told: Vec<Told>| {
        hub.doubt(&Doubts::of(&told));
        for session in sessions::gone(&told) {
            hub.session_gone(session);
        }
        for (worker, run) in leases::lost(&told) {
            hub.lost(worker, run);
        }
        feeds.told(&told);
        hub.told(told);
    })
}

fn listen_on(address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_data_folder_is_its_owners_alone_and_one_that_is_there_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        let rights = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        make_data_folder(&new).unwrap();
        assert_eq!(rights(&new), 0o700);
        std::fs::create_dir(&old).unwrap();
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o750)).unwrap();
        make_data_folder(&old).unwrap();
        assert_eq!(rights(&old), 0o750);
    }
}
