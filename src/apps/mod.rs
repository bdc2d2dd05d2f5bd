//! Apps: folders of data that make a workspace KP's, or yours. A folder is read as a version that never changes.

use std::{path::Path, sync::Arc};

/// What is wrong in an app's folder: where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct Problem {
    /// The file, from the app's folder.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// What is wrong and what to change.
    pub message: String,
}

/// One version of an app.
#[derive(Debug)]
pub struct App {}

impl App {
    /// Reads and checks an app's folder.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn read(folder: &Path) -> Result<Self, Vec<Problem>> {
        let _ = folder;
        unimplemented!()
    }
}

/// The app that is served, and the versions that runs began with.
#[derive(Clone)]
pub struct Apps {
    current: Arc<App>,
}

impl Apps {
    /// Serves this app.
    pub fn new(app: App) -> Self {
        Self { current: Arc::new(app) }
    }
    /// The version that new runs begin with.
    pub fn current(&self) -> Arc<App> {
        self.current.clone()
    }
}
