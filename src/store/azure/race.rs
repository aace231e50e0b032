//! What others wrote while we did, and what they may have read: by the lists of versions before and after.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_core::time::OffsetDateTime;

use super::vault::Versions;
use crate::store::{Ids, Version};

/// How long before it writes a writer may have read what it starts from, with all its tries and pauses.
const STALE: Duration = Duration::from_secs(600);

/// What others wrote since the versions before were listed. Only ids tell: comparing times loses versions.
pub(super) fn overtaken(before: &Versions, after: &Versions, expected: Option<&str>, ours: &str) -> Vec<Version> {
    let new = after.keys().filter(|id| !before.contains_key(*id));
    new.filter(|id| *id != ours && Some(id.as_str()) != expected).cloned().map(Version).collect()
}

/// The versions before the one that was read, the newest first; those of one second together, because times have that
/// grain. As far back as the writer of the first of `theirs` may have read, and what counted then.
pub(super) fn older(before: &Versions, expected: Option<&str>, after: &Versions, theirs: &[Version]) -> Ids {
    let created =
        |versions: &Versions, id: &str| versions.get(id).copied().flatten().map(OffsetDateTime::unix_timestamp);
    let Some((expected, read)) = expected.and_then(|id| Some((id, created(before, id)?))) else {
        return Ids::default();
    };
    let written = theirs.iter().map(|id| created(after, &id.0)).min().flatten().unwrap_or(read);
    let since = written - STALE.as_secs().cast_signed();
    if read < since {
        return Ids::default();
    }
    let mut seconds: BTreeMap<i64, Vec<Version>> = BTreeMap::new();
    for id in before.keys().filter(|id| *id != expected) {
        if let Some(second) = created(before, id) {
            seconds.entry(second).or_default().push(Version(id.clone()));
        }
    }
    let first = seconds.range(..=since).next_back().map_or(since, |(second, _)| *second);
    seconds.split_off(&first).into_values().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_told_by_ids_alone() {
        type Row<'a> = (&'a [&'a str], &'a [&'a str], Option<&'a str>, &'a [&'a str]);
        let rows: [Row<'_>; 6] = [
            // before, after, expected, overtaken; ours is `o`
            (&["v"], &["v", "o"], Some("v"), &[]),
            (&["v"], &["a", "o", "v"], Some("v"), &["a"]),
            (&["u", "v"], &["a", "b", "o", "u", "v"], Some("v"), &["a", "b"]),
            // A list that lags behind.
            (&[], &["o", "v"], Some("v"), &[]),
            (&["v"], &["v"], Some("v"), &[]),
            (&[], &["a", "o"], None, &["a"]),
        ];
        for (before, after, expected, theirs) in rows {
            let listed = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), None)).collect();
            let found = overtaken(&listed(before), &listed(after), expected, "o");
            let theirs: Vec<Version> = theirs.iter().map(|id| Version((*id).to_owned())).collect();
            assert_eq!(found, theirs, "{before:?} {after:?}");
        }
    }

    #[test]
    fn older_versions_are_the_newest_first_and_end_with_what_counted_when_the_moment_began() {
        type Row<'a> = (&'a [(&'a str, Option<i64>)], Option<&'a str>, Option<i64>, &'a [&'a [&'a str]]);
        let rows: [Row<'_>; 11] = [
            // listed with their seconds, the one that was read, when the other one wrote, older ones
            (&[("v", Some(5000))], Some("v"), Some(5000), &[]),
            (&[("a", Some(4990)), ("b", Some(4995)), ("v", Some(5000))], Some("v"), Some(5001), &[&["b"], &["a"]]),
            (
                &[("a", Some(5000)), ("b", Some(4990)), ("c", Some(4990)), ("v", Some(5000))],
                Some("v"),
                Some(5000),
                &[&["a"], &["b", "c"]],
            ),
            // Ten minutes are 600 seconds.
            (
                &[("a", Some(4000)), ("b", Some(4100)), ("c", Some(4401)), ("v", Some(5000))],
                Some("v"),
                Some(5000),
                &[&["c"], &["b"]],
            ),
            (&[("a", Some(4399)), ("b", Some(4400)), ("v", Some(5000))], Some("v"), Some(5000), &[&["b"]]),
            // Whoever wrote so much later can have read nothing but the version that was read here.
            (&[("a", Some(4399)), ("v", Some(5000))], Some("v"), Some(5600), &[&["a"]]),
            (&[("a", Some(4399)), ("v", Some(5000))], Some("v"), Some(5601), &[]),
            // The list does not say when.
            (&[("a", Some(4399)), ("b", Some(4500)), ("v", Some(5000))], Some("v"), None, &[&["b"], &["a"]]),
            // Without a time nothing is known of the order, and without a version there was no secret.
            (&[("a", None), ("b", Some(4999)), ("v", Some(5000))], Some("v"), Some(5000), &[&["b"]]),
            (&[("a", Some(4999)), ("v", None)], Some("v"), Some(5000), &[]),
            (&[("a", Some(1)), ("v", None)], None, Some(5000), &[]),
        ];
        for (listed, expected, written, wanted) in rows {
            let at = |second: i64| OffsetDateTime::from_unix_timestamp(second).unwrap();
            let before = listed.iter().map(|(id, second)| ((*id).to_owned(), second.map(at))).collect();
            let after = [("first".to_owned(), written.map(at)), ("second".to_owned(), Some(at(9000)))].into();
            let theirs = ["second", "first"].map(|id| Version(id.to_owned()));
            // Of the two the earlier one counts.
            let theirs = if written.is_some() { &theirs[..] } else { &theirs[1..] };
            let found: Vec<Vec<String>> = older(&before, expected, &after, theirs)
                .iter()
                .map(|group| group.iter().map(ToString::to_string).collect())
                .collect();
            assert_eq!(found, wanted, "{listed:?} {written:?}");
        }
    }
}
