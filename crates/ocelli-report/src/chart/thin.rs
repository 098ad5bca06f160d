//! Fewer points, the same picture.

/// Up to so many points a line is drawn as it is.
const MANY: usize = 1000;
/// No run keeps more than this.
const MOST: usize = 4000;

/// Points, in pixels, that draw the same line as `run`.
///
/// Of the points that follow each other within one pixel column, only the first, the lowest, the highest and the last
/// show: the others lie under the stroke between them. A line that wanders back and forth, which leaves too many, is
/// sampled evenly. First and last point always stay.
pub(super) fn thin(run: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if run.len() <= MANY {
        return run.to_vec();
    }
    let mut kept = Vec::new();
    for column in run.chunk_by(|a, b| a.0.floor() == b.0.floor()) {
        keep_extremes(column, &mut kept);
    }
    if kept.len() <= MOST {
        return kept;
    }
    let last = kept.len() - 1;
    (0..MOST).map(|k| kept[k * last / (MOST - 1)]).collect()
}

/// Appends the first, lowest, highest and last point of `column` in their order, each once.
fn keep_extremes(column: &[(f64, f64)], kept: &mut Vec<(f64, f64)>) {
    let (mut lowest, mut highest) = (0, 0);
    for (k, point) in column.iter().enumerate() {
        if point.1 < column[lowest].1 {
            lowest = k;
        }
        if point.1 > column[highest].1 {
            highest = k;
        }
    }
    let mut chosen = [0, lowest, highest, column.len() - 1];
    chosen.sort_unstable();
    for (k, &index) in chosen.iter().enumerate() {
        if k == 0 || chosen[k - 1] != index {
            kept.push(column[index]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_stay() {
        let run: Vec<_> = (0..1000).map(|k| (f64::from(k) * 0.01, 0.0)).collect();
        assert_eq!(thin(&run), run);
    }

    #[test]
    fn a_spike_among_many_points_stays() {
        let mut run: Vec<_> = (0..100_000).map(|k| (f64::from(k) * 0.005, f64::from(k % 7))).collect();
        run[54_321].1 = -900.0;
        run[77_777].1 = 900.0;
        let kept = thin(&run);
        assert!(kept.len() <= 4 * 501, "{}", kept.len());
        assert!(kept.contains(&run[54_321]) && kept.contains(&run[77_777]));
        assert_eq!((kept.first(), kept.last()), (run.first(), run.last()));
        assert!(kept.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn a_line_that_wanders_is_bounded() {
        let run: Vec<_> = (0..50_000).map(|k| (f64::from(k % 2) * 300.0, f64::from(k))).collect();
        let kept = thin(&run);
        assert_eq!(kept.len(), MOST);
        assert_eq!((kept.first(), kept.last()), (run.first(), run.last()));
    }
}
