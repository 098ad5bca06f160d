//! METEOR's own normaliser for English: what its option `-norm` does to a sentence before words are compared.

/// Abbreviations whose dot is no end of a sentence.
const ABBREVIATIONS: &str = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z Adj Adm Adv Asst Bart Bldg Brig Bros \
    Capt Cmdr Col Comdr Con Corp Cpl DR Dr Drs Ens Gen Gov Hon Hr Hosp Insp Lt MM MR MRS MS Maj Messrs Mlle Mme Mr Mrs \
    Ms Msgr Op Ord Pfc Ph Prof Pvt Rep Reps Res Rev Rt Sen Sens Sfc Sgt Sr St Supt Surg v vs i.e rev e.g Nos Nr";

/// The same, before a number alone.
const BEFORE_NUMBERS: &str = "No Art pp";

/// Stands for the dots of an ellipsis while single dots are looked at; no character of any text.
const ELLIPSIS: char = '\u{ffff}';

fn is_letter(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ž' | ELLIPSIS)
        || matches!(c, '\u{400}'..='\u{527}' | '\u{a640}'..='\u{a66e}' | '\u{a67e}'..='\u{a697}' | '\u{1d00}'..='\u{1d7f}')
}

fn is_letter_or_digit(c: char) -> bool {
    c.is_ascii_digit() || is_letter(c)
}

/// The words of a sentence as METEOR compares them: normalised, in lower case, punctuation kept.
pub fn normalise(sentence: &str) -> Vec<String> {
    let text = separate_symbols(sentence);
    let text = separate_ellipses(&text);
    let text = separate_commas(text);
    let text = unify_quotes_and_dashes(&text);
    let text = around(text, '-', |l| is_letter_or_digit(l) || l == '.', is_letter_or_digit, " ");
    let text = separate_apostrophes(text);
    let text: String = text.into_iter().collect();
    let words: Vec<&str> = text.split([' ', '\t', '\n', '\r', '\u{c}']).filter(|w| !w.is_empty()).collect();
    let mut found = Vec::with_capacity(words.len());
    for (word, next) in words.iter().zip(words.iter().skip(1).map(Some).chain([None])) {
        push_word(word, next.copied(), &mut found);
    }
    found
}

/// Every sign but those that may belong to a word stands alone; a blank at both ends spares the rules below the edges.
fn separate_symbols(sentence: &str) -> Vec<char> {
    let mut text = vec![' '];
    for c in sentence.chars() {
        let stays = is_letter_or_digit(c) && c != ELLIPSIS
            || matches!(c, ' ' | '\t'..='\r' | '.' | '\'' | '`' | ',' | '-' | '‘' | '’');
        if stays { text.push(c) } else { text.extend([' ', c, ' ']) }
    }
    text.push(' ');
    text
}

fn separate_ellipses(text: &[char]) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len());
    for run in text.chunk_by(|a, b| *a == '.' && *b == '.') {
        if run.len() > 1 {
            out.push(' ');
            out.extend(run.iter().map(|_| ELLIPSIS));
            out.push(' ');
        } else {
            out.extend(run);
        }
    }
    out
}

/// Replaces `sign` by `with` where its neighbours are so. As with a regular expression, a character belongs to one
/// match at most: in `a-b-c` the second hyphen stays.
fn around(
    text: Vec<char>,
    sign: char,
    left: impl Fn(char) -> bool,
    right: impl Fn(char) -> bool,
    with: &str,
) -> Vec<char> {
    if !text.contains(&sign) {
        return text;
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut at = 0;
    while at < text.len() {
        match text[at..] {
            [l, s, r, ..] if s == sign && left(l) && right(r) => {
                out.push(l);
                out.extend(with.chars());
                out.push(r);
                at += 3;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// A comma between digits belongs to the number.
fn separate_commas(text: Vec<char>) -> Vec<char> {
    let text = around(text, ',', |l| !is_digit(l), |r| !is_digit(r), " , ");
    let text = around(text, ',', is_digit, |r| !is_digit(r), " , ");
    around(text, ',', |l| !is_digit(l), is_digit, " , ")
}

fn unify_quotes_and_dashes(text: &[char]) -> Vec<char> {
    let text: String = text.iter().map(|c| if matches!(c, '`' | '‘' | '’') { '\'' } else { *c }).collect();
    let text = text.replace("''", " \" ").replace(['“', '”'], " \" ");
    text.replace('–', "-").replace("--", "-").chars().collect()
}

/// A contraction's apostrophe goes with what follows; any other stands alone.
fn separate_apostrophes(text: Vec<char>) -> Vec<char> {
    let other = |c: char| !is_letter(c);
    let text = around(text, '\'', other, other, " ' ");
    let text = around(text, '\'', |l| !is_letter_or_digit(l), is_letter, " ' ");
    let text = around(text, '\'', is_letter, other, " ' ");
    let text = around(text, '\'', is_letter, is_letter, " '");
    around(text, '\'', is_digit, |r| r == 's', " '")
}

/// Adds a word in lower case, after its dot has been dealt with.
fn push_word(word: &str, next: Option<&str>, found: &mut Vec<String>) {
    let mut push = |word: &str| found.push(word.replace(ELLIPSIS, ".").to_lowercase());
    let before = word.strip_suffix('.').filter(|before| !before.is_empty());
    let Some(before) = before else { return push(word) };
    let next = next.and_then(|next| next.chars().next());
    let stays = ABBREVIATIONS.split(' ').any(|known| known == before)
        || next.is_some_and(|c| c.is_ascii_lowercase())
        || BEFORE_NUMBERS.split(' ').any(|known| known == before) && next.is_some_and(is_digit);
    if before.contains('.') && before.contains(is_letter) {
        push(&word.replace('.', ""));
    } else if stays {
        push(word);
    } else {
        push(before);
        push(".");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_tool() {
        for (sentence, wanted) in [
            ("a frisbee in mid-air", "a frisbee in mid air"),
            ("a-b-c up-to-date", "a b-c up to date"),
            ("don't the man 's c_d", "don 't the man ' s c _ d"),
            ("1,000 men, women", "1,000 men , women"),
            ("-- a--b", "- a b"),
            ("U.S. army vs. mr. x.", "us army vs. mr. x ."),
            ("wait... what.. 3.5", "wait ... what .. 3.5"),
            ("``hi'' the 90's", "\" hi \" the 90 's"),
            ("", ""),
        ] {
            assert_eq!(normalise(sentence).join(" "), wanted, "{sentence}");
        }
    }
}
