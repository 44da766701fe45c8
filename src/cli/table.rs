//! Tables for people: columns as wide as they need to be, the last one cut so that lines fit.

use super::output::Style;

/// The fewest columns of the terminal that the last column keeps, however narrow the terminal is.
const LEAST_LAST: usize = 12;
/// What separates two columns.
const GAP: &str = "  ";

/// A colour that stands for a sort of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// Something went well.
    Green,
    /// Something went wrong.
    Red,
    /// Something is under way.
    Cyan,
    /// Something needs a hand.
    Yellow,
}

/// A text of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    colour: Option<Colour>,
}

/// A table under construction.
#[derive(Debug)]
pub(super) struct Table {
    heads: Vec<&'static str>,
    numbers: Vec<bool>,
    rows: Vec<Vec<Cell>>,
    /// Columns that are left out when no row has anything in them.
    optional: Vec<bool>,
}

impl Cell {
    /// A text in a colour.
    pub(super) fn coloured(text: impl Into<String>, colour: Option<Colour>) -> Self {
        Self { text: visible(&text.into()), colour }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::coloured(text, None)
    }
}

impl Table {
    /// A table with these heads. A head that begins with `>` has numbers below it, one that ends in `?`
    /// is left out when no row has anything there.
    pub(super) fn new(heads: &[&'static str]) -> Self {
        let plain = |head: &&'static str| head.trim_start_matches('>').trim_end_matches('?');
        Self {
            heads: heads.iter().map(plain).collect(),
            numbers: heads.iter().map(|head| head.starts_with('>')).collect(),
            optional: heads.iter().map(|head| head.ends_with('?')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it has as many cells as there are heads.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.heads.len());
        self.rows.push(cells);
    }

    /// The table as text.
    pub(super) fn render(&self, style: Style) -> String {
        let shown: Vec<usize> = (0..self.heads.len()).filter(|&c| self.is_shown(c)).collect();
        let mut widths: Vec<usize> = shown.iter().map(|&column| self.width(column)).collect();
        if let Some(total) = style.width {
            shrink_last(&mut widths, total);
        }
        let heads: Vec<Cell> = self.heads.iter().map(|head| Cell::from(*head)).collect();
        let mut text = String::new();
        for row in std::iter::once(&heads).chain(&self.rows) {
            self.render_row(row, &shown, &widths, style, &mut text);
        }
        text
    }

    fn is_shown(&self, column: usize) -> bool {
        !self.optional[column] || self.rows.iter().any(|row| !row[column].text.is_empty())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].text.chars().count());
        cells.chain([self.heads[column].len()]).max().unwrap_or(0)
    }

    fn render_row(
        &self,
        row: &[Cell],
        shown: &[usize],
        widths: &[usize],
        style: Style,
        text: &mut String,
    ) {
        let start = text.len();
        for (place, (&column, &width)) in shown.iter().zip(widths).enumerate() {
            let last = place + 1 == shown.len();
            let cell = &row[column];
            let fitted = if last && style.width.is_some() {
                fit(&cell.text, width)
            } else {
                cell.text.clone()
            };
            let padding = " ".repeat(width.saturating_sub(fitted.chars().count()));
            if self.numbers[column] {
                text.push_str(&padding);
            }
            text.push_str(&painted(&fitted, cell.colour.filter(|_| style.colour)));
            if !last && !self.numbers[column] {
                text.push_str(&padding);
            }
            if !last {
                text.push_str(GAP);
            }
        }
        text.truncate(start + text[start..].trim_end_matches(' ').len());
        text.push('\n');
    }
}

fn shrink_last(widths: &mut [usize], total: usize) {
    if let Some((last, others)) = widths.split_last_mut() {
        let taken: usize = others.iter().map(|width| width + GAP.len()).sum();
        *last = (*last).min(total.saturating_sub(taken).max(LEAST_LAST));
    }
}

/// Cuts a text to `width` characters; what was cut is marked.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The text with its control characters made visible: nothing that a job or another user wrote may
/// drive this terminal.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '�' } else { c }).collect()
}

/// The text in a colour.
pub(super) fn painted(text: &str, colour: Option<Colour>) -> String {
    let number = match colour {
        None => return text.to_owned(),
        Some(Colour::Red) => 31,
        Some(Colour::Green) => 32,
        Some(Colour::Yellow) => 33,
        Some(Colour::Cyan) => 36,
    };
    format!("\x1b[{number}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[">ID", "STATE", "QUEUE?", "WORK"]);
        table.row(vec!["7".into(), "running".into(), "".into(), "encode a long file name".into()]);
        table.row(vec!["12".into(), "queued".into(), "".into(), "true".into()]);
        table
    }

    #[test]
    fn columns_line_up_and_empty_ones_are_left_out() {
        let text = table().render(Style::default());
        let wanted = "ID  STATE    WORK\n 7  running  encode a long file name\n12  queued   true\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn the_last_column_is_cut_to_the_terminal() {
        let text = table().render(Style { width: Some(26), ..Style::default() });
        assert!(text.contains(" 7  running  encode a lon…\n"), "{text}");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(&["STATE", "WORK"]);
        table.row(vec![Cell::coloured("failed", Some(Colour::Red)), "x".into()]);
        let text = table.render(Style { colour: true, ..Style::default() });
        assert_eq!(text, "STATE   WORK\n\x1b[31mfailed\x1b[0m  x\n");
    }

    #[test]
    fn nothing_in_a_table_drives_the_terminal() {
        assert_eq!(visible("a\x1b[31m\nb"), "a�[31m�b");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            texts in prop::collection::vec(".{0,60}", 1..6),
            width in 24usize..100,
        ) {
            let mut table = Table::new(&["ID", "WORK"]);
            for (index, text) in texts.iter().enumerate() {
                table.row(vec![index.to_string().into(), text.as_str().into()]);
            }
            let rendered = table.render(Style { width: Some(width), ..Style::default() });
            prop_assert!(rendered.lines().all(|line| line.chars().count() <= width));
            prop_assert_eq!(rendered.lines().count(), texts.len() + 1);
        }
    }
}
