//! Drawing: cards with two columns that fit the terminal. Pure: strings in, strings out.

use crate::out::Style;

/// A piece of a line in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Option<Style>, pub(crate) String);

/// A line of a column, before it is wrapped; wrapped lines are indented like the first one.
pub(crate) type Line = Vec<Span>;

/// Plain text.
pub(crate) fn text(text: impl Into<String>) -> Span {
    Span(None, text.into())
}

/// Text in a style.
pub(crate) fn styled(style: Style, text: impl Into<String>) -> Span {
    Span(Some(style), text.into())
}

/// How wide, and whether in colour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paper {
    width: usize,
    colour: bool,
}

impl Paper {
    /// A terminal of `columns`; between 80 and 160 are used.
    pub(crate) fn new(columns: usize, colour: bool) -> Self {
        Self { width: columns.clamp(80, 160), colour }
    }

    /// Bytes in a line of a hexadecimal dump in the right column.
    pub(crate) fn dump_width(self) -> usize {
        // Offset and gaps take 9 characters, each byte 4.
        ((self.columns().1 - 9) / 4) & !3
    }

    /// Widths of the two columns' insides.
    fn columns(self) -> (usize, usize) {
        let inside = self.width - 7;
        let left = inside * 47 / 100;
        (left, inside - left)
    }

    /// A card: a title in the frame, two columns.
    pub(crate) fn card(self, title: &str, left: &[Line], right: &[Line]) -> Vec<String> {
        let (left_width, right_width) = self.columns();
        let left: Vec<Line> = left.iter().flat_map(|line| wrap(line, left_width)).collect();
        let right: Vec<Line> = right.iter().flat_map(|line| wrap(line, right_width)).collect();
        let mut lines = vec![self.top(title, left_width, right_width)];
        for row in 0..left.len().max(right.len()) {
            let bar = self.paint(Some(Style::Dim), "│");
            let left = self.cell(left.get(row), left_width);
            let right = self.cell(right.get(row), right_width);
            lines.push(format!("{bar} {left} {bar} {right} {bar}"));
        }
        let bottom = format!("╰{}┴{}╯", "─".repeat(left_width + 2), "─".repeat(right_width + 2));
        lines.push(self.paint(Some(Style::Dim), &bottom));
        lines
    }

    fn top(self, title: &str, left_width: usize, right_width: usize) -> String {
        let title: String = title.chars().take(left_width + right_width - 2).collect();
        let mut rule: Vec<char> = "─".repeat(left_width + right_width + 5).chars().collect();
        rule[left_width + 2] = '┬';
        let taken = title.chars().count() + 3;
        let rest: String = rule[taken.min(rule.len())..].iter().collect();
        let dim = Some(Style::Dim);
        format!(
            "{} {} {}",
            self.paint(dim, "╭─"),
            self.paint(Some(Style::Bold), &title),
            self.paint(dim, &format!("{rest}╮"))
        )
    }

    fn cell(self, line: Option<&Line>, width: usize) -> String {
        let line = line.map_or(&[][..], Vec::as_slice);
        let used: usize = line.iter().map(|span| span.1.chars().count()).sum();
        let painted: String = line.iter().map(|span| self.paint(span.0, &span.1)).collect();
        format!("{painted}{}", " ".repeat(width.saturating_sub(used)))
    }

    /// A paragraph over the whole width.
    pub(crate) fn paragraph(self, line: &Line) -> Vec<String> {
        let lines = wrap(line, self.width);
        lines.iter().map(|line| line.iter().map(|span| self.paint(span.0, &span.1)).collect()).collect()
    }

    fn paint(self, style: Option<Style>, text: &str) -> String {
        match style {
            Some(style) if self.colour => format!("\x1b[{}m{text}\x1b[0m", style.code()),
            _ => text.to_owned(),
        }
    }
}

