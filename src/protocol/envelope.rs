//! The envelope around every message.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A call, client to daemon. Its parameters stay text until the method is known.
#[derive(Debug, Deserialize, Serialize)]
pub struct Call<'a> {
    /// The method with its interface: `io.twolane.Scheduler.Submit`.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The parameters, if there are any.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<&'a RawValue>,
    /// The client takes any number of replies.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// The client takes no reply at all.
    #[serde(default, skip_serializing_if = "is_false")]
    pub oneway: bool,
}

/// A reply, daemon to client.
#[derive(Debug, Deserialize)]
pub struct Reply<'a> {
    /// What came back.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
    /// Another reply to the same call follows.
    #[serde(default)]
    pub continues: bool,
    /// The error's name with its interface; the parameters are then the error's fields.
    #[serde(borrow, default)]
    pub error: Option<Cow<'a, str>>,
}

/// An error as it is told to a client: a name and fields.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyError {
    /// The name with its interface.
    pub name: String,
    /// The error's fields.
    pub parameters: serde_json::Value,
}

#[derive(Serialize)]
struct Success<'a, T> {
    parameters: &'a T,
    #[serde(skip_serializing_if = "is_false")]
    continues: bool,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
    parameters: &'a serde_json::Value,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields by reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Turns messages into their bytes, without the NUL that ends them.
pub mod encode {
    use super::{Call, Failure, ReplyError, Serialize, Success};

    /// A call of `method` (with its interface).
    pub fn call<T: Serialize>(
        method: &str,
        parameters: &T,
        more: bool,
    ) -> serde_json::Result<Vec<u8>> {
        let parameters = serde_json::value::to_raw_value(parameters)?;
        serde_json::to_vec(&Call {
            method: method.into(),
            parameters: Some(&parameters),
            more,
            oneway: false,
        })
    }

    /// A reply; `continues` when another follows.
    pub fn reply<T: Serialize>(parameters: &T, continues: bool) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Success { parameters, continues })
    }

    /// An error, which ends the call.
    pub fn error(error: &ReplyError) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Failure { error: &error.name, parameters: &error.parameters })
    }
}
