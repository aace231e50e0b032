//! One member of a JSON secret by its path.

use std::sync::Arc;

use super::raw::{self, Entry, entries, unmarked};
use super::{Fault, bare};
use crate::secret::Secret;

/// One member of a JSON secret (`#a.b`), as the text of a variable. A member name with dots in it (`"a.b"`) comes before
/// the path through objects; an element of an array is named by its number, from 0.
///
/// # Errors
/// [`Fault::NoMember`] where the path leads nowhere, and what is wrong with the JSON else.
pub fn member_at(payload: &Secret, path: &[String]) -> Result<Secret, Fault> {
    let text = bare(payload);
    let raw = match (text.chars().next(), raw::whole(text)) {
        (None, _) => return Err(Fault::Empty),
        (_, Ok(raw)) => raw,
        (Some('{' | '['), Err(_)) => raw::whole(unmarked(payload.expose()))?,
        (_, Err(_)) => return Err(Fault::NotJson),
    };
    let found = find(raw, path, &mut Vec::new())?.ok_or_else(|| Fault::NoMember { path: path.join(".") })?;
    let trail: Vec<Arc<str>> = path.iter().map(|name| name.as_str().into()).collect();
    Ok(raw::text(found, &trail)?.into())
}

/// Looks for a path in a value, longest literal name first. Every member is looked at once at most, because its own place
/// says how much of the path is used up.
fn find<'a>(raw: &'a str, path: &[String], trail: &mut Vec<Arc<str>>) -> Result<Option<&'a str>, Fault> {
    let Some(first) = path.first() else { return Ok(Some(raw)) };
    if raw.starts_with('[') {
        let digits = first.bytes().all(|b| b.is_ascii_digit());
        let Some(number) = first.parse::<usize>().ok().filter(|_| digits) else { return Ok(None) };
        let Some(element) = raw::elements(raw)?.get(number).copied() else { return Ok(None) };
        trail.push(first.as_str().into());
        let found = find(element, &path[1..], trail);
        trail.pop();
        return found;
    }
    if !raw.starts_with('{') {
        return Ok(None);
    }
    let used = |entry: Entry<'a>| Some((covered(&entry.name, path)?, entry));
    let mut candidates: Vec<(usize, Entry<'a>)> = entries(raw, trail)?.into_iter().filter_map(used).collect();
    candidates.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
    for (used, entry) in candidates {
        trail.push(entry.name.into());
        let found = find(entry.value, &path[used..], trail)?;
        trail.pop();
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// How many parts of the path, joined by dots, are this name.
fn covered(name: &str, path: &[String]) -> Option<usize> {
    let mut rest = name;
    for (i, part) in path.iter().enumerate() {
        rest = rest.strip_prefix(part.as_str())?;
        if rest.is_empty() {
            return Some(i + 1);
        }
        rest = rest.strip_prefix('.')?;
    }
    None
}
