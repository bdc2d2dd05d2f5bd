//! TypeScript declarations of the wire's types, each once, however many operations use it.

use std::collections::BTreeMap;

use ts_rs::{Config, TS, TypeVisitor};

use crate::operation::{Kind, Operation};

/// Collects TypeScript declarations.
pub struct TypeScript {
    /// Declarations, with their documentation, by type name.
    pub declarations: BTreeMap<String, String>,
    /// For each operation: its name, kind, the input's and the output's type.
    pub operations: Vec<(&'static str, Kind, String, String)>,
    /// Names that two different types have.
    pub clashes: Vec<String>,
    config: Config,
}

impl Default for TypeScript {
    fn default() -> Self {
        // Every integer of the wire fits a number; `bigint` would make each client convert.
        let config = Config::new().with_large_int("number");
        Self { declarations: BTreeMap::new(), operations: Vec::new(), clashes: Vec::new(), config }
    }
}

impl TypeScript {
    /// Adds an operation and every type that it uses.
    pub fn operation<O: Operation>(&mut self) {
        let (input, output) = (self.named::<O>(), self.named::<O::Output>());
        self.operations.push((O::NAME, O::KIND, input, output));
    }

    /// Adds a type and every type that it uses; returns how it is written.
    pub fn named<T: TS + ?Sized + 'static>(&mut self) -> String {
        self.visit::<T>();
        T::visit_generics(self);
        T::name(&self.config)
    }
}

impl TypeVisitor for TypeScript {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // What has no file of its own is built in, such as `string`.
        if T::output_path().is_none() {
            return;
        }
        let name = T::ident(&self.config);
        let declaration = format!("{}export {}\n", T::docs().unwrap_or_default(), T::decl(&self.config));
        match self.declarations.get(&name) {
            Some(same) if *same == declaration => {}
            Some(_) => self.clashes.push(name),
            None => {
                self.declarations.insert(name, declaration);
                T::visit_dependencies(self);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::OPERATIONS;

    #[test]
    fn each_type_has_a_name_of_its_own() {
        let mut types = TypeScript::default();
        for operation in OPERATIONS {
            (operation.typescript)(&mut types);
        }
        assert_eq!(types.clashes, Vec::<String>::new());
        assert_eq!(types.operations.len(), OPERATIONS.len());
        assert!(types.declarations["RunCancel"].contains("mode?: CancelMode"), "{}", types.declarations["RunCancel"]);
        assert!(types.declarations.contains_key("CancelMode"), "what a type uses is declared too");
        assert!(types.declarations.values().all(|declaration| !declaration.contains("bigint")));
    }
}