/// Breaks a line at spaces; a word that is too long is cut.
fn wrap(line: &[Span], width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut current = Line::new();
    let mut used = 0;
    let indent = line.first().map_or(0, |span| indent(&span.1)).min(width / 2);
    for span in line {
        for piece in pieces(&span.1) {
            let mut piece: Vec<char> = piece.chars().collect();
            while used + trimmed(&piece) > width {
                if used > indent {
                    lines.push(std::mem::take(&mut current));
                    current.push(Span(None, " ".repeat(indent)));
                    used = indent;
                    let blanks = piece.iter().take_while(|c| **c == ' ').count();
                    piece.drain(..blanks);
                } else {
                    let head: String = piece.drain(..width - used).collect();
                    current.push(Span(span.0, head));
                    used = width;
                }
            }
            piece.truncate(width - used);
            used += piece.len();
            current.push(Span(span.0, piece.into_iter().collect()));
        }
    }
    lines.push(current);
    lines
}

/// Where wrapped lines begin: under the text after a bar, or under the first letter.
fn indent(first: &str) -> usize {
    if first.ends_with("┃ ") { first.chars().count() } else { first.chars().take_while(|c| *c == ' ').count() }
}

/// Words with the spaces after them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// Length without spaces at the end.
fn trimmed(piece: &[char]) -> usize {
    piece.iter().rposition(|c| *c != ' ').map_or(0, |last| last + 1)
}

/// Lines of a hexadecimal dump: offset, bytes, and `·` for what is no letter.
pub(crate) fn dump(bytes: &[u8], per_line: usize, lines: usize) -> Vec<Line> {
    let rows = bytes.chunks(per_line).take(lines).enumerate();
    let mut out: Vec<Line> = rows.map(|(row, chunk)| dump_line(row * per_line, chunk, per_line)).collect();
    let rest = bytes.len().saturating_sub(per_line * lines);
    if rest > 0 {
        out.push(vec![styled(Style::Dim, format!("  … and {rest} more bytes of the same"))]);
    }
    out
}

fn dump_line(offset: usize, chunk: &[u8], per_line: usize) -> Line {
    let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
    let letters: String =
        chunk.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '·' }).collect();
    vec![
        styled(Style::Dim, format!("  {offset:04x}  ")),
        styled(Style::Red, format!("{:<width$} ", hex.join(" "), width = per_line * 3)),
        styled(Style::Dim, letters),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &Line) -> String {
        line.iter().map(|span| span.1.as_str()).collect()
    }

    #[test]
    fn every_line_of_a_card_has_the_same_width_from_80_to_160() {
        for columns in [20, 80, 97, 120, 160, 300] {
            let paper = Paper::new(columns, false);
            let left = vec![vec![text("  words ".repeat(30))], vec![text("x".repeat(200))], vec![]];
            let card = paper.card("A title", &left, &dump(&[7; 100], paper.dump_width(), 3));
            let widths: Vec<usize> = card.iter().map(|line| line.chars().count()).collect();
            assert!(
                widths.iter().all(|width| *width == columns.clamp(80, 160)),
                "{columns}: {widths:?}\n{}",
                card.join("\n")
            );
        }
    }

    #[test]
    fn a_line_is_broken_at_spaces_and_keeps_its_indent() {
        let lines = wrap(&[text("  one two"), styled(Style::Bold, " three")], 8);
        let lines: Vec<String> = lines.iter().map(|line| plain(line).trim_end().to_owned()).collect();
        assert_eq!(lines, ["  one", "  two", "  three"]);
    }

    #[test]
    fn a_dump_says_how_much_it_leaves_out() {
        let lines = dump(&[b'a', 0, 255, b'z', 1], 2, 2);
        assert_eq!(plain(&lines[0]), "  0000  61 00  a·");
        assert_eq!(plain(&lines[2]), "  … and 1 more bytes of the same");
    }

    #[test]
    fn without_colours_there_is_no_escape() {
        let card = Paper::new(80, false).card("t", &[vec![styled(Style::Red, "x")]], &[]);
        assert!(!card.concat().contains('\u{1b}'));
        assert!(Paper::new(80, true).card("t", &[vec![styled(Style::Red, "x")]], &[]).concat().contains("\u{1b}[31m"));
    }
}
