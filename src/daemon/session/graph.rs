//! Jobs and everything that is connected with them by what they require of each other.

use std::collections::BTreeSet;

use super::Session;
use super::select::Usual;
use crate::job::JobId;
use crate::protocol::{
    Error, Graph, GraphEdge, GraphReply, MAX_PAGE, job_to_wire, required_to_wire,
};
use crate::store::{Edge, Filter, Page, Reader, StoreError};

impl Session {
    pub(super) async fn graph(&self, graph: Graph) -> Result<GraphReply, Error> {
        let found = self.select(&graph.jobs, Usual::Any).await?;
        let begin: Vec<JobId> = found.iter().map(|job| job.id).collect();
        Ok(self.hub.readers.query(move |reader| draw(reader, begin)).await?)
    }
}

/// Goes from job to job in both directions, as far as there is room.
fn draw(reader: &mut dyn Reader, begin: Vec<JobId>) -> Result<GraphReply, StoreError> {
    let most = MAX_PAGE as usize;
    let mut known: BTreeSet<JobId> = begin.iter().copied().collect();
    let mut newest = begin;
    let mut edges: Vec<Edge> = Vec::new();
    while !newest.is_empty() && known.len() <= most {
        let mut near = reader.requirements(&newest)?;
        near.append(&mut reader.dependents(&newest)?);
        let ends = near.iter().flat_map(|edge| [edge.job, edge.awaited.requirement.job]);
        newest = ends.filter(|job| known.insert(*job)).collect();
        edges.append(&mut near);
    }
    let more = known.len() > most;
    let kept: BTreeSet<JobId> = known.into_iter().take(most).collect();
    let ids = kept.iter().map(|id| (*id, *id)).collect();
    let filter = Filter { ids, ..Filter::default() };
    let page = Page { newest_first: false, after: None, limit: MAX_PAGE, collapse: false };
    let nodes = if kept.is_empty() { Vec::new() } else { reader.page(&filter, page)? };
    edges.sort_unstable_by_key(|edge| (edge.job, edge.awaited.requirement.job));
    edges.dedup_by_key(|edge| (edge.job, edge.awaited.requirement.job));
    let inside =
        |edge: &&Edge| kept.contains(&edge.job) && kept.contains(&edge.awaited.requirement.job);
    Ok(GraphReply {
        nodes: nodes.iter().map(|job| job_to_wire(job, None)).collect(),
        edges: edges.iter().filter(inside).map(to_wire).collect(),
        more,
    })
}

fn to_wire(edge: &Edge) -> GraphEdge {
    let required = required_to_wire(&edge.awaited, edge.passed);
    GraphEdge { job: edge.job, after: required.job, on: required.on, standing: required.standing }
}
