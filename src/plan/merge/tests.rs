use std::collections::BTreeSet;

use globset::{Glob, GlobSet};
use proptest::prelude::*;

use super::super::{Told, applied};
use super::*;

/// Base, file and secret, `-` for absent, values named in the order of their appearance; then what happens without
/// `delete` and with it, each for `prefer: fail`, `file` and `secret` (one word where all three do the same).
/// `>f` is "to the file", `>s` "to the secret", `!` a conflict.
const TABLE: [(&str, &str, &str); 15] = [
    ("---", "same", "same"),
    ("--a", "add>f", "add>f"),
    ("-a-", "add>s", "add>s"),
    ("-aa", "same", "same"),
    ("-ab", "! update>s update>f", "! update>s update>f"),
    ("a--", "same", "same"),
    ("a-a", "add>f", "remove>s"),
    ("a-b", "add>f", "! remove>s add>f"),
    ("aa-", "add>s", "remove>f"),
    ("ab-", "add>s", "! add>s remove>f"),
    ("aaa", "same", "same"),
    ("aab", "update>f", "update>f"),
    ("aba", "update>s", "update>s"),
    ("abb", "same", "same"),
    ("abc", "! update>s update>f", "! update>s update>f"),
];

const PREFER: [Prefer; 3] = [Prefer::Fail, Prefer::File, Prefer::Secret];

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn variables(text: &str) -> Variables {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(k, v)| Some((Key::new(k)?, Secret::from(v)))).collect()
}

fn one(value: char) -> Variables {
    variables(&if value == '-' { "OTHER=x".to_owned() } else { format!("OTHER=x K={value}") })
}

fn merge(base: Option<&Variables>, file: &Variables, secret: &Variables, delete: bool, prefer: Prefer) -> Plan {
    let terms = Terms { scope: &Scope::default(), delete, max_deletes: usize::MAX, prefer };
    three_way(base, file, secret, &terms).unwrap()
}

fn words(step: Option<&Step>) -> String {
    let Some(step) = step else { return "same".to_owned() };
    let side = match step.detail.side() {
        Some(Side::File) => ">f",
        Some(Side::Secret) => ">s",
        None => "",
    };
    match step.change {
        Change::Unchanged => "same".to_owned(),
        Change::Conflict => "!".to_owned(),
        change => format!("{}{side}", change.word(Told::AsPlan)),
    }
}

/// The values renamed in the order of their appearance.
fn pattern(values: [char; 3]) -> String {
    let mut seen: Vec<char> = Vec::new();
    let rename = |value: char| {
        if value == '-' {
            return '-';
        }
        let at = seen.iter().position(|s| *s == value).unwrap_or_else(|| {
            seen.push(value);
            seen.len() - 1
        });
        ['a', 'b', 'c'][at]
    };
    values.map(rename).iter().collect()
}

#[test]
fn the_whole_truth_table() {
    let all = ['-', 'a', 'b', 'c'];
    let mut met = BTreeSet::new();
    for (base, file, secret) in all.iter().flat_map(|b| all.iter().flat_map(move |f| all.map(|s| (*b, *f, s)))) {
        let pattern = pattern([base, file, secret]);
        let (_, kept, deleted) = TABLE.iter().find(|(row, ..)| *row == pattern).unwrap();
        for (delete, row) in [(false, kept), (true, deleted)] {
            for (nth, prefer) in PREFER.into_iter().enumerate() {
                let expected: Vec<&str> = row.split(' ').collect();
                let expected = expected[nth.min(expected.len() - 1)];
                let plan = merge(Some(&one(base)), &one(file), &one(secret), delete, prefer);
                let found = words(plan.steps.iter().find(|step| step.key == key("K")));
                assert_eq!(found, expected, "{base}{file}{secret} delete {delete} {prefer:?}");
            }
        }
        met.insert(pattern);
    }
    assert_eq!(met.len(), TABLE.len(), "a row of the table is met by nothing");
}

