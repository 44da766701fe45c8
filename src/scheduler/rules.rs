//! What the settings say of keys, and what follows for those that jobs have.
//!
//! Owns the rules and the rates of keys. Never chooses who starts. Invariant: a key whose rate lets
//! nothing start is shut, and one whose starts still count is kept though no job has it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Scheduler;
use super::limit_names::LimitName;
use super::limits::{Limit, LimitNo};
use super::pace::Pace;
use crate::job::{KeyRule, Rate};

/// The most keys that are kept for their starts alone: beyond, those that are nearest to being
/// forgotten go first.
const MOST_KEPT: usize = 10_000;

/// The rules, and the moments at which rates of keys change something.
#[derive(Debug, Default)]
pub(super) struct Rules {
    all: Vec<KeyRule>,
    /// When shut keys open.
    pub(super) opening: BTreeSet<(Duration, LimitNo)>,
    /// When keys that no job has can be forgotten.
    pub(super) kept: BTreeSet<(Duration, LimitNo)>,
    /// Of the starts before this moment nothing is known.
    pub(super) since: Option<Duration>,
}

/// What the settings say of one key.
#[derive(Debug, Default)]
pub(super) struct Ruled {
    /// The rule, as the settings name it.
    pub(super) pattern: String,
    /// How many of its jobs may run at once.
    pub(super) max: Option<u32>,
    /// How many may start in a span of time.
    pub(super) pace: Option<Pace>,
    /// The moment before which its rate lets nothing start.
    pub(super) shut_until: Option<Duration>,
}

impl Rules {
    /// What the rules say of a limit that is new.
    pub(super) fn rule(&self, name: &LimitName) -> Option<Box<Ruled>> {
        let LimitName::Key(_, key) = name else { return None };
        let rule = KeyRule::of(&self.all, key)?;
        let pace = rule.rate.map(|rate| self.pace(rate));
        let pattern = rule.pattern.clone();
        Some(Box::new(Ruled { pattern, max: rule.max, pace, shut_until: None }))
    }

    fn pace(&self, rate: Rate) -> Pace {
        let mut pace = Pace::new(rate);
        if let Some(since) = self.since {
            pace.spread(since);
        }
        pace
    }

    /// Keeps a limit that no job has for as long as its starts count; says who has to go instead.
    pub(super) fn keep(&mut self, number: LimitNo, until: Duration) -> Option<LimitNo> {
        self.kept.insert((until, number));
        let full = self.kept.len() > MOST_KEPT;
        full.then(|| self.kept.pop_first()).flatten().map(|(_, number)| number)
    }
}

impl Scheduler {
    /// The settings of keys changed; a rate that changed begins to count anew.
    pub(super) fn on_keys(&mut self, rules: Vec<KeyRule>) {
        self.limits.rules.all = rules;
        let all: Vec<LimitNo> = self.limits.iter().map(|(number, _)| number).collect();
        for &number in &all {
            let Some(limit) = self.limits.get(number) else { continue };
            let mut new = self.limits.rules.rule(&limit.name);
            let Some(limit) = self.limits.get_mut(number) else { continue };
            let rate = |ruled: &Option<Box<Ruled>>| {
                ruled.as_ref().and_then(|ruled| ruled.pace.as_ref()).map(Pace::rate)
            };
            let same = rate(&limit.ruled) == rate(&new);
            if let (true, Some(old), Some(new)) = (same, &mut limit.ruled, &mut new) {
                (new.pace, new.shut_until) = (old.pace.take(), old.shut_until);
            } else if let Some(ruled) = &mut new {
                ruled.pace = ruled.pace.as_ref().map(|pace| Pace::new(pace.rate()));
            }
            let old = std::mem::replace(&mut limit.ruled, new);
            limit.renew();
            if let Some(until) = old.and_then(|old| old.shut_until).filter(|_| !same) {
                self.limits.rules.opening.remove(&(until, number));
            }
            self.look_at_key(number);
            self.offer(number);
        }
        self.review_favour();
        for number in all {
            self.limits.tidy(number);
        }
    }

    /// Shuts a key until its rate lets something start again, or opens it.
    pub(super) fn look_at_key(&mut self, number: LimitNo) {
        let now = self.clock.boot;
        let Some(ruled) = self.limits.get_mut(number).and_then(|limit| limit.ruled.as_mut()) else {
            return;
        };
        let until = ruled.pace.as_ref().and_then(|pace| pace.shut_until(now));
        let old = std::mem::replace(&mut ruled.shut_until, until);
        if old == until {
            return;
        }
        let opening = &mut self.limits.rules.opening;
        if let Some(old) = old {
            opening.remove(&(old, number));
        }
        opening.extend(until.map(|until| (until, number)));
        if until.is_some() {
            self.review_favour();
        } else {
            self.stirred = true;
            self.offer(number);
        }
    }

    /// Opens the keys whose rates let something start again, and forgets those whose starts do not
    /// count any more.
    pub(super) fn open_keys(&mut self) {
        let now = self.clock.boot;
        while let Some(&(moment, number)) = self.limits.rules.opening.first()
            && moment <= now
        {
            self.look_at_key(number);
        }
        while let Some(&(moment, number)) = self.limits.rules.kept.first()
            && moment <= now
        {
            self.limits.rules.kept.pop_first();
            self.limits.forget_kept(number);
        }
    }

    /// A job with these limits started.
    pub(super) fn note_start(&mut self, set: u32) {
        for index in 0..self.limits.of(set).len() {
            let (number, _) = self.limits.of(set)[index];
            let limit = self.limits.get_mut(number);
            let ruled = limit.and_then(|limit| limit.ruled.as_mut());
            if let Some(pace) = ruled.and_then(|ruled| ruled.pace.as_mut()) {
                pace.note(self.clock.boot);
                self.look_at_key(number);
            }
        }
    }
}

#[cfg(test)]
impl Scheduler {
    /// How many limits are known.
    pub(super) fn key_limits(&self) -> usize {
        self.limits.iter().count()
    }
}

impl Limit {
    /// The moment before which its rate lets nothing start.
    pub(super) fn shut_until(&self) -> Option<Duration> {
        self.ruled.as_ref().and_then(|ruled| ruled.shut_until)
    }

    /// How many start in which span, if that is limited.
    pub(super) fn rate(&self) -> Option<Rate> {
        self.ruled.as_ref().and_then(|ruled| ruled.pace.as_ref()).map(Pace::rate)
    }

    /// Until when its starts count.
    pub(super) fn counts_until(&self) -> Option<Duration> {
        self.ruled.as_ref().and_then(|ruled| ruled.pace.as_ref()?.forgotten_at())
    }
}
