//! Calls that look at jobs: List, Show, Graph, Explain.

use super::super::clock;
use super::super::event::Ask;
use super::super::refuse;
use super::Session;
use super::call::Manner;
use super::connection::Gone;
use super::gates::{forecast_to_wire, gate_to_wire};
use super::select::Usual;
use super::submit::moment;
use crate::job::{AttemptRecord, Class, Job, JobId, Outcome, State, WallTime};
use crate::protocol::{
    ElementCount, Elements, Error, Explain, ExplainReply, Gate, List, ListReply, MAX_PAGE, Request,
    Show, ShowReply, job_to_wire, required_to_wire, to_rfc3339,
};
use crate::scheduler::Explanation;
use crate::store::{ArrayTally, Page};

impl Session {
    pub(super) async fn inspect(&mut self, request: Request, manner: Manner) -> Result<(), Gone> {
        match request {
            Request::List(list) => {
                let result = self.list(list).await;
                self.finish(result, manner).await
            }
            Request::Show(show) => {
                let result = self.show(show).await;
                self.finish(result, manner).await
            }
            Request::Graph(graph) => {
                let result = self.graph(graph).await;
                self.finish(result, manner).await
            }
            Request::Explain(explain) => {
                let result = self.explain(explain).await;
                self.finish(result, manner).await
            }
            _ => Ok(()),
        }
    }

    async fn list(&self, list: List) -> Result<ListReply, Error> {
        let mut filter = self.filter(&list.jobs, Usual::Any)?;
        filter.finished_since = since(list.finished_since.as_deref())?;
        let limit = list.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        // One more than asked for tells whether there are more.
        let page = Page {
            newest_first: list.newest_first,
            after: list.after,
            limit: limit + 1,
            collapse: list.collapse,
        };
        let mut jobs = self.hub.readers.query(move |reader| reader.page(&filter, page)).await?;
        let array = |job: &Job| Some(job.place?.array);
        let ids = jobs.iter().map(|job| job.id);
        let there = ids.chain(jobs.iter().filter_map(array)).collect();
        self.all_are_there(&list.jobs, &there).await?;
        let more = jobs.len() > limit as usize;
        jobs.truncate(limit as usize);
        let running: Vec<JobId> =
            jobs.iter().filter(|job| job.state == State::Running).map(|job| job.id).collect();
        let mut jobs: Vec<_> = jobs.iter().map(|job| job_to_wire(job, None)).collect();
        if list.collapse {
            self.tell_arrays(&mut jobs).await?;
        }
        if !running.is_empty() {
            for (id, done, total) in self.hub.ask(|answer| Ask::Progress(running, answer)).await? {
                if let Some(job) = jobs.iter_mut().find(|job| job.id == id) {
                    (job.progress_done, job.progress_total) = (Some(done), total);
                }
            }
        }
        Ok(ListReply { jobs, more })
    }

    /// Says of each array how its elements stand.
    pub(super) async fn tell_arrays(&self, jobs: &mut [crate::protocol::Job]) -> Result<(), Error> {
        let arrays: Vec<JobId> = jobs.iter().filter_map(|job| job.array).collect();
        let tallies = self.hub.readers.query(move |reader| reader.arrays(&arrays)).await?;
        for job in jobs {
            let tally = tallies.iter().find(|tally| Some(tally.array) == job.array);
            job.elements = tally.map(elements_to_wire);
        }
        Ok(())
    }

    async fn show(&self, show: Show) -> Result<ShowReply, Error> {
        let (job, attempts) = self.own_job(show.id).await?;
        let mut wire = job_to_wire(&job, Some(&attempts));
        if job.state == State::Running {
            let progress = self.hub.ask(|answer| Ask::Progress(vec![job.id], answer)).await?;
            if let Some((_, done, total)) = progress.first() {
                (wire.progress_done, wire.progress_total) = (Some(*done), *total);
            }
        }
        let id = job.id;
        let edges = self.hub.readers.query(move |reader| reader.requirements(&[id])).await?;
        if let Some(details) = &mut wire.details {
            let required = edges.iter().map(|edge| required_to_wire(&edge.awaited, edge.passed));
            details.after = required.collect();
        }
        if let Some(details) = &mut wire.details
            && details.output.is_none()
            && job.attempts > 0
        {
            let path = self.hub.captured.out(job.id, job.attempts);
            details.output_path = Some(path.display().to_string());
        }
        Ok(ShowReply { job: wire })
    }