#[test]
fn without_a_base_both_sides_are_united() {
    for delete in [false, true] {
        let plan = merge(None, &variables("A=1 B=2 C=3"), &variables("D=4 B=2 C=9"), delete, Prefer::Fail);
        let shown: Vec<String> = plan.steps.iter().map(|s| format!("{}: {}", s.key, s.words(Told::AsPlan))).collect();
        let expected = [
            "A: add to the secret",
            "B: unchanged",
            "C: conflict, different on both sides, without a base",
            "D: add to the file",
        ];
        assert_eq!(shown, expected);
    }
}

#[test]
fn a_step_says_where_and_why() {
    let rows = [
        ("A=1", "A=2", "A=3", false, Prefer::Fail, "conflict, changed in the file, changed in the secret"),
        ("", "A=2", "A=3", false, Prefer::Fail, "conflict, added in the file, added in the secret"),
        ("A=1", "", "A=3", true, Prefer::Fail, "conflict, deleted in the file, changed in the secret"),
        ("A=1", "A=2", "", true, Prefer::Fail, "conflict, changed in the file, deleted in the secret"),
        ("A=1", "A=2", "A=3", false, Prefer::File, "update in the secret, in conflict: the file is preferred"),
        ("A=1", "", "A=3", true, Prefer::Secret, "add to the file, in conflict: the secret is preferred"),
        ("A=1", "", "A=1", false, Prefer::Fail, "add to the file again, where it was deleted"),
        ("A=1 B=1", "A=1 B=1", "B=1", true, Prefer::Fail, "remove from the file"),
    ];
    for (base, file, secret, delete, prefer, expected) in rows {
        let plan = merge(Some(&variables(base)), &variables(file), &variables(secret), delete, prefer);
        let step = plan.steps.iter().find(|step| step.key == key("A")).unwrap();
        assert_eq!(step.words(Told::AsPlan), expected);
    }
}

#[test]
fn deletion_is_guarded_on_both_sides_together() {
    let refused = |base: &str, file: &str, secret: &str, max_deletes| {
        let terms = Terms { scope: &Scope::default(), delete: true, max_deletes, prefer: Prefer::Fail };
        three_way(Some(&variables(base)), &variables(file), &variables(secret), &terms).err()
    };
    assert_eq!(refused("A=1", "", "A=1", 10), Some(Refused::GiverEmpty));
    assert_eq!(refused("A=1", "A=1", "", 10), Some(Refused::GiverEmpty));
    assert_eq!(refused("A=1 B=1 C=1", "B=1 C=1", "A=1 C=1", 1), Some(Refused::TooMany { wanted: 2 }));
    assert_eq!(refused("A=1 B=1 C=1", "B=1 C=1", "A=1 C=1", 2), None);
    assert_eq!(refused("", "", "", 0), None);
    assert_eq!(refused("A=1", "", "A=2", 10), None, "a conflict writes nothing, so nothing is guarded");
}

#[test]
fn the_scope_bounds_everything() {
    let exclude = GlobSet::builder().add(Glob::new("X*").unwrap()).build().unwrap();
    let scope = Scope { include: None, exclude };
    let terms = Terms { scope: &scope, delete: true, max_deletes: 10, prefer: Prefer::Fail };
    let (base, file, secret) = (variables("X1=1 X2=1 A=1"), variables("X2=2 A=1"), variables("X1=1 X2=3 A=2"));
    let plan = three_way(Some(&base), &file, &secret, &terms).unwrap();
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(plan.on(Side::File).steps[0].words(Told::AsPlan), "update in the file");
    // What is out of bounds is no giving side either.
    let refused = three_way(Some(&variables("A=1")), &variables("X1=1"), &variables("A=1"), &terms);
    assert_eq!(refused.err(), Some(Refused::GiverEmpty));
}

#[test]
fn a_refused_plan_changes_nothing_and_a_later_one_adds_to_an_earlier_one() {
    let plan = merge(Some(&variables("A=1")), &variables("A=2 B=1"), &variables("A=3"), false, Prefer::Fail);
    let refused = plan.refused();
    assert_eq!((refused.count(Change::Conflict), refused.count(Change::Unchanged)), (1, 1));
    let mut all = merge(Some(&variables("")), &variables("A=2 B=1"), &variables(""), false, Prefer::Fail);
    all.absorb(&merge(Some(&variables("A=2")), &variables("A=2 B=1"), &variables("A=4 B=1 C=1"), false, Prefer::Fail));
    let shown: Vec<String> = all.steps.iter().map(|s| format!("{}:{}", s.key, words(Some(s)))).collect();
    assert_eq!(shown, ["A:update>f", "B:add>s", "C:add>f"]);
}

