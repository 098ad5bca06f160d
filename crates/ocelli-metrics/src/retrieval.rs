//! Retrieval between texts and items (videos, pictures): R@K, median and mean rank, mAP, in both directions.
//!
//! | variant | text to item | item to text | median | used for |
//! |---|---|---|---|---|
//! | [`Clip`](RetrievalVariant::Clip) | one text an item; every place with the own score is a rank | the same | of two middle ranks the mean | CLIP4Clip and descendants |
//! | [`Multi`](RetrievalVariant::Multi) | over all texts | an item's texts count as their best one, then as above | text to item: the lower one | MSVD: several sentences a video |
//! | [`AnyOf`](RetrievalVariant::AnyOf) | over all texts | the best placed of the own texts | the mean | Flickr30K, COCO: five captions a picture |
//!
//! An [`ItemRanks`] holds the ranks of one item and its texts in the whole gallery. Items are thus ranked apart and only
//! once; metrics are of any multiset of items.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | RET-1 | clip: each place whose score equals the own one is a rank, so the list that shares are taken over may be longer than the number of queries | strict | `ties_lengthen_the_list` |
//! | RET-2 | multi: the median of text to item is the lower of the two in the middle | strict | `medians_differ_by_direction` |
//! | RET-3 | multi: item to text compares an item with whole groups of texts | strict | `groups_count_as_their_best_text` |
//! | RET-4 | multi: equal scores come in no certain order | corrected: earlier items first | `equal_scores_keep_their_order` |
//! | RET-5 | items without texts are no queries, and compete all the same | strict | `items_without_texts_compete` |

use crate::average_precision::{ApRule, average_precision};
use crate::named::named_variants;
use crate::{Matrix, MetricError, Result, check};
use rayon::prelude::*;
use serde::Serialize;

/// Which evaluator; see the [module's table](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetrievalVariant {
    /// One text an item.
    #[default]
    Clip,
    /// Several texts an item, grouped.
    Multi,
    /// Several texts an item, any of which will do.
    AnyOf,
}

named_variants!(RetrievalVariant, "retrieval variant", {
    Clip => "clip",
    Multi => "multi",
    AnyOf => "any-of",
});

/// The ranks of an item and of its texts, all from 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ItemRanks {
    /// Text to item: the item's rank for each of its texts; with ties in [`RetrievalVariant::Clip`] several.
    pub of_item: Vec<u32>,
    /// Item to text: the rank of its text, group, or best text; with ties several; none without texts.
    pub of_text: Vec<u32>,
    /// Item to text: average precision.
    pub average_precision: Vec<f64>,
}

impl ItemRanks {
    /// Ranks in a list with one hit, whose average precision is the reciprocal of its rank.
    fn found_once(of_item: Vec<u32>, of_text: Vec<u32>) -> Self {
        let average_precision = of_text.iter().map(|&rank| reciprocal(rank)).collect();
        Self { of_item, of_text, average_precision }
    }
}

/// The items of a test set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetrievalRecords {
    variant: RetrievalVariant,
    /// The items, in order.
    pub items: Vec<ItemRanks>,
}

/// The metrics of one direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Direction {
    /// Share of ranks below each K, in per cent.
    pub recall: Vec<f64>,
    /// Median rank, from 1.
    pub median_rank: f64,
    /// Mean rank, from 1.
    pub mean_rank: f64,
    /// Mean average precision.
    pub map: f64,
}

/// The metrics of both directions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetrievalSummary {
    /// Texts are queries.
    pub text_to_item: Direction,
    /// Items are queries.
    pub item_to_text: Direction,
}

