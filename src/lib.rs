//! The rooms of `envsync`, from the ones that know nothing of the others to the one that runs them all. The program is
//! `main.rs`; this crate root only lists the rooms, so that benches and tests can reach them.

pub mod secret;

pub mod effects;
pub mod error;

pub mod document;
pub mod dotenv;
pub mod plan;
pub mod reference;

pub mod file;
pub mod http;

pub mod auth;
pub mod config;

pub mod ci;
pub mod store;

pub mod run;
