//! What is told while many secrets are on their way.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use crate::ci::Ci;
use crate::effects::Effects;

/// So many secrets are moved without a word.
const FEW: usize = 50;
/// How often a line tells how far it is.
const EVERY: Duration = Duration::from_secs(3);

/// Does the work, and shows every few seconds how many of its secrets are done. `doing`: as in "read".
pub(super) async fn watch<T>(
    ci: &mut Ci,
    effects: &Effects,
    doing: &str,
    total: usize,
    work: impl Future<Output = T>,
) -> T {
    if total <= FEW {
        return work.await;
    }
    let before = effects.steps();
    let mut tick = interval_at(Instant::now() + EVERY, EVERY);
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = tick.tick() => ci.info(&format!("{doing} {} of {total} secrets", effects.steps() - before)),
        }
    }
}
