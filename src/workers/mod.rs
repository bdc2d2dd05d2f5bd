//! Workers: processes elsewhere that execute runs. They register, are assigned runs, write them under leases, and end them; what they
//! write is checked and fenced here, and stored as the engine's is.

mod append;
mod artifact;
mod ask;
mod end;
mod register;
mod renew;
mod round;
mod row;
#[cfg(test)]
mod tests;
mod turn;

pub use append::append;
pub use artifact::{create, extend};
pub use ask::request;
pub use end::{finish, park, release};
pub use register::{drain, register};
pub use renew::renew;
pub use round::{assign_forever, round};
pub use row::{WorkerRow, noun};
