//! What the documents say of the program is held to the program.

mod repository;

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use crewline::{
    apps::{App, Files},
    settings::Settings,
};

use self::repository::{read, root, rust_files};

/// Where a file of code should be asked which of its concepts is leaving.
const MOST_LINES: usize = 500;

#[test]
fn the_readme_names_the_two_commands_and_both_can_be_run() {
    for command in ["script/demo", "script/test"] {
        assert!(read("README.md").contains(command), "README.md does not name {command}");
        let mode = fs::metadata(root().join(command)).unwrap_or_else(|error| panic!("{command}: {error}")).permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{command} lacks its run bit");
    }
}

#[test]
fn every_promise_of_the_readme_names_tests_that_exist_or_says_not_yet() {
    let tests: BTreeSet<String> = rust_files(&root()).iter().flat_map(|(_, text)| functions(text)).collect();
    let readme = read("README.md");
    let promises: Vec<&str> = section(&readme, "## Promises").lines().filter(|line| line.starts_with("| **")).collect();
    assert_eq!(promises.len(), 6, "there are six promises");
    for promise in promises {
        let holders = promise.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
        let named: Vec<&str> = holders.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty() || promise.contains("not yet"), "no test is named in: {promise}");
        for test in named {
            assert!(tests.contains(test), "there is no test `{test}`, named in: {promise}");
        }
    }
}

#[test]
fn the_operators_guide_lists_every_setting_as_it_is() {
    let rows: Vec<String> = Settings::described()
        .iter()
        .map(|setting| format!("| `{}` | {} | {} | {} |", setting.key, or_dash(&setting.default), setting.bounds, setting.reason))
        .collect();
    let guide = read("docs/operating.md");
    let listed: Vec<&str> = section(&guide, "## Settings").lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(listed, rows, "put this into docs/operating.md:\n{}\n", rows.join("\n"));
}

#[test]
fn the_operators_guide_s_examples_are_settings() {
    let folder = tempfile::tempdir().unwrap();
    let guide = read("docs/operating.md");
    let examples: Vec<&str> = guide.split("\n```toml\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    assert_eq!(examples.len(), 2, "the guide has other examples than these");
    for example in examples {
        let file = folder.path().join("crewline.toml");
        fs::write(&file, example).unwrap();
        let settings = Settings::load(Some(&file), std::iter::empty(), &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(settings, Settings::default());
    }
}

#[test]
fn the_guide_to_apps_tells_every_key_and_its_examples_are_an_app() {
    let guide = read("docs/apps.md");
    let code = read("src/apps/yaml.rs");
    let known = code.split("struct CollectionFile {").nth(1).unwrap().split("\n}").next().unwrap();
    let known: Vec<&str> = known.lines().filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split(':').next()).collect();
    let collection = section(&guide, "## A collection");
    let told: Vec<&str> =
        collection.lines().skip_while(|line| !line.starts_with("| key |")).skip(2).map_while(|line| line.split('`').nth(1)).collect();
    let sorted = |mut keys: Vec<&str>| {
        keys.sort_unstable();
        keys.join(" ")
    };
    assert_eq!(sorted(told), sorted(known));

    // A crew that needs no collection stands for the others.
    let kept = |path: &str| !path.starts_with("collections/") && (!path.starts_with("crews/") || path.starts_with("crews/review/"));
    let mut files: Files = App::built_in().files.into_iter().filter(|(path, _)| kept(path)).collect();
    let examples = guide.split("\n```yaml\n").collect::<Vec<_>>();
    for pair in examples.windows(2) {
        let path = pair[0].trim_end().rsplit('`').nth(1).unwrap();
        files.insert(path.to_owned(), pair[1].split("\n```").next().unwrap().to_owned());
    }
    let app = App::from_files(files).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!((app.collections.len(), app.seed.len()), (2, 2));
}

#[test]
fn the_guide_s_crew_with_tools_of_mcp_servers_is_one() {
    let guide = read("docs/apps.md");
    let example = guide.split("```\n").find(|block| block.starts_with("tools:") && block.contains("mcp.")).expect("the example");
    let crew = format!("title: Library\ntasks: [look]\n{example}");
    let files = [
        ("app.yaml", "name: library\ntitle: Library\n"),
        ("crews/library/crew.yaml", crew.as_str()),
        ("crews/library/agents.yaml", "researcher: {role: r, goal: g, backstory: b}\n"),
        ("crews/library/tasks.yaml", "look: {description: d, expected_output: e, agent: researcher}\n"),
    ];
    let files: Files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let app = App::from_files(files).unwrap_or_else(|problems| panic!("{problems:?}"));
    let crew = &app.crews["library"];
    assert_eq!(crew.agents["researcher"].tools.len(), 2);
    assert!(crew.approval("mcp.library.lend").is_some() && crew.approval("mcp.library.search").is_none());
    assert!(crew.approval("mcp.tickets.create").is_some());
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/apps.md", "docs/operating.md"] {
        let folder = root().join(document).parent().unwrap().to_owned();
        for link in read(document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            let elsewhere = target.is_empty() || link.contains("://");
            assert!(elsewhere || folder.join(target).exists(), "{document} links to {link}, which is not there");
        }
    }
}

#[test]
fn no_file_of_code_has_outgrown_one_concept() {
    let long: Vec<String> = ["src", "protocol/src", "clients/rust/src", "loadtest/src", "tests"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .filter(|(_, text)| text.lines().count() > MOST_LINES)
        .map(|(path, text)| format!("{} has {} lines", path.strip_prefix(root()).unwrap().display(), text.lines().count()))
        .collect();
    assert_eq!(long, Vec::<String>::new());
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

/// The part of a document under a heading of the second level.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let start = document.find(&format!("{heading}\n")).unwrap_or_else(|| panic!("`{heading}` is missing"));
    let rest = &document[start + heading.len()..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

fn functions(text: &str) -> impl Iterator<Item = String> {
    text.split("fn ").skip(1).map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}
