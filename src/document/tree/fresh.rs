//! Members that a document did not have when it was read: where they can stand, and how they are printed.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::{Member, Node, Object, Tree};
use crate::document::raw::{decoded, quoted};

impl Tree {
    /// Whether a new leaf can stand where this path leads: no value stands on the way, nor an object at its end.
    pub(super) fn takes_path(&self, path: &[Arc<str>]) -> bool {
        let mut object = Some(&self.root);
        for (depth, name) in path.iter().enumerate() {
            let member = object.and_then(|object| object.members.iter().find(|member| self.is_named(member, name)));
            object = match member.map(|member| &member.value) {
                Some(Node::Object(inner)) if depth + 1 < path.len() => Some(inner),
                Some(_) => return false,
                None => None,
            };
        }
        let path: Vec<&str> = path.iter().map(|name| &**name).collect();
        self.fresh().all(|(other, _)| !other.starts_with(&path) && !path.starts_with(&other))
    }

    fn is_named(&self, member: &Member, name: &str) -> bool {
        decoded(self.slice(&member.key)).is_some_and(|found| found == name)
    }

    /// Members that the source did not have, spaced like the last one that it had.
    pub(super) fn print_new<'a>(
        &'a self,
        object: &Object,
        trail: &[String],
        after: &mut Option<&'a str>,
        out: &mut String,
    ) {
        let new = self.below(trail);
        if new.is_empty() {
            return;
        }
        let nested: HashSet<String> = object
            .members
            .iter()
            .filter_map(|member| match member.value {
                Node::Object(_) => decoded(self.slice(&member.key)),
                Node::Leaf(..) => None,
            })
            .collect();
        let (open, lead, colon, gap) = match object.members.as_slice() {
            [] => ("", "", ":", ""),
            [.., last] => {
                let (lead, colon) = (self.slice(&last.lead), self.slice(&last.colon));
                // A single member shows no gap after a comma; `{"a": 1}` is the style of `{"a": 1, "b": 2}`.
                let only = object.members.len() == 1 && lead.is_empty() && colon.ends_with(' ');
                (self.slice(&object.open), if only { " " } else { lead }, colon, self.slice(&last.after))
            }
        };
        for (name, text) in gathered(&new) {
            if nested.contains(name) {
                continue;
            }
            match *after {
                None => out.push_str(open),
                Some(before) => out.extend([before, ",", lead]),
            }
            *after = Some(gap);
            out.extend([quoted(name).as_str(), colon, &text]);
        }
    }

    /// The new leaves below an object, by the rest of their path, with their JSON texts.
    fn below<'a>(&'a self, trail: &[String]) -> Vec<(Vec<&'a str>, &'a str)> {
        let below = |path: &[&str]| path.len() > trail.len() && path.iter().zip(trail).all(|(one, other)| one == other);
        let leaves = self.fresh().filter(|(path, _)| below(path));
        leaves.map(|(path, text)| (path[trail.len()..].to_vec(), text)).collect()
    }

    /// The new leaves that are there, by their path, with their JSON texts.
    fn fresh(&self) -> impl Iterator<Item = (Vec<&str>, &str)> {
        let new = self.leaves.get_range(self.read..).into_iter().flatten();
        new.filter_map(|(name, leaf)| {
            let text = leaf.now.as_ref()?.written.as_ref()?.expose();
            let flat = leaf.path.is_empty();
            Some((if flat { vec![name.as_str()] } else { leaf.path.iter().map(|name| &**name).collect() }, text))
        })
    }
}

/// Leaves by the path that is left to them, as the members of one object: those below one name are an object of their own.
fn gathered<'a>(leaves: &[(Vec<&'a str>, &str)]) -> Vec<(&'a str, String)> {
    let mut names: IndexMap<&str, Vec<(Vec<&str>, &str)>> = IndexMap::new();
    for (path, text) in leaves {
        let Some((first, rest)) = path.split_first() else { continue };
        names.entry(first).or_default().push((rest.to_vec(), text));
    }
    let text = |leaves: &[(Vec<&str>, &str)]| match leaves {
        [(rest, text)] if rest.is_empty() => (*text).to_owned(),
        inner => {
            let members = gathered(inner).into_iter().map(|(name, text)| format!("{}:{text}", quoted(name)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    };
    names.iter().map(|(name, leaves)| (*name, text(leaves))).collect()
}
