//! A kind: what it is called, what it takes, and the code that runs it.

use std::sync::Arc;

use crate::job::{Class, Context, Lane, Params};

use super::handler::{AsyncHandler, BlockingHandler, Handler};
use super::nearest;
use super::param::{Param, ParamError};

/// What a kind declares about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct KindInfo {
    /// The name that specs use.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// The class of jobs that name none.
    pub class: Class,
    /// The classes that a job of this kind may name; `auto` always may be.
    pub classes: Vec<Class>,
    /// How many runs may follow the first where the user said nothing.
    pub retries: u32,
    /// Its parameters.
    pub params: Vec<Param>,
}

/// A kind with its handlers.
#[derive(Clone)]
pub struct Kind {
    /// What it declares.
    pub info: KindInfo,
    /// What runs it on the async lane.
    pub asynchronous: Option<Arc<dyn AsyncHandler>>,
    /// What runs it on the pool.
    pub blocking: Option<Arc<dyn BlockingHandler>>,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kind").field("info", &self.info).finish_non_exhaustive()
    }
}

impl KindInfo {
    /// A kind of one class, with no retries and no parameters yet.
    pub fn new(name: &'static str, class: Class, doc: &'static str) -> Self {
        Self { name, doc, class, classes: vec![class], retries: 0, params: Vec::new() }
    }

    /// The declaration of the parameter called `name`.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.takes(name))
    }
}

impl Kind {
    /// A kind that waits.
    pub fn asynchronous(info: KindInfo, handler: impl AsyncHandler) -> Self {
        Self { info, asynchronous: Some(Arc::new(handler)), blocking: None }
    }

    /// A kind that blocks or burns CPU.
    pub fn blocking(info: KindInfo, handler: impl BlockingHandler) -> Self {
        Self { info, asynchronous: None, blocking: Some(Arc::new(handler)) }
    }

    /// The same kind, which can also run on the pool.
    #[must_use]
    pub fn also_blocking(self, handler: impl BlockingHandler) -> Self {
        Self { blocking: Some(Arc::new(handler)), ..self }
    }

    /// What runs a job of this class: `io` the async handler, `blocking` the blocking one, `cpu` the
    /// blocking one or, where there is none, the async one while its lane holds the core permits.
    pub fn handler(&self, class: Class) -> Option<Handler> {
        let waits = || self.asynchronous.clone().map(Handler::Async);
        let burns = || self.blocking.clone().map(Handler::Blocking);
        match class {
            Class::Auto => self.handler(self.start_class()),
            Class::Io => waits(),
            Class::Blocking => burns(),
            Class::Cpu => burns().or_else(waits),
        }
    }

    /// The class that a job runs as which asked for this one; never `auto`.
    pub fn runs_as(&self, asked: Class) -> Class {
        if asked == Class::Auto { self.start_class() } else { asked }
    }

    /// The class that a job runs as, and the lane that follows from it.
    pub(super) fn resolve(&self, asked: Class) -> Result<(Class, Lane), ParamError> {
        let class = match asked {
            Class::Auto => self.start_class(),
            asked if self.info.classes.contains(&asked) => asked,
            asked => return Err(self.refuse(asked)),
        };
        Ok((class, if class == Class::Io { Lane::Async } else { Lane::Pool }))
    }

    /// Makes every parameter fit its declaration, fills in defaults, and asks the handlers.
    pub(super) fn check(&self, params: &mut Params, context: &Context) -> Result<(), ParamError> {
        let given = std::mem::take(params);
        for (name, value) in given {
            let param = self.info.param(&name).ok_or_else(|| self.unknown(&name))?;
            params.insert(name.clone(), param.fit(&name, value)?);
        }
        for param in &self.info.params {
            self.complete(param, params)?;
        }
        self.asynchronous.iter().try_for_each(|handler| handler.check(params, context))?;
        self.blocking.iter().try_for_each(|handler| handler.check(params, context))
    }

    fn complete(&self, param: &Param, params: &mut Params) -> Result<(), ParamError> {
        if params.contains_key(param.name) {
            return Ok(());
        }
        if let Some(default) = param.default {
            params.insert(param.name.to_owned(), param.fit(param.name, default.into())?);
        } else if param.required {
            return Err(ParamError::Missing {
                kind: self.info.name.to_owned(),
                name: param.name.to_owned(),
                doc: param.doc.to_owned(),
            });
        }
        Ok(())
    }

    /// Unknown work starts as `cpu`, the safe side: it can't crowd the machine.
    fn start_class(&self) -> Class {
        if self.info.class == Class::Auto { Class::Cpu } else { self.info.class }
    }

    fn unknown(&self, name: &str) -> ParamError {
        let names = self.info.params.iter().map(|param| param.name);
        ParamError::Unknown {
            kind: self.info.name.to_owned(),
            name: name.to_owned(),
            nearest: nearest(name, names).map(str::to_owned),
        }
    }

    /// Who asks for `blocking` means that the work waits, so `io` is the answer where it exists.
    fn refuse(&self, class: Class) -> ParamError {
        let allowed = if class == Class::Blocking && self.info.classes.contains(&Class::Io) {
            "io".to_owned()
        } else {
            let names = self.info.classes.iter().map(|class| class.name());
            names.collect::<Vec<_>>().join(" or ")
        };
        ParamError::Class { kind: self.info.name.to_owned(), class, allowed }
    }
}
