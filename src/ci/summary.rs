//! The job summary: what the page of a run shows, as the Markdown that GitHub renders. Pure text.

use std::collections::HashMap;

use super::meta::is_written;
use super::text::{code, markdown, prose, shortened};
use super::{Meta, plain};
use crate::config::{Config, Mode};
use crate::error::{Failure, Kind, Problem};
use crate::plan::{Change, Plan, Step, Told};
use crate::reference::Entry;
use crate::secret::Key;

/// The budget of a page in bytes: one of more than 1,048,576 is dropped as a whole by the runner.
const BYTES: usize = 1_000_000;
/// A table of more rows than this is folded.
const ROWS: usize = 100;
/// What was changed although a run failed is told in so many UTF-16 units: it may name thousands of secrets.
const CHANGED: usize = 50_000;

/// What the page of a run shows that came to its end.
pub struct Summary<'a> {
    /// The mode, the store and its secrets.
    pub config: &'a Config,
    /// By name and change.
    pub plan: &'a Plan,
    /// The outputs of the same run.
    pub meta: &'a Meta,
    /// Variables that some readers of the dialect will not read as they are, and those readers.
    pub misread: &'a [(Key, Vec<&'static str>)],
    /// The secret that gave each variable, where several were read.
    pub sources: &'a HashMap<Key, String>,
}

impl Summary<'_> {
    /// As Markdown, small enough to be shown.
    pub(super) fn markdown(&self) -> String {
        let told = match self.config.mode {
            Mode::Check => Told::AsDifference,
            _ if self.config.dry_run => Told::AsPlan,
            _ => Told::AsDone,
        };
        let mut page = format!("### {}\n\n{}: {}.", self.title(), self.sides(), self.plan.counts(told));
        if self.plan.count(Change::Conflict) > 0 && !is_written(self.plan) {
            page.push_str(" Neither side was written.");
        }
        if told == Told::AsPlan {
            page.push_str(" Dry run: nothing was written.");
        }
        page.push('\n');
        let (changed, same): (Vec<_>, Vec<_>) =
            self.plan.steps.iter().partition(|step| step.change != Change::Unchanged);
        let many = match told {
            Told::AsPlan => "to change",
            Told::AsDone => "changed",
            Told::AsDifference => "that differ",
        };
        let fold = (changed.len() > ROWS).then(|| format!("{} {many}", changed.len()));
        self.steps(&mut page, &changed, told, fold.as_deref(), BYTES / 2);
        let fold = format!("{} {}", same.len(), Change::Unchanged.word(told));
        self.steps(&mut page, &same, told, Some(&fold), BYTES * 3 / 4);
        if !self.misread.is_empty() {
            page.push_str(
                "\nSome programs read these values differently. If one of them reads the file, set `dialect` for it:\n",
            );
            let rows =
                self.misread.iter().map(|(key, readers)| vec![code(key.as_str()), markdown(&readers.join(", "))]);
            let fold = (self.misread.len() > ROWS).then(|| format!("{} variables", self.misread.len()));
            table(&mut page, &["variable", "misread by"], rows, fold.as_deref(), BYTES - 1000);
        }
        page.push('\n');
        page
    }

    fn title(&self) -> String {
        let words = match self.config.mode {
            Mode::Pull => "pull from",
            Mode::Push => "push to",
            Mode::Check => "check against",
            Mode::Sync => "sync with",
        };
        format!("envsync {words} {}", self.config.store.provider().title())
    }

    /// Both sides, and an arrow from the one that gives.
    fn sides(&self) -> String {
        let mut secrets =
            self.config.entries.iter().map(|entry| code(&entry.to_string())).collect::<Vec<_>>().join(", ");
        if let ([_], [version]) = (&self.config.entries[..], &self.meta.versions[..])
            && !self.config.entries.iter().any(Entry::is_pattern)
        {
            secrets.push_str(&format!(" (version {})", code(version)));
        }
        let file = Some(&self.meta.env_file).filter(|file| !file.is_empty()).map(|file| code(file));
        match self.config.mode {
            Mode::Pull => {
                let steps = [(self.config.outputs, "step outputs"), (self.config.export_env, "the environment")];
                let steps = steps.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name.to_owned());
                format!("{secrets} → {}", file.into_iter().chain(steps).collect::<Vec<_>>().join(", "))
            }
            Mode::Push => format!("{} → {secrets}", file.unwrap_or_else(|| code("content"))),
            Mode::Check => format!("{} and {secrets}", file.unwrap_or_default()),
            Mode::Sync => format!("{} ↔ {secrets}", file.unwrap_or_default()),
        }
    }

    fn steps(&self, page: &mut String, steps: &[&Step], told: Told, fold: Option<&str>, limit: usize) {
        let from = (!self.sources.is_empty()).then_some("from");
        let head: Vec<&str> = ["variable", "change"].into_iter().chain(from).collect();
        let rows = steps.iter().map(|step| {
            let source = || {
                self.sources.get(&step.key).map_or_else(|| "–".to_owned(), |source| code(source).replace('|', "\\|"))
            };
            let cells = [code(step.key.as_str()), markdown(&step.words(told))];
            cells.into_iter().chain(from.map(|_| source())).collect()
        });
        table(page, &head, rows, fold, limit);
    }
}

