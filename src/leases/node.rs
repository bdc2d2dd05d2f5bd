//! A node's name, kept in its data folder: after a restart it takes over its own leases at once, without waiting for them to expire.
//! Two nodes of one name would take each other's, so that a name is held by one process at a time.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Write},
    path::Path,
};

use crate::clock::Clock;

/// A node's name, its own until this is dropped.
#[derive(Debug)]
pub struct Name {
    /// The name: 32 hexadecimal digits.
    pub id: String,
    /// The system frees its lock whatever ends the process.
    _file: File,
}

impl Name {
    /// Reads the node's name from the data folder, or makes it, and holds it.
    ///
    /// # Errors
    /// Where the folder can't be read or written, the file holds something else, or another process holds the name.
    pub fn take(data: &Path, clock: &Clock) -> io::Result<Self> {
        let path = data.join("node.id");
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another server uses it: stop that one, or give this one another data folder"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // New, or a crash came between making the file and writing it.
        if text.is_empty() {
            text = clock.random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
            file.write_all(format!("{text}\n").as_bytes())?;
            file.sync_all()?;
        }
        let id = text.trim().to_owned();
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let wrong = format!("{} holds no node's name: delete it to get a new one", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
        }
        Ok(Self { id, _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crewline_protocol::value::Millis;

    #[tokio::test]
    async fn a_node_keeps_its_name_which_one_process_holds_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(1, Millis(0));
        let name = Name::take(folder.path(), &clock).unwrap();
        let refused = Name::take(folder.path(), &clock).unwrap_err();
        assert_eq!(refused.to_string(), "another server uses it: stop that one, or give this one another data folder");
        let id = name.id.clone();
        drop(name);
        assert_eq!(Name::take(folder.path(), &clock).unwrap().id, id);
        std::fs::write(folder.path().join("node.id"), "x").unwrap();
        assert_eq!(Name::take(folder.path(), &clock).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
