//! Many secrets: the names that a pattern matches, and their values, twenty a call.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretValueEntry};
use futures_util::stream::{self, StreamExt as _};

use super::read::snapshot;
use super::{AT_ONCE, Aws};
use crate::error::{Failure, Kind};
use crate::reference::{Pattern, Pin, Provider, Reference};
use crate::store::{Listed, Pages, Snapshot};

/// Most ids of one call
/// ([BatchGetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html)).
const BATCH: usize = 20;
/// Most names of one page
/// ([ListSecrets](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html)).
const PAGE: i32 = 100;

type Answer = Result<Option<Snapshot>, Failure>;

impl Aws {
    /// Reads current versions by the batch where there are several in one region, everything else one by one. The answers
    /// are in the order of the references.
    pub(super) async fn read(&self, which: &[Reference]) -> Vec<Answer> {
        let mut by_region: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, one) in which.iter().enumerate().filter(|(_, one)| one.pin == Pin::Current) {
            by_region.entry(self.region(one)).or_default().push(at);
        }
        by_region.retain(|_, places| places.len() > 1);
        let mut answers: Vec<Option<Answer>> = vec![None; which.len()];
        let batched: HashSet<usize> = by_region.values().flatten().copied().collect();
        let alone = (0..which.len()).filter(|at| !batched.contains(at)).collect();
        let knew = self.no_batch.get();
        let batches = by_region.values().flat_map(|places| places.chunks(BATCH));
        let batches = batches.map(|places| async move { (self.batch(which, places).await, places) });
        let batches = stream::iter(batches).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        let (found, alone) = tokio::join!(batches, self.one_by_one(which, alone));
        for (found, places) in found {
            match found {
                Ok(found) => found.into_iter().for_each(|(at, snapshot)| answers[at] = Some(snapshot.map(Some))),
                Err(failure) => places.iter().for_each(|at| answers[*at] = Some(Err(failure.clone()))),
            }
        }
        alone.into_iter().for_each(|(at, answer)| answers[at] = Some(answer));
        // What came back as an error, or not at all, is asked for by itself: that tells a missing secret from a deleted one
        // and from one that may not be read, and a fault of the moment goes by.
        let left = (0..which.len()).filter(|at| answers[*at].is_none()).collect();
        self.one_by_one(which, left).await.into_iter().for_each(|(at, answer)| answers[at] = Some(answer));
        let mut answers: Vec<Answer> = answers.into_iter().map(|answer| answer.unwrap_or(Ok(None))).collect();
        if self.no_batch.get()
            && !knew
            && let Some(first) = answers.iter_mut().find_map(|answer| answer.as_mut().ok()?.as_mut())
        {
            let said = "secretsmanager:BatchGetSecretValue is not allowed to this run, so secrets are read one by one";
            first.remark =
                Some(first.remark.take().map_or_else(|| said.to_owned(), |other| format!("{other}; {said}")));
        }
        answers
    }

    async fn one_by_one(&self, which: &[Reference], places: Vec<usize>) -> Vec<(usize, Answer)> {
        let read = |at: usize| async move {
            let answer = self.get(&which[at]).await;
            self.effects.step();
            (at, answer)
        };
        stream::iter(places).map(read).buffer_unordered(AT_ONCE).collect().await
    }

    /// What one batch brings, by place; nothing where this run may not use batches. A batch always gives the version with
    /// `AWSCURRENT`.
    async fn batch(
        &self,
        which: &[Reference],
        places: &[usize],
    ) -> Result<Vec<(usize, Result<Snapshot, Failure>)>, Failure> {
        let Some(first) = places.first().map(|at| &which[*at]).filter(|_| !self.no_batch.get()) else {
            return Ok(Vec::new());
        };
        let mut request = self.client(first)?.batch_get_secret_value();
        for at in places {
            request = request.secret_id_list(&which[*at].id);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let trouble = self.trouble("BatchGetSecretValue", first, &error);
                if trouble.is_denied() {
                    self.no_batch.set(true);
                    return Ok(Vec::new());
                }
                // One of them may be what it is about: each by itself tells which.
                if trouble.is_about_its_object() {
                    return Ok(Vec::new());
                }
                return Err(trouble.failure());
            }
        };
        let entries = answer.secret_values.unwrap_or_default();
        let mut by_id: HashMap<&str, &SecretValueEntry> = HashMap::new();
        for entry in &entries {
            let arn = entry.arn.as_deref();
            // It may be asked for without the six characters at its end.
            let short = arn.and_then(|arn| arn.rsplit_once('-')).map(|(short, _)| short);
            by_id.extend([entry.name.as_deref(), arn, short].into_iter().flatten().map(|id| (id, entry)));
        }
        let mut found = Vec::with_capacity(places.len());
        for at in places {
            if let Some(entry) = by_id.get(which[*at].id.as_str()) {
                let parts = (entry.secret_string.clone(), entry.secret_binary.clone(), entry.version_id.clone());
                found.push((*at, snapshot(&which[*at], parts, None)));
                self.effects.step();
            }
        }
        Ok(found)
    }

    /// What a pattern matches, by every page.
    pub(super) async fn find(&self, which: &Reference) -> Result<Vec<Listed>, Failure> {
        let internal = || Failure::new(Kind::Internal, format!("`{which}` is no pattern"));
        let pattern = Pattern::new(Provider::Aws, which).ok_or_else(internal)?;
        let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
        let mut pages = Pages::default();
        let mut token: Option<String> = None;
        loop {
            let mut request = self.client(which)?.list_secrets().max_results(PAGE).set_next_token(token);
            // Matches the beginning, and minds the case; a `!` at the beginning would mean the contrary
            // ([Filter](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html)).
            if !pattern.prefix().is_empty() && !pattern.prefix().starts_with('!') {
                let filter = Filter::builder().key(FilterNameStringType::Name).values(pattern.prefix()).build();
                request = request.filters(filter);
            }
            let answer = request.send().await.map_err(|error| self.trouble("ListSecrets", which, &error).failure())?;
            for name in answer.secret_list.unwrap_or_default().into_iter().filter_map(|secret| secret.name) {
                if let Some(star) = pattern.star(&name) {
                    let (which, star) = (pattern.reference(&name), star.to_owned());
                    listed.insert(name, Listed { which, name: star, unusable: None });
                }
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            match &token {
                None => return Ok(listed.into_values().collect()),
                Some(token) if pages.repeats(token) => {
                    return Err(Pages::endless(&format!("secrets in {}", self.region(which))));
                }
                Some(_) => {}
            }
        }
    }
}
