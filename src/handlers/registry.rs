//! The kinds by name: those that come with the program and those that an embedder adds.
//!
//! Invariant: a spec that passed [`Registry::check`] has only parameters that its kind declares, in
//! their typed form, and a class that a handler exists for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::job::{Class, Context, Lane, Spec};
use crate::process::Processes;

use super::kind::Kind;
use super::nearest;
use super::options::Options;
use super::param::ParamError;
use super::sleep;
use super::{checksum, command, compress, http};

/// The kinds by name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Kind>,
}

/// What the built-in kinds work with.
#[derive(Clone)]
pub struct Trades {
    /// What starts and waits for commands.
    pub processes: Processes,
    /// Where the daemon listens, for `$TWOLANE_SOCKET` of its commands.
    pub socket: Option<PathBuf>,
    /// Their settings.
    pub options: Options,
}

/// How a checked job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The class; never `auto`.
    pub class: Class,
    /// The lane that follows from it.
    pub lane: Lane,
}

/// Why a job is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// There is no such kind.
    #[error("unknown kind {name:?}{hint}: use one of {known}", hint = nearest.as_ref().map_or_else(String::new, |n| format!(" (did you mean {n:?}?)")))]
    UnknownKind {
        /// What was named.
        name: String,
        /// The kind that is spelled most like it.
        nearest: Option<String>,
        /// The kinds that exist, separated by commas.
        known: String,
    },
    /// The kind does not take what it was given.
    #[error(transparent)]
    Param(#[from] ParamError),
}

/// Why a kind can't be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Another kind has the name.
    #[error("there is a kind called {0:?} already: give the new one another name")]
    Duplicate(&'static str),
    /// A class is declared that no handler runs.
    #[error("kind {kind:?} declares class {class} but has no handler for it")]
    NoHandler {
        /// Which kind.
        kind: &'static str,
        /// Which class.
        class: Class,
    },
}

impl Registry {
    /// No kinds at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The kinds that come with the program.
    pub fn builtin(trades: &Trades) -> Self {
        let kinds = [
            command::kind(trades),
            http::kind(&trades.options.http),
            checksum::kind(),
            compress::compress(),
            compress::decompress(),
            sleep::kind(),
        ];
        Self { kinds: kinds.into_iter().map(|kind| (kind.info.name, kind)).collect() }
    }

    /// Adds a kind.
    pub fn add(&mut self, kind: Kind) -> Result<(), AddError> {
        let name = kind.info.name;
        if self.kinds.contains_key(name) {
            return Err(AddError::Duplicate(name));
        }
        let classes = kind.info.classes.iter().chain([&kind.info.class]);
        if let Some(class) = classes.copied().find(|class| kind.handler(*class).is_none()) {
            return Err(AddError::NoHandler { kind: name, class });
        }
        self.kinds.insert(name, kind);
        Ok(())
    }

    /// The kind called `name`.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name)
    }

    /// All kinds, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values()
    }

    /// Makes the spec's parameters fit its kind and says how the job runs.
    ///
    /// Afterwards the parameters are typed and complete. `spec.class` stays as the user said it.
    pub fn check(&self, spec: &mut Spec, context: &Context) -> Result<Resolved, CheckError> {
        let kind = self.get(&spec.kind).ok_or_else(|| self.unknown(&spec.kind))?;
        let (class, lane) = kind.resolve(spec.class)?;
        kind.check(&mut spec.params, context)?;
        Ok(Resolved { class, lane })
    }

    fn unknown(&self, name: &str) -> CheckError {
        let names = || self.kinds.keys().copied();
        CheckError::UnknownKind {
            name: name.to_owned(),
            nearest: nearest(name, names()).map(str::to_owned),
            known: names().collect::<Vec<_>>().join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn registry() -> Registry {
        Registry::builtin(&Trades::for_tests())
    }

    fn check(spec: &mut Spec) -> Result<Resolved, CheckError> {
        registry().check(spec, &Context::default())
    }

    fn sleep(class: Class, params: serde_json::Value) -> Spec {
        let params = params.as_object().cloned().unwrap();
        Spec { kind: "sleep".to_owned(), class, params, ..Spec::default() }
    }

    #[test]
    fn a_good_spec_is_typed_and_routed() {
        let mut spec = sleep(Class::Auto, json!({"for": "2m"}));
        assert_eq!(check(&mut spec), Ok(Resolved { class: Class::Io, lane: Lane::Async }));
        assert_eq!(spec.params["for"], json!(120.0));
        assert_eq!(spec.class, Class::Auto);
        let mut spec = sleep(Class::Blocking, json!({"for": 2}));
        assert_eq!(check(&mut spec), Ok(Resolved { class: Class::Blocking, lane: Lane::Pool }));
    }

    #[test]
    fn an_unknown_kind_is_refused_with_the_nearest() {
        let mut spec = Spec { kind: "slep".to_owned(), ..Spec::default() };
        let error = check(&mut spec).unwrap_err();
        assert!(matches!(&error, CheckError::UnknownKind { nearest: Some(n), .. } if n == "sleep"));
        assert!(error.to_string().contains("command"), "{error}");
    }

    #[test]
    fn an_unknown_a_missing_and_a_wrong_parameter_are_refused() {
        let refused = |params| match check(&mut sleep(Class::Auto, params)) {
            Err(CheckError::Param(error)) => error,
            other => panic!("{other:?}"),
        };
        let unknown = refused(json!({"fro": "1s"}));
        assert!(
            matches!(&unknown, ParamError::Unknown { nearest: Some(n), .. } if n == "for"),
            "{unknown}"
        );
        assert!(matches!(refused(json!({})), ParamError::Missing { .. }));
        assert!(matches!(refused(json!({"for": [1]})), ParamError::Value { .. }));
    }

    #[test]
    fn a_class_without_a_handler_is_refused() {
        let refused = check(&mut sleep(Class::Cpu, json!({"for": 1}))).unwrap_err().to_string();
        assert_eq!(refused, "kind sleep can't run as class cpu: use io or blocking");
        let mut spec = Spec {
            kind: "command".to_owned(),
            class: Class::Blocking,
            params: json!({"argv": ["true"]}).as_object().cloned().unwrap(),
            ..Spec::default()
        };
        let refused = check(&mut spec).unwrap_err().to_string();
        assert!(refused.ends_with("use io"), "{refused}");
    }

    #[test]
    fn a_second_kind_of_the_same_name_is_refused() {
        let mut registry = registry();
        let again = registry.get("sleep").unwrap().clone();
        assert_eq!(registry.add(again), Err(AddError::Duplicate("sleep")));
    }

    #[test]
    fn a_kind_must_have_a_handler_for_each_of_its_classes() {
        let mut kind = sleep::kind();
        kind.info.name = "nap";
        kind.blocking = None;
        let refused = Registry::empty().add(kind);
        assert_eq!(refused, Err(AddError::NoHandler { kind: "nap", class: Class::Blocking }));
    }

    #[test]
    fn the_defaults_of_every_kind_fit_their_own_declaration() {
        for kind in registry().kinds() {
            for param in &kind.info.params {
                if let Some(default) = param.default {
                    assert!(param.fit(param.name, default.into()).is_ok(), "{}", param.name);
                    assert!(!param.required, "{} {}", kind.info.name, param.name);
                }
            }
        }
    }

    #[test]
    fn every_kind_has_a_handler_for_each_of_its_classes() {
        for kind in registry().kinds() {
            for class in kind.info.classes.iter().chain([&Class::Auto]) {
                assert!(kind.handler(*class).is_some(), "{} {class}", kind.info.name);
            }
        }
    }
}
