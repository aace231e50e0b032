//! What can be done about a value that cannot be written, or a line that cannot be read: it names the dialects that can.

use super::dialect::{self, Dialect, Table};
use super::scan::{self, Entry};
use super::{Fault, report};
use crate::secret::Key;

/// Why a value cannot be written.
pub(super) fn refused(key: &Key, refusal: &dialect::Refusal) -> String {
    match refusal.readers.is_empty() {
        true => format!("the value of {key} holds {}", refusal.holds),
        false => {
            let who = report::listed(refusal.readers);
            format!("the value of {key} holds {}, which {who} would misread", refusal.holds)
        }
    }
}

/// The help for a variable that cannot be written. `portable` is no way out: it is for every reader, so that what it writes
/// of such a value is what those of a narrower dialect misread.
pub(super) fn alternatives(key: &Key, value: &str) -> String {
    let mut carriers = dialect::carriers(key, value);
    carriers.retain(|name| *name != Dialect::Portable.table().name);
    if carriers.is_empty() {
        "change the value, or leave the variable out with `exclude`".to_owned()
    } else {
        format!("a file for other readers can carry it: dialect {}", either(&carriers))
    }
}

/// "a, b or c".
fn either(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// Adds to each fault the dialects that read its line.
pub(super) fn others(faults: Vec<Fault>, source: &[u8], table: &Table) -> Vec<Fault> {
    let tables = Dialect::ALL.iter().map(|dialect| dialect.table()).filter(|other| other.name != table.name);
    let read: Vec<_> = tables.map(|other| (other, scan::scan_all(source, other).0)).collect();
    let told = |fault: Fault| {
        let reads = |(other, found): &&(&Table, scan::Scan)| {
            let entry = found.entries.iter().find(|entry| entry.line as usize == fault.line);
            // Where quotes are data, a value that is quoted is not meant for it.
            let quoted = |entry: &Entry| source.get(entry.token()).is_some_and(|token| b"'\"`".contains(&token[0]));
            entry.is_some_and(|entry| entry.token().is_empty() || !(other.line.raw && quoted(entry)))
        };
        let names: Vec<&str> = read.iter().filter(reads).map(|(other, _)| other.name).collect();
        let also = format!("dialect {} reads the line", either(&names));
        match fault.help {
            _ if names.is_empty() => fault,
            Some(help) => Fault { help: Some(format!("{help}; {also}")), ..fault },
            None => Fault { help: Some(also), ..fault },
        }
    };
    faults.into_iter().map(told).collect()
}
