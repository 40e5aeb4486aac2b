//! Aligned columns for people: names to the left, numbers to the right.

use super::plot::escaped;

/// A table with a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns.
    pub fn new(head: &[&str]) -> Table {
        Table { head: head.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// When it has another number of cells than the head.
    pub fn push(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.head.len(), "a cell for every column");
        self.rows.push(row);
    }

    /// The text, each line ended.
    pub fn print(&self) -> String {
        let width = |column: usize| {
            let cells = std::iter::once(&self.head).chain(&self.rows).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut text = line(&self.head, &widths);
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        text.push_str(&line(&rule, &widths));
        self.rows.iter().for_each(|row| text.push_str(&line(row, &widths)));
        text
    }

    /// The same as markup.
    pub fn html(&self) -> String {
        let row = |cells: &[String], tag: &str| {
            let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|cells| row(cells, "td")).collect();
        format!("<table>{}{rows}</table>", row(&self.head, "th"))
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if index == 0 {
            text.push_str(&format!("{cell:<width$}"));
        } else {
            text.push_str(&format!("  {cell:>width$}"));
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// So many of something.
pub fn counted(count: u32, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A number as people read it: three digits that matter, thousands apart.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |(whole, fraction)| (whole, fraction));
    let mut grouped = String::new();
    for (index, character) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(' ');
        }
        grouped.push(character);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["name", "ns"]);
        table.push(vec!["floor".to_owned(), "17.2".to_owned()]);
        table.push(vec!["x".to_owned(), "5 800".to_owned()]);
        assert_eq!(table.print(), "name      ns\n-----  -----\nfloor   17.2\nx      5 800\n");
        let markup = "<table><tr><th>name</th><th>ns</th></tr>\n<tr><td>floor</td><td>17.2</td></tr>\n";
        assert!(table.html().starts_with(markup), "{}", table.html());
    }

    #[test]
    fn figures_have_the_digits_that_matter() {
        let figures = [0.126, 9.994, 17.25, 99.94, 131.4, 5_800.0, 1_234_567.8, -1_500.0, f64::NAN].map(figure);
        assert_eq!(figures, ["0.13", "9.99", "17.2", "99.9", "131", "5 800", "1 234 568", "-1 500", "-"]);
    }
}
