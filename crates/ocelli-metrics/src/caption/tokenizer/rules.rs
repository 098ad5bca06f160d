//! The rules, one function each, in the order in which ties are decided.

use super::address::address;
use super::scan::{
    Piece, Scan, is_alphanumeric, is_apostrophe, is_digit, is_letter, is_like_apostrophe, is_space,
};
use super::signs::{bracket, currency, entity, face, markup, quote, run_of_signs, symbol, telephone};
use super::words;

type Rule = fn(&Scan, usize) -> Option<Piece>;

pub(super) const RULES: &[Rule] = &[
    by_heart,
    two_in_one,
    markup,
    entity,
    word_before_clitic,
    word_before_not,
    word,
    apostrophised_word,
    address,
    mention,
    clitic_before_other,
    date,
    number,
    fraction,
    slashed_word,
    currency,
    abbreviation,
    decade,
    word_with_dot,
    telephone,
    face,
    bracket,
    run_of_signs,
    hyphened_word,
    joined_word,
    capitals_joined,
    quote,
    clitic,
    symbol,
];

fn by_heart(s: &Scan, at: usize) -> Option<Piece> {
    let length = words::as_they_are().iter().filter_map(|token| {
        let folds = token.chars().all(|c| !c.is_ascii_uppercase());
        if folds { s.has_in_any_case(at, token) } else { s.has(at, token) }
    });
    Piece::take(length.max()?)
}

fn two_in_one(s: &Scan, at: usize) -> Option<Piece> {
    let (length, second) = words::two_in_one()
        .iter()
        .find_map(|(word, second)| s.has_in_any_case(at, word).map(|length| (length, *second)))?;
    if s.at(at) == '’' {
        return None;
    }
    Some(Piece::take(length - second)?.looking(second))
}

fn word_before_clitic(s: &Scan, at: usize) -> Option<Piece> {
    let word = s.word(at);
    let clitic = s.clitic(at + word)?;
    Some(Piece::take(word)?.looking(clitic))
}

/// `ca` of `can't`: letters, the last of which is no `n`.
fn word_before_not(s: &Scan, at: usize) -> Option<Piece> {
    let letters = s.run(at, is_letter);
    // The n belongs to what follows.
    let word = letters.checked_sub(1).filter(|word| *word > 0)?;
    let not = s.not(at + word)?;
    let is_fit = s.is(at + word - 1, |c| c.is_ascii_alphabetic() && !matches!(c, 'n' | 'N'));
    if is_fit { Some(Piece::take(word)?.looking(not)) } else { None }
}

fn word(s: &Scan, at: usize) -> Option<Piece> {
    Piece::take(s.word(at))
}

fn apostrophised_word(s: &Scan, at: usize) -> Option<Piece> {
    let known = words::apostrophised().filter_map(|word| s.has_in_any_case(at, word));
    let candidates =
        [known.max(), around_n(s, at), one_letter(s, at), foreign(s, at), vowels(s, at), years(s, at)];
    // Of `y'all` the first two characters are a token.
    match s.at(at) {
        'y' | 'Y' if s.is(at + 1, is_apostrophe) && s.is(at + 2, is_letter) => {
            Some(Piece::take(2)?.looking(1))
        }
        _ => Piece::take(candidates.into_iter().flatten().max()?),
    }
}

/// `'n'` and `'n`.
fn around_n(s: &Scan, at: usize) -> Option<usize> {
    let fits = s.is(at, is_apostrophe) && s.is(at + 1, |c| matches!(c, 'n' | 'N'));
    fits.then(|| if s.is(at + 2, is_apostrophe) { 3 } else { 2 })
}

/// `l'`, `d'`, `j'`.
fn one_letter(s: &Scan, at: usize) -> Option<usize> {
    let fits = s.is(at, |c| matches!(c, 'l' | 'L' | 'd' | 'D' | 'j' | 'J')) && s.is(at + 1, is_apostrophe);
    fits.then_some(2)
}

/// `B'gosh`, `n'est`.
fn foreign(s: &Scan, at: usize) -> Option<usize> {
    let fits = s.is(at, |c| c == 'n' || c.is_ascii_uppercase() && !matches!(c, 'I' | 'Y'))
        && s.is(at + 1, is_like_apostrophe);
    let letters = s.run(at + 2, is_letter);
    (fits && letters >= 2).then_some(letters + 2)
}

/// `ma'am`, `Shi'ite`: letters, the last a vowel, and a vowel or capital after the apostrophe.
fn vowels(s: &Scan, at: usize) -> Option<usize> {
    let letters = s.run(at, is_letter);
    let fits = letters >= 2
        && s.is(at + letters - 1, |c| "aeiouyAEIOUY".contains(c))
        && s.is(at + letters, is_like_apostrophe)
        && s.is(at + letters + 1, |c| "aeiou".contains(c) || c.is_ascii_uppercase());
    fits.then(|| letters + 1 + s.run(at + letters + 1, is_letter))
}

