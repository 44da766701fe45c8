//! Turns a [`Filter`] into SQL. User text only ever travels as a bound parameter.

use rusqlite::types::Value;

use crate::job::{JobId, State, WallTime};
use crate::store::{Filter, Page};

use super::codes;

/// A query and what is bound to its `?1`, `?2`, …
#[derive(Debug)]
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) params: Vec<Value>,
}

/// The ids of all jobs that a filter describes, oldest first, as a query with one column `id`.
pub(super) fn all(filter: &Filter) -> Query {
    let parts = Parts::of(filter);
    let sql = parts.ordered_ids(filter, "ASC");
    Query { sql, params: parts.params }
}

/// The ids of one page, in its order, as a query with one column `id`.
pub(super) fn page(filter: &Filter, page: Page) -> Query {
    let mut parts = Parts::of(filter);
    let (beyond, order) = if page.newest_first { ("<", "DESC") } else { (">", "ASC") };
    if let Some(after) = page.after {
        let after = parts.bind(number(after));
        parts.conditions.push(format!("j.id {beyond} {after}"));
    }
    let sql = if page.collapse {
        parts.collapsed_ids(filter, page.newest_first)
    } else {
        parts.ordered_ids(filter, order)
    };
    let limit = parts.bind(i64::from(page.limit));
    Query { sql: format!("{sql} LIMIT {limit}"), params: parts.params }
}

#[derive(Default)]
struct Parts {
    /// All of these hold of a job `j`.
    conditions: Vec<String>,
    params: Vec<Value>,
}

impl Parts {
    fn of(filter: &Filter) -> Self {
        let mut parts = Self::default();
        parts.ids(&filter.ids, &filter.elements);
        if filter.last {
            parts.last(filter.owner);
        }
        if let Some(owner) = filter.owner {
            let owner = parts.bind(i64::from(owner));
            parts.conditions.push(format!("j.owner = {owner}"));
        }
        if !filter.queues.is_empty() {
            let queues = parts.bind(json(&filter.queues));
            parts.conditions.push(format!("j.queue IN ({})", numbered(&queues)));
        }
        if !filter.kinds.is_empty() {
            let kinds = parts.bind(json(&filter.kinds));
            parts.conditions.push(format!(
                "(SELECT s.kind FROM specs AS s WHERE s.id = j.spec) IN ({})",
                numbered(&kinds)
            ));
        }
        parts.names(&filter.names);
        if !filter.schedules.is_empty() {
            let schedules = parts.bind(json(&filter.schedules));
            parts.conditions.push(format!(
                "j.id IN (SELECT r.job FROM runs AS r WHERE r.name IN \
                 (SELECT value FROM json_each({schedules})))"
            ));
        }
        parts.finished("<", filter.finished_before);
        parts.finished(">=", filter.finished_since);
        parts
    }

