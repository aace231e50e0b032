//! What others wrote while we did, and what they may have read: by the lists of versions before and after.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_core::time::OffsetDateTime;

use super::vault::Versions;
use crate::store::{Ids, Place, RECENT, Race, Version};

/// How long before it writes a writer may have read what it starts from, with all its tries and pauses.
const MOMENT: Duration = Duration::from_secs(600);
/// How long after the last write a run may still be about to mend what it has written over.
const MENDING: Duration = Duration::from_secs(60);

/// What ours was written over, by the lists before and after it.
pub(super) fn race(before: &Versions, after: &Versions, expected: Option<&str>, ours: &str) -> Option<Race> {
    let overtook = overtaken(before, after, expected, ours);
    if overtook.is_empty() {
        return None;
    }
    let before = older(before, expected, after, &overtook);
    let overtook = overtook.into_iter().map(|id| (id.clone(), place(after, &id.0))).collect();
    Some(Race { overtook, ours: place(after, ours), before, counts: None })
}

/// What others wrote since the versions before were listed. Only ids tell: comparing times loses versions.
fn overtaken(before: &Versions, after: &Versions, expected: Option<&str>, ours: &str) -> Vec<Version> {
    let new = after.keys().filter(|id| !before.contains_key(*id));
    new.filter(|id| *id != ours && Some(id.as_str()) != expected).cloned().map(Version).collect()
}

/// One that the list does not know has just been written.
fn place(listed: &Versions, id: &str) -> Place {
    Place(second(listed, id).unwrap_or(i64::MAX), id.to_owned())
}

/// Whether nobody can be about to mend what this version was written over. A clock that is ahead says so too early.
pub(super) fn is_old(created: OffsetDateTime, now: OffsetDateTime) -> bool {
    now - created > MENDING
}

/// The versions that may lie between the two, the newest first.
pub(super) fn between(listed: &Versions, older: &str, newer: &str) -> Vec<Version> {
    let (Some(from), Some(to)) = (second(listed, older), second(listed, newer)) else { return Vec::new() };
    let mut found: Vec<(i64, &String)> = listed
        .keys()
        .filter(|id| *id != older && *id != newer)
        .filter_map(|id| Some((second(listed, id).filter(|at| (from..=to).contains(at))?, id)))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().take(RECENT).map(|(_, id)| Version(id.clone())).collect()
}

/// When a version was made.
fn second(listed: &Versions, id: &str) -> Option<i64> {
    listed.get(id).copied().flatten().map(OffsetDateTime::unix_timestamp)
}

/// The versions before the one that was read, the newest first; those of one second together, because times have that
/// grain. As far back as the writer of the first of `theirs` may have read, and what counted then.
fn older(before: &Versions, expected: Option<&str>, after: &Versions, theirs: &[Version]) -> Ids {
    let Some((expected, read)) = expected.and_then(|id| Some((id, second(before, id)?))) else {
        return Ids::default();
    };
    let written = theirs.iter().map(|id| second(after, &id.0)).min().flatten().unwrap_or(read);
    let since = written - MOMENT.as_secs().cast_signed();
    if read < since {
        return Ids::default();
    }
    let mut seconds: BTreeMap<i64, Vec<Version>> = BTreeMap::new();
    for id in before.keys().filter(|id| *id != expected) {
        if let Some(second) = second(before, id) {
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
    fn what_may_hide_something_lies_between_two_versions() {
        type Row<'a> = (&'a [(&'a str, Option<i64>)], &'a [&'a str]);
        let rows: [Row<'_>; 4] = [
            // listed with their seconds; `b` is the base, `v` the newest
            (&[("b", Some(100)), ("v", Some(200))], &[]),
            (&[("a", Some(99)), ("b", Some(100)), ("c", Some(150)), ("d", Some(190)), ("v", Some(200))], &["d", "c"]),
            // Of one second nobody knows the order.
            (&[("a", Some(100)), ("b", Some(100)), ("c", Some(200)), ("v", Some(200))], &["c", "a"]),
            // A list that lags behind, and one without times.
            (&[("c", None), ("v", Some(200))], &[]),
        ];
        for (listed, wanted) in rows {
            let at = |second: i64| OffsetDateTime::from_unix_timestamp(second).unwrap();
            let listed = listed.iter().map(|(id, second)| ((*id).to_owned(), second.map(at))).collect();
            let found: Vec<String> = between(&listed, "b", "v").iter().map(ToString::to_string).collect();
            assert_eq!(found, wanted, "{listed:?}");
        }
    }

    #[test]
    fn nobody_mends_after_a_minute() {
        let at = |second: i64| OffsetDateTime::from_unix_timestamp(second).unwrap();
        assert_eq!([159, 160, 161, 0].map(|now| is_old(at(100), at(now))), [false, false, true, false]);
    }

    #[test]
    fn a_version_that_is_not_listed_yet_comes_last() {
        let at = OffsetDateTime::from_unix_timestamp(100).unwrap();
        let listed = [("a".to_owned(), Some(at)), ("b".to_owned(), Some(at))].into();
        assert!(place(&listed, "a") < place(&listed, "b"));
        assert!(place(&listed, "b") < place(&listed, "aa"));
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
