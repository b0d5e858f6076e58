//! Layout inside a chart: moving labels apart, thinning long series, finding the nearest point, and finding the points
//! where lines cross.
//!
//! Points are sorted by their first number.

use super::{count::count, scale::Kind};

/// Returns the indices of the values, from the least value to the greatest.
pub(crate) fn order(values: &[f64]) -> Vec<usize> {
    // A handful of values does not need the standard library's sort, which takes a kilobyte for each type.
    let mut order: Vec<usize> = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        let place = order.partition_point(|other| values[*other] <= *value);
        order.insert(place, at);
    }
    order
}

/// Moves values that are closer together than `gap` apart, and keeps them between `low` and `high` as long as there is
/// room.
pub(crate) fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let (order, mut places) = (order(wanted), wanted.to_vec());
    let mut least = low;
    for at in &order {
        places[*at] = places[*at].max(least);
        least = places[*at] + gap;
    }
    let mut most = high;
    for at in order.iter().rev() {
        places[*at] = places[*at].min(most);
        most = places[*at] - gap;
    }
    places
}

/// Returns the index of the point whose first number is nearest to `x`.
pub(crate) fn nearest(points: &[(f64, f64)], x: f64) -> Option<usize> {
    let after = points.partition_point(|point| point.0 < x);
    match (after.checked_sub(1), points.get(after)) {
        (Some(before), Some(right)) if x - points[before].0 <= right.0 - x => Some(before),
        (_, Some(_)) => Some(after),
        (before, None) => before,
    }
}

/// Thins points in pixels to at most four in each column of one pixel: the first, lowest, highest and last, so that no
/// peak is lost.
pub(crate) fn thinned(points: Vec<(f64, f64)>, width: f64) -> Vec<(f64, f64)> {
    if count(points.len()) <= width * 2.0 {
        return points;
    }
    let mut kept = Vec::new();
    let mut rest = points.as_slice();
    while let Some(first) = rest.first() {
        let end = first.0.floor() + 1.0;
        let (column, after) = rest.split_at(rest.partition_point(|point| point.0 < end).max(1));
        rest = after;
        let (mut low, mut high) = (0, 0);
        for (at, point) in column.iter().enumerate() {
            if point.1 < column[low].1 {
                low = at;
            }
            if point.1 > column[high].1 {
                high = at;
            }
        }
        let mut drawn = None;
        for at in [0, low.min(high), low.max(high), column.len() - 1] {
            if drawn != Some(at) {
                drawn = Some(at);
                kept.push(column[at]);
            }
        }
    }
    kept
}

/// Returns the mean over the first number, of a series that is straight from point to point; `None` without points.
pub(crate) fn mean(points: &[(f64, f64)]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    let whole = last.0 - first.0;
    if whole <= 0.0 {
        return Some(last.1);
    }
    let piece = |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * f64::midpoint(pair[0].1, pair[1].1);
    Some(points.windows(2).map(piece).sum::<f64>() / whole)
}

/// Returns the value of a series at `x`, straight from point to point as it is drawn; `None` outside of the series.
pub(crate) fn value_at(points: &[(f64, f64)], x: f64, kinds: (Kind, Kind)) -> Option<f64> {
    let point = points.get(points.partition_point(|point| point.0 < x))?;
    // A point itself needs no logarithm and no inverse.
    if point.0 <= x { Some(point.1) } else { flat_at(points, x, kinds).map(|flat| kinds.1.unflat(flat)) }
}

fn flat_at(points: &[(f64, f64)], at: f64, (x, y): (Kind, Kind)) -> Option<f64> {
    let after = points.partition_point(|point| point.0 < at);
    let right = points.get(after)?;
    let Some(left) = after.checked_sub(1).map(|before| points[before]) else {
        return (right.0 <= at).then(|| y.flat(right.1));
    };
    let width = x.flat(right.0) - x.flat(left.0);
    let share = if width > 0.0 { (x.flat(at) - x.flat(left.0)) / width } else { 1.0 };
    Some(y.flat(left.1) + (y.flat(right.1) - y.flat(left.1)) * share)
}

