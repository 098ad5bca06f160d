//! Which words of a candidate go with which words of a reference.
//!
//! Every stage proposes matches, spans of the candidate with spans of the reference. Those without a rival are fixed;
//! a beam search from left to right through the reference chooses among the rest. Its habits decide ties, so they are
//! followed to the letter.

use super::{Lexicon, Stage};
use std::cmp::Reverse;

/// Paths that the search keeps.
const BEAM: usize = 40;

/// A span of the candidate that a stage takes to say the same as a span of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) stage: usize,
    /// Whether the words are equal.
    is_exact: bool,
    /// In the reference.
    pub(super) start: usize,
    pub(super) length: usize,
    /// In the candidate.
    pub(super) candidate_start: usize,
    pub(super) candidate_length: usize,
}

/// The matches that were chosen, and the chunks they form: runs that are contiguous in both sentences.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Alignment {
    pub(super) matches: Vec<Match>,
    pub(super) chunks: usize,
}

/// A sentence, its words looked up once.
#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) words: Vec<String>,
    pub(super) stems: Vec<String>,
    pub(super) synonyms: Vec<Vec<u32>>,
    pub(super) is_function_word: Vec<bool>,
}

/// All matches, by the place in the reference where they start, and how many cover each word.
struct Proposals {
    by_start: Vec<Vec<Match>>,
    candidate_cover: Vec<usize>,
    reference_cover: Vec<usize>,
}

impl Proposals {
    fn add(&mut self, found: Match) {
        let candidate = found.candidate_start..found.candidate_start + found.candidate_length;
        self.candidate_cover[candidate].iter_mut().for_each(|n| *n += 1);
        self.reference_cover[found.start..found.start + found.length].iter_mut().for_each(|n| *n += 1);
        self.by_start[found.start].push(found);
    }

    /// Matches of single words, wherever `agree` says so of a place in the candidate and one in the reference.
    fn add_words(&mut self, stage: usize, is_exact: bool, agree: impl Fn(usize, usize) -> bool) {
        for start in 0..self.by_start.len() {
            for candidate_start in 0..self.candidate_cover.len() {
                if agree(candidate_start, start) {
                    self.add(Match {
                        stage,
                        is_exact,
                        start,
                        length: 1,
                        candidate_start,
                        candidate_length: 1,
                    });
                }
            }
        }
    }
}

fn propose(candidate: &Sentence, reference: &Sentence, lexicon: &Lexicon<'_>) -> Proposals {
    let (rows, columns) = (candidate.words.len(), reference.words.len());
    let mut all = Proposals {
        by_start: vec![Vec::new(); columns],
        candidate_cover: vec![0; rows],
        reference_cover: vec![0; columns],
    };
    let same = |c: usize, r: usize| candidate.words[c] == reference.words[r];
    // Of equal sentences only the first stage is asked.
    let stages = if candidate.words == reference.words { 1 } else { lexicon.stages.len() };
    for (stage, kind) in lexicon.stages.iter().take(stages).enumerate() {
        match kind {
            Stage::Exact => all.add_words(stage, true, same),
            Stage::Stem => {
                all.add_words(stage, false, |c, r| candidate.stems[c] == reference.stems[r] && !same(c, r));
            }
            Stage::Synonym => all.add_words(stage, false, |c, r| {
                share_a_set(&candidate.synonyms[c], &reference.synonyms[r]) && !same(c, r)
            }),
            Stage::Paraphrase => add_paraphrases(&mut all, stage, [candidate, reference], lexicon),
        }
    }
    all
}

/// Whether two sorted lists have a member in common.
fn share_a_set(left: &[u32], right: &[u32]) -> bool {
    left.iter().any(|set| right.binary_search(set).is_ok())
}

/// First what the candidate has of the paraphrases of the reference's phrases, then the other way round.
fn add_paraphrases(
    all: &mut Proposals,
    stage: usize,
    [candidate, reference]: [&Sentence; 2],
    lexicon: &Lexicon<'_>,
) {
    let Some(paraphrases) = lexicon.paraphrases else { return };
    let is_exact = false;
    let candidate = paraphrases.numbers(&candidate.words);
    let reference = paraphrases.numbers(&reference.words);
    for start in 0..reference.len() {
        for (length, phrase) in paraphrases.starting(&reference[start..]) {
            for candidate_start in places(&candidate, phrase) {
                all.add(Match {
                    stage,
                    is_exact,
                    start,
                    length,
                    candidate_start,
                    candidate_length: phrase.len(),
                });
            }
        }
    }
    for candidate_start in 0..candidate.len() {
        for (candidate_length, phrase) in paraphrases.starting(&candidate[candidate_start..]) {
            for start in places(&reference, phrase) {
                all.add(Match {
                    stage,
                    is_exact,
                    start,
                    length: phrase.len(),
                    candidate_start,
                    candidate_length,
                });
            }
        }
    }
}

/// Where a phrase occurs.
fn places<'a>(sentence: &'a [Option<u32>], phrase: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
    let is_at =
        move |window: &[Option<u32>]| window.iter().zip(phrase).all(|(word, other)| *word == Some(*other));
    sentence.windows(phrase.len().max(1)).enumerate().filter_map(move |(at, w)| is_at(w).then_some(at))
}

