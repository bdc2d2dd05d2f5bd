//! ARCHITECTURE.md's tables are the truth about who may use whom; this holds `src/` to them.

mod repository;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use self::repository::{read, root, rust_files};

#[test]
fn rooms_use_only_rooms_above_them_in_the_architecture() {
    let layers = first_column("| room |");
    let place: BTreeMap<&str, usize> = layers.iter().enumerate().map(|(place, room)| (room.as_str(), place)).collect();
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let Some(room) = room_of(&file) else { continue };
        let own = *place.get(room.as_str()).unwrap_or_else(|| panic!("{room} is not in ARCHITECTURE.md's table of rooms"));
        for used in used_rooms(&text) {
            match place.get(used.as_str()) {
                Some(used_place) if *used_place <= own => {}
                Some(_) => broken.push(format!("{}: {room} uses {used}, which stands below it", file.display())),
                None => broken.push(format!("{}: {room} uses {used}, which is not in the table", file.display())),
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn every_room_of_the_table_exists_and_every_room_is_in_it() {
    let table: BTreeSet<String> = first_column("| room |").into_iter().collect();
    let rooms: BTreeSet<String> = sources().iter().filter_map(|(file, _)| room_of(file)).collect();
    assert_eq!(table, rooms);
}

#[test]
fn a_library_is_used_in_its_home_only() {
    let homes: BTreeMap<String, String> = rows("| library |").into_iter().map(|cells| (cells[0].clone(), cells[1].clone())).collect();
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let Some(room) = room_of(&file) else { continue };
        for (library, home) in &homes {
            let used = code(&text).any(|line| words_of_paths(line).any(|word| word == library));
            if used && !home.split(", ").any(|home| home.trim_matches('`') == room) {
                broken.push(format!("{}: {library} lives in {home}", file.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

/// The room that a file of `src/` belongs to; the crate's roots belong to none.
fn room_of(file: &Path) -> Option<String> {
    let inner = file.strip_prefix(root().join("src")).ok()?;
    let first = inner.components().next()?.as_os_str().to_str()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&room)).then(|| room.to_owned())
}

/// Rooms named by `crate::room` and by `use crate::{room, …}`.
fn used_rooms(text: &str) -> BTreeSet<String> {
    let code: String = code(text).collect::<Vec<_>>().join("\n");
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(['$', '_']) || code[..at].ends_with(char::is_alphanumeric) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(top_level_names(group)),
            None => rooms.extend(name_at(rest)),
        }
    }
    rooms.into_iter().filter(|room| room != "entity").collect()
}

/// The first name of each element of a `use` group, whose opening brace was taken off.
fn top_level_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut element) = (0_usize, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.extend(name_at(std::mem::take(&mut element).trim())),
            _ if depth == 0 => element.push(c),
            _ => {}
        }
    }
    names.extend(name_at(element.trim()));
    names
}

fn name_at(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// First words of paths in a line: `sqlx` in `sqlx::query`.
fn words_of_paths(line: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices("::").filter_map(move |(at, _)| {
        let start = line[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        (!line[..start].ends_with("::")).then(|| &line[start..at])
    })
}

/// Lines that are no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn first_column(header: &str) -> Vec<String> {
    rows(header).into_iter().map(|cells| cells[0].clone()).collect()
}

/// The rows of ARCHITECTURE.md's table with this header, code marks taken off.
fn rows(header: &str) -> Vec<Vec<String>> {
    let text = read("ARCHITECTURE.md");
    let table = text.lines().skip_while(|line| !line.starts_with(header)).skip(2).take_while(|line| line.starts_with('|'));
    table.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()).collect()
}

/// The files of `src/` that are built into the server: what only tests use may stand across rooms.
fn sources() -> Vec<(PathBuf, String)> {
    let src = root().join("src");
    let for_tests = |path: &Path| {
        let room = path.strip_prefix(&src).ok().and_then(|inner| inner.iter().next());
        path.ends_with("tests.rs")
            || path.parent().is_some_and(|folder| folder.ends_with("tests"))
            || room
                .is_some_and(|room| ["testing.rs", "testing", "entities.rs", "simulation.rs", "truth.rs"].iter().any(|name| room == *name))
    };
    rust_files(&src).into_iter().filter(|(path, _)| !for_tests(path)).collect()
}
