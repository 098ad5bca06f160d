//! The Penn Treebank tokeniser of the captioning server: Stanford's PTBTokenizer 3.4.1 (`-preserveLines -lowerCase`),
//! punctuation dropped.
//!
//! At each place of the text every rule says how far it would go; the longest wins, what it only looks at
//! included, and of equals the first. Contractions are cut (`man's` becomes `man 's`), abbreviations keep their dot,
//! hyphened words stay whole.
//!
//! | quirk | the tool | here | pinned by |
//! |---|---|---|---|
//! | PTB-1 | the list of punctuation is compared with lower-case tokens, so brackets stay as `-lrb-` and `-rrb-` | strict | `brackets_stay` |
//! | PTB-2 | only single signs are dropped: `!!` and `?!` stay as words | strict | `runs_of_signs_stay` |
//! | PTB-3 | a dot or an exclamation mark between letters does not end a word: `end.The` is one | strict | `signs_between_letters_stay` |
//! | PTB-4 | parts of numbers and telephone numbers may hold a blank, written as a no-break space | strict | `numbers_may_hold_a_blank` |
//! | PTB-5 | all captions go through one file, so the end of one may be read in the light of the next | corrected: each by itself | `a_caption_stands_by_itself` |

mod address;
mod rules;
mod scan;
mod signs;
#[cfg(test)]
mod tests;
mod words;

use scan::{Piece, Scan};

/// Tokens that are dropped, compared in lower case.
const PUNCTUATION: &[&str] = &["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"];

/// The tokens of a caption in lower case without punctuation, separated by single blanks.
pub fn tokenize(caption: &str) -> String {
    let scan = Scan::new(caption);
    let mut tokens: Vec<String> = Vec::new();
    let mut at = 0;
    while at < scan.len() {
        let (end, token) = scan.next(at);
        at = end;
        let Some(token) = token else { continue };
        let token = token.to_lowercase();
        if !token.is_empty() && !PUNCTUATION.contains(&token.as_str()) {
            tokens.push(token);
        }
    }
    tokens.join(" ")
}

impl Scan {
    /// The end of the piece that begins at `at`, and its token, if it makes one.
    fn next(&self, at: usize) -> (usize, Option<String>) {
        let mut best = Piece::skip(1);
        let mut reach = 0;
        for piece in rules::RULES.iter().filter_map(|rule| rule(self, at)) {
            if piece.reach > reach {
                reach = piece.reach;
                best = piece;
            }
        }
        let end = at + best.length.max(1);
        (end, best.token.then(|| best.text.unwrap_or_else(|| self.text(at..end))))
    }
}
