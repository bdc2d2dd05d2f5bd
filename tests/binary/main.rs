//! The real binary, seen from outside: what holds while it is killed, told to stop, started wrongly and asked for help.

mod campaigns;
mod checks;
mod command_line;
mod crews;
mod kills;
mod kp;
mod mcp;
mod people;
mod server;
mod signals;
mod socket;
mod starting;
mod workers;
