//! Just enough of Rust's grammar to ask what a file mentions: its text without comments and
//! literals, and the paths in it with their groups spread out.

/// A path as it is used at one place: `use a::{b, c::d}` holds `a::b` and `a::c::d`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathUse {
    pub(super) line: usize,
    pub(super) parts: Vec<String>,
    /// Inline modules around it, such as `mod tests { … }`.
    pub(super) depth: usize,
    /// What follows it, for telling calls apart.
    pub(super) next: String,
}

/// The text with everything in comments, strings and character literals turned into spaces. Lines
/// stay where they are.
pub(super) fn masked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let inside_word = at > 0 && is_word(chars[at - 1]);
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => at + block_comment(rest),
        ['r', '"' | '#', ..] | ['b' | 'c', 'r', '"' | '#', ..] if !inside_word => {
            at + raw_string(rest)
        }
        ['"', ..] => at + quoted(rest, '"'),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => at + quoted(rest, '\''),
        _ => at,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut open, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (open, at) = (open + 1, at + 2),
            ['*', '/', ..] => (open, at) = (open - 1, at + 2),
            _ => at += 1,
        }
        if open == 0 {
            return at;
        }
    }
    at
}

/// The length of `r#"…"#`, or 0 for a raw identifier such as `r#type`.
fn raw_string(rest: &[char]) -> usize {
    let start = rest.iter().position(|&c| c == 'r').unwrap_or(0) + 1;
    let hashes = rest[start..].iter().take_while(|&&c| c == '#').count();
    if rest.get(start + hashes) != Some(&'"') {
        return 0;
    }
    let body = start + hashes + 1;
    let closes = |at: usize| {
        rest[at] == '"'
            && rest[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    (body..rest.len()).find(|&at| closes(at)).map_or(rest.len(), |at| at + 1 + hashes)
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line of a place, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

/// All paths of two or more parts in a masked text.
pub(super) fn paths(code: &str) -> Vec<PathUse> {
    let mut found = Vec::new();
    let mut modules = Modules::default();
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        let word: usize = rest.chars().take_while(|&c| is_word(c)).map(char::len_utf8).sum();
        if word == 0 {
            let next = rest.chars().next().map_or(1, char::len_utf8);
            modules.see(&rest[..next]);
            at += next;
            continue;
        }
        modules.see(&rest[..word]);
        at = tree(code, at, &[], modules.depth(), &mut found);
    }
    found
}

/// Reads the path that begins at `at`, with the groups in it, and says where it ends.
fn tree(
    code: &str,
    mut at: usize,
    before: &[String],
    depth: usize,
    found: &mut Vec<PathUse>,
) -> usize {
    let mut parts = before.to_vec();
    let start = at;
    loop {
        let word: usize = code[at..].chars().take_while(|&c| is_word(c)).map(char::len_utf8).sum();
        if word > 0 && &code[at..at + word] != "self" || parts.is_empty() {
            parts.push(code[at..at + word].to_owned());
        }
        at += word;
        let Some(rest) = code[at..].trim_start().strip_prefix("::") else { break };
        let rest = rest.trim_start();
        at = code.len() - rest.len();
        if rest.starts_with('{') {
            return group(code, at + 1, &parts, depth, found);
        }
        if !rest.starts_with(is_word) {
            break;
        }
    }
    if parts.len() > 1 {
        let next = code[at..].chars().take(40).collect();
        found.push(PathUse { line: line_of(code, start), parts, depth, next });
    }
    at
}

fn group(
    code: &str,
    mut at: usize,
    before: &[String],
    depth: usize,
    found: &mut Vec<PathUse>,
) -> usize {
    while let Some(next) = code[at..].chars().next() {
        if next == '}' {
            return at + 1;
        }
        at += match code[at..].strip_prefix("as ") {
            Some(alias) => 3 + alias.find([',', '}']).unwrap_or(alias.len()),
            None if is_word(next) => tree(code, at, before, depth, found) - at,
            None => next.len_utf8(),
        };
    }
    at
}

/// The inline modules that are open at a place of a text.
#[derive(Default)]
struct Modules {
    /// For each open brace, whether it opened a module.
    open: Vec<bool>,
    /// How many words ago `mod` stood.
    since_mod: Option<usize>,
}

impl Modules {
    fn see(&mut self, token: &str) {
        match token {
            "{" => {
                let module = self.since_mod.take() == Some(1);
                self.open.push(module);
            }
            "}" => drop(self.open.pop()),
            "mod" => self.since_mod = Some(0),
            word if word.starts_with(is_word) => {
                self.since_mod = self.since_mod.map(|words| words + 1);
            }
            space if space.trim().is_empty() => {}
            _ => self.since_mod = None,
        }
    }

    fn depth(&self) -> usize {
        self.open.iter().filter(|module| **module).count()
    }
}

/// The text with every `#[cfg(test)]` module emptied.
pub(super) fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let head = &out[start..];
        let body = head.find(['{', ';']).map_or(out.len(), |found| start + found);
        let end = if out[body..].starts_with('{') { block_end(&out, body) } else { body };
        let blank: String =
            out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

fn block_end(code: &str, start: usize) -> usize {
    let mut open = 0;
    for (at, c) in code[start..].char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 1 => return start + at + 1,
            '}' => open -= 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_and_literals_are_not_code() {
    let text =
        "a // unsafe\n/* b /* c */ d */ e \"f\\\"g\" 'h' '\\'' 'life r#\"i\"j\"# k br\"l\" r#type";
    let words: Vec<String> = masked(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "e", "'life", "k", "r#type"]);
    assert_eq!(masked("\"a\nb\"").len(), 5);
}

#[test]
fn groups_are_spread_out() {
    let code = "use crate::{a::{B, self}, c};\nfn x() { crate :: d::e(1) }";
    let found: Vec<String> = paths(code).iter().map(|path| path.parts.join("::")).collect();
    assert_eq!(found, ["crate::a::B", "crate::a", "crate::c", "crate::d::e"]);
    assert_eq!(paths(code).last().map(|path| path.line), Some(2));
}

#[test]
fn inline_modules_are_counted() {
    let found = paths("fn f() { a::b }\nmod tests { use c::d; mod x { e::f } }\ng::h");
    let depths: Vec<usize> = found.iter().map(|path| path.depth).collect();
    assert_eq!(depths, [0, 1, 2, 0]);
}

#[test]
fn test_modules_can_be_taken_out() {
    let code = "a\n#[cfg(test)]\nmod tests { b { c } }\nd\n#[cfg(test)]\nmod e;\nf";
    let words: Vec<String> = without_tests(code).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "d", ";", "f"]);
}
