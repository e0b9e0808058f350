//! Where the rows of a long list are when each has a height of its own: a Fenwick tree over the heights, so that "where
//! is row i" and "which row is at y" cost a few steps for ten thousand rows.

/// The heights of rows, in CSS pixels.
#[derive(Debug, Clone, Default)]
pub struct Heights {
    rows: Vec<f64>,
    tree: Vec<f64>,
}

impl Heights {
    /// Of these rows.
    pub fn new(rows: Vec<f64>) -> Self {
        let mut tree = vec![0.0; rows.len() + 1];
        for (index, height) in rows.iter().enumerate() {
            tree[index + 1] += height;
            let parent = (index + 1) + low_bit(index + 1);
            if parent < tree.len() {
                tree[parent] += tree[index + 1];
            }
        }
        Self { rows, tree }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The height of one row; 0 beyond the end.
    pub fn height(&self, row: usize) -> f64 {
        self.rows.get(row).copied().unwrap_or(0.0)
    }

    /// A row turned out to be this high.
    pub fn set(&mut self, row: usize, height: f64) {
        let Some(old) = self.rows.get_mut(row) else { return };
        let grown = height - *old;
        *old = height;
        let mut node = row + 1;
        while node < self.tree.len() {
            self.tree[node] += grown;
            node += low_bit(node);
        }
    }

    /// Where a row begins: the sum of all heights before it.
    pub fn top(&self, row: usize) -> f64 {
        let mut node = row.min(self.rows.len());
        let mut sum = 0.0;
        while node > 0 {
            sum += self.tree[node];
            node -= low_bit(node);
        }
        sum
    }

    /// All of them together.
    pub fn total(&self) -> f64 {
        self.top(self.rows.len())
    }

    /// The row at this distance from the top; the last one beyond the end.
    pub fn at(&self, y: f64) -> usize {
        let (mut row, mut left) = (0, y.max(0.0));
        let mut step = self.rows.len().next_power_of_two();
        while step > 0 {
            let node = row + step;
            if node < self.tree.len() && self.tree[node] <= left {
                row = node;
                left -= self.tree[node];
            }
            step /= 2;
        }
        row.min(self.rows.len().saturating_sub(1))
    }

    /// The rows between two distances from the top: first, and one after the last.
    pub fn window(&self, from: f64, to: f64) -> (usize, usize) {
        if self.rows.is_empty() { (0, 0) } else { (self.at(from), self.at(to) + 1) }
    }
}

fn low_bit(node: usize) -> usize {
    node & node.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Heights {
        Heights::new((0..1000).map(|row| 20.0 + f64::from(row % 7)).collect())
    }

    #[test]
    fn tops_are_the_sums_of_what_is_above() {
        let heights = sample();
        let mut sum = 0.0;
        for row in 0..heights.len() {
            assert!((heights.top(row) - sum).abs() < 1e-6);
            assert_eq!(heights.at(sum + 1.0), row);
            assert_eq!(heights.at(sum), row);
            sum += heights.height(row);
        }
        assert!((heights.total() - sum).abs() < 1e-6);
    }

    #[test]
    fn a_measured_row_moves_all_below_it() {
        let mut heights = sample();
        let (before, third) = (heights.top(500), heights.top(3));
        heights.set(3, 200.0);
        assert!((heights.top(500) - before - (200.0 - 23.0)).abs() < 1e-6);
        assert!((heights.top(3) - third).abs() < 1e-6);
        assert_eq!(heights.at(third + 150.0), 3);
    }

    #[test]
    fn beyond_the_ends_is_the_first_and_the_last() {
        let heights = sample();
        assert_eq!(heights.at(-5.0), 0);
        assert_eq!(heights.at(1e9), 999);
        assert_eq!(Heights::default().window(0.0, 100.0), (0, 0));
        assert_eq!(heights.window(0.0, 20.0), (0, 2));
    }
}
