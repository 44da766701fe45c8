//! Drawing who waits for whom.

use std::collections::{BTreeMap, BTreeSet};

use super::list::{colour, elements_state, state_text};
use super::output::Style;
use super::table::{painted, visible};
use crate::job::JobId;
use crate::protocol::{GraphEdge, GraphReply, Job};

/// The longest piece of work that is drawn beside a job, in characters.
const WORK: usize = 40;

/// The graph in lines: each job stands once, below the last of those it requires, and names them all.
pub(super) fn drawn(graph: &GraphReply, style: Style) -> Vec<String> {
    let jobs: BTreeMap<JobId, &Job> = graph.nodes.iter().map(|job| (job.id, job)).collect();
    let mut requires: BTreeMap<JobId, Vec<&GraphEdge>> = BTreeMap::new();
    for edge in &graph.edges {
        requires.entry(edge.job).or_default().push(edge);
    }
    let order = order(&jobs, &requires);
    let place: BTreeMap<JobId, usize> = order.iter().copied().zip(0..).collect();
    let mut below: BTreeMap<Option<JobId>, Vec<JobId>> = BTreeMap::new();
    for id in &order {
        let others = requires.get(id).into_iter().flatten().map(|edge| edge.after);
        let parent =
            others.filter(|other| place.contains_key(other)).max_by_key(|other| place[other]);
        below.entry(parent).or_default().push(*id);
    }
    let mut lines = Vec::new();
    // Roots are taken from the back of the list, each with what stands before its children.
    let mut open: Vec<(JobId, String, String)> = Vec::new();
    let roots = below.get(&None).into_iter().flatten().rev();
    open.extend(roots.map(|id| (*id, String::new(), String::new())));
    while let Some((id, lead, rest)) = open.pop() {
        let own = requires.get(&id).map(Vec::as_slice).unwrap_or_default();
        lines.push(format!("{lead}{}", line(jobs[&id], own, style)));
        let children = below.get(&Some(id)).map(Vec::as_slice).unwrap_or_default();
        for (from_back, child) in children.iter().rev().enumerate() {
            let (branch, under) =
                if from_back == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            open.push((*child, format!("{rest}{branch}"), format!("{rest}{under}")));
        }
    }
    lines
}

fn line(job: &Job, requires: &[&GraphEdge], style: Style) -> String {
    let elements = job.elements.as_ref().filter(|elements| !elements.counts.is_empty());
    let count = elements.map_or_else(String::new, |elements| {
        format!(" [{}]", elements.counts.iter().map(|count| count.jobs).sum::<u64>())
    });
    let alone = || (state_text(job), colour(job.state));
    let (state, colour) = elements.map_or_else(alone, elements_state);
    let state = painted(&visible(&state), colour.filter(|_| style.colour));
    let what = job.name.clone().unwrap_or_else(|| {
        let short: String = job.summary.chars().take(WORK).collect();
        if short.len() < job.summary.len() { format!("{short}…") } else { short }
    });
    let mark = |edge: &&GraphEdge| match edge.standing.as_str() {
        "lost" => format!("{}:{} (lost)", edge.on, edge.after),
        _ => format!("{}:{}", edge.on, edge.after),
    };
    let after = match requires {
        [] => String::new(),
        edges => format!("  after {}", edges.iter().map(mark).collect::<Vec<_>>().join(", ")),
    };
    format!("{}{count} {}  {state}{after}", job.id, visible(&what))
}

/// Every job behind all that it requires; among equals the older first.
fn order(jobs: &BTreeMap<JobId, &Job>, requires: &BTreeMap<JobId, Vec<&GraphEdge>>) -> Vec<JobId> {
    let mut left: BTreeMap<JobId, usize> = jobs.keys().map(|id| (*id, 0)).collect();
    let mut wanted_by: BTreeMap<JobId, Vec<JobId>> = BTreeMap::new();
    for edge in requires.values().flatten().filter(|edge| jobs.contains_key(&edge.after)) {
        if let Some(count) = left.get_mut(&edge.job) {
            *count += 1;
            wanted_by.entry(edge.after).or_default().push(edge.job);
        }
    }
    let mut ready: BTreeSet<JobId> =
        left.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
    let mut order = Vec::with_capacity(left.len());
    while let Some(id) = ready.pop_first() {
        order.push(id);
        for other in wanted_by.remove(&id).unwrap_or_default() {
            if let Some(count) = left.get_mut(&other) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(other);
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::tests::job;

    #[test]
    fn each_job_stands_once_below_the_last_of_those_it_requires() {
        let named = |id: u64, state: &str, name: &str| {
            job(id, state, json!({ "name": name, "exit_code": 1, "outcome": "exit" }))
        };
        let edge = |job: u64, after: u64, on: &str, standing: &str| GraphEdge {
            job: JobId::new(job).unwrap(),
            after: JobId::new(after).unwrap(),
            on: on.to_owned(),
            standing: standing.to_owned(),
        };
        let graph = GraphReply {
            nodes: vec![
                named(1, "succeeded", "fetch"),
                named(2, "failed", "lint"),
                named(3, "running", "build"),
                named(4, "waiting", "deploy"),
                named(5, "skipped", "praise"),
            ],
            edges: vec![
                edge(3, 1, "ok", "met"),
                edge(4, 2, "any", "met"),
                edge(4, 3, "ok", "open"),
                edge(5, 2, "ok", "lost"),
            ],
            more: false,
        };
        let lines = drawn(&graph, Style::default());
        assert_eq!(
            lines,
            [
                "1 fetch  succeeded",
                "└─ 3 build  running  after ok:1",
                "   └─ 4 deploy  waiting  after any:2, ok:3",
                "2 lint  failed 1",
                "└─ 5 praise  skipped  after ok:2 (lost)",
            ]
        );
    }
}
