//! A JSON object as a tree that remembers every byte: the source stays as it is, and the tree holds only where its pieces
//! lie. What was not set prints its old bytes.

mod fresh;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;

use super::Fault;
use super::raw::{
    Kind, MAX_DEPTH, compact, decoded, depth, entries, is_blank, is_json, quoted, shown, text, unmarked, whole,
};
use crate::secret::Secret;

/// One JSON object, flattened: leaves by name, and around them the bytes of the source.
#[derive(Clone)]
pub(super) struct Tree {
    source: Secret,
    root: Object,
    /// Where the root object lies; around it are a byte order mark and white space.
    at: Range<usize>,
    /// First those of the source, then the new ones, which have no node in the tree.
    leaves: IndexMap<String, Leaf>,
    /// How many of them the source has.
    read: usize,
    /// The members of the root that are objects, new ones too: a new member cannot have such a name.
    objects: HashSet<Arc<str>>,
}

/// What a flattened name stands for.
#[derive(Clone)]
struct Leaf {
    /// The member names that lead to it; empty for a new one that stands at the end of the root under its flattened name.
    path: Box<[Arc<str>]>,
    /// Its bytes in the source; empty for a new one.
    at: Range<usize>,
    kind: Kind,
    /// The value in the source, `None` for a new one.
    read: Option<Secret>,
    /// What it is now; `None` is removed.
    now: Option<Now>,
}

#[derive(Clone)]
struct Now {
    value: Secret,
    /// The JSON text, `None` for the bytes of the source.
    written: Option<Secret>,
}

#[derive(Clone)]
struct Object {
    /// The gap after `{`.
    open: Range<usize>,
    members: Vec<Member>,
    /// The gap before `}`; empty where there is no member.
    close: Range<usize>,
}

#[derive(Clone)]
struct Member {
    /// The gap between the comma (or `{`) and the name.
    lead: Range<usize>,
    key: Range<usize>,
    /// From the name to the value: the colon and the gaps on both sides of it.
    colon: Range<usize>,
    value: Node,
    /// The gap between the value and the comma. The last member takes over its neighbour's, for members to come.
    after: Range<usize>,
}

#[derive(Clone)]
enum Node {
    /// The number of the leaf, and its own bytes: of several leaves that share a name only the last one can be set.
    Leaf(usize, Range<usize>),
    Object(Object),
}

impl Leaf {
    /// The value as it will read once it was set: an array without its white space, anything else as it is.
    fn settled(&self, value: &Secret) -> Secret {
        if self.takes_array(value.expose()) { compact(value.expose()).into() } else { value.clone() }
    }

    fn set(&mut self, value: &Secret) {
        let settled = self.settled(value);
        let text = value.expose();
        let keeps_type = match self.kind {
            Kind::Number => Kind::of(text) == Kind::Number && is_json(text),
            Kind::Bool => matches!(text, "true" | "false"),
            Kind::Array => self.takes_array(text),
            Kind::Text | Kind::Null | Kind::Object => false,
        };
        let written = if self.read.as_ref() == Some(&settled) {
            None
        } else if keeps_type {
            Some(value.clone())
        } else {
            Some(quoted(text).into())
        };
        self.now = Some(Now { value: settled, written });
    }

    /// An array that would nest too deep is kept as a string: the document must stay one that we can read.
    fn takes_array(&self, text: &str) -> bool {
        self.kind == Kind::Array
            && Kind::of(text) == Kind::Array
            && is_json(text)
            && self.path.len() + depth(text) <= MAX_DEPTH
    }
}

impl Tree {
    /// An object without members.
    pub(super) fn empty() -> Self {
        let root = Object { open: 1..1, members: Vec::new(), close: 1..1 };
        Self { source: "{}".into(), root, at: 0..2, leaves: IndexMap::new(), read: 0, objects: HashSet::new() }
    }

    /// Reads a payload whose first character, after a byte order mark and white space, is `{`.
    pub(super) fn parse(payload: &Secret, separator: &str, last_wins: bool) -> Result<Self, Fault> {
        let source = payload.expose();
        let text = unmarked(source);
        let raw = whole(text)?;
        let start = source.len() - text.trim_start_matches(is_blank).len();
        let mut reader = Reader { source, separator, last_wins, leaves: IndexMap::new(), objects: HashSet::new() };
        let root = reader.object(start, raw, &mut Vec::new())?;
        let Reader { leaves, objects, .. } = reader;
        let read = leaves.len();
        Ok(Self { source: payload.clone(), root, at: start..start + raw.len(), leaves, read, objects })
    }

    /// The flattened names with their values, in the order of the document.
    pub(super) fn members(&self) -> Vec<(String, Secret)> {
        let now = |(name, leaf): (&String, &Leaf)| Some((name.clone(), leaf.now.as_ref()?.value.clone()));
        self.leaves.iter().filter_map(now).collect()
    }

    pub(super) fn set(&mut self, name: &str, value: &Secret) -> Result<(), Fault> {
        if let Some(leaf) = self.leaves.get_mut(name) {
            leaf.set(value);
            return Ok(());
        }
        if self.objects.contains(name) {
            return Err(Fault::Shadowed { name: name.to_owned() });
        }
        let mut leaf = Leaf { path: Box::default(), at: 0..0, kind: Kind::Text, read: None, now: None };
        leaf.set(value);
        self.leaves.insert(name.to_owned(), leaf);
        Ok(())
    }

