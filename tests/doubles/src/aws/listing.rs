//! The operations on several secrets or versions, page by page.

use serde_json::{Value, json};

use super::calls::{Answer, described, value_of};
use super::fields::{invalid, text};
use super::state::{Refusal, Secret, State};

/// Most ids of one `BatchGetSecretValue`.
const MAX_BATCH: usize = 20;

impl State {
    pub(super) fn list(&self, region: &str, body: &Value) -> Answer {
        let planned = body["IncludePlannedDeletion"].as_bool().unwrap_or(false);
        let filters = filters(body)?;
        let found: Vec<Value> = self
            .all(region)
            .filter(|s| (planned || s.deleted.is_none()) && passes(s, &filters))
            .map(|s| described(s, "SecretVersionsToStages"))
            .collect();
        self.paged(body, "SecretList", &found, 100)
    }

    pub(super) fn version_ids(&self, region: &str, body: &Value) -> Answer {
        let secret = self.known(region, body)?;
        let deprecated = body["IncludeDeprecated"].as_bool().unwrap_or(false);
        let versions = secret.versions.iter().filter(|v| deprecated || !v.stages.is_empty());
        let found: Vec<Value> = versions
            .map(|v| json!({ "VersionId": v.id, "VersionStages": v.stages, "CreatedDate": v.created }))
            .collect();
        let mut page = self.paged(body, "Versions", &found, 100)?;
        page["ARN"] = json!(secret.arn);
        page["Name"] = json!(secret.name);
        Ok(page)
    }

    /// What cannot be read is listed in `Errors`, and the call itself succeeds.
    pub(super) fn batch(&self, region: &str, body: &Value) -> Answer {
        let ids: Option<Vec<&str>> =
            body["SecretIdList"].as_array().map(|l| l.iter().filter_map(Value::as_str).collect());
        let filters = filters(body)?;
        let ids = match ids {
            Some(_) if !filters.is_empty() => {
                return Err(Refusal::parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both."));
            }
            Some(_) if !body["MaxResults"].is_null() => {
                return Err(Refusal::parameter(
                    "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.",
                ));
            }
            Some(ids) if ids.is_empty() || ids.len() > MAX_BATCH => {
                return Err(invalid("secretIdList", "Member must have length between 1 and 20"));
            }
            Some(ids) => ids,
            None if filters.is_empty() => {
                return Err(Refusal::parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both."));
            }
            None => {
                let found = self.all(region).filter(|s| s.deleted.is_none() && passes(s, &filters));
                found.map(|s| s.name.as_str()).collect()
            }
        };
        let ids: Vec<Value> = ids.into_iter().map(|id| json!(id)).collect();
        let mut page = self.paged(body, "Ids", &ids, MAX_BATCH)?;
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        let wanted = page["Ids"].take();
        for id in wanted.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let found = self.find(region, id).ok_or_else(Refusal::not_found);
            let found = found.and_then(|secret| self.readable(secret).map(|()| secret));
            match found.and_then(|secret| value_of(secret, None, None)) {
                Ok(value) => values.push(value),
                Err(e) => errors.push(json!({ "SecretId": id, "ErrorCode": e.code, "Message": e.message })),
            }
        }
        let mut answer = json!({ "SecretValues": values, "Errors": errors });
        if !page["NextToken"].is_null() {
            answer["NextToken"] = page["NextToken"].take();
        }
        Ok(answer)
    }

    /// One page. The token is the number of items before it, which a client must not know or build on.
    fn paged(&self, body: &Value, field: &str, items: &[Value], most: usize) -> Answer {
        let wanted = body["MaxResults"].as_u64().map_or(most, |n| usize::try_from(n).unwrap_or(most));
        if !(1..=most).contains(&wanted) {
            return Err(invalid("maxResults", "Member must be between 1 and the limit of this operation"));
        }
        let wrong = || Refusal::new("InvalidNextTokenException", "The NextToken value is invalid.");
        let start = match text(body, "NextToken")? {
            Some(token) => token.strip_prefix("page-").and_then(|n| n.parse().ok()).ok_or_else(wrong)?,
            None => 0,
        };
        let end = items.len().min(start + wanted.min(self.page));
        let mut page = json!({ field: items.get(start..end).ok_or_else(wrong)? });
        if end < items.len() {
            page["NextToken"] = json!(format!("page-{}", if self.endless { self.page } else { end }));
        }
        Ok(page)
    }
}

struct Filter {
    key: String,
    values: Vec<String>,
}

fn filters(body: &Value) -> Result<Vec<Filter>, Refusal> {
    let list = body["Filters"].as_array().into_iter().flatten();
    list.map(|filter| {
        let key = text(filter, "Key")?.unwrap_or_default().to_owned();
        if !["name", "all"].contains(&key.as_str()) {
            return Err(Refusal::parameter("the double filters by name only"));
        }
        let values = filter["Values"].as_array().into_iter().flatten();
        Ok(Filter { key, values: values.filter_map(Value::as_str).map(str::to_owned).collect() })
    })
    .collect()
}

/// Filters add up; the values of one are alternatives. `name` matches the beginning and minds the case, `!` negates;
/// `all` does not mind the case. <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html>
fn passes(secret: &Secret, filters: &[Filter]) -> bool {
    let name = |wanted: &str| match wanted.strip_prefix('!') {
        Some(unwanted) => !secret.name.starts_with(unwanted),
        None => secret.name.starts_with(wanted),
    };
    let anything = |wanted: &str| secret.name.to_lowercase().starts_with(&wanted.to_lowercase());
    filters.iter().all(|f| f.values.iter().any(|v| if f.key == "name" { name(v) } else { anything(v) }))
}
