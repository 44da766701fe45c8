//! Jobs and everything that is connected with them by what they require of each other; an array is one
//! of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Session;
use super::select::{Usual, some_are_named};
use crate::job::JobId;
use crate::protocol::{
    Error, Graph, GraphEdge, GraphReply, MAX_PAGE, job_to_wire, required_to_wire,
};
use crate::store::{Edge, Filter, Page, Reader, StoreError};

/// The most jobs, elements of arrays among them, that are looked at for one graph.
const MOST_FOLLOWED: usize = 100_000;

impl Session {
    pub(super) async fn graph(&self, graph: Graph) -> Result<GraphReply, Error> {
        some_are_named(&graph.jobs)?;
        let filter = self.filter(&graph.jobs, Usual::Any)?;
        let folds = self.folds(&filter).await?;
        let found = self.found_beside(&graph.jobs, filter, &folds).await?;
        let begin: Vec<JobId> = found.iter().map(|job| job.id).chain(folds.arrays()).collect();
        let mut reply = self.hub.readers.query(move |reader| draw(reader, begin)).await?;
        self.tell_arrays(&mut reply.nodes).await?;
        Ok(reply)
    }
}

/// The jobs that were met, each with the node that stands for it.
#[derive(Default)]
struct Met {
    nodes: BTreeMap<JobId, JobId>,
    /// How many nodes these are.
    drawn: BTreeSet<JobId>,
}

impl Met {
    /// Notes jobs; the elements of an array by their array.
    fn note(&mut self, reader: &mut dyn Reader, jobs: &[JobId]) -> Result<(), StoreError> {
        let ids = jobs.iter().map(|id| (*id, *id)).collect();
        let found = reader.select(&Filter { ids, ..Filter::default() })?;
        // A job that was removed, or is no job of its own, stands for itself.
        self.nodes.extend(jobs.iter().map(|id| (*id, *id)));
        self.nodes.extend(found.iter().filter_map(|job| Some((job.id, job.place?.array))));
        self.drawn.extend(jobs.iter().map(|id| self.nodes[id]));
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.drawn.len() <= MAX_PAGE as usize && self.nodes.len() <= MOST_FOLLOWED
    }
}

/// Goes from job to job in both directions, as far as there is room.
fn draw(reader: &mut dyn Reader, begin: Vec<JobId>) -> Result<GraphReply, StoreError> {
    let mut met = Met::default();
    let mut newest = begin;
    let mut edges: Vec<Edge> = Vec::new();
    while !newest.is_empty() {
        met.note(reader, &newest)?;
        if !met.has_room() {
            break;
        }
        let mut near = reader.requirements(&newest)?;
        near.append(&mut reader.dependents(&newest)?);
        let ends = near.iter().flat_map(|edge| [edge.job, edge.awaited.requirement.job]);
        let unknown: BTreeSet<JobId> = ends.filter(|id| !met.nodes.contains_key(id)).collect();
        newest = unknown.into_iter().collect();
        edges.append(&mut near);
    }
    let more = !met.has_room();
    let kept: BTreeSet<JobId> = met.drawn.iter().copied().take(MAX_PAGE as usize).collect();
    let nodes = nodes(reader, &met, &kept)?;
    // Edges between the same nodes are one: what is open of them counts most, then what is lost.
    let mut drawn: BTreeMap<(JobId, JobId, String), String> = BTreeMap::new();
    for edge in &edges {
        let required = required_to_wire(&edge.awaited, edge.passed);
        let node = |id: JobId| met.nodes.get(&id).filter(|node| kept.contains(node)).copied();
        let (Some(job), Some(after)) = (node(edge.job), node(required.job)) else { continue };
        let standing = drawn.entry((job, after, required.on)).or_default();
        let weight =
            |standing: &str| ["", "met", "lost", "open"].iter().position(|s| *s == standing);
        if weight(standing) < weight(&required.standing) {
            *standing = required.standing;
        }
    }
    let edge = |((job, after, on), standing)| GraphEdge { job, after, on, standing };
    Ok(GraphReply { nodes, edges: drawn.into_iter().map(edge).collect(), more })
}

/// The jobs that are drawn. What is left of an array whose first element was removed goes by its id all the same.
fn nodes(
    reader: &mut dyn Reader,
    met: &Met,
    kept: &BTreeSet<JobId>,
) -> Result<Vec<crate::protocol::Job>, StoreError> {
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_node: BTreeMap<JobId, JobId> = BTreeMap::new();
    for (job, node) in met.nodes.iter().filter(|(_, node)| kept.contains(node)) {
        by_node.entry(*node).or_insert(*job);
    }
    let ids = by_node.values().map(|id| (*id, *id)).collect();
    let filter = Filter { ids, ..Filter::default() };
    let page = Page { newest_first: false, after: None, limit: MAX_PAGE, collapse: false };
    let wire = |job: &crate::job::Job| {
        let mut wire = job_to_wire(job, None);
        wire.id = wire.array.unwrap_or(wire.id);
        wire
    };
    Ok(reader.page(&filter, page)?.iter().map(wire).collect())
}
