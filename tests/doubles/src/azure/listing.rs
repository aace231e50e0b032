//! The lists: pages of at most 25, the next one by a link that the service makes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answers::Refusal;
use super::calls::{deleted, item};
use super::route::query;
use super::state::{Phase, State};
use crate::http::Request;

/// The most that `maxresults` may ask for.
/// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets>
const MAX_RESULTS: usize = 25;

/// All secrets that are not deleted, disabled ones too, without versions and values, by name.
pub fn listed(state: &State, base: &str, request: &Request) -> Result<Value, Refusal> {
    let there = state.all().filter(|s| matches!(&s.phase, Phase::Live { unreadable, .. } if !unreadable.is_on()));
    let shown = there.filter_map(|s| Some(item(s.versions.last()?, format!("{base}/secrets/{}", s.name))));
    page(state, base, "secrets", shown.collect(), request)
}

/// All versions of one secret, in the order of their ids, which is that of nothing useful; none for a secret that is not
/// there.
pub fn listed_versions(state: &State, base: &str, name: &str, request: &Request) -> Result<Value, Refusal> {
    let mut shown = Vec::new();
    if let Some(secret) = state.find(name).filter(|s| !s.is_deleted()) {
        shown.extend(secret.versions.iter().map(|v| item(v, format!("{base}/secrets/{}/{}", secret.name, v.id))));
    } else if state.missing_versions_are_404 {
        return Err(Refusal::not_found(name));
    }
    shown.sort_by(|a, b| a["id"].as_str().cmp(&b["id"].as_str()));
    page(state, base, &format!("secrets/{name}/versions"), shown, request)
}

/// All soft-deleted secrets.
pub fn listed_deleted(state: &State, base: &str, request: &Request) -> Result<Value, Refusal> {
    let gone = state.all().filter(|s| matches!(&s.phase, Phase::Deleted { unseen, .. } if !unseen.is_on()));
    let shown = gone.map(|secret| {
        let mut shown = deleted(base, secret);
        // A list names the secret, not one of its versions.
        shown["id"] = json!(format!("{base}/secrets/{}", secret.name));
        shown
    });
    page(state, base, "deletedsecrets", shown.collect(), request)
}

/// The page that is asked for. The skip token is opaque to clients and says where the page begins.
fn page(state: &State, base: &str, path: &str, items: Vec<Value>, request: &Request) -> Result<Value, Refusal> {
    let asked = query(request, "maxresults").map(|n| n.parse::<usize>().ok().filter(|n| (1..=MAX_RESULTS).contains(n)));
    let size = match asked {
        None => state.page,
        Some(Some(size)) => size.min(state.page),
        Some(None) => return Err(Refusal::parameter(format!("maxresults must be between 1 and {MAX_RESULTS}"))),
    };
    let start = match query(request, "$skiptoken") {
        None => 0,
        Some(token) => begin(&token).ok_or_else(|| Refusal::parameter("the skip token is not one of this vault"))?,
    };
    let more = items.len() > start + size;
    let version = query(request, "api-version").unwrap_or_default();
    let next = more.then(|| {
        let base = state.links.as_deref().unwrap_or(base);
        let begin = if state.endless { size } else { start + size };
        let token = URL_SAFE_NO_PAD.encode(format!("{{\"start\":{begin}}}"));
        format!("{base}/{path}?api-version={version}&$skiptoken={token}&maxresults={size}")
    });
    let shown: Vec<Value> = items.into_iter().skip(start).take(size).collect();
    Ok(json!({ "value": shown, "nextLink": next }))
}

fn begin(token: &str) -> Option<usize> {
    let text = URL_SAFE_NO_PAD.decode(token).ok()?;
    let start: Value = serde_json::from_slice(&text).ok()?;
    usize::try_from(start["start"].as_u64()?).ok()
}
