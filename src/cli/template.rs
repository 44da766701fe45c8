//! A job to be made once for each value of a list.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::Error;
use super::pattern::{Item, Pattern};
use crate::protocol::JobSpec;

/// A job with placeholders in its texts.
#[derive(Debug)]
pub(super) struct Template {
    spec: JobSpec,
    argv: Option<Vec<Pattern>>,
    params: Vec<(String, Pattern)>,
    name: Option<Pattern>,
    unique: Option<Pattern>,
    output: Option<Pattern>,
    cwd: Option<Pattern>,
    env: Vec<(String, Pattern)>,
    shell: bool,
}

impl Template {
    /// Makes a template of a job. With `shell` the last word of its argv is a shell's text.
    ///
    /// A command without any placeholder takes the value as its last word.
    pub(super) fn new(mut spec: JobSpec, shell: bool) -> Result<Self, Error> {
        let mut template = Self {
            argv: spec
                .argv
                .take()
                .map(|words| words.iter().map(|word| Pattern::parse(word)).collect()),
            params: take_texts(&mut spec),
            name: spec.name.take().map(|text| Pattern::parse(&text)),
            unique: spec.unique.take().map(|text| Pattern::parse(&text)),
            output: spec.output.take().map(|text| Pattern::parse(&text)),
            cwd: spec.cwd.take().map(|text| Pattern::parse(&text)),
            env: std::mem::take(&mut spec.env)
                .into_iter()
                .map(|(name, value)| (name, Pattern::parse(&value)))
                .collect(),
            spec,
            shell,
        };
        if !template.has_placeholder() {
            template.append_value()?;
        }
        Ok(template)
    }

    fn has_placeholder(&self) -> bool {
        let texts = self.name.iter().chain(&self.output).chain(&self.cwd).chain(&self.unique);
        let pairs = self.params.iter().chain(&self.env).map(|(_, pattern)| pattern);
        texts.chain(pairs).chain(self.argv.iter().flatten()).any(Pattern::has_any)
    }

    fn append_value(&mut self) -> Result<(), Error> {
        let Some(argv) = &mut self.argv else {
            return Err(Error::usage(
                "nothing says where the values go: write {} into a parameter, as in path={}",
            ));
        };
        match argv.last_mut().filter(|_| self.shell) {
            Some(text) => text.append(" {}"),
            None => argv.push(Pattern::parse("{}")),
        }
        Ok(())
    }

    /// The job for one value.
    pub(super) fn fill(&self, item: Item<'_>) -> JobSpec {
        let text = |pattern: &Pattern| pattern.fill(item, false);
        let mut spec = self.spec.clone();
        spec.argv = self.argv.as_ref().map(|argv| self.fill_argv(argv, item));
        spec.params.extend(
            self.params.iter().map(|(name, value)| (name.clone(), Value::String(text(value)))),
        );
        spec.name = self.name.as_ref().map(text);
        spec.unique = self.unique.as_ref().map(text);
        spec.output = self.output.as_ref().map(text);
        spec.cwd = self.cwd.as_ref().map(text);
        spec.env = self
            .env
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect::<BTreeMap<_, _>>();
        spec
    }

    fn fill_argv(&self, argv: &[Pattern], item: Item<'_>) -> Vec<String> {
        let last = argv.len().saturating_sub(1);
        let fill = |(place, word): (usize, &Pattern)| word.fill(item, self.shell && place == last);
        argv.iter().enumerate().map(fill).collect()
    }
}

/// Takes those parameters out of the job that are texts; others have no placeholders.
fn take_texts(spec: &mut JobSpec) -> Vec<(String, Pattern)> {
    let names: Vec<String> = spec
        .params
        .iter()
        .filter(|(_, value)| value.is_string())
        .map(|(name, _)| name.clone())
        .collect();
    let mut take = |name: String| {
        let value = spec.params.remove(&name)?;
        Some((name, Pattern::parse(value.as_str()?)))
    };
    names.into_iter().filter_map(&mut take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> JobSpec {
        let argv = words.iter().map(|word| (*word).to_owned()).collect();
        JobSpec { argv: Some(argv), ..JobSpec::default() }
    }

    fn filled(spec: JobSpec, shell: bool, value: &str) -> JobSpec {
        Template::new(spec, shell).unwrap().fill(Item { value, number: 3 })
    }

    #[test]
    fn a_command_without_placeholder_takes_the_value_last() {
        let spec = filled(command(&["gzip", "-9"]), false, "a b");
        assert_eq!(spec.argv.unwrap(), ["gzip", "-9", "a b"]);
        let spec = filled(command(&["/bin/sh", "-c", "gzip -9"]), true, "a b");
        assert_eq!(spec.argv.unwrap(), ["/bin/sh", "-c", "gzip -9 'a b'"]);
    }

    #[test]
    fn every_text_of_a_job_takes_placeholders() {
        let mut spec = command(&["x", "{}"]);
        spec.name = Some("job-{#}".to_owned());
        spec.output = Some("{.}.{id}.log".to_owned());
        spec.cwd = Some("{//}".to_owned());
        spec.env.insert("FILE".to_owned(), "{/}".to_owned());
        let spec = filled(spec, false, "d/f.x");
        assert_eq!(spec.name.unwrap(), "job-3");
        assert_eq!(spec.output.unwrap(), "d/f.{id}.log");
        assert_eq!(spec.cwd.unwrap(), "d");
        assert_eq!(spec.env["FILE"], "f.x");
    }

    #[test]
    fn a_placeholder_elsewhere_is_enough() {
        let mut spec = command(&["x"]);
        spec.env.insert("FILE".to_owned(), "{}".to_owned());
        assert_eq!(filled(spec, false, "v").argv.unwrap(), ["x"]);
    }

    #[test]
    fn a_kind_without_placeholder_is_refused() {
        let mut spec = JobSpec { kind: Some("sleep".to_owned()), ..JobSpec::default() };
        spec.params.insert("for".to_owned(), "5s".into());
        assert!(Template::new(spec.clone(), false).is_err());
        spec.params.insert("for".to_owned(), "{}s".into());
        assert_eq!(filled(spec, false, "7").params["for"], "7s");
    }
}