/// `'90s`.
fn years(s: &Scan, at: usize) -> Option<usize> {
    let fits = s.is(at, is_apostrophe)
        && s.is(at + 1, |c| matches!(c, '2'..='9'))
        && s.at(at + 2) == '0'
        && s.at(at + 3) == 's';
    fits.then_some(4)
}

/// `@name`, `#tag`.
fn mention(s: &Scan, at: usize) -> Option<Piece> {
    match s.at(at) {
        '@' if s.is(at + 1, |c| c.is_ascii_alphabetic() || c == '_') => {
            Piece::take(1 + s.run(at + 1, |c| c.is_ascii_alphanumeric() || c == '_'))
        }
        '#' if s.is(at + 1, char::is_alphabetic) => Piece::take(1 + s.run(at + 1, char::is_alphabetic)),
        _ => None,
    }
}

fn clitic_before_other(s: &Scan, at: usize) -> Option<Piece> {
    let length = s.clitic(at).or_else(|| s.not(at))?;
    let is_over = !s.at(at + length).is_ascii_alphabetic();
    if is_over { Some(cut_off(s, at, length)?.looking(1)) } else { None }
}

fn clitic(s: &Scan, at: usize) -> Option<Piece> {
    cut_off(s, at, s.clitic(at).or_else(|| s.not(at))?)
}

/// A clitic, its apostrophe written as `'`.
fn cut_off(s: &Scan, at: usize, length: usize) -> Option<Piece> {
    let text = s.text(at..at + length).replace("&apos;", "'").replace(['’', '\u{92}'], "'");
    Some(Piece::take(length)?.with(text))
}

fn date(s: &Scan, at: usize) -> Option<Piece> {
    let is_separator = |c: char| matches!(c, '-' | '/');
    let day = s.run(at, is_digit);
    let month = s.run(at + day + 1, is_digit);
    let year = s.run(at + day + month + 2, is_digit).min(4);
    let fits = (1..=2).contains(&day)
        && (1..=2).contains(&month)
        && year >= 2
        && s.is(at + day, is_separator)
        && s.is(at + day + 1 + month, is_separator);
    if fits { Piece::take(day + month + year + 2) } else { None }
}

fn number(s: &Scan, at: usize) -> Option<Piece> {
    let sign = s.run(at, |c| matches!(c, '-' | '+')).min(1);
    let number = s.number(at + sign);
    if number > 0 { Piece::take(sign + number) } else { None }
}

/// `1/2`, `1 1/2`, `½`.
fn fraction(s: &Scan, at: usize) -> Option<Piece> {
    let sign = match s.at(at) {
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '⅓' => "1/3",
        '⅔' => "2/3",
        '\u{2155}'..='\u{215e}' => return Piece::take(1),
        _ => return written_fraction(s, at),
    };
    Some(Piece::take(1)?.with(sign))
}

fn written_fraction(s: &Scan, at: usize) -> Option<Piece> {
    let plain = |at: usize| {
        let above = s.run(at, is_digit);
        let below = s.run(at + above + 1, is_digit).min(4);
        let fits = (1..=4).contains(&above) && below > 0 && matches!(s.at(at + above), '/' | '⁄');
        fits.then_some(above + 1 + below)
    };
    let whole = s.run(at, is_digit);
    let mixed = matches!(s.at(at + whole), '-' | ' ' | '\u{a0}') && (1..=4).contains(&whole);
    let length =
        mixed.then(|| plain(at + whole + 1)).flatten().map_or_else(|| plain(at), |l| Some(whole + 1 + l))?;
    let text = s.text(at..at + length).replace(' ', "\u{a0}");
    Some(Piece::take(length)?.with(text))
}

/// `and/or`, `he/she/it`.
fn slashed_word(s: &Scan, at: usize) -> Option<Piece> {
    let part = |at: usize| {
        let mut length = s.run(at, |c| c.is_ascii_alphanumeric());
        for _ in 0..2 {
            let more = s.run(at + length + 1, |c| c.is_ascii_alphabetic());
            if length > 0 && s.at(at + length) == '-' && more > 0 {
                length += 1 + more;
            }
        }
        length
    };
    let mut length = part(at);
    let mut parts = 0;
    while length > 0 && parts < 2 && s.at(at + length) == '/' && part(at + length + 1) > 0 {
        length += 1 + part(at + length + 1);
        parts += 1;
    }
    if parts > 0 { Piece::take(length) } else { None }
}