fn any_variables() -> impl Strategy<Value = Variables> {
    proptest::collection::btree_map("[A-E]", "[0-2]", 0..6)
        .prop_map(|pairs| pairs.iter().map(|(k, v)| (key(k), Secret::from(v.as_str()))).collect())
}

fn any_prefer() -> impl Strategy<Value = Prefer> {
    proptest::sample::select(&PREFER)
}

/// Both sides after a plan, as the run applies it.
fn both(plan: &Plan, file: &Variables, secret: &Variables) -> (Variables, Variables) {
    (applied(&plan.on(Side::File), secret, file), applied(&plan.on(Side::Secret), file, secret))
}

proptest! {
    #[test]
    fn the_laws_of_a_merge(
        base in proptest::option::of(any_variables()),
        file in any_variables(),
        secret in any_variables(),
        delete: bool,
        prefer in any_prefer(),
    ) {
        let scope = Scope::default();
        let terms = Terms { scope: &scope, delete, max_deletes: usize::MAX, prefer };
        let Ok(plan) = three_way(base.as_ref(), &file, &secret, &terms) else { return Ok(()) };
        let stopped = plan.count(Change::Conflict) > 0;
        prop_assert!(!stopped || prefer == Prefer::Fail);
        let plan = if stopped { plan.refused() } else { plan };
        let (new_file, new_secret) = both(&plan, &file, &secret);

        // The result never holds a value that neither side had.
        for (key, value) in new_file.iter().chain(&new_secret) {
            prop_assert!(file.get(key) == Some(value) || secret.get(key) == Some(value));
        }
        if stopped {
            prop_assert_eq!((&new_file, &new_secret), (&file, &secret));
            return Ok(());
        }
        prop_assert_eq!(&new_file, &new_secret, "afterwards both sides hold the same");

        // Sync twice equals sync once, whatever the second one takes for its base.
        for again in [Some(&new_secret), base.as_ref(), None] {
            prop_assert!(!three_way(again, &new_file, &new_secret, &terms).unwrap().has_changes());
        }

        // A key changed on one side only always wins.
        let was = base.unwrap_or_default();
        for key in ["A", "B", "C", "D", "E"].map(key) {
            let (was, file, secret) = (was.get(&key), file.get(&key), secret.get(&key));
            let is_change = |now: Option<&Secret>| now != was && (now.is_some() || delete);
            match (is_change(file), is_change(secret)) {
                (true, false) => prop_assert_eq!(new_file.get(&key), file),
                (false, true) => prop_assert_eq!(new_file.get(&key), secret),
                (false, false) => prop_assert_eq!(new_file.get(&key), if file.is_some() { file } else { secret }),
                (true, true) => {}
            }
        }
    }

    #[test]
    fn swapping_prefer_swaps_only_conflicting_variables(
        base in proptest::option::of(any_variables()),
        file in any_variables(),
        secret in any_variables(),
        delete: bool,
    ) {
        let scope = Scope::default();
        let with = |prefer| {
            let terms = Terms { scope: &scope, delete, max_deletes: usize::MAX, prefer };
            three_way(base.as_ref(), &file, &secret, &terms)
        };
        let (Ok(fail), Ok(by_file), Ok(by_secret)) = (with(Prefer::Fail), with(Prefer::File), with(Prefer::Secret))
        else { return Ok(()) };
        let conflicts: BTreeSet<&Key> = fail.with(Change::Conflict).collect();
        let (by_file, by_secret) = (both(&by_file, &file, &secret).0, both(&by_secret, &file, &secret).0);
        for key in ["A", "B", "C", "D", "E"].map(key) {
            if conflicts.contains(&key) {
                prop_assert_eq!(by_file.get(&key), file.get(&key));
                prop_assert_eq!(by_secret.get(&key), secret.get(&key));
            } else {
                prop_assert_eq!(by_file.get(&key), by_secret.get(&key));
            }
        }
    }
}