    /// The job, if the client may see it.
    pub(super) async fn own_job(&self, id: JobId) -> Result<(Job, Vec<AttemptRecord>), Error> {
        let found = self.hub.readers.query(move |reader| reader.job(id)).await?;
        match found {
            Some((job, attempts)) if job.owner == self.uid || self.is_admin() => {
                Ok((job, attempts))
            }
            _ => Err(refuse::no_such_job(id)),
        }
    }

    async fn explain(&self, explain: Explain) -> Result<ExplainReply, Error> {
        let (job, _) = self.own_job(explain.id).await?;
        let mut explanation = self.hub.ask(|answer| Ask::Explain(job.id, answer)).await?;
        let stands_for = |told: &Explanation| job.state != State::Held || told.state == State::Held;
        if !job.state.is_final() && !explanation.as_ref().is_some_and(stands_for) {
            // An element of a long array may have nobody before it any more that could stand for it.
            self.unfold_job(job.id).await?;
            explanation = self.hub.ask(|answer| Ask::Explain(job.id, answer)).await?;
        }
        Ok(self.explained(&job, explanation.as_ref()))
    }

    fn explained(&self, job: &Job, explanation: Option<&Explanation>) -> ExplainReply {
        let kind = self.hub.registry.get(&job.spec.kind);
        let class = kind.map_or(Class::Cpu, |kind| kind.runs_as(job.spec.class));
        let why = match job.spec.class {
            Class::Auto => {
                format!("kind {} runs as {class} unless the job says otherwise", job.spec.kind)
            }
            class => format!("the job asked for class {class}"),
        };
        let lane = crate::scheduler::Demand { class, permits: 0, inside: false }.lane();
        let gates = explanation.map_or_else(
            || vec![Gate { gate: "ended".to_owned(), detail: ended(job), ..Gate::default() }],
            |explanation| explanation.gates.iter().map(gate_to_wire).collect(),
        );
        let state = explanation.map_or(job.state, |explanation| explanation.state);
        let rank = explanation.and_then(|explanation| explanation.rank);
        let (place, of) = (rank.map(|rank| rank.place as u64), rank.map(|rank| rank.of as u64));
        let run = job.run.as_ref();
        ExplainReply {
            id: job.id,
            state,
            class,
            lane,
            why,
            gates,
            place,
            of,
            forecast: explanation
                .and_then(|explanation| explanation.forecast)
                .map(|forecast| forecast_to_wire(forecast, clock::now().wall)),
            schedule: run.map(|run| run.name.to_string()),
            slot: run.map(|run| to_rfc3339(run.slot)),
        }
    }
}

fn since(text: Option<&str>) -> Result<Option<WallTime>, Error> {
    let Some(text) = text else { return Ok(None) };
    let invalid = |message| Error::InvalidValue { field: "finished_since".to_owned(), message };
    moment(text).map(Some).map_err(invalid)
}

fn elements_to_wire(tally: &ArrayTally) -> Elements {
    let count = |&(state, jobs): &(State, u64)| ElementCount { state, jobs };
    Elements {
        first: tally.first,
        last: tally.last,
        counts: tally.counts.iter().map(count).collect(),
    }
}

fn ended(job: &Job) -> String {
    let outcome = job.outcome.as_ref();
    let because = job.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    match (job.state, outcome) {
        (State::Failed, Some(Outcome::Interrupted)) => {
            format!("it has failed (interrupted){because}")
        }
        (State::Succeeded | State::Failed, Some(outcome)) => format!("it has {outcome}"),
        (state, _) => format!("it is {state}{because}"),
    }
}