fn abbreviation(s: &Scan, at: usize) -> Option<Piece> {
    let letters = s.run(at, |c| c.is_ascii_alphabetic());
    let degree =
        s.initials(at + letters + 1, 1).filter(|l| *l == 2 && s.at(at + letters) == '.').map(|_| letters + 2);
    for length in [degree.unwrap_or(letters), letters] {
        let word = s.lower(at..at + length);
        let dot = s.at(at + length) == '.';
        let next = s.at(at + length + 1);
        let digit = if next == ' ' { s.at(at + length + 2) } else { next };
        if dot && words::is_abbreviation(&word, s.is(at, |c| c.is_ascii_uppercase())) {
            // The end of an abbreviation and of a sentence may be one; two more characters are looked at.
            return Some(Piece::take(length + 1)?.looking(2));
        }
        if dot && words::is_title(&word) {
            return Piece::take(length + 1);
        }
        if dot && words::is_abbreviation_before_numbers(&word) && is_digit(digit) {
            return Some(Piece::take(length + 1)?.looking(usize::from(next == ' ') + 1));
        }
    }
    initials(s, at)
}

/// `U.S.`, `J.`; a single letter gives its dot back where a sentence seems to end.
fn initials(s: &Scan, at: usize) -> Option<Piece> {
    let length = s.initials(at, 1)?;
    let blanks = s.run(at + length, is_space);
    let start = at + length + blanks;
    let word = s.run(start, |c| c.is_ascii_alphabetic());
    let dotted = usize::from(s.at(start + word) == '.');
    let after = s.at(start + word + dotted);
    let begins = blanks > 0 && words::begins_sentences(&s.text(start..start + word + dotted));
    if length == 2 && begins && (is_space(after) || matches!(after, '?' | '!')) {
        return Some(Piece::take(1)?.looking(1 + blanks + word + dotted + 1));
    }
    Piece::take(length)
}

/// `'55` by itself.
fn decade(s: &Scan, at: usize) -> Option<Piece> {
    let fits =
        s.is(at, is_apostrophe) && s.run(at + 1, |c| c.is_ascii_digit()) == 2 && is_space(s.at(at + 3));
    if fits { Some(Piece::take(3)?.looking(1)) } else { None }
}

/// A dot before a comma or the like belongs to the word.
fn word_with_dot(s: &Scan, at: usize) -> Option<Piece> {
    with_dot(s, at, s.word(at)).filter(|piece| piece.reach > piece.length)
}

/// `mid-air`, `3.5-inch`, `U.S.-based`.
fn hyphened_word(s: &Scan, at: usize) -> Option<Piece> {
    if !s.is(at, is_alphanumeric) {
        return None;
    }
    let mut length = s.run(at, |c| is_alphanumeric(c) || matches!(c, '.' | ',' | '\u{ad}'));
    let start = length;
    while s.at(at + length) == '-' {
        let next = at + length + 1;
        let letters = s.run(next, |c| is_alphanumeric(c) || c == '\u{ad}');
        let more = letters.max(s.initials(next, 2).unwrap_or(0));
        if more == 0 {
            break;
        }
        length += 1 + more;
    }
    if length == start {
        return None;
    }
    with_dot(s, at, length)
}

/// `5ft`, `snake_case`, `d'Avignon`, `x-O'Brien`.
fn joined_word(s: &Scan, at: usize) -> Option<Piece> {
    let part = |at: usize| {
        let name =
            s.is(at, |c| matches!(c, 'd' | 'D' | 'o' | 'O' | 'l' | 'L')) && s.is(at + 1, is_like_apostrophe);
        let letters = if name { s.run(at + 2, is_alphanumeric) } else { 0 };
        // One character belongs to the beginning, so two must follow the apostrophe.
        if letters >= 2 { letters + 2 } else { s.run(at, is_alphanumeric) }
    };
    let is_hyphen = |c: char| matches!(c, '-' | '_' | '\u{58a}' | '\u{2010}' | '\u{2011}');
    let mut length = part(at);
    while length > 0 && s.is(at + length, is_hyphen) {
        let more = part(at + length + 1);
        if more == 0 {
            break;
        }
        length += 1 + more;
    }
    with_dot(s, at, length)
}

/// Takes the dot along that stands before a comma or the like.
fn with_dot(s: &Scan, at: usize, length: usize) -> Option<Piece> {
    let has_dot =
        length > 0 && s.at(at + length) == '.' && matches!(s.at(at + length + 1), ',' | ';' | ':' | '、');
    if has_dot { Some(Piece::take(length + 1)?.looking(1)) } else { Piece::take(length) }
}

/// `AT&T`.
fn capitals_joined(s: &Scan, at: usize) -> Option<Piece> {
    let capitals = |at: usize| s.run(at, |c| c.is_ascii_uppercase());
    let mut length = capitals(at);
    let mut parts = usize::from(length > 0);
    loop {
        let sign = if matches!(s.at(at + length), '+' | '&') { 1 } else { 0 };
        let sign = s.has(at + length, "&amp;").unwrap_or(sign);
        let more = capitals(at + length + sign);
        if parts == 0 || sign == 0 || more == 0 {
            break;
        }
        length += sign + more;
        parts += 1;
    }
    if parts > 1 {
        Some(Piece::take(length)?.with(s.text(at..at + length).replace("&amp;", "&")))
    } else {
        None
    }
}