    /// Binds a value and returns the name it has in the text.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.params.push(value.into());
        format!("?{}", self.params.len())
    }

    /// One range is a range of the table; anything more is gathered first, however long the list is.
    fn ids(&mut self, ranges: &[(JobId, JobId)], elements: &[(JobId, u64, u64)]) {
        match (ranges, elements) {
            ([], []) => {}
            ([(from, to)], []) => {
                let (from, to) = (self.bind(number(*from)), self.bind(number(*to)));
                self.conditions.push(format!("j.id BETWEEN {from} AND {to}"));
            }
            _ => {
                let ranges = self.bind(json(ranges));
                let elements = self.bind(json(elements));
                let at = |place: u8| format!("json_extract(r.value, '$[{place}]')");
                let (first, second, third) = (at(0), at(1), at(2));
                self.conditions.push(format!(
                    "j.id IN (\
                     SELECT i.id FROM json_each({ranges}) AS r CROSS JOIN jobs AS i \
                     ON i.id BETWEEN {first} AND {second} \
                     UNION ALL SELECT i.id FROM json_each({elements}) AS r CROSS JOIN jobs AS i \
                     ON i.array = {first} AND i.array_index BETWEEN {second} AND {third})"
                ));
            }
        }
    }

    /// The submission of the newest job, all of which lies between its first id and that job.
    fn last(&mut self, owner: Option<u32>) {
        let of_owner = owner.map_or(String::new(), |owner| {
            format!("WHERE owner = {}", self.bind(i64::from(owner)))
        });
        let newest = |column: &str| {
            format!("(SELECT {column} FROM jobs {of_owner} ORDER BY id DESC LIMIT 1)")
        };
        let (submission, id) = (newest("submission"), newest("id"));
        self.conditions
            .push(format!("j.id BETWEEN {submission} AND {id} AND j.submission = {submission}"));
    }

    fn names(&mut self, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let (globs, plain): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.contains('*'));
        let mut ways = Vec::new();
        if !plain.is_empty() {
            let plain = self.bind(json(&plain));
            ways.push(format!("s.name IN (SELECT value FROM json_each({plain}))"));
        }
        if !globs.is_empty() {
            let globs: Vec<_> = globs.into_iter().map(|name| glob(name)).collect();
            let globs = self.bind(json(&globs));
            ways.push(format!(
                "EXISTS (SELECT 1 FROM json_each({globs}) AS g WHERE s.name GLOB g.value)"
            ));
        }
        self.conditions.push(format!(
            "j.spec IN (SELECT s.id FROM specs AS s WHERE s.name IS NOT NULL AND ({}))",
            ways.join(" OR ")
        ));
    }

    fn finished(&mut self, order: &str, moment: Option<WallTime>) {
        if let Some(moment) = moment {
            let moment = self.bind(moment.0);
            self.conditions.push(format!("j.state >= 5 AND j.moved_at {order} {moment}"));
        }
    }

    /// The ways in which the state may fit, each of them served by the index of states.
    fn arms(filter: &Filter) -> Vec<String> {
        if filter.states.is_empty() && filter.outcomes.is_empty() {
            return vec!["1".to_owned()];
        }
        let mut arms: Vec<String> = State::ALL
            .into_iter()
            .filter(|state| filter.states.contains(state))
            .map(|state| state_is(state, filter))
            .collect();
        if !filter.outcomes.is_empty() && !filter.states.contains(&State::Failed) {
            arms.push(format!("{} AND {}", state_is(State::Failed, filter), ended_as(filter)));
        }
        arms
    }

    /// The whole query for a page in which an array is one job: for jobs that the moment of their end finds,
    /// which are read before they are sorted anyway.
    fn collapsed_ids(&self, filter: &Filter, newest_first: bool) -> String {
        let (first, order) = if newest_first { ("max", "DESC") } else { ("min", "ASC") };
        let arms = Self::arms(filter).join(" OR ");
        let common = self.conditions.iter().fold(String::new(), |text, part| text + part + " AND ");
        format!(
            "SELECT {first}(j.id) AS id FROM jobs AS j WHERE {common}({arms}) \
             GROUP BY coalesce(j.array, -j.id) ORDER BY 1 {order}"
        )
    }

    /// The whole query. Several arms are merged by id as they are read, so that a page stops when it is
    /// full; sorting a million ids for the newest fifty would take a second. What finished before a
    /// moment is found by the index of finishing times instead, and sorted.
    fn ordered_ids(&self, filter: &Filter, order: &str) -> String {
        let (arms, id) = if is_by_finish(filter) {
            // The `+` keeps SQLite from walking all ids for the sake of their order.
            (vec![Self::arms(filter).join(" OR ")], "+id")
        } else {
            (Self::arms(filter), "id")
        };
        let common = self.conditions.iter().fold(String::new(), |text, part| text + part + " AND ");
        let one = |arm: &String| format!("SELECT j.id AS id FROM jobs AS j WHERE {common}({arm})");
        let arms: Vec<_> = arms.iter().map(one).collect();
        format!("{} ORDER BY {id} {order}", arms.join(" UNION ALL "))
    }
}

/// Whether the moment of their end finds the jobs.
pub(super) fn is_by_finish(filter: &Filter) -> bool {
    filter.finished_before.is_some() || filter.finished_since.is_some()
}

/// `j.state` is one state, said so that SQLite sees whether its index holds it.
fn state_is(state: State, filter: &Filter) -> String {
    let code = codes::of_state(state);
    match state {
        _ if is_by_finish(filter) => format!("+j.state = {code}"),
        State::Succeeded => format!("j.state = {code}"),
        _ => format!("j.state = {code} AND j.state <> 5"),
    }
}

fn ended_as(filter: &Filter) -> String {
    let codes: Vec<_> = filter
        .outcomes
        .iter()
        .flat_map(|word| codes::outcomes_told_by(word))
        .map(|code| code.to_string())
        .collect();
    format!(
        "(SELECT a.outcome FROM attempts AS a WHERE a.job = j.id AND a.number = j.attempts) IN ({})",
        codes.join(", ")
    )
}

fn numbered(words: &str) -> String {
    format!("SELECT w.id FROM words AS w WHERE w.word IN (SELECT value FROM json_each({words}))")
}

/// A name with `*` as a GLOB pattern: only the `*` keeps a special meaning.
fn glob(name: &str) -> String {
    let escape = |c: char| match c {
        '[' | '?' => format!("[{c}]"),
        other => other.to_string(),
    };
    name.chars().map(escape).collect()
}

fn number(id: JobId) -> i64 {
    id.get() as i64
}

/// A list as one bound parameter, however long it is.
pub(super) fn json<T: serde::Serialize + ?Sized>(list: &T) -> String {
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_star_is_special_in_a_name() {
        assert_eq!(glob("a*[b]?"), "a*[[]b][?]");
    }

    #[test]
    fn names_of_users_never_stand_in_the_text() {
        let filter = Filter {
            queues: vec!["'; DROP TABLE jobs; --".to_owned()],
            names: vec!["x' OR '1'='1".to_owned(), "y*'".to_owned()],
            kinds: vec!["\"".to_owned()],
            outcomes: vec!["' OR 1".to_owned()],
            ..Filter::default()
        };
        let query = all(&filter);
        assert!(!query.sql.contains("DROP") && !query.sql.contains("OR '1'"), "{}", query.sql);
        assert_eq!(query.params.len(), 4);
    }
}
