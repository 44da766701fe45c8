//! Whole commands against a daemon that answers what it is told to.

mod fake;
mod running;
mod submitting;
mod telling;

use serde_json::{Value, json};

use crate::protocol::Job;

/// A job as the daemon would tell it; `fields` overrule.
pub(super) fn job(id: u64, state: &str, fields: Value) -> Job {
    let mut value = json!({
        "id": id, "state": state, "kind": "command", "class": "auto", "queue": "default",
        "priority": 0, "owner_uid": 1000, "submission": id, "submitted_at": "2024-01-01T00:00:00.000000Z",
        "attempt_count": 1, "summary": "true", "cpus": 1, "retries": 0,
    });
    if let (Some(value), Value::Object(fields)) = (value.as_object_mut(), fields) {
        value.extend(fields);
    }
    serde_json::from_value(value).unwrap()
}