    /// Takes a member over from another tree with its JSON text, so that its type stays.
    pub(super) fn graft(&mut self, name: &str, from: &Self) -> Result<(), Fault> {
        let Some((number, _, leaf)) = from.leaves.get_full(name) else { return Ok(()) };
        let (Some(there), Some(text)) = (&leaf.now, from.leaf_text(number, &leaf.at)) else { return Ok(()) };
        let now = Some(Now { value: there.value.clone(), written: Some(text.into()) });
        if let Some(mine) = self.leaves.get_mut(name) {
            mine.now = now;
        } else if self.objects.contains(name) {
            return Err(Fault::Shadowed { name: name.to_owned() });
        } else {
            let path = if self.takes_path(&leaf.path) { leaf.path.clone() } else { Box::default() };
            if let [first, _, ..] = &*path {
                self.objects.insert(Arc::clone(first));
            }
            let new = Leaf { path, at: 0..0, kind: Kind::of(text), read: None, now };
            self.leaves.insert(name.to_owned(), new);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(leaf) = self.leaves.get_mut(name) {
            leaf.now = None;
        }
    }

    pub(super) fn print(&self) -> Secret {
        let source = self.source.expose();
        let mut out = String::with_capacity(source.len() + source.len() / 4);
        out.push_str(&source[..self.at.start]);
        self.print_object(&self.root, &mut Vec::new(), &mut out);
        out.push_str(&source[self.at.end..]);
        out.into()
    }

    fn slice(&self, at: &Range<usize>) -> &str {
        &self.source.expose()[at.clone()]
    }

    /// The first member that is left takes the gap after `{`, and the gap before `}` stays where it is, so that removing
    /// either end leaves no stray line.
    fn print_object(&self, object: &Object, trail: &mut Vec<String>, out: &mut String) {
        out.push('{');
        let mut after = None;
        for member in &object.members {
            let text = match &member.value {
                Node::Object(_) => None,
                Node::Leaf(number, at) => match self.leaf_text(*number, at) {
                    None => continue,
                    text => text,
                },
            };
            match after {
                None => out.push_str(self.slice(&object.open)),
                Some(gap) => out.extend([gap, ",", self.slice(&member.lead)]),
            }
            after = Some(self.slice(&member.after));
            out.extend([self.slice(&member.key), self.slice(&member.colon)]);
            match (&member.value, text) {
                (Node::Object(inner), _) => {
                    trail.push(decoded(self.slice(&member.key)).unwrap_or_default());
                    self.print_object(inner, trail, out);
                    trail.pop();
                }
                (_, text) => out.push_str(text.unwrap_or_default()),
            }
        }
        self.print_new(object, trail, &mut after, out);
        match after {
            Some(_) => out.push_str(self.slice(&object.close)),
            None if object.members.is_empty() => out.push_str(self.slice(&object.open)),
            None => {}
        }
        out.push('}');
    }

    /// The JSON text of a leaf, `None` where it was removed.
    fn leaf_text(&self, number: usize, at: &Range<usize>) -> Option<&str> {
        let (_, leaf) = self.leaves.get_index(number)?;
        match &leaf.now.as_ref()?.written {
            Some(written) if leaf.at == *at => Some(written.expose()),
            _ => Some(self.slice(at)),
        }
    }
}

struct Reader<'a> {
    source: &'a str,
    separator: &'a str,
    last_wins: bool,
    leaves: IndexMap<String, Leaf>,
    objects: HashSet<Arc<str>>,
}

impl Reader<'_> {
    /// Reads the object that begins at a byte of the source. Each level scans its text once more, which [`MAX_DEPTH`]
    /// bounds, as it bounds the recursion.
    fn object(&mut self, start: usize, raw: &str, trail: &mut Vec<Arc<str>>) -> Result<Object, Fault> {
        let source = self.source;
        let (mut at, mut members) = (start + 1, Vec::<Member>::new());
        for entry in entries(raw, trail)? {
            // Between two values there are only gaps, a comma and a colon, so the next quote opens the next name.
            let key = at + source[at..].find('"').unwrap_or_default();
            let gap = &source[at..key];
            let lead = at + gap.find(',').map_or(0, |comma| comma + 1);
            if let Some(last) = members.last_mut() {
                last.after = at..lead.saturating_sub(1);
            }
            let colon = key + entry.key.len();
            let value = source.len() - source[colon..].trim_start_matches(|c| c == ':' || is_blank(c)).len();
            at = value + entry.value.len();
            let name: Arc<str> = entry.name.into();
            trail.push(Arc::clone(&name));
            let node = match Kind::of(entry.value) {
                Kind::Object => {
                    if trail.len() == 1 {
                        self.objects.insert(name);
                    }
                    Node::Object(self.object(value, entry.value, trail)?)
                }
                kind => Node::Leaf(self.leaf(kind, value..at, entry.value, trail)?, value..at),
            };
            trail.pop();
            let member = Member { lead: lead..key, key: key..colon, colon: colon..value, value: node, after: at..at };
            members.push(member);
        }
        if let [.., before, last] = members.as_mut_slice() {
            last.after = before.after.clone();
        }
        let end = start + raw.len() - 1;
        let open = members.first().map_or(at..end, |first| first.lead.clone());
        Ok(Object { open, close: if members.is_empty() { end..end } else { at..end }, members })
    }

    /// Files a leaf under its flattened name, and gives its number.
    fn leaf(&mut self, kind: Kind, at: Range<usize>, raw: &str, trail: &[Arc<str>]) -> Result<usize, Fault> {
        let value = Secret::from(text(raw, trail)?);
        let name = trail.join(self.separator);
        if let Some(other) = self.leaves.get(&name)
            && !self.last_wins
        {
            return Err(Fault::Collision { first: shown(&other.path), second: shown(trail), name });
        }
        let now = Some(Now { value: value.clone(), written: None });
        Ok(self.leaves.insert_full(name, Leaf { path: trail.into(), at, kind, read: Some(value), now }).0)
    }
}
