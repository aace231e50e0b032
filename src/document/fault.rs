//! What can be wrong with a payload: the words for it, and what to do.

use std::fmt;

use super::raw::MAX_DEPTH;
use crate::secret::Key;

/// Why a payload cannot be read or changed. Shows names, paths and positions, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing but white space and comments.
    Empty,
    /// Neither a JSON object nor dotenv text.
    Neither {
        /// The first line that is no assignment, from 1. Only its number: a line may be a piece of a secret.
        line: usize,
    },
    /// A JSON text with an error.
    Broken {
        /// Line, from 1.
        line: usize,
        /// Byte within the line, from 1; 0 at a line that is empty.
        column: usize,
        /// Whether the text ends too early: it was cut off.
        cut: bool,
    },
    /// JSON, but not an object.
    NotObject {
        /// Whether it is an array; else a single string, number, boolean or null.
        array: bool,
    },
    /// A member was asked of a payload that is no JSON.
    NotJson,
    /// A string holds an escape that stands for no character (`\ud800`).
    Undecodable {
        /// The string, or the object whose member name it is.
        path: String,
    },
    /// Two members yield one variable.
    Collision {
        /// The variable.
        name: String,
        /// The path of one member.
        first: String,
        /// The path of the other, further down.
        second: String,
    },
    /// One object has two members of one name.
    Duplicate {
        /// The path of both.
        path: String,
    },
    /// Objects and arrays nest deeper than 128 levels.
    Depth,
    /// The path leads nowhere.
    NoMember {
        /// The path as it was asked for.
        path: String,
    },
    /// A new variable has the name of a member that is an object.
    Shadowed {
        /// The name of both.
        name: String,
    },
    /// A member's name is no variable name, which dotenv text needs.
    BadName {
        /// The flattened name, unchecked: it may hold anything.
        name: String,
    },
    /// Dotenv text cannot carry a value.
    Unwritable {
        /// The variable.
        key: Key,
        /// What is wrong.
        what: String,
        /// What to do.
        help: String,
    },
}

impl Fault {
    /// Only the place: the words of `serde_json` may quote what it read.
    pub(super) fn broken(error: &serde_json::Error) -> Self {
        Self::Broken { line: error.line(), column: error.column(), cut: error.is_eof() }
    }

    /// What to do, for the secret of this id.
    #[must_use]
    pub fn help(&self, id: &str) -> String {
        match self {
            Self::Empty => format!("store a JSON object or dotenv text in `{id}`, for example by `mode: push`"),
            Self::Neither { .. } => {
                format!("if `{id}` is one plain value, give it a variable name: `NAME = {id}`; else mend that line")
            }
            Self::Broken { .. } => {
                format!("mend the JSON of `{id}`; if it is one plain value, give it a variable name: `NAME = {id}`")
            }
            Self::NotObject { .. } => {
                format!("give the whole of it a variable name, `NAME = {id}`, or store an object of names and values")
            }
            Self::NotJson => format!("leave out the `#` and what follows to take the whole of it: `NAME = {id}`"),
            Self::Undecodable { .. } => {
                format!("in `{id}`, write the character itself, or both halves of its surrogate pair")
            }
            Self::Collision { .. } => {
                format!("rename one of them in `{id}`, or set another `flatten_separator`, or `on_collision: last`")
            }
            Self::Duplicate { .. } => {
                format!("remove one of them from `{id}`; readers disagree about which one counts")
            }
            Self::Depth => format!("flatten `{id}`, or store its deepest part as a string"),
            Self::NoMember { .. } => {
                format!("compare the path with the member names of `{id}`, upper and lower case too")
            }
            Self::Shadowed { .. } => format!("rename the variable, or the object in `{id}`"),
            Self::BadName { .. } => {
                format!("rename the member of `{id}` to letters, digits and `_`, or use `format: json`")
            }
            Self::Unwritable { help, .. } => help.clone(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the payload is empty"),
            Self::Neither { line } => {
                write!(f, "the payload is neither a JSON object nor dotenv text (line {line} is no assignment)")
            }
            Self::Broken { line, column, cut: false } => {
                write!(f, "the payload is broken JSON at line {line}, column {column}")
            }
            Self::Broken { line, column, cut: true } => {
                write!(f, "the payload is JSON that ends too early, at line {line}, column {column}")
            }
            Self::NotObject { array: true } => f.write_str("the payload is a JSON array, not a JSON object"),
            Self::NotObject { array: false } => f.write_str("the payload is a single JSON value, not a JSON object"),
            Self::NotJson => f.write_str("the payload is no JSON, so that no member can be taken from it"),
            Self::Undecodable { path } => {
                write!(f, "a string at {path} holds half a surrogate pair, which is no character")
            }
            Self::Collision { name, first, second } => {
                write!(f, "the members {first} and {second} both yield the variable {name}")
            }
            Self::Duplicate { path } => write!(f, "the member {path} is there twice"),
            Self::Depth => write!(f, "the payload nests deeper than {MAX_DEPTH} levels"),
            Self::NoMember { path } => write!(f, "the payload has no member {path}"),
            Self::Shadowed { name } => {
                write!(f, "the member {name} is an object and cannot be the variable {name} too")
            }
            Self::BadName { name } => write!(f, "the member {name} is no valid variable name"),
            Self::Unwritable { what, .. } => f.write_str(what),
        }
    }
}

impl std::error::Error for Fault {}
