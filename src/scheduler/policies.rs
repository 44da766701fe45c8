//! Retry policies, each kept once: a million jobs have a handful of them.
//!
//! Invariant: a policy is kept exactly as long as a job has it.

use std::collections::HashMap;

use crate::job::RetryPolicy;

/// The number of the policy without retries, whose back-off does not matter.
const NONE: u32 = 0;

/// So many are compared before the others are looked up by hash, which takes longer.
const FIRST: usize = 4;

/// The policies in use.
#[derive(Debug, Default)]
pub(super) struct Policies {
    /// By number, beginning with 1.
    kept: Vec<(RetryPolicy, u32)>,
    free: Vec<u32>,
    numbers: HashMap<RetryPolicy, u32>,
}

impl Policies {
    /// The policy's number, for one more job.
    pub(super) fn take(&mut self, policy: &RetryPolicy) -> u32 {
        if policy.retries == 0 {
            return NONE;
        }
        if let Some(number) = self.find(policy) {
            self.kept[number as usize - 1].1 += 1;
            return number;
        }
        let number = if let Some(number) = self.free.pop() {
            self.kept[number as usize - 1] = (policy.clone(), 1);
            number
        } else {
            self.kept.push((policy.clone(), 1));
            self.kept.len() as u32
        };
        self.numbers.insert(policy.clone(), number);
        number
    }

    fn find(&self, policy: &RetryPolicy) -> Option<u32> {
        let first =
            self.kept.iter().take(FIRST).position(|(kept, jobs)| *jobs > 0 && kept == policy);
        first.map(|index| index as u32 + 1).or_else(|| self.numbers.get(policy).copied())
    }

    /// A job that had the policy is forgotten.
    pub(super) fn give_back(&mut self, number: u32) {
        if number == NONE {
            return;
        }
        let (policy, jobs) = &mut self.kept[number as usize - 1];
        *jobs -= 1;
        if *jobs == 0 {
            self.numbers.remove(policy);
            self.free.push(number);
        }
    }

    pub(super) fn get(&self, number: u32) -> RetryPolicy {
        if number == NONE {
            RetryPolicy::default()
        } else {
            self.kept[number as usize - 1].0.clone()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::Backoff;

    #[test]
    fn a_policy_is_kept_as_long_as_a_job_has_it() {
        let mut policies = Policies::default();
        let often = RetryPolicy { retries: 3, ..RetryPolicy::default() };
        let (first, second) = (policies.take(&often), policies.take(&often));
        assert_eq!(first, second);
        assert_eq!(policies.take(&RetryPolicy::default()), NONE);
        assert_eq!(policies.get(first), often);
        policies.give_back(first);
        assert_eq!(policies.len(), 1);
        policies.give_back(second);
        assert_eq!(policies.len(), 0);
        let backoff = Backoff::Fixed(Duration::ZERO);
        let fixed = RetryPolicy { retries: 1, backoff, ..RetryPolicy::default() };
        let on = RetryPolicy { retry_on: "75".parse().unwrap(), ..fixed.clone() };
        assert_eq!(policies.take(&fixed), first, "numbers are used again");
        assert_ne!(policies.take(&on), first);
        assert_eq!(policies.get(first), fixed);
    }
}
