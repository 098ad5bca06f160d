//! Feature sequences of any length, brought to a fixed number of rows.

use thiserror::Error;

/// A sequence of feature vectors, one a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    rows: usize,
    channels: usize,
    values: Vec<f32>,
}

/// Why values are no sequence, or cannot be brought to another length.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SequenceError {
    /// No rows or no columns.
    #[error(
        "the features have {rows} rows of {channels} numbers; at least one row and one column are needed"
    )]
    Empty {
        /// Rows.
        rows: usize,
        /// Columns.
        channels: usize,
    },
    /// The numbers do not fill rows.
    #[error("{values} numbers do not make {rows} rows of {channels}")]
    Shape {
        /// Numbers given.
        values: usize,
        /// Rows.
        rows: usize,
        /// Columns.
        channels: usize,
    },
    /// A feature is NaN or infinite.
    #[error("row {row}, column {column} (from 0) of the features is {value}")]
    NotFinite {
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// Streams of one video that cannot be laid side by side.
    #[error("streams of {0} and {1} rows differ by more than one")]
    Streams(usize, usize),
    /// A setting out of range.
    #[error("{0}")]
    Setting(String),
}

/// Where the snippets that were described lie in a video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snippets {
    /// Frames of the whole video.
    pub frames: f64,
    /// Its duration.
    pub seconds: f64,
    /// Frames from one snippet to the next; 16 in the released features.
    pub stride: f64,
}

impl Sequence {
    /// `rows` vectors of `channels` numbers, row-major.
    ///
    /// # Errors
    /// [`SequenceError`] when there are none, too few or too many, or one is not finite.
    pub fn new(values: Vec<f32>, [rows, channels]: [usize; 2]) -> Result<Self, SequenceError> {
        if rows == 0 || channels == 0 {
            return Err(SequenceError::Empty { rows, channels });
        }
        if rows.checked_mul(channels) != Some(values.len()) {
            return Err(SequenceError::Shape { values: values.len(), rows, channels });
        }
        if let Some(place) = values.iter().position(|v| !v.is_finite()) {
            let (row, column) = (place / channels, place % channels);
            return Err(SequenceError::NotFinite { row, column, value: values[place] });
        }
        Ok(Self { rows, channels, values })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All numbers, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// A row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.channels..][..self.channels]
    }

    /// The numbers as networks want them, `[channels, rows]`.
    pub fn channels_first(&self) -> Vec<f32> {
        let column = |c: usize| self.values[c..].iter().step_by(self.channels).copied();
        (0..self.channels).flat_map(column).collect()
    }

    /// Streams of one video side by side, over their common length.
    ///
    /// # Errors
    /// When there is no stream, or lengths differ by more than one row.
    pub fn side_by_side(streams: &[Self]) -> Result<Self, SequenceError> {
        let lengths = || streams.iter().map(Self::rows);
        let (Some(rows), Some(longest)) = (lengths().min(), lengths().max()) else {
            return Err(SequenceError::Empty { rows: 0, channels: 0 });
        };
        if longest > rows + 1 {
            return Err(SequenceError::Streams(longest, rows));
        }
        let values = (0..rows).flat_map(|r| streams.iter().flat_map(move |s| s.row(r))).copied().collect();
        Self::new(values, [rows, streams.iter().map(Self::channels).sum()])
    }

    /// Linear resampling to `length` rows, first and last staying first and last; a single row is repeated.
    ///
    /// # Panics
    /// When `length` is 0.
    #[must_use]
    pub fn resized(&self, length: usize) -> Self {
        assert!(length > 0, "features of length 0 are asked for");
        let step = (self.rows - 1) as f64 / (length.max(2) - 1) as f64;
        self.gathered(length, |i| vec![i as f64 * step])
    }

    /// Each of `length` parts of the time that the snippets cover as the mean of `samples` points, linearly interpolated
    /// between the centres of the snippets: the rescaling that the features of ActivityNet are released with.
    ///
    /// Parts before the first centre or behind the last are zero; a single snippet is repeated.
    ///
    /// # Errors
    /// When frames, seconds, stride, `length` or `samples` are not above 0.
    pub fn pooled(&self, length: usize, samples: usize, at: Snippets) -> Result<Self, SequenceError> {
        let above_0 = |v: f64| v > 0.0 && v.is_finite();
        if length == 0 || samples == 0 || ![at.frames, at.seconds, at.stride].into_iter().all(above_0) {
            let text = format!(
                "{} frames in {} seconds, a snippet every {}, {length} parts of {samples} samples: all must be above 0",
                at.frames, at.seconds, at.stride
            );
            return Err(SequenceError::Setting(text));
        }
        let covered = at.stride * self.rows as f64 / at.frames * at.seconds;
        let every = at.stride / (at.frames / at.seconds);
        let (first, last) = (every / 2.0, every / 2.0 + (self.rows - 1) as f64 * every);
        // Kept off the ends, as the released script does.
        const INSIDE: f64 = 1e-4;
        Ok(self.gathered(length, |i| {
            let a = (first + INSIDE).max(i as f64 / length as f64 * covered);
            let b = (last - INSIDE).min((i + 1) as f64 / length as f64 * covered);
            if self.rows == 1 {
                return vec![0.0];
            }
            if b < first || a > last {
                return Vec::new();
            }
            let step = (b - a) / (samples.max(2) - 1) as f64;
            (0..samples).map(|k| (a + step * k as f64 - first) / every).collect()
        }))
    }