/// The page of a run that failed before there was one: what was changed nevertheless, what failed, and the fix.
pub(super) fn of_failure(changed: &str, failure: &Failure) -> String {
    let mut first = changed.chars();
    let upper: String = first.next().into_iter().flat_map(char::to_uppercase).collect();
    let changed = prose(&shortened(&format!("{upper}{}", first.as_str()), CHANGED));
    let mut page = format!("### envsync failed: {}\n\n{changed}.\n", word(failure.kind));
    for (number, Problem { what, help }) in failure.problems.iter().enumerate() {
        let mut entry = format!("\n- {}\n", prose(what));
        if let Some(help) = help {
            let fix = plain::fix(help);
            let (line, rest) = fix.split_once('\n').map_or((fix.as_str(), None), |(line, rest)| (line, Some(rest)));
            entry.push_str(&format!("\n  help: {}\n", prose(line)));
            if let Some(rest) = rest {
                let mut fence = "```".to_owned();
                while rest.contains(&fence) {
                    fence.push('`');
                }
                entry.push_str(&format!("\n  {fence}\n{rest}\n  {fence}\n"));
            }
        }
        if page.len() + entry.len() > BYTES {
            page.push_str(&format!("\n… and {} more\n", failure.problems.len() - number));
            break;
        }
        page.push_str(&entry);
    }
    page.push('\n');
    page
}

/// A failure in a word or two, over the page and its annotations.
pub(super) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Internal => "internal error",
        Kind::Input => "configuration or input",
        Kind::Login => "login",
        Kind::Denied => "permission denied",
        Kind::NotFound => "not found",
        Kind::Refused => "refused",
        Kind::Unavailable => "unavailable",
        Kind::Partial => "partly applied",
    }
}

