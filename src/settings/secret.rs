//! Where a secret is, so that the settings hold none.

use std::{env, fmt, fs};

/// Where a value is read each time it is needed: a file may be replaced while the server runs.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// It stands in the settings themselves: nothing to be kept from anyone who may read those.
    Text(String),
    /// In a variable of the environment.
    Environment(String),
    /// In a file.
    File(String),
}

impl Source {
    /// The value as it is now, without blanks around it.
    ///
    /// # Errors
    /// Where it was looked for, and what to do.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Environment(name) => match env::var(name) {
                Ok(value) if !value.trim().is_empty() => Ok(value.trim().to_owned()),
                _ => Err(format!("set {name}")),
            },
            Self::File(file) => match fs::read_to_string(file) {
                Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
                Ok(_) => Err(format!("{file} is empty")),
                Err(error) => Err(format!("{file} can't be read: {error}")),
            },
        }
    }

    /// Whether what it holds is to be kept from everyone.
    pub fn is_secret(&self) -> bool {
        !matches!(self, Self::Text(_))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Somebody may have put a secret here all the same.
            Self::Text(_) => f.write_str("a text"),
            Self::Environment(name) => write!(f, "variable {name}"),
            Self::File(file) => write!(f, "file {file}"),
        }
    }
}