/// A partly chosen alignment.
#[derive(Clone, Debug)]
struct Path {
    /// The match chosen at each place of the reference.
    chosen: Vec<Option<Match>>,
    candidate_used: Vec<bool>,
    reference_used: Vec<bool>,
    /// What the matches so far are worth.
    covered: usize,
    chunks: usize,
    distance: usize,
    /// First place of the reference not dealt with.
    next: usize,
    /// End of the last match in the candidate, if the word before `next` has one.
    last_end: Option<usize>,
}

impl Path {
    fn is_free(&self, found: &Match) -> bool {
        let candidate = found.candidate_start..found.candidate_start + found.candidate_length;
        let reference = found.start..found.start + found.length;
        !self.reference_used[reference].iter().any(|&used| used)
            && !self.candidate_used[candidate].iter().any(|&used| used)
    }

    fn choose(&mut self, found: Match) {
        let candidate = found.candidate_start..found.candidate_start + found.candidate_length;
        self.reference_used[found.start..found.start + found.length].fill(true);
        self.candidate_used[candidate].fill(true);
        self.chosen[found.start] = Some(found);
    }

    /// Walks past a chosen match.
    fn pass(&mut self, found: &Match) {
        // Equal words count in full, others half, rounded down each time: see METEOR-5.
        let worth = |words: usize| if found.is_exact { words } else { words / 2 };
        self.covered += worth(found.candidate_length) + worth(found.length);
        if self.last_end.is_some_and(|end| end != found.candidate_start) {
            self.chunks += 1;
        }
        self.next = found.start + found.length;
        self.last_end = Some(found.candidate_start + found.candidate_length);
    }

    /// Ends the chunk, if there is one.
    fn close(&mut self) {
        if self.last_end.take().is_some() {
            self.chunks += 1;
        }
    }

    /// Better paths first.
    fn rank(&self) -> (Reverse<usize>, usize, usize) {
        (Reverse(self.covered), self.chunks, self.distance)
    }
}

fn distance(found: &Match) -> usize {
    found.start.abs_diff(found.candidate_start)
}

/// The best alignment of a candidate with a reference.
pub(super) fn align(candidate: &Sentence, reference: &Sentence, lexicon: &Lexicon<'_>) -> Alignment {
    let proposals = propose(candidate, reference, lexicon);
    let best = search(&proposals, start(&proposals));
    finish(best.chosen)
}

/// The path on which matches without a rival are chosen.
fn start(proposals: &Proposals) -> Path {
    let mut path = Path {
        chosen: vec![None; proposals.by_start.len()],
        candidate_used: vec![false; proposals.candidate_cover.len()],
        reference_used: vec![false; proposals.reference_cover.len()],
        covered: 0,
        chunks: 0,
        distance: 0,
        next: 0,
        last_end: None,
    };
    for matches in &proposals.by_start {
        let [only] = matches[..] else { continue };
        let candidate = only.candidate_start..only.candidate_start + only.candidate_length;
        let has_rival =
            proposals.reference_cover[only.start..only.start + only.length].iter().any(|&n| n != 1)
                || proposals.candidate_cover[candidate].iter().any(|&n| n != 1);
        if !has_rival {
            path.choose(only);
        }
    }
    path
}

fn search(proposals: &Proposals, start: Path) -> Path {
    let mut paths = vec![start];
    for (at, matches) in proposals.by_start.iter().enumerate() {
        paths.sort_by_key(Path::rank);
        paths.truncate(BEAM);
        let mut next = Vec::with_capacity(paths.len());
        let stuck: Vec<Path> =
            paths.into_iter().filter_map(|path| extend(path, at, matches, &mut next)).collect();
        if next.is_empty() {
            // No path can go on: the best goes on regardless.
            next.extend(stuck.into_iter().take(1));
        }
        paths = next;
    }
    paths.sort_by_key(Path::rank);
    paths.truncate(BEAM);
    paths.iter_mut().for_each(Path::close);
    // Closing may change the order.
    paths.into_iter().min_by_key(Path::rank).unwrap_or_else(|| self::start(proposals))
}

/// Adds the ways in which a path can go on at a place of the reference; gives it back if there is none.
fn extend(mut path: Path, at: usize, matches: &[Match], next: &mut Vec<Path>) -> Option<Path> {
    if path.reference_used[at] {
        if at >= path.next {
            let Some(fixed) = path.chosen[path.next] else { return Some(path) };
            path.pass(&fixed);
            path.distance += distance(&fixed);
        }
        next.push(path);
        return None;
    }
    for found in matches {
        if path.is_free(found) {
            let mut with = path.clone();
            with.choose(*found);
            with.pass(found);
            next.push(with);
            // The distance of a match is added to the paths that follow, not to its own; see METEOR-6.
            path.distance += distance(found);
        }
    }
    path.close();
    path.next += 1;
    next.push(path);
    None
}

/// The chosen matches in order, with the chunks they form.
fn finish(chosen: Vec<Option<Match>>) -> Alignment {
    let mut alignment = Alignment::default();
    let (mut at, mut last_end) = (0, None);
    while at < chosen.len() {
        match chosen[at] {
            None => {
                last_end = None;
                at += 1;
            }
            Some(found) => {
                // A chunk is counted where it begins.
                alignment.chunks += usize::from(last_end != Some(found.candidate_start));
                at = found.start + found.length;
                last_end = Some(found.candidate_start + found.candidate_length);
                alignment.matches.push(found);
            }
        }
    }
    alignment
}
