//! The settings of the built-in kinds.

use serde::Deserialize;

/// The settings of the built-in kinds, a section each.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// `[http]`.
    pub http: HttpOptions,
}

/// How much of what jobs print is kept. Files that the user named are not counted and never touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputOptions {
    /// Of one attempt, in bytes: of more only head and tail stay.
    pub job_limit_bytes: u64,
    /// An attempt that has printed more than this ends.
    pub hard_limit_bytes: u64,
    /// Of all jobs together, in bytes.
    pub total_limit_bytes: u64,
    /// With less than this free on the disk, the attempt whose output takes most of it ends.
    pub free_floor_bytes: u64,
}

impl Default for OutputOptions {
    fn default() -> Self {
        Self {
            job_limit_bytes: 256 << 20,
            // A job that prints so much has run away; one that only talks a lot has its head and tail long before.
            hard_limit_bytes: 64 << 30,
            total_limit_bytes: 10 << 30,
            free_floor_bytes: 256 << 20,
        }
    }
}

/// How the kind `http` behaves where a job says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpOptions {
    /// How long making a connection may take, name look-up and TLS included, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long the other side may be silent in the middle of an answer, in milliseconds. A job that
    /// waits longer for a slow server gives its own `idle`.
    pub idle_timeout_ms: u64,
    /// How many name look-ups may be under way at once: each holds a thread while it lasts.
    pub dns_lookups: usize,
    /// How many idle connections are kept for each host.
    pub idle_connections_per_host: usize,
    /// How much of an answer's body is kept, in bytes, where the job gives no `body_limit`.
    pub body_limit_bytes: u64,
    /// How many redirects are followed where the job gives no `redirects`.
    pub redirects: u32,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 10_000,
            idle_timeout_ms: 300_000,
            dns_lookups: 8,
            idle_connections_per_host: 64,
            body_limit_bytes: 64 << 20,
            redirects: 10,
        }
    }
}