    /// Rows that are each the mean of the values at `positions`, in rows from 0; zero where there are none.
    fn gathered(&self, length: usize, positions: impl Fn(usize) -> Vec<f64>) -> Self {
        let mut values = Vec::with_capacity(length * self.channels);
        for i in 0..length {
            let positions = positions(i);
            let mut sums = vec![0.0f64; self.channels];
            for position in &positions {
                let position = position.clamp(0.0, (self.rows - 1) as f64);
                let left = (position as usize).min(self.rows.saturating_sub(2));
                let right = (left + 1).min(self.rows - 1);
                let part = position - left as f64;
                for (sum, (&l, &r)) in sums.iter_mut().zip(self.row(left).iter().zip(self.row(right))) {
                    *sum += f64::from(l) * (1.0 - part) + f64::from(r) * part;
                }
            }
            let count = positions.len().max(1) as f64;
            values.extend(sums.into_iter().map(|sum| (sum / count) as f32));
        }
        Self { rows: length, channels: self.channels, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ramp(rows: usize) -> Sequence {
        let values = (0..rows).flat_map(|r| [r as f32, 1.0 - r as f32]).collect();
        Sequence::new(values, [rows, 2]).unwrap()
    }

    #[test]
    fn resizing_keeps_both_ends() {
        assert_eq!(ramp(3).resized(5).values(), [0.0, 1.0, 0.5, 0.5, 1.0, 0.0, 1.5, -0.5, 2.0, -1.0]);
        assert_eq!(ramp(5).resized(5), ramp(5));
        assert_eq!(ramp(1).resized(3).values(), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(ramp(4).resized(1).values(), [0.0, 1.0]);
    }

    #[test]
    fn pooling_averages_over_the_time_of_each_part() {
        // A snippet a second, centred on the half seconds.
        let at = Snippets { frames: 64.0, seconds: 4.0, stride: 16.0 };
        let pooled = ramp(4).pooled(2, 3, at).unwrap();
        // From 0.5001 to 2 seconds, and from 2 to 3.4999: rows 0.0001 to 1.5, and 1.5 to 2.9999.
        let want = [(0.0001 + 1.5) / 2.0, (1.5 + 2.9999) / 2.0];
        assert!((f64::from(pooled.row(0)[0]) - want[0]).abs() < 1e-6);
        assert!((f64::from(pooled.row(1)[0]) - want[1]).abs() < 1e-6);
        // Of eight parts the first ends before the first centre, the last begins behind the last.
        let fine = ramp(2).pooled(8, 3, Snippets { frames: 32.0, seconds: 2.0, stride: 16.0 }).unwrap();
        assert_eq!((fine.row(0), fine.row(7)), (&[0.0; 2][..], &[0.0; 2][..]));
        assert_ne!(fine.row(3), [0.0; 2]);
        assert_eq!(ramp(1).pooled(3, 3, at).unwrap(), ramp(1).resized(3));
    }

    #[test]
    fn streams_are_laid_side_by_side_over_their_common_length() {
        let both = Sequence::side_by_side(&[ramp(3), ramp(2)]).unwrap();
        assert_eq!((both.rows(), both.channels(), both.row(1)), (2, 4, &[1.0, 0.0, 1.0, 0.0][..]));
        assert_eq!(both.channels_first()[..4], [0.0, 1.0, 1.0, 0.0]);
        assert!(Sequence::side_by_side(&[ramp(4), ramp(2)]).is_err());
        assert!(Sequence::side_by_side(&[]).is_err());
    }

    #[test]
    fn bad_features_are_named() {
        let message = |values: Vec<f32>, shape| Sequence::new(values, shape).unwrap_err().to_string();
        assert!(message(vec![], [0, 400]).starts_with("the features have 0 rows of 400 numbers"));
        assert_eq!(message(vec![1.0; 5], [2, 3]), "5 numbers do not make 2 rows of 3");
        assert_eq!(
            message(vec![0.0, 0.0, 0.0, f32::NAN], [2, 2]),
            "row 1, column 1 (from 0) of the features is NaN"
        );
        let at = Snippets { frames: 0.0, seconds: 4.0, stride: 16.0 };
        assert!(ramp(2).pooled(2, 3, at).unwrap_err().to_string().contains("all must be above 0"));
    }

    proptest! {
        /// Resampling a straight line gives a straight line.
        #[test]
        fn lines_stay_lines(rows in 2usize..40, length in 2usize..60) {
            let resized = ramp(rows).resized(length);
            for i in 0..length {
                let want = i as f64 * (rows - 1) as f64 / (length - 1) as f64;
                prop_assert!((f64::from(resized.row(i)[0]) - want).abs() < 1e-4);
            }
        }
    }
}