impl RetrievalRecords {
    /// Ranks all texts and items by `similarity` `[texts, items]`; `owner[t]` is the item that text `t` describes.
    ///
    /// # Errors
    /// A number of owners other than that of texts, an owner that is no item, and for [`RetrievalVariant::Clip`] an item
    /// that has not exactly one text.
    pub fn new(variant: RetrievalVariant, similarity: Matrix<'_>, owner: &[usize]) -> Result<Self> {
        check::same_length("owners", owner.len(), "the texts", similarity.rows())?;
        let items = similarity.columns();
        let mut texts = vec![Vec::new(); items];
        for (text, &item) in owner.iter().enumerate() {
            let own: &mut Vec<usize> =
                texts.get_mut(item).ok_or(MetricError::UnknownItem { text, item, items })?;
            own.push(text);
        }
        if variant == RetrievalVariant::Clip
            && let Some(item) = texts.iter().position(|own| own.len() != 1)
        {
            let wanted = "1 in variant `clip`; `multi` and `any-of` allow several";
            return Err(check::setting(
                "texts of an item",
                format!("{} (item {item})", texts[item].len()),
                wanted,
            ));
        }
        let gallery = Gallery { similarity, texts };
        let items = match variant {
            RetrievalVariant::Clip => gallery.one_to_one(&gallery.rivals(owner)),
            RetrievalVariant::Multi => gallery.by_group(),
            RetrievalVariant::AnyOf => gallery.any_of(&gallery.rivals(owner)),
        };
        Ok(Self { variant, items })
    }

    /// Adds the items of another part of the queries; all parts are ranked in the same gallery.
    ///
    /// # Errors
    /// When its variant is another.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.variant != other.variant {
            return Err(check::setting("variant of a part", other.variant, "that of the other parts"));
        }
        self.items.extend(other.items);
        Ok(())
    }

    /// The metrics over all items, with recall at each of `ks`.
    ///
    /// # Errors
    /// When a direction has no query; a K of 0.
    pub fn summary(&self, ks: &[usize]) -> Result<RetrievalSummary> {
        self.summary_of(self.items.iter(), ks)
    }

    /// The metrics over the items with these indices, each counted as often as it is named.
    ///
    /// # Errors
    /// As [`Self::summary`].
    ///
    /// # Panics
    /// When there is no such item.
    pub fn summary_of_sample(&self, sample: &[usize], ks: &[usize]) -> Result<RetrievalSummary> {
        self.summary_of(sample.iter().map(|&i| &self.items[i]), ks)
    }

    fn summary_of<'a>(
        &self,
        items: impl Iterator<Item = &'a ItemRanks> + Clone,
        ks: &[usize],
    ) -> Result<RetrievalSummary> {
        check::ranks("K", ks)?;
        let lower = self.variant == RetrievalVariant::Multi;
        let of_items: Vec<u32> = items.clone().flat_map(|i| &i.of_item).copied().collect();
        let precisions = of_items.iter().map(|&rank| reciprocal(rank)).collect();
        let text_to_item = Direction::new("texts", of_items, precisions, ks, lower)?;
        let of_texts: Vec<u32> = items.clone().flat_map(|i| &i.of_text).copied().collect();
        let precisions = items.flat_map(|i| &i.average_precision).copied().collect();
        let item_to_text = Direction::new("items with texts", of_texts, precisions, ks, false)?;
        Ok(RetrievalSummary { text_to_item, item_to_text })
    }
}

/// The average precision of a list with one hit.
fn reciprocal(rank: u32) -> f64 {
    1.0 / (f64::from(rank) + 1.0)
}

impl Direction {
    fn new(
        name: &'static str,
        mut ranks: Vec<u32>,
        precisions: Vec<f64>,
        ks: &[usize],
        lower_median: bool,
    ) -> Result<Self> {
        check::at_least(name, ranks.len(), 1)?;
        let count = ranks.len() as f64;
        let share = |&k: &usize| ranks.iter().filter(|r| (**r as usize) < k).count() as f64 * 100.0 / count;
        let recall = ks.iter().map(share).collect();
        let mean_rank = ranks.iter().map(|&r| f64::from(r)).sum::<f64>() / count + 1.0;
        let map = precisions.iter().sum::<f64>() / precisions.len() as f64;
        ranks.sort_unstable();
        let (low, high) = (ranks[(ranks.len() - 1) / 2], ranks[ranks.len() / 2]);
        let median = if lower_median { f64::from(low) } else { (f64::from(low) + f64::from(high)) / 2.0 };
        Ok(Self { recall, median_rank: median + 1.0, mean_rank, map })
    }
}

