//! The patterns that each client reads: at most a quarter of `--max-patterns`, so that no client uses up the limit of
//! all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fourways_shared::{Code, Filter, Problem};

use super::{Client, Limit, Usage};

/// The different patterns of each client, with the number of times that the client reads each. Owned by [`Usage`];
/// every access is short and never waits for anything else, so a plain mutex does.
#[derive(Debug, Default)]
pub(super) struct Patterns(Mutex<HashMap<Client, HashMap<Filter, usize>>>);

/// A client's claim on patterns that it reads. Owned by the request, stream or socket that reads them; dropping the
/// claim releases them.
#[derive(Debug)]
pub struct PatternClaim {
    usage: Arc<Usage>,
    client: Client,
    patterns: Vec<Filter>,
}

impl PatternClaim {
    /// True if the claim holds no pattern.
    pub const fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Releases one pattern, if the claim holds it.
    pub fn leave(&mut self, topic: &Filter) {
        if let Some(at) = self.patterns.iter().position(|pattern| pattern == topic) {
            let pattern = self.patterns.swap_remove(at);
            self.release(&[pattern]);
        }
    }

    fn release(&self, given: &[Filter]) {
        if given.is_empty() {
            return;
        }
        let mut patterns = self.usage.patterns.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = patterns.get_mut(&self.client) else { return };
        for pattern in given {
            if let Some(count) = own.get_mut(pattern) {
                *count -= 1;
                if *count == 0 {
                    own.remove(pattern);
                }
            }
        }
        if own.is_empty() {
            patterns.remove(&self.client);
        }
    }
}

impl Drop for PatternClaim {
    fn drop(&mut self) {
        self.release(&self.patterns);
    }
}

impl Usage {
    /// Claims the patterns among `topics` for a client. One client may read a quarter of `--max-patterns`, at least 1,
    /// and may read each of its patterns any number of times.
    ///
    /// # Errors
    /// 429 if the client would read more; then nothing is claimed.
    pub fn read(self: &Arc<Self>, client: &Client, topics: &[Filter]) -> Result<PatternClaim, Problem> {
        let wanted: Vec<Filter> = topics.iter().filter(|topic| topic.is_pattern()).cloned().collect();
        let mut reading =
            PatternClaim { usage: Arc::clone(self), client: client.clone(), patterns: Vec::new() };
        if wanted.is_empty() {
            return Ok(reading);
        }
        let most = (self.limits.max_patterns / 4).max(1);
        let mut patterns = self.patterns.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = patterns.entry(client.clone()).or_default();
        let more = wanted.iter().filter(|pattern| !own.contains_key(*pattern)).count();
        if own.len() + more > most && more > 0 {
            if own.is_empty() {
                patterns.remove(client);
            }
            drop(patterns);
            self.count(Limit::Topics);
            let detail = format!("one client may read at most {most} different patterns");
            return Err(Problem::new(Code::TooMany, detail).field("topic"));
        }
        for pattern in &wanted {
            *own.entry(pattern.clone()).or_default() += 1;
        }
        reading.patterns = wanted;
        drop(patterns);
        Ok(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::limits::Limits;

    #[test]
    fn nobody_reads_all_the_patterns() {
        let usage = Usage::new(Arc::new(Limits { max_patterns: 8, ..Limits::default() }));
        let (ada, bob) = (Client::Subject("ada".into()), Client::Subject("bob".into()));
        let topics =
            |texts: &[&str]| -> Vec<Filter> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let mut two = usage.read(&ada, &topics(&["a.*", "b.*", "c"])).unwrap();
        assert!(usage.read(&ada, &topics(&["c.*"])).is_err(), "a quarter of all is hers");
        let again = usage.read(&ada, &topics(&["a.*"])).expect("one that she reads already is no other");
        assert!(usage.read(&bob, &topics(&["c.*"])).is_ok());
        two.leave(&"a.*".parse().unwrap());
        assert!(usage.read(&ada, &topics(&["c.*"])).is_err(), "she reads it twice");
        drop(again);
        assert!(usage.read(&ada, &topics(&["c.*"])).is_ok());
        drop(two);
        assert!(usage.patterns.0.lock().unwrap().is_empty(), "nothing is left of who is gone");
    }
}
