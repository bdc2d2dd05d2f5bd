//! A node's name, kept in its data folder: after a restart it takes over its own leases at once, without waiting for them to expire.

use std::{fs, io, path::Path};

use crate::clock::Clock;

/// Reads the node's id from the data folder, or makes it.
///
/// # Errors
/// Where the folder can't be read or written, or the file holds something else.
pub fn node_id(data: &Path, clock: &Clock) -> io::Result<String> {
    let path = data.join("node.id");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let id = text.trim();
            let good = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            let wrong =
                || io::Error::new(io::ErrorKind::InvalidData, format!("{} holds no node's id: delete it to get a new one", path.display()));
            if good { Ok(id.to_owned()) } else { Err(wrong()) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id: String = clock.random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
            // Written aside first: a crash half-way must not leave a file that is refused.
            let aside = data.join("node.id.new");
            fs::write(&aside, format!("{id}\n"))?;
            fs::rename(&aside, &path)?;
            Ok(id)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crewline_protocol::value::Millis;

    #[tokio::test]
    async fn a_node_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(1, Millis(0));
        let id = node_id(folder.path(), &clock).unwrap();
        assert_eq!(node_id(folder.path(), &clock).unwrap(), id);
        fs::write(folder.path().join("node.id"), "x").unwrap();
        assert_eq!(node_id(folder.path(), &clock).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