/// Returns the points where two series cross as they are drawn. Series that run together or only touch don't cross.
pub(crate) fn crossings(one: &[(f64, f64)], other: &[(f64, f64)], kinds: (Kind, Kind)) -> Vec<(f64, f64)> {
    /// Distance below which two series are together: a millionth of a value on a log scale.
    const TOGETHER: f64 = 1e-6;
    let mut xs: Vec<f64> = one.iter().chain(other).map(|point| point.0).collect();
    xs.sort_unstable_by(f64::total_cmp);
    xs.dedup();
    let mut found = Vec::new();
    let mut before: Option<(f64, f64)> = None;
    for at in xs {
        let (Some(upper), Some(lower)) = (flat_at(one, at, kinds), flat_at(other, at, kinds)) else {
            continue;
        };
        let (here, gap) = (kinds.0.flat(at), upper - lower);
        if gap.abs() < TOGETHER {
            continue;
        }
        if let Some((there, gap_there)) = before
            && (gap > 0.0) != (gap_there > 0.0)
        {
            let x = kinds.0.unflat(there + (here - there) * gap_there / (gap_there - gap));
            found.extend(value_at(one, x, kinds).map(|y| (x, y)));
        }
        before = Some((here, gap));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_collide_and_stay_inside() {
        let mut seed = 7_u32;
        for _ in 0..2000 {
            let wanted: Vec<f64> = (0..4)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f64::from(seed >> 24)
                })
                .collect();
            let places = spread(&wanted, 13.0, 8.0, 190.0);
            let order = order(&wanted);
            for pair in order.windows(2) {
                assert!(places[pair[1]] - places[pair[0]] >= 13.0 - 1e-9, "{wanted:?} {places:?}");
            }
            assert!(places.iter().all(|y| (8.0..=190.0).contains(y)), "{wanted:?} {places:?}");
        }
        assert_eq!(spread(&[50.0, 100.0], 13.0, 8.0, 190.0), [50.0, 100.0], "what is apart stays");
    }

    #[test]
    fn the_nearest_point_is_found() {
        let points = [(1.0, 0.0), (2.0, 0.0), (10.0, 0.0)];
        let at = [-5.0, 1.4, 1.6, 6.0, 6.1, 99.0].map(|x| nearest(&points, x));
        assert_eq!(at, [Some(0), Some(0), Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!(nearest(&[], 1.0), None);
    }

    #[test]
    fn thinning_keeps_every_peak() {
        let mut points: Vec<(f64, f64)> = (0_u32..20_000).map(|at| (f64::from(at) / 100.0, 5.0)).collect();
        points[7_777].1 = 99.0;
        points[13_331].1 = -99.0;
        let thin = thinned(points.clone(), 200.0);
        assert!(thin.len() <= 800, "{}", thin.len());
        assert!(thin.contains(&points[7_777]) && thin.contains(&points[13_331]));
        assert_eq!([thin.first(), thin.last()], [points.first(), points.last()]);
        assert!(thin.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        let few = vec![(0.0, 1.0), (0.1, 2.0)];
        assert_eq!(thinned(few.clone(), 200.0), few);
    }

    #[test]
    fn a_mean_counts_time_and_not_points() {
        // The series is 0 for 9 s, then 10 for one second.
        let points = [(0.0, 0.0), (9.0, 0.0), (9.0, 10.0), (10.0, 10.0)];
        assert_eq!(mean(&points), Some(1.0));
        assert_eq!([mean(&[(3.0, 4.0)]), mean(&[])], [Some(4.0), None]);
    }

    #[test]
    fn lines_cross_where_they_are_drawn_to_cross() {
        let log = (Kind::Log, Kind::Log);
        let flat = [(10.0, 100.0), (1e6, 100.0)];
        let steep = [(10.0, 1.0), (1e6, 1e5)];
        let found = crossings(&flat, &steep, log);
        assert!(found.len() == 1 && (found[0].0 - 1000.0).abs() < 0.01, "{found:?}");
        assert!((found[0].1 - 100.0).abs() < 0.01, "{found:?}");
        assert!(crossings(&flat, &flat, log).is_empty(), "together is not across");
        let touching = [(10.0, 100.0), (1000.0, 1e4), (1e6, 1e4)];
        assert!(crossings(&touching, &flat, log).is_empty(), "neither is touching");
        let half = value_at(&steep, 100.0, log).unwrap();
        assert!((half - 10.0).abs() < 1e-6, "{half}");
        assert_eq!([value_at(&steep, 9.0, log), value_at(&steep, 2e6, log)], [None, None]);
    }
}
