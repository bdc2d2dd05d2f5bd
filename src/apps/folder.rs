//! An app's folder: which of its files make the app, and the hash that names what they say.

use std::{fs, io::ErrorKind, path::Path};

use ring::digest::{Context, SHA256};

use super::{Files, Problem};

/// KP's files.
pub(super) const BUILT_IN: &[(&str, &str)] = &[
    ("app.yaml", include_str!("../../apps/kp/app.yaml")),
    ("seed.yaml", include_str!("../../apps/kp/seed.yaml")),
    ("collections/analyses.yaml", include_str!("../../apps/kp/collections/analyses.yaml")),
    ("collections/campaigns.yaml", include_str!("../../apps/kp/collections/campaigns.yaml")),
    ("collections/comments.yaml", include_str!("../../apps/kp/collections/comments.yaml")),
    ("collections/pages.yaml", include_str!("../../apps/kp/collections/pages.yaml")),
    ("collections/personas.yaml", include_str!("../../apps/kp/collections/personas.yaml")),
    ("collections/user_settings.yaml", include_str!("../../apps/kp/collections/user_settings.yaml")),
    ("collections/workspace_settings.yaml", include_str!("../../apps/kp/collections/workspace_settings.yaml")),
    ("simulation.yaml", include_str!("../../apps/kp/simulation.yaml")),
    ("crews/analyze/crew.yaml", include_str!("../../apps/kp/crews/analyze/crew.yaml")),
    ("crews/analyze/agents.yaml", include_str!("../../apps/kp/crews/analyze/agents.yaml")),
    ("crews/analyze/tasks.yaml", include_str!("../../apps/kp/crews/analyze/tasks.yaml")),
    ("crews/campaign/crew.yaml", include_str!("../../apps/kp/crews/campaign/crew.yaml")),
    ("crews/campaign/agents.yaml", include_str!("../../apps/kp/crews/campaign/agents.yaml")),
    ("crews/campaign/tasks.yaml", include_str!("../../apps/kp/crews/campaign/tasks.yaml")),
    ("crews/outreach/crew.yaml", include_str!("../../apps/kp/crews/outreach/crew.yaml")),
    ("crews/outreach/agents.yaml", include_str!("../../apps/kp/crews/outreach/agents.yaml")),
    ("crews/outreach/tasks.yaml", include_str!("../../apps/kp/crews/outreach/tasks.yaml")),
    ("crews/research/crew.yaml", include_str!("../../apps/kp/crews/research/crew.yaml")),
    ("crews/research/agents.yaml", include_str!("../../apps/kp/crews/research/agents.yaml")),
    ("crews/research/tasks.yaml", include_str!("../../apps/kp/crews/research/tasks.yaml")),
    ("crews/review/crew.yaml", include_str!("../../apps/kp/crews/review/crew.yaml")),
    ("crews/review/agents.yaml", include_str!("../../apps/kp/crews/review/agents.yaml")),
    ("crews/review/tasks.yaml", include_str!("../../apps/kp/crews/review/tasks.yaml")),
];

/// What an app's folder may hold that this version can't do: passing over it would be to promise it.
const REFUSED: &[&str] = &["views"];
/// The longest file, in bytes: these are written by people.
const FILE_BYTES: u64 = 256 << 10;

/// Reads an app's files.
///
/// # Errors
/// Folders and files that can't be read.
pub(super) fn read(folder: &Path) -> Result<Files, Vec<Problem>> {
    let mut files = Files::new();
    let mut problems = Vec::new();
    for name in ["app.yaml", "simulation.yaml", "seed.yaml"] {
        take(folder, name.to_owned(), &mut files, &mut problems);
    }
    for name in REFUSED {
        if folder.join(name).exists() {
            problems.push(Problem::at(name, 1, 1, format!("`{name}` is not supported: take it out of the app")));
        }
    }
    take_collections(folder, &mut files, &mut problems);
    match fs::read_dir(folder.join("crews")) {
        Ok(crews) => {
            for crew in crews.flatten().filter(|entry| entry.path().is_dir()) {
                let Ok(crew) = crew.file_name().into_string() else { continue };
                for name in ["crew.yaml", "agents.yaml", "tasks.yaml"] {
                    take(folder, format!("crews/{crew}/{name}"), &mut files, &mut problems);
                }
            }
        }
        // That there is no crew is told with whatever else is wrong.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => problems.push(Problem::at("crews", 1, 1, format!("the folder can't be read: {error}"))),
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// The hash that names these files' version.
pub(super) fn version(files: &Files) -> String {
    let mut hash = Context::new(&SHA256);
    for (path, text) in files {
        // Lengths first, so that no text can pass for the next file's path.
        for part in [path, text] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An app may do without collections; what else stands among them is a mistake in its name.
fn take_collections(folder: &Path, files: &mut Files, problems: &mut Vec<Problem>) {
    let entries = match fs::read_dir(folder.join("collections")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => return problems.push(Problem::at("collections", 1, 1, format!("the folder can't be read: {error}"))),
    };
    for name in entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        // Editors leave such beside what they write.
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let path = format!("collections/{name}");
        if name.ends_with(".yaml") {
            take(folder, path, files, problems);
        } else {
            problems.push(Problem::at(&path, 1, 1, "this is no collection: end its name in `.yaml`, or take it out"));
        }
    }
}

fn take(folder: &Path, name: String, files: &mut Files, problems: &mut Vec<Problem>) {
    let path = folder.join(&name);
    // A file that is not there is missed, or not, by who needs it.
    let Ok(metadata) = fs::metadata(&path) else { return };
    if metadata.len() > FILE_BYTES {
        problems.push(Problem::at(&name, 1, 1, format!("the file has {} bytes; {FILE_BYTES} are the most", metadata.len())));
        return;
    }
    match fs::read_to_string(&path) {
        Ok(text) => {
            files.insert(name, text);
        }
        Err(error) => problems.push(Problem::at(&name, 1, 1, format!("the file can't be read: {error}"))),
    }
}
