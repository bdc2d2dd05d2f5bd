//! A program under test as a child process: on a core of its own, with data of its own, ended when this is dropped.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{baseline::Way, wire::Error};

/// An app whose crew says as many words as it is told to.
const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/app");
/// Lets the whole load in, from one address and one principal, and lets it be as fast as it is.
const UNBOUNDED: [&str; 6] = [
    "unsigned_per_address=10000",
    "unsigned_connections=10000",
    "sign_in_rate=1000000",
    "read_rate=10000000",
    "write_rate=10000000",
    "heartbeat_ms=300000",
];

/// Which cores a program runs on; the load itself runs on the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// The first alone.
    First,
    /// The first two, of which the second carries the load as well.
    Both,
}

/// A server that listens on loopback.
pub(crate) struct Process {
    child: Child,
    /// `127.0.0.1:<port>`
    pub(crate) address: String,
    data: Option<PathBuf>,
}

impl Process {
    /// A Crewline server with these settings, on empty data. A PostgreSQL database keeps what it held.
    pub(crate) fn crewline(binary: &Path, database: Option<&str>, settings: &[&str], cores: Cores) -> Result<Self, Error> {
        if !binary.exists() {
            return Err(format!("{} is missing: cargo build --release", binary.display()).into());
        }
        // Beside the binary and not in /tmp, which may be memory: then nothing would be synced to a disk.
        let folder = binary.parent().unwrap_or(Path::new(".")).join(format!("bench-{}-{}", std::process::id(), counter()));
        std::fs::create_dir_all(&folder)?;
        let mut command = pinned(binary, cores);
        command.args(["serve", "--listen", "127.0.0.1:0", "--app", APP, "--data"]).arg(&folder);
        command.args(database.iter().flat_map(|url| ["--database", url]));
        command.args(UNBOUNDED.iter().chain(settings).flat_map(|setting| ["--set", setting]));
        Self::start(command, Some(folder))
    }
    /// What Crewline is compared with, on the first core.
    pub(crate) fn baseline(way: Way) -> Result<Self, Error> {
        let mut command = pinned(&std::env::current_exe()?, Cores::First);
        command.args(["baseline", way.name()]);
        Self::start(command, None)
    }
    fn start(mut command: Command, data: Option<PathBuf>) -> Result<Self, Error> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (told, tells) = std::sync::mpsc::channel();
        if let Some(pipe) = child.stdout.take() {
            listen(pipe, told.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            listen(pipe, told);
        }
        let mut process = Self { child, address: String::new(), data };
        let mut said = String::new();
        while let Ok(line) = tells.recv() {
            if let Some(at) = line.find("127.0.0.1:") {
                process.address = line[at..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
                return Ok(process);
            }
            said.push_str(&line);
            said.push('\n');
        }
        Err(format!("the program ended before it listened: {said}").into())
    }
    /// Seconds of processor time used so far, by all its threads.
    pub(crate) fn processor_seconds(&self) -> Result<f64, Error> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // proc_pid_stat(5): after the name in parentheses, the 12th and 13th field are user and system time, in ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).ok_or("/proc/<pid>/stat is short");
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }
    /// Bytes of memory resident now.
    pub(crate) fn resident_bytes(&self) -> Result<f64, Error> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("/proc/<pid>/status has no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).ok_or("VmRSS is empty")?.parse()?;
        Ok(kib * 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(data) = &self.data {
            let _ = std::fs::remove_dir_all(data);
        }
    }
}

fn pinned(binary: &Path, cores: Cores) -> Command {
    let mut command = Command::new("taskset");
    let cores = match cores {
        Cores::First => "0".to_owned(),
        Cores::Both => "0-1".to_owned(),
    };
    command.args(["--cpu-list", &cores]).arg(binary);
    command
}

/// Reads all that a program says, so that it never waits for a reader.
fn listen(pipe: impl Read + Send + 'static, told: std::sync::mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = told.send(line);
        }
    });
}

fn counter() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