/// How a text stands among all texts in the eyes of the item that it describes.
#[derive(Clone, Copy, Debug, Default)]
struct Rivals {
    /// Texts with a higher score.
    higher: u32,
    /// Texts with the same score, itself included.
    equal: u32,
    /// Those of them that come before it.
    earlier: u32,
}

/// Rows of the table that are counted in one go.
const BLOCK: usize = 64;

/// All similarities, and the texts of each item.
struct Gallery<'a> {
    similarity: Matrix<'a>,
    texts: Vec<Vec<usize>>,
}

impl Gallery<'_> {
    /// The rivals of each text. The table is walked along its rows, once: it may be far larger than any cache.
    fn rivals(&self, owner: &[usize]) -> Vec<Rivals> {
        let columns = self.similarity.columns();
        let own: Vec<f64> = owner.iter().enumerate().map(|(t, &item)| self.similarity.row(t)[item]).collect();
        let count = |mut rivals: Vec<Rivals>, (block, values): (usize, &[f64])| {
            for (other, row) in (block * BLOCK..).zip(values.chunks_exact(columns)) {
                for (text, (mine, &item)) in rivals.iter_mut().zip(owner).enumerate() {
                    let is_equal = row[item] == own[text];
                    mine.higher += u32::from(row[item] > own[text]);
                    mine.equal += u32::from(is_equal);
                    mine.earlier += u32::from(is_equal && other < text);
                }
            }
            rivals
        };
        let none = || vec![Rivals::default(); owner.len()];
        let sum = |mut a: Vec<Rivals>, b: Vec<Rivals>| {
            a.iter_mut().zip(b).for_each(|(a, b)| {
                *a = Rivals {
                    higher: a.higher + b.higher,
                    equal: a.equal + b.equal,
                    earlier: a.earlier + b.earlier,
                };
            });
            a
        };
        let blocks = self.similarity.values().par_chunks(BLOCK * columns).enumerate();
        blocks.fold(none, count).reduce(none, sum)
    }

    fn one_to_one(&self, rivals: &[Rivals]) -> Vec<ItemRanks> {
        let rank = |item: usize| {
            let text = self.texts[item][0];
            let row = self.similarity.row(text);
            let Rivals { higher, equal, .. } = rivals[text];
            ItemRanks::found_once(
                all_places(row[item], row.iter().copied()),
                (higher..higher + equal).collect(),
            )
        };
        (0..self.texts.len()).into_par_iter().map(rank).collect()
    }

    fn by_group(&self) -> Vec<ItemRanks> {
        // A row a group: the best score that any of its texts has with each item.
        let best = |texts: &Vec<usize>| {
            let mut best = vec![f64::NEG_INFINITY; self.similarity.columns()];
            for &text in texts {
                best.iter_mut().zip(self.similarity.row(text)).for_each(|(best, s)| *best = best.max(*s));
            }
            best
        };
        let groups: Vec<Vec<f64>> = self.texts.par_iter().map(best).collect();
        let rank = |item: usize| {
            let of_text = match self.texts[item].is_empty() {
                true => Vec::new(),
                false => all_places(groups[item][item], groups.iter().map(|group| group[item])),
            };
            ItemRanks::found_once(self.ranks_of_item(item), of_text)
        };
        (0..self.texts.len()).into_par_iter().map(rank).collect()
    }

    fn any_of(&self, rivals: &[Rivals]) -> Vec<ItemRanks> {
        let rank = |item: usize| {
            let mut ranks: Vec<u32> =
                self.texts[item].iter().map(|&t| rivals[t].higher + rivals[t].earlier).collect();
            ranks.sort_unstable();
            let from_one: Vec<usize> = ranks.iter().map(|&rank| rank as usize + 1).collect();
            let precision = average_precision(&from_one, ranks.len(), ApRule::Plain);
            ItemRanks {
                of_item: self.ranks_of_item(item),
                of_text: ranks.first().copied().into_iter().collect(),
                average_precision: precision.into_iter().collect(),
            }
        };
        (0..self.texts.len()).into_par_iter().map(rank).collect()
    }

    /// The item's rank for each of its texts, equal items in their order.
    fn ranks_of_item(&self, item: usize) -> Vec<u32> {
        let rank = |&text: &usize| {
            let row = self.similarity.row(text);
            let before =
                |(other, score): (usize, &f64)| *score > row[item] || (*score == row[item] && other < item);
            row.iter().enumerate().filter(|place| before(*place)).count() as u32
        };
        self.texts[item].iter().map(rank).collect()
    }
}