/// A table as long as the page is within its limit, folded under a title where one is given.
fn table(page: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>, fold: Option<&str>, limit: usize) {
    let mut rows = rows.map(|cells| format!("| {} |\n", cells.join(" | "))).peekable();
    if rows.peek().is_none() {
        return;
    }
    if let Some(title) = fold {
        page.push_str(&format!("\n<details><summary>{title}</summary>\n"));
    }
    page.push_str(&format!("\n| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len())));
    while let Some(row) = rows.next() {
        if page.len() + row.len() > limit {
            page.push_str(&format!("\n… and {} more\n", 1 + rows.count()));
            break;
        }
        page.push_str(&row);
    }
    if fold.is_some() {
        page.push_str("\n</details>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment};
    use crate::plan::Detail;

    fn plan(text: &str) -> Plan {
        let step = |word: &str| {
            let (name, change) = word.split_once(':').unwrap();
            let all = [Change::Add, Change::Update, Change::Remove, Change::Unchanged];
            let change = all.into_iter().find(|known| known.word(Told::AsPlan) == change).unwrap();
            Step { key: Key::new(name).unwrap(), change, detail: Detail::None }
        };
        Plan { steps: text.split_whitespace().map(step).collect() }
    }

    fn page(steps: &Plan, misread: &[&str], sources: &[(&str, &str)], inputs: &[(&str, &str)]) -> String {
        let given = [("ENVSYNC_PROVIDER", "local"), ("ENVSYNC_SECRET", "prod/app")];
        let env: Environment = given.iter().chain(inputs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let config = config::read(&env, &[]).config.ok().unwrap();
        let file = config.env_file.clone().filter(|_| config.content.is_none());
        let meta = Meta::new(steps, vec!["7".to_owned()], file, false, &config);
        let key = |name: &str| Key::new(name).unwrap();
        let misread: Vec<_> = misread.iter().map(|name| (key(name), vec!["compose", "node"])).collect();
        let sources = sources.iter().map(|(name, source)| (key(name), (*source).to_owned())).collect();
        Summary { config: &config, plan: steps, meta: &meta, misread: &misread, sources: &sources }.markdown()
    }

    #[test]
    fn a_table_of_names_that_changed_and_below_it_the_others() {
        let expected = "### envsync pull from the local store\n\n`prod/app` (version `7`) → `.env`: 1 added, 1 unchanged.\n\n\
            | variable | change |\n| --- | --- |\n| `B_KEY` | added |\n\n\
            <details><summary>1 unchanged</summary>\n\n| variable | change |\n| --- | --- |\n| `A` | unchanged |\n\n</details>\n\n\
            Some programs read these values differently. If one of them reads the file, set `dialect` for it:\n\n\
            | variable | misread by |\n| --- | --- |\n| `B_KEY` | compose, node |\n\n";
        assert_eq!(page(&plan("A:unchanged B_KEY:add"), &["B_KEY"], &[], &[]), expected);
    }

    #[test]
    fn what_is_not_done_is_not_told_as_done() {
        let steps = plan("A:remove B:update");
        let dry = page(&steps, &[], &[], &[("ENVSYNC_DRY_RUN", "true")]);
        assert!(dry.contains(": 1 to update, 1 to remove. Dry run: nothing was written.\n"), "{dry}");
        assert!(dry.contains("| `A` | remove |"), "{dry}");
        let check = page(&steps, &[], &[], &[("ENVSYNC_MODE", "check"), ("ENVSYNC_DRY_RUN", "true")]);
        assert!(check.contains("`.env` and `prod/app` (version `7`): 1 different, 1 only in the file.\n"), "{check}");
        assert!(page(&plan(""), &[], &[], &[]).ends_with("`.env`: no variables.\n\n"));
    }

    #[test]
    fn both_sides_are_told_by_what_they_are() {
        let rows: [(&[(&str, &str)], &str); 5] = [
            (&[("ENVSYNC_MODE", "push")], "push to the local store\n\n`.env` → `prod/app`"),
            (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_CONTENT", "A=1")], "`content` → `prod/app`"),
            (&[("ENVSYNC_MODE", "sync")], "sync with the local store\n\n`.env` ↔ `prod/app`"),
            (
                &[("ENVSYNC_OUTPUTS", "true"), ("ENVSYNC_EXPORT_ENV", "true")],
                "→ `.env`, step outputs, the environment:",
            ),
            (&[("ENVSYNC_OUTPUTS", "true"), ("ENVSYNC_ENV_FILE", "false")], "→ step outputs:"),
        ];
        for (inputs, expected) in rows {
            let page = page(&plan("A:add"), &[], &[], inputs);
            assert!(page.contains(expected), "{inputs:?}: {page}");
        }
    }

    #[test]
    fn of_several_secrets_each_row_says_which_one() {
        let sources = [("A", "prod/app"), ("B", "odd#a|b.`_<i>")];
        let page = page(&plan("A:add B:add C:unchanged"), &[], &sources, &[("ENVSYNC_SECRET", "prod/app\nB = odd#x")]);
        for part in [
            "`prod/app`, `B = odd#x` → `.env`: 2 added, 1 unchanged.\n\n| variable | change | from |\n| --- | --- | --- |\n",
            "| `A` | added | `prod/app` |\n| `B` | added | ``odd#a\\|b.`_<i>`` |\n",
            "| `C` | unchanged | – |\n",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn many_rows_are_folded_and_very_many_stay_below_the_limit_of_the_runner() {
        let many = |n: usize, change: &str| {
            plan(&(0..n).map(|i| format!("QUITE_A_LONG_NAME_{i}:{change}")).collect::<Vec<_>>().join(" "))
        };
        assert!(!page(&many(100, "add"), &[], &[], &[]).contains("<details>"));
        let folded = page(&many(2000, "add"), &[], &[], &[]);
        assert!(folded.contains("<details><summary>2000 changed</summary>") && folded.contains("NAME_1999`"));
        let mut steps = many(60_000, "add");
        steps.steps.extend(many(60_000, "unchanged").steps);
        let names: Vec<&str> = steps.steps.iter().map(|step| step.key.as_str()).collect();
        let page = page(&steps, &names, &[], &[]);
        assert!(page.len() < 1_000_000, "{}", page.len());
        assert_eq!(page.matches("\n… and ").count(), 3, "every table says how much is left out");
        assert_eq!(page.matches("<details>").count(), page.matches("</details>").count());
    }

    #[test]
    fn a_failure_is_told_with_its_fix() {
        let problems = vec![
            Problem::new("the secret `a_*|b` is <gone>\n# x", "push it"),
            Problem::new("the role refuses", "trust it:\n{\n  \"a\": \"```\"\n}"),
        ];
        let page = of_failure("the secret `x` was written", &Failure { kind: Kind::Partial, problems });
        let expected = "### envsync failed: partly applied\n\nThe secret `x` was written.\n\n\
            - the secret `a_*|b` is &lt;gone&gt;\\\\n\\# x\n\n  help: push it\n\n\
            - the role refuses\n\n  help: trust it:\n\n  ````\n  {\n    \"a\": \"```\"\n  }\n  ````\n\n";
        assert_eq!(page, expected);
        let problems = (0..9000).map(|_| Problem::new("x".repeat(1000), "y")).collect();
        let page = of_failure("nothing was changed", &Failure { kind: Kind::Input, problems });
        assert!(page.len() < 1_000_100 && page.contains("\n… and 8"), "{}", page.len());
        let many: Vec<String> = (0..100_000).map(|n| format!("`prod/app/NAME_{n}`")).collect();
        let failure = Failure { kind: Kind::Partial, problems: vec![Problem::new("it failed", "run it again")] };
        let page = of_failure(&format!("100000 secrets were written: {}", many.join(", ")), &failure);
        assert!(
            page.len() < 1_000_000 && page.ends_with("….\n\n- it failed\n\n  help: run it again\n\n"),
            "{}",
            page.len()
        );
    }
}
