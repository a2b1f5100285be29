//! Exchanges and their routing: direct, fanout, topic (AMQP 3.1.3).
//!
//! Invariant: the route cache agrees with the current bindings; every change of a binding empties
//! it. The default exchange is the list of queues itself. This broker has no headers exchange and
//! no bindings between exchanges.

use std::collections::HashMap;

use crate::loopback::broker::queue::Arguments;
use crate::loopback::config::QueueId;

/// Limit of routing keys in the route cache; above it, the cache is emptied. Enough for every topic
/// of a deployment, and small compared with the messages.
const ROUTES_MAX: usize = 4096;

/// The type of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    Direct,
    Fanout,
    Topic,
    /// RabbitMQ 4: routes to one random queue on the publisher's node; this broker is one node.
    LocalRandom,
}

impl ExchangeKind {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "direct" => Some(Self::Direct),
            "fanout" => Some(Self::Fanout),
            "topic" => Some(Self::Topic),
            "x-local-random" => Some(Self::LocalRandom),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::LocalRandom => "x-local-random",
        }
    }
}

/// The settings that two declarations of the same name must share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExchangeSettings {
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: Arguments,
}

#[derive(Debug, PartialEq, Eq)]
struct Binding {
    queue: QueueId,
    key: Box<str>,
}

/// An exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) settings: ExchangeSettings,
    bindings: Vec<Binding>,
    routes: HashMap<Box<str>, Vec<QueueId>>,
}

impl Exchange {
    pub(crate) fn new(settings: ExchangeSettings) -> Self {
        Self { settings, bindings: Vec::new(), routes: HashMap::new() }
    }

    /// Creates an exchange that exists from the start.
    pub(crate) fn predeclared(kind: ExchangeKind) -> Self {
        Self::new(ExchangeSettings {
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Arguments::new(),
        })
    }

    pub(crate) fn is_bound(&self) -> bool {
        !self.bindings.is_empty()
    }

    /// Adds a binding; adding the same one twice has no effect.
    pub(crate) fn bind(&mut self, queue: QueueId, key: &str) {
        let binding = Binding { queue, key: key.into() };
        if !self.bindings.contains(&binding) {
            self.bindings.push(binding);
            self.routes.clear();
        }
    }

    /// Removes a binding; returns true if it existed.
    pub(crate) fn unbind(&mut self, queue: QueueId, key: &str) -> bool {
        self.retain(|binding| binding.queue != queue || &*binding.key != key)
    }

    /// Removes every binding of a queue; returns true if there was one.
    pub(crate) fn unbind_all(&mut self, queue: QueueId) -> bool {
        self.retain(|binding| binding.queue != queue)
    }

    fn retain(&mut self, keep: impl FnMut(&Binding) -> bool) -> bool {
        let before = self.bindings.len();
        self.bindings.retain(keep);
        self.routes.clear();
        before != self.bindings.len()
    }

    /// Appends the queues that a key routes to, each once.
    pub(crate) fn route(&mut self, key: &str, targets: &mut Vec<QueueId>) {
        let kind = self.settings.kind;
        if kind == ExchangeKind::LocalRandom {
            let any = fastrand::choice(&self.bindings);
            return targets.extend(any.map(|binding| binding.queue));
        }
        if let Some(known) = self.routes.get(key) {
            targets.extend_from_slice(known);
            return;
        }
        let mut found: Vec<QueueId> = Vec::new();
        for binding in self.bindings.iter().filter(|binding| matches(kind, &binding.key, key)) {
            if !found.contains(&binding.queue) {
                found.push(binding.queue);
            }
        }
        targets.extend_from_slice(&found);
        if self.routes.len() >= ROUTES_MAX {
            self.routes.clear();
        }
        self.routes.insert(key.into(), found);
    }
}

fn matches(kind: ExchangeKind, binding: &str, key: &str) -> bool {
    match kind {
        ExchangeKind::Direct => binding == key,
        ExchangeKind::Fanout | ExchangeKind::LocalRandom => true,
        ExchangeKind::Topic => topic_matches(binding, key),
    }
}

/// Matches words separated by dots: `*` stands for one word, `#` for any number of words, including
/// none.
fn topic_matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = if key.is_empty() { Vec::new() } else { key.split('.').collect() };
    let (mut p, mut k) = (0, 0);
    // The last `#` seen, and the number of key words consumed with it: on a mismatch it consumes
    // one more.
    let mut hash: Option<(usize, usize)> = None;
    while k < key.len() {
        match pattern.get(p) {
            Some(&"#") => {
                hash = Some((p, k));
                p += 1;
                continue;
            }
            Some(&word) if word == "*" || word == key[k] => {
                p += 1;
                k += 1;
                continue;
            }
            _ => (),
        }
        let Some((at, swallowed)) = hash else { return false };
        hash = Some((at, swallowed + 1));
        p = at + 1;
        k = swallowed + 1;
    }
    // A pattern of one empty word matches the empty key.
    pattern[p..].iter().all(|&word| word == "#") || (pattern == [""] && key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_match_by_words() {
        for (pattern, key, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("#.c", "a.b.c", true),
            ("#.c", "a.c.b", false),
            ("#.b.#.d", "a.b.c.b.d", true),
            ("*.#.*", "a", false),
            ("*.#.*", "a.b", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", false),
            ("a", "", false),
        ] {
            assert_eq!(topic_matches(pattern, key), expected, "{pattern:?} against {key:?}");
        }
    }

    #[test]
    fn a_pattern_of_many_hashes_is_matched_quickly() {
        let pattern = ["#", "a"].repeat(60).join(".");
        let key = ["a"; 100].join(".") + ".b";
        assert!(!topic_matches(&pattern, &key));
    }

    #[test]
    fn a_queue_bound_twice_gets_one_copy_and_none_after_unbinding() {
        let mut exchange = Exchange::predeclared(ExchangeKind::Topic);
        exchange.bind(1, "a.#");
        exchange.bind(1, "#.b");
        exchange.bind(2, "a.b");
        let mut targets = Vec::new();
        exchange.route("a.b", &mut targets);
        assert_eq!(targets, [1, 2]);
        assert!(exchange.unbind(2, "a.b"));
        assert!(!exchange.unbind(2, "a.b"));
        targets.clear();
        exchange.route("a.b", &mut targets);
        assert_eq!(targets, [1], "the remembered route was forgotten");
        assert!(exchange.unbind_all(1));
        assert!(!exchange.is_bound());
    }
}
