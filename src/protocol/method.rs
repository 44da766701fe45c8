//! The methods, each once: its name, its parameters and its reply.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{explain, follow, graph, job, manage, observe, schedule, select};

/// A method: parameters that know their name and their reply.
///
/// Methods without parameters share [`manage::Empty`]; a call of them is a value of their marker type.
pub trait Method {
    /// The name without its interface.
    const NAME: &'static str;
    /// The parameters.
    type Parameters: Serialize + DeserializeOwned;
    /// One reply.
    type Reply: Serialize + DeserializeOwned;
}

/// Why a call can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The interface has no such method.
    #[error("there is no method {0:?}")]
    UnknownMethod(String),
    /// The parameters do not fit.
    #[error("{method}: {problem}")]
    Parameters {
        /// Which method.
        method: &'static str,
        /// What does not fit.
        problem: String,
    },
}

macro_rules! methods {
    ($($name:ident: $parameters:ty => $reply:ty, $doc:literal;)*) => {
        /// A call whose parameters are understood.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $(#[doc = $doc] $name($parameters),)*
        }

        /// The names of all methods, without their interface.
        pub const METHODS: &[&str] = &[$(stringify!($name)),*];

        impl Request {
            /// Understands a call of `method`, named without its interface.
            pub fn decode(method: &str, parameters: Option<&RawValue>) -> Result<Self, DecodeError> {
                match method {
                    $(stringify!($name) => read(stringify!($name), parameters).map(Self::$name),)*
                    _ => Err(DecodeError::UnknownMethod(method.to_owned())),
                }
            }

            /// The method's name, without its interface.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }
        }

        /// One marker type for each method.
        pub mod call {
            $(
                #[doc = $doc]
                #[derive(Clone, Copy, Debug)]
                pub struct $name;

                impl super::Method for $name {
                    const NAME: &'static str = stringify!($name);
                    type Parameters = $parameters;
                    type Reply = $reply;
                }
            )*
            use super::{explain, follow, graph, job, manage, observe, schedule, select};
        }
    };
}

methods! {
    Submit: job::Submit => job::SubmitReply, "Submits jobs.";
    List: select::List => select::ListReply, "Tells one page of jobs.";
    Show: job::Show => job::ShowReply, "Tells everything about one job.";
    Graph: graph::Graph => graph::GraphReply, "Tells who waits for whom.";
    Explain: explain::Explain => explain::ExplainReply, "Tells why a job is where it is.";
    Wait: follow::Wait => follow::WaitReply, "Waits until jobs are final.";
    Logs: follow::Logs => follow::LogsReply, "Reads a job's output.";
    Lend: follow::Lend => manage::Empty, "Lends a waiting job's core permits.";
    Cancel: manage::Cancel => manage::ChangeReply, "Ends jobs.";
    Retry: manage::Retry => manage::ChangeReply, "Runs final jobs again.";
    Hold: manage::Hold => manage::ChangeReply, "Keeps jobs where they are.";
    Release: manage::Release => manage::ChangeReply, "Lets held jobs go on.";
    Edit: manage::Edit => manage::ChangeReply, "Changes jobs that have not started.";
    Remove: manage::Remove => manage::ChangeReply, "Forgets final jobs.";
    Prune: manage::Prune => manage::PruneReply, "Forgets old final jobs.";
    AddSchedule: schedule::AddSchedule => schedule::ScheduleReply, "Makes a schedule.";
    Schedules: schedule::Schedules => schedule::SchedulesReply, "Tells all schedules.";
    ShowSchedule: schedule::ShowSchedule => schedule::ScheduleReply, "Tells one schedule.";
    PauseSchedule: schedule::PauseSchedule => manage::Empty, "Pauses a schedule.";
    ResumeSchedule: schedule::ResumeSchedule => manage::Empty, "Resumes a schedule.";
    RemoveSchedule: schedule::RemoveSchedule => manage::Empty, "Drops a schedule.";
    Kinds: manage::Empty => observe::KindsReply, "Tells the kinds of work.";
    Queues: manage::Empty => manage::QueuesReply, "Tells all queues.";
    SetQueue: manage::SetQueue => manage::Empty, "Makes or changes a queue.";
    RemoveQueue: manage::RemoveQueue => manage::Empty, "Drops a queue.";
    Pause: manage::Pause => manage::Empty, "Pauses a queue.";
    Resume: manage::Resume => manage::Empty, "Resumes a queue.";
    Lanes: manage::Empty => manage::LanesReply, "Tells the sizes of the lanes.";
    SetLanes: manage::SetLanes => manage::LanesReply, "Changes the sizes of the lanes.";
    Stats: manage::Empty => observe::StatsReply, "Tells counters.";
    Status: manage::Empty => observe::StatusReply, "Tells how the daemon is.";
    Config: manage::Empty => observe::ConfigReply, "Tells the config in force.";
    Watch: observe::Watch => observe::WatchReply, "Tells what happens.";
    Reload: manage::Empty => manage::ReloadReply, "Reads the config again.";
    Drain: manage::Drain => manage::Empty, "Starts nothing more.";
    Restart: manage::Restart => manage::RestartReply, "Replaces the daemon's program.";
    Stop: manage::Stop => manage::Empty, "Ends the daemon.";
}

fn read<T: DeserializeOwned>(
    method: &'static str,
    parameters: Option<&RawValue>,
) -> Result<T, DecodeError> {
    let text = parameters.map_or("{}", RawValue::get);
    let wrong =
        |error: serde_json::Error| DecodeError::Parameters { method, problem: error.to_string() };
    if !text.contains("null") {
        return serde_json::from_str(text).map_err(wrong);
    }
    let mut value = serde_json::from_str(text).map_err(wrong)?;
    drop_nulls(&mut value);
    serde_json::from_value(value).map_err(wrong)
}

/// In Varlink a field that is null and one that is left out mean the same.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::INTERFACE_DESCRIPTION;
    use super::*;

    #[test]
    fn the_interface_file_has_exactly_these_methods() {
        let declared: Vec<&str> = INTERFACE_DESCRIPTION
            .lines()
            .filter_map(|line| line.strip_prefix("method "))
            .filter_map(|line| line.split('(').next())
            .collect();
        assert_eq!(declared, METHODS);
    }

    #[test]
    fn an_unknown_field_is_named() {
        let parameters = RawValue::from_string(r#"{"id": 1, "ip": 2}"#.to_owned()).unwrap();
        let error = Request::decode("Show", Some(&parameters)).unwrap_err();
        assert!(error.to_string().contains("`ip`"), "{error}");
    }

    #[test]
    fn a_null_field_is_one_that_was_left_out() {
        let parameters = RawValue::from_string(
            r#"{"jobs": [{"argv": ["true"], "hold": null, "class": null}], "array": null}"#
                .to_owned(),
        )
        .unwrap();
        let Ok(Request::Submit(submit)) = Request::decode("Submit", Some(&parameters)) else {
            panic!("not understood");
        };
        assert!(!submit.jobs[0].hold && submit.array.is_none());
    }

    #[test]
    fn a_call_without_parameters_takes_the_defaults() {
        assert_eq!(Request::decode("Stop", None), Ok(Request::Stop(manage::Stop::default())));
        assert!(matches!(Request::decode("Fly", None), Err(DecodeError::UnknownMethod(_))));
    }
}
