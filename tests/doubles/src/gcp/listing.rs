//! Lists, page by page, newest first, with filters.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::route::Call;
use super::secrets::{Answer, described};
use super::state::{Secret, State, Version};
use super::versions;

impl State {
    pub(super) fn list_secrets(&self, call: &Call) -> Answer {
        let filter =
            Filter::parse(call.query("filter").unwrap_or_default(), |f| f == "name" || f.starts_with("labels."))?;
        let project = self.project(&call.project);
        let here = |s: &&Secret| Some(s.project.as_str()) == project && s.location == call.location;
        let wanted = |s: &&Secret| {
            filter.passes(|field| match field.strip_prefix("labels.") {
                Some(label) => s.labels.get(label).and_then(Value::as_str).map(str::to_owned),
                None => Some(s.name()),
            })
        };
        let found = self.secrets.iter().rev().filter(here).filter(wanted);
        self.paged(call, "secrets", &found.map(described).collect::<Vec<_>>())
    }

    /// A list is never sure to show the newest; see [`Secret::seen`].
    pub(super) fn list_versions(&self, call: &Call) -> Answer {
        let filter =
            Filter::parse(call.query("filter").unwrap_or_default(), |field| ["name", "state"].contains(&field))?;
        let secret = self.known(call)?;
        let wanted = |v: &&Version| {
            filter.passes(|field| match field {
                "state" => Some(v.state.name().to_owned()),
                _ => Some(format!("{}/versions/{}", secret.name(), v.number)),
            })
        };
        let found = secret.seen().iter().rev().filter(wanted).map(|v| versions::described(secret, v));
        self.paged(call, "versions", &found.collect::<Vec<_>>())
    }

    /// One page. The token is where it begins, which a client must not know or build on.
    fn paged(&self, call: &Call, field: &str, items: &[Value]) -> Answer {
        let wrong = |what: &str| Refusal::invalid(format!("The {what} is invalid."));
        let wanted: i32 = call.query("pageSize").unwrap_or("0").parse().map_err(|_| wrong("page size"))?;
        let wanted = usize::try_from(wanted).map_err(|_| wrong("page size"))?;
        let start = match call.query("pageToken") {
            Some(token) => {
                token.strip_prefix("page-").and_then(|n| n.parse().ok()).ok_or_else(|| wrong("page token"))?
            }
            None => 0,
        };
        let size = if wanted == 0 { self.page } else { wanted.min(self.page) };
        let end = items.len().min(start + size);
        let page = items.get(start..end).ok_or_else(|| wrong("page token"))?;
        // What is empty is left out.
        let mut answer = json!({});
        if !items.is_empty() {
            answer[field] = json!(page);
            answer["totalSize"] = json!(items.len());
        }
        if end < items.len() {
            answer["nextPageToken"] = json!(format!("page-{}", if self.endless { size } else { end }));
        }
        Ok(answer)
    }
}

/// `a AND b`, `a b` and `a OR b` (which binds tighter, <https://google.aip.dev/160>), each `field:part` or `field=whole`,
/// with `-` or `NOT ` before it for the contrary. `:` minds no case; on a name it looks at the whole resource name, so
/// that a client that relies on the filter alone is shown too much rather than too little.
/// <https://cloud.google.com/secret-manager/docs/filtering>
struct Filter(Vec<Vec<Term>>);

struct Term {
    not: bool,
    field: String,
    whole: bool,
    value: String,
}

impl Filter {
    fn parse(text: &str, known: impl Fn(&str) -> bool) -> Result<Self, Refusal> {
        let wrong = |word: &str| Refusal::invalid(format!("The filter is invalid at \"{word}\"."));
        let (mut groups, mut or, mut not): (Vec<Vec<Term>>, _, _) = (Vec::new(), false, false);
        for word in text.split_whitespace() {
            match word {
                "AND" => continue,
                "OR" => or = true,
                "NOT" => not = true,
                _ => {
                    let (plain, minus) = word.strip_prefix('-').map_or((word, false), |rest| (rest, true));
                    let at = plain.find([':', '=']).ok_or_else(|| wrong(word))?;
                    let (field, value) = (&plain[..at], plain[at + 1..].trim_matches('"'));
                    if !known(field) || value.contains(['(', ')', '*']) {
                        return Err(wrong(word));
                    }
                    let whole = plain[at..].starts_with('=');
                    let term = Term { not: not || minus, field: field.to_owned(), whole, value: value.to_owned() };
                    match groups.last_mut() {
                        Some(group) if or => group.push(term),
                        _ => groups.push(vec![term]),
                    }
                    (or, not) = (false, false);
                }
            }
        }
        Ok(Self(groups))
    }

    fn passes(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        let holds = |term: &Term| {
            let found = value(&term.field).is_some_and(|v| match term.whole {
                true => v == term.value,
                false => v.to_lowercase().contains(&term.value.to_lowercase()),
            });
            found != term.not
        };
        self.0.iter().all(|group| group.iter().any(holds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_add_up_and_or_binds_tighter() {
        let passes = |filter: &str| {
            let filter = Filter::parse(filter, |field| ["name", "labels.env"].contains(&field)).ok();
            filter.map(|f| f.passes(|field| Some(if field == "name" { "app-One" } else { "prod" }.to_owned())))
        };
        for filter in
            ["", "name:one", "name:x OR name:APP", "labels.env=prod name:app", "NOT name:x", "-name:x AND name:a"]
        {
            assert_eq!(passes(filter), Some(true), "{filter}");
        }
        for filter in ["name:two", "labels.env=pro", "-name:one", "name:one AND name:x OR name:y", "name:one name:x"] {
            assert_eq!(passes(filter), Some(false), "{filter}");
        }
        for filter in ["word", "color:red", "(name:a)", "name:a*"] {
            assert_eq!(passes(filter), None, "{filter}");
        }
    }
}
