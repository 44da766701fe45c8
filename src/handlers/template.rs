//! The placeholders in the name of a user's output file. Pure text: no file is touched here.

use std::path::{Path, PathBuf};

use crate::job::JobId;

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placeholders<'a> {
    /// `{id}`.
    pub job: JobId,
    /// `{index}`: the place in the array.
    pub index: Option<u64>,
    /// `{name}`: the job's name; a `/` in it becomes `_`, so it stays one file name.
    pub name: Option<&'a str>,
    /// `{attempt}`, from 1.
    pub attempt: u32,
}

/// Why a template can't be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{index}` in the output of a job that is no element of an array.
    #[error("output {0:?} uses {{index}}, but the job is not part of an array: use {{id}}")]
    NoIndex(PathBuf),
    /// `{name}` in the output of a job without a name.
    #[error("output {0:?} uses {{name}}, but the job has no name: give one, or use {{id}}")]
    NoName(PathBuf),
    /// The path has bytes that no text has, so placeholders can't be told apart from them.
    #[error("output {0:?} is not valid UTF-8: rename the file or leave the output to the daemon")]
    NotText(PathBuf),
    /// Nothing is left of the path.
    #[error("the output file has an empty name")]
    Empty,
}

/// Fills in `{id}`, `{index}`, `{name}` and `{attempt}`. Any other brace stands for itself.
pub fn expand_output(
    template: &Path,
    placeholders: &Placeholders<'_>,
) -> Result<PathBuf, TemplateError> {
    let mut rest = template.to_str().ok_or_else(|| TemplateError::NotText(template.into()))?;
    if rest.is_empty() {
        return Err(TemplateError::Empty);
    }
    let mut path = String::with_capacity(rest.len());
    while let Some(open) = rest.find('{') {
        path.push_str(&rest[..open]);
        rest = &rest[open..];
        let end = rest.find('}').map_or(rest.len(), |close| close + 1);
        if let Some(value) = placeholders.value(&rest[..end], template)? {
            path.push_str(&value);
            rest = &rest[end..];
        } else {
            path.push('{');
            rest = &rest[1..];
        }
    }
    path.push_str(rest);
    Ok(PathBuf::from(path))
}

impl Placeholders<'_> {
    fn value(&self, braced: &str, template: &Path) -> Result<Option<String>, TemplateError> {
        Ok(Some(match braced {
            "{id}" => self.job.to_string(),
            "{attempt}" => self.attempt.to_string(),
            "{index}" => {
                self.index.ok_or_else(|| TemplateError::NoIndex(template.to_owned()))?.to_string()
            }
            "{name}" => self
                .name
                .ok_or_else(|| TemplateError::NoName(template.to_owned()))?
                .replace('/', "_"),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders() -> Placeholders<'static> {
        Placeholders { job: JobId::new(12).unwrap(), index: Some(7), name: Some("a/b"), attempt: 2 }
    }

    #[test]
    fn every_placeholder_is_filled_in_and_other_braces_stay() {
        let expand = |text: &str| expand_output(Path::new(text), &placeholders()).unwrap();
        for (template, path) in [
            ("plain.log", "plain.log"),
            ("{id}-{index}.{attempt}", "12-7.2"),
            ("logs/{name}/{id}", "logs/a_b/12"),
            ("{{id}}", "{12}"),
            ("{x}{id", "{x}{id"),
            ("{}", "{}"),
        ] {
            assert_eq!(expand(template), Path::new(path), "{template}");
        }
    }

    #[test]
    fn a_placeholder_without_a_value_is_refused() {
        let bare = Placeholders { index: None, name: None, ..placeholders() };
        let wrong = |text: &str| expand_output(Path::new(text), &bare).unwrap_err();
        assert!(matches!(wrong("{index}"), TemplateError::NoIndex(_)));
        assert!(matches!(wrong("x{name}"), TemplateError::NoName(_)));
        assert!(matches!(wrong(""), TemplateError::Empty));
    }
}
