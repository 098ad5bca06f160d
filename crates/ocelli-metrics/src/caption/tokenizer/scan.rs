//! A caption as characters, and what a rule may ask of it.

use std::ops::Range;

/// What a rule takes.
pub(super) struct Piece {
    /// Characters taken.
    pub(super) length: usize,
    /// Characters looked at; at least those taken.
    pub(super) reach: usize,
    /// The token, where it is not the characters themselves.
    pub(super) text: Option<String>,
    /// Whether it makes a token at all.
    pub(super) token: bool,
}

impl Piece {
    /// Takes characters and makes a token of them.
    pub(super) fn take(length: usize) -> Option<Self> {
        (length > 0).then_some(Self { length, reach: length, text: None, token: true })
    }

    /// Takes characters and makes nothing of them.
    pub(super) fn skip(length: usize) -> Self {
        Self { length, reach: length, text: None, token: false }
    }

    pub(super) fn with(self, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..self }
    }

    pub(super) fn looking(self, ahead: usize) -> Self {
        Self { reach: self.length + ahead, ..self }
    }
}

/// A caption as characters; behind its end there is nothing but line ends.
pub(super) struct Scan {
    chars: Vec<char>,
}

pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{3000}')
        || matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(super) fn is_letter(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '\u{ad}' | '\u{300}'..='\u{36f}')
}

pub(super) fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

pub(super) fn is_word_character(c: char) -> bool {
    is_letter(c) || is_digit(c)
}

/// Letters and digits of hyphened and joined words: no marks.
pub(super) fn is_alphanumeric(c: char) -> bool {
    c.is_alphabetic() || is_digit(c)
}

pub(super) fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{92}' | '’')
}

/// With signs that stand for one by mistake.
pub(super) fn is_like_apostrophe(c: char) -> bool {
    is_apostrophe(c) || matches!(c, '`' | '\u{91}' | '‘' | '‛')
}

impl Scan {
    pub(super) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.chars.len()
    }

    /// Characters as a token, without soft hyphens.
    pub(super) fn text(&self, range: Range<usize>) -> String {
        self.chars[range.start..range.end.min(self.len())].iter().filter(|c| **c != '\u{ad}').collect()
    }

    pub(super) fn at(&self, at: usize) -> char {
        self.chars.get(at).copied().unwrap_or('\n')
    }

    pub(super) fn is(&self, at: usize, class: impl Fn(char) -> bool) -> bool {
        self.chars.get(at).copied().is_some_and(class)
    }

    /// How many characters from `at` on are so.
    pub(super) fn run(&self, at: usize, class: impl Fn(char) -> bool) -> usize {
        self.chars[at.min(self.len())..].iter().take_while(|c| class(**c)).count()
    }

    /// Length of an apostrophe, which may be written `&apos;`.
    pub(super) fn apostrophe(&self, at: usize) -> Option<usize> {
        if self.is(at, is_apostrophe) { Some(1) } else { self.has(at, "&apos;") }
    }

    /// Length of `text` if it stands here.
    pub(super) fn has(&self, at: usize, text: &str) -> Option<usize> {
        let mut length = 0;
        let fits = text.chars().all(|c| {
            length += 1;
            self.chars.get(at + length - 1) == Some(&c)
        });
        fits.then_some(length)
    }

    /// The same in letters of either case, any apostrophe standing for `'`.
    pub(super) fn has_in_any_case(&self, at: usize, text: &str) -> Option<usize> {
        let mut length = 0;
        let fits = text.chars().all(|c| {
            length += 1;
            self.is(at + length - 1, |found| match c {
                '\'' => is_apostrophe(found),
                _ => found.eq_ignore_ascii_case(&c),
            })
        });
        fits.then_some(length)
    }

    /// Length of a word: letters and digits, perhaps with single signs between letters.
    pub(super) fn word(&self, at: usize) -> usize {
        let begins = |at: usize| self.is(at, is_letter) || self.letter_entity(at).is_some();
        if !begins(at) {
            return 0;
        }
        let mut end = self.word_end(at);
        while matches!(self.at(end), '.' | '!' | '?') && begins(end + 1) {
            end = self.word_end(end + 1);
        }
        end - at
    }

    pub(super) fn word_end(&self, at: usize) -> usize {
        let mut end = at + self.run(at, is_word_character);
        while let Some(length) = self.letter_entity(end) {
            end += length;
            end += self.run(end, is_word_character);
        }
        end
    }

    /// Length of a letter such as `&eacute;`.
    pub(super) fn letter_entity(&self, at: usize) -> Option<usize> {
        if self.at(at) != '&' || !self.is(at + 1, |c| "aeiouAEIOU".contains(c)) {
            return None;
        }
        ["acute;", "grave;", "uml;"].into_iter().find_map(|mark| self.has(at + 2, mark)).map(|mark| mark + 2)
    }

    /// Length of what is cut off a word: `'s`, `'m`, `'d`, `'re`, `'ve`, `'ll`.
    pub(super) fn clitic(&self, at: usize) -> Option<usize> {
        let apostrophe = self.apostrophe(at)?;
        let after = at + apostrophe;
        let two = ["re", "ve", "ll"].into_iter().find_map(|ending| self.has_in_any_case(after, ending));
        let one = self.is(after, |c| matches!(c, 'm' | 's' | 'd' | 'M' | 'S' | 'D')).then_some(1);
        two.or(one).map(|length| apostrophe + length)
    }

    /// Length of `n't`.
    pub(super) fn not(&self, at: usize) -> Option<usize> {
        let fits = self.is(at, |c| matches!(c, 'n' | 'N'))
            && self.is(at + 1, is_like_apostrophe)
            && self.is(at + 2, |c| matches!(c, 't' | 'T'));
        fits.then_some(3)
    }

    /// Length of a number without sign: digits with dots, commas or colons before and between them.
    pub(super) fn number(&self, at: usize) -> usize {
        let is_sign = |c: char| matches!(c, '.' | ',' | ':' | '\u{ad}' | '\u{66b}' | '\u{66c}');
        let mut end = at + self.run(at, is_digit);
        while self.is(end, is_sign) && self.is(end + 1, is_digit) {
            end += 1 + self.run(end + 1, is_digit);
        }
        end - at
    }

    /// Length of letters with a dot after each, if there are at least `least`.
    pub(super) fn initials(&self, at: usize, least: usize) -> Option<usize> {
        let is_initial =
            |i: usize| self.is(at + 2 * i, |c| c.is_ascii_alphabetic()) && self.at(at + 2 * i + 1) == '.';
        let letters = (0..).take_while(|&i| is_initial(i)).count();
        (letters >= least).then_some(2 * letters)
    }

    pub(super) fn lower(&self, range: Range<usize>) -> String {
        self.text(range).to_lowercase()
    }
}
