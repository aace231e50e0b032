//! The secrets that a pattern matches.

use std::collections::BTreeMap;

use super::trouble::{Operation, Trouble};
use super::{Gcp, PAGE};
use crate::error::{Failure, Kind};
use crate::reference::{Pattern, Provider, Reference};
use crate::store::{Listed, Pages};

impl Gcp {
    /// Every page, with a filter by the name.
    pub(super) async fn find(&self, which: &Reference) -> Result<Vec<Listed>, Failure> {
        let internal = || Failure::new(Kind::Internal, format!("`{which}` is no pattern"));
        let pattern = Pattern::new(Provider::Gcp, which).ok_or_else(internal)?;
        let name = self.name(which)?;
        // Matches any part of a name, and does not mind the case
        // (https://cloud.google.com/secret-manager/docs/filtering), so that what comes is looked at again.
        let filter = match pattern.prefix() {
            "" => String::new(),
            prefix => format!("name:{prefix}"),
        };
        let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
        let (mut pages, mut token) = (Pages::default(), String::new());
        loop {
            let request = self.client.list_secrets().set_parent(name.parent()).set_page_size(PAGE);
            let answer = request.set_filter(&filter).set_page_token(token).send().await;
            let page = answer.map_err(|error| Trouble::new(Operation::ListSecrets, &name, None, &error).failure())?;
            for secret in &page.secrets {
                let Some((_, short)) = secret.name.rsplit_once("/secrets/") else { continue };
                if let Some(star) = pattern.star(short) {
                    let one = Listed { which: pattern.reference(short), name: star.to_owned(), unusable: None };
                    listed.insert(short.to_owned(), one);
                }
            }
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(listed.into_values().collect());
            }
            if pages.repeats(&token) {
                return Err(Pages::endless(&format!("secrets in `{}`", name.parent())));
            }
        }
    }
}