/// Every place of the falling list that has the score `own`.
fn all_places(own: f64, scores: impl Iterator<Item = f64> + Clone) -> Vec<u32> {
    let first = scores.clone().filter(|s| *s > own).count() as u32;
    let equal = scores.filter(|s| *s == own).count() as u32;
    (first..first + equal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranked(variant: RetrievalVariant, similarity: &[f64], owner: &[usize]) -> Result<RetrievalRecords> {
        let shape = [owner.len(), similarity.len() / owner.len().max(1)];
        RetrievalRecords::new(variant, Matrix::new("similarity", similarity, shape)?, owner)
    }

    use RetrievalVariant::{AnyOf, Clip, Multi};

    #[test]
    fn ties_lengthen_the_list() {
        let set = ranked(Clip, &[0.5, 0.5, 0.9, 0.1], &[0, 1]).unwrap();
        // Text 0 gives its item both places; text 1 prefers item 0.
        assert_eq!(
            (set.items[0].of_item.as_slice(), set.items[1].of_item.as_slice()),
            (&[0, 1][..], &[1][..])
        );
        let summary = set.summary(&[1]).unwrap();
        assert_eq!(summary.text_to_item.recall, [100.0 / 3.0]);
        assert_eq!((summary.text_to_item.median_rank, summary.item_to_text.recall[0]), (2.0, 0.0));
        assert_eq!(summary.text_to_item.map, (1.0 + 0.5 + 0.5) / 3.0);
    }

    #[test]
    fn medians_differ_by_direction() {
        // Texts 0 and 1 of items 0 and 1: ranks 0 and 1 in both directions.
        let similarity = [0.9, 0.1, 0.8, 0.2];
        let clip = ranked(Clip, &similarity, &[0, 1]).unwrap().summary(&[1]).unwrap();
        assert_eq!(clip.text_to_item.median_rank, 1.5);
        let multi = ranked(Multi, &similarity, &[0, 1]).unwrap().summary(&[1]).unwrap();
        assert_eq!(multi.text_to_item.median_rank, 1.0);
        let backwards = [0.9, 0.95, 0.1, 0.2];
        assert_eq!(
            ranked(Multi, &backwards, &[0, 1]).unwrap().summary(&[1]).unwrap().item_to_text.median_rank,
            1.5
        );
    }

    #[test]
    fn groups_count_as_their_best_text() {
        // Item 0's own texts score 0.4 and 0.7 with it; item 1's texts 0.6 and 0.5. As groups: 0.7 over 0.6.
        let similarity = [0.4, 0.0, 0.7, 0.0, 0.6, 0.9, 0.5, 0.8];
        let owner = [0, 0, 1, 1];
        let multi = ranked(Multi, &similarity, &owner).unwrap();
        assert_eq!(multi.items[0].of_text, [0]);
        let any = ranked(AnyOf, &similarity, &owner).unwrap();
        assert_eq!((any.items[0].of_text.as_slice(), any.items[0].average_precision[0]), (&[0][..], 0.75));
        assert_eq!(multi.items[0].average_precision, [1.0]);
    }

    #[test]
    fn equal_scores_keep_their_order() {
        let set = ranked(Multi, &[0.5, 0.5, 0.5, 0.5], &[0, 1]).unwrap();
        assert_eq!((&set.items[0].of_item, &set.items[1].of_item), (&vec![0], &vec![1]));
        let set = ranked(AnyOf, &[0.5, 0.5, 0.5, 0.5], &[1, 0]).unwrap();
        assert_eq!((&set.items[0].of_text, &set.items[1].of_text), (&vec![1], &vec![0]));
    }

    #[test]
    fn items_without_texts_compete() {
        // Item 1 has no text and outscores item 0.
        for variant in [Multi, AnyOf] {
            let set = ranked(variant, &[0.5, 0.9], &[0]).unwrap();
            assert_eq!((&set.items[0].of_item, set.items[1].of_text.len()), (&vec![1], 0), "{variant}");
            assert_eq!(set.summary(&[1]).unwrap().item_to_text.recall, [100.0]);
        }
    }

    #[test]
    fn refuses_bad_input() {
        let message = |variant, similarity: &[f64], owner: &[usize]| {
            ranked(variant, similarity, owner).unwrap_err().to_string()
        };
        assert_eq!(
            message(Multi, &[0.5, 0.5], &[2]),
            "text 0 belongs to item 2, but there are 2, counted from 0"
        );
        assert!(message(Clip, &[0.5, 0.5], &[0]).contains("0 (item 1)"));
        assert!(message(Clip, &[0.5, 0.5, 0.5, 0.5], &[0, 0]).contains("2 (item 0)"));
        assert!(message(Clip, &[0.5, f64::NAN], &[0]).contains("similarity[1] is NaN"));
        let table = Matrix::new("similarity", &[0.5], [1, 1]).unwrap();
        assert!(RetrievalRecords::new(Clip, table, &[]).is_err());
        let set = RetrievalRecords::new(Clip, table, &[0]).unwrap();
        assert!(set.summary(&[0]).is_err());
        assert!(set.summary_of_sample(&[], &[1]).unwrap_err().to_string().contains("texts is empty"));
    }

    proptest! {
        #[test]
        fn merged_parts_are_the_single_pass(scores in prop::collection::vec(0u8..6, 36), cuts in (0usize..6, 0usize..6)) {
            let similarity: Vec<f64> = scores.iter().map(|&s| f64::from(s)).collect();
            let whole = ranked(Clip, &similarity, &[0, 1, 2, 3, 4, 5]).unwrap();
            let mut cuts = [cuts.0, cuts.1];
            cuts.sort_unstable();
            let part = |range: std::ops::Range<usize>| RetrievalRecords { items: whole.items[range].to_vec(), ..whole.clone() };
            let (mut left, mut right) = (part(0..cuts[0]), part(cuts[0]..cuts[1]));
            right.merge(part(cuts[1]..6)).unwrap();
            left.merge(right).unwrap();
            prop_assert_eq!(left.summary(&[1, 5]).unwrap(), whole.summary(&[1, 5]).unwrap());
            prop_assert_eq!(left, whole);
        }

        /// Ranks by counting are those of a sorted list.
        #[test]
        fn counted_ranks_are_sorted_ranks(scores in prop::collection::vec(0u8..9, 20)) {
            let similarity: Vec<f64> = scores.iter().map(|&s| f64::from(s)).collect();
            let owner = [0, 0, 1, 2, 3];
            let any = ranked(AnyOf, &similarity, &owner).unwrap();
            for (item, ranks) in any.items.iter().enumerate() {
                let order = crate::segment::falling((0..5).map(|t| similarity[t * 4 + item]));
                let best = order.iter().position(|&t| owner[t] == item).unwrap();
                prop_assert_eq!(&ranks.of_text, &vec![best as u32]);
                for (text, rank) in (0..5).filter(|&t| owner[t] == item).zip(&ranks.of_item) {
                    let order = crate::segment::falling(similarity[text * 4..text * 4 + 4].iter().copied());
                    prop_assert_eq!(order.iter().position(|&i| i == item).unwrap() as u32, *rank);
                }
            }
        }
    }
}
