//! Text in columns.

/// Rows of cells, the first of which are the headings.
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
    /// Whether a column contains numbers, which are right-aligned.
    numbers: [bool; N],
}

impl<const N: usize> Table<N> {
    /// Starts a table. A heading that begins with `#` is that of a column of numbers.
    pub(crate) fn new(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(|heading| heading.trim_start_matches('#').to_owned())],
            numbers: headings.map(|heading| heading.starts_with('#')),
        }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Prints the table, indented by three spaces, with a line under the headings.
    pub(crate) fn print(&self) {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(widths).zip(self.numbers);
            let line: Vec<_> = cells
                .map(|((cell, width), is_number)| match is_number {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                })
                .collect();
            println!("   {}", line.join("  ").trim_end());
            if index == 0 {
                println!("   {}", widths.map(|width| "-".repeat(width)).join("  "));
            }
        }
        println!();
    }
}
