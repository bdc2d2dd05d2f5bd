//! An app's collections and its crews' inputs as TypeScript: what a front end is checked against when it is built.

mod schema;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use super::{App, Collection};
use schema::{comment, interface};

impl App {
    /// Declarations of its collections' data and its crews' inputs, and a type each that maps their names to them.
    pub fn typescript(&self) -> String {
        let mut taken: BTreeSet<String> = ["Collections", "CrewInputs", "App"].map(str::to_owned).into();
        let mut out = format!("// The app `{}` in TypeScript, written by `crewline types`: change the app, not this file.\n", self.name);
        let collections = self.collections.values().map(|collection| {
            let name = type_name(&collection.name, "Data", &mut taken);
            let documentation = format!("{}: the data of a record. {}", collection.title, collection.description);
            out.push_str(&interface(&name, &documentation, &collection.schema, &referred(collection)));
            (collection.name.as_str(), name)
        });
        let collections: Vec<_> = collections.collect();
        let crews = self.crews.values().map(|crew| {
            let name = type_name(&crew.name, "Inputs", &mut taken);
            let documentation = format!("{}: what a run is started with. {}", crew.title, crew.description);
            out.push_str(&interface(&name, &documentation, &crew.input_schema, &BTreeMap::new()));
            (crew.name.as_str(), name)
        });
        let crews: Vec<_> = crews.collect();
        out.push_str(&map("Collections", "The data of each collection's records, by the collection's name.", &collections));
        out.push_str(&map("CrewInputs", "The inputs of each crew's runs, by the crew's name.", &crews));
        let parts = [("collections", "Collections"), ("crews", "CrewInputs")];
        out.push_str(&map("App", "The app, as `createClient<App>()` takes it.", &parts));
        out
    }
}

/// What a collection's fields refer to, said beside them.
fn referred(collection: &Collection) -> BTreeMap<&str, String> {
    collection.references.iter().map(|(field, of)| (field.as_str(), format!("Refers to records of `{of}` by their ids."))).collect()
}

fn map(name: &str, documentation: &str, entries: &[(&str, impl Display)]) -> String {
    let lines: String = entries.iter().map(|(key, r#type)| format!("  {}: {type};\n", schema::key(key))).collect();
    format!("\n{}export interface {name} {{\n{lines}}}\n", comment(documentation, ""))
}

/// A name in TypeScript's way: `user_settings` with `Data` is `UserSettingsData`. One that is taken gets a number.
fn type_name(name: &str, suffix: &str, taken: &mut BTreeSet<String>) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let joined: String = words.filter_map(|word| Some([word.get(..1)?.to_ascii_uppercase().as_str(), &word[1..]].concat())).collect();
    let lead = if joined.starts_with(|c: char| c.is_ascii_digit()) || joined.is_empty() { "_" } else { "" };
    let mut named = format!("{lead}{joined}{suffix}");
    let mut number = 2;
    while !taken.insert(named.clone()) {
        named = format!("{lead}{joined}{suffix}{number}");
        number += 1;
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written there by this test when `UPDATE` is set in the environment.
    const KP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/apps/kp/types.ts");

    #[test]
    fn the_types_of_the_app_that_is_built_in_are_the_ones_in_its_folder() {
        let types = App::built_in().typescript();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(KP, &types).unwrap();
        }
        assert_eq!(types, std::fs::read_to_string(KP).unwrap(), "set UPDATE=1 to write {KP}");
    }

    #[test]
    fn no_two_types_share_a_name() {
        let mut taken = BTreeSet::new();
        let names = ["user_settings", "x_1", "x1", "9-lives", "--"].map(|name| type_name(name, "Data", &mut taken));
        assert_eq!(names, ["UserSettingsData", "X1Data", "X1Data2", "_9LivesData", "_Data"]);
    }
}
