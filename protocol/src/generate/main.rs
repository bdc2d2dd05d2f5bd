//! Writes what is generated from the protocol's types: schemas, TypeScript, documents, and the frames that every client is
//! tested against. `--check` writes nothing and fails where a file is not as it would be written.

mod asyncapi;
mod document;
mod frames;
mod openapi;
mod python;
mod reference;
mod schema;
mod tables;
mod typescript;
mod vectors;

use std::{fs, io, path::Path, process::ExitCode};

/// A file that is generated: its path within the crate, and its text.
struct Generated {
    path: &'static str,
    text: String,
}

fn main() -> ExitCode {
    let check = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [only] if only == "--check" => true,
        _ => {
            eprintln!("usage: generate [--check]");
            return ExitCode::from(2);
        }
    };
    let outcome = if check { stale().map(|stale| report(&stale)) } else { write() };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

/// Every generated file.
fn files() -> Vec<Generated> {
    vec![
        Generated { path: "generated/schema.json", text: schema::text() },
        Generated { path: "generated/types.ts", text: typescript::text() },
        // The client is a package of its own, which holds all that it needs.
        Generated { path: "../clients/typescript/src/protocol.ts", text: typescript::text() },
        Generated { path: "../clients/python/src/crewline/protocol.py", text: python::text() },
        Generated { path: "generated/asyncapi.json", text: asyncapi::text() },
        Generated { path: "generated/openapi.json", text: openapi::text() },
        Generated { path: "generated/OPERATIONS.md", text: reference::text() },
        Generated { path: "vectors/frames.json", text: vectors::text() },
    ]
}

fn write() -> io::Result<ExitCode> {
    for Generated { path, text } in files() {
        let path = root().join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The files that are not as they would be written.
fn stale() -> io::Result<Vec<&'static str>> {
    let mut stale = Vec::new();
    for Generated { path, text } in files() {
        match fs::read_to_string(root().join(path)) {
            Ok(there) if there == text => {}
            Ok(_) => stale.push(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => stale.push(path),
            Err(error) => return Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
        }
    }
    Ok(stale)
}

fn report(stale: &[&str]) -> ExitCode {
    for path in stale {
        eprintln!("protocol/{path} is stale: run `cargo run -p crewline-protocol --bin generate`");
    }
    if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_generated_is_as_the_types_are() {
        assert_eq!(super::stale().unwrap(), Vec::<&str>::new(), "run `cargo run -p crewline-protocol --bin generate`");
    }
}
