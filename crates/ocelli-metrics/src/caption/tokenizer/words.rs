//! Words that the tokeniser knows by heart.

/// Abbreviations that keep their dot however they are capitalised: months, days, states, companies, units. What follows
/// them is looked at.
const ABBREVIATIONS: &[&str] = &[
    "al", "ala", "apr", "ariz", "assn", "aug", "bancorp", "bhd", "bldg", "bros", "calif", "co", "colo",
    "conn", "corp", "cos", "ct", "dak", "dec", "esq", "est", "etc", "ext", "feb", "fla", "fri", "ga", "inc",
    "ind", "intl", "jan", "jr", "jul", "jun", "kan", "kans", "ky", "ltd", "mar", "md", "mich", "minn", "mo",
    "mon", "mont", "neb", "nev", "nov", "oct", "okla", "penn", "plc", "rt", "sep", "sept", "seq", "sq",
    "sys", "tel", "tenn", "thu", "thurs", "tue", "tues", "univ", "va", "vt", "wed", "wis", "wisc", "wyo",
];

/// The same of titles and places, of which what follows is not looked at.
const TITLES: &[&str] = &[
    "adj", "adm", "adv", "alex", "assoc", "asst", "atty", "attys", "ave", "blvd", "brig", "capt", "cf",
    "cie", "cmdr", "col", "comdr", "cpl", "dept", "det", "dr", "drs", "elec", "ens", "ft", "gen", "gov",
    "govs", "hon", "insp", "invt", "jos", "lieut", "lt", "maj", "messrs", "mfg", "mlle", "mme", "mr", "mrs",
    "ms", "msgr", "mt", "mtg", "natl", "pfc", "ph", "pres", "prof", "profs", "pvt", "rd", "rep", "reps",
    "rev", "sen", "sens", "sfc", "sgt", "spc", "sr", "st", "ste", "supt", "supts", "treas", "vs", "wm",
];

/// States whose abbreviation is also a common word: only with a capital.
const CAPITALISED: &[&str] = &["ark", "az", "del", "ill", "la", "mass", "miss", "ore", "pa", "tex", "wash"];

/// Abbreviations that keep their dot before a number alone.
const BEFORE_NUMBERS: &[&str] = &["art", "ca", "fig", "figs", "no", "nos", "op", "pp", "prop"];

/// Degrees with two dots.
const DEGREES: &[&str] = &["ed.d", "ph.d"];

/// Words after which a single letter and its dot are the end of a sentence.
const BEGINNINGS: &[&str] = &[
    "A",
    "About",
    "According",
    "Additionally",
    "After",
    "An",
    "As",
    "At",
    "But",
    "Did",
    "During",
    "Earlier",
    "He",
    "Her",
    "Here",
    "How",
    "However",
    "If",
    "In",
    "It",
    "Last",
    "Many",
    "More",
    "Mr.",
    "Ms.",
    "Now",
    "Once",
    "One",
    "Other",
    "Our",
    "She",
    "Since",
    "So",
    "Some",
    "Such",
    "That",
    "The",
    "Their",
    "Then",
    "There",
    "These",
    "They",
    "This",
    "We",
    "What",
    "When",
    "While",
    "Who",
    "Why",
    "Yet",
    "You",
];

/// Words with an apostrophe of their own, written with `'`.
const WITH_APOSTROPHE: &[&str] = &[
    "c'mon",
    "e'er",
    "ev'ry",
    "li'l",
    "nat'l",
    "ne'er",
    "nor'easter",
    "o'er",
    "o'o",
    "s'mores",
    "cap'n",
    "c'est",
];

/// Words that end in an apostrophe.
const ENDING_IN_APOSTROPHE: &[&str] = &["dunkin'", "ol'", "somethin'"];

/// Words that begin with an apostrophe.
const BEGINNING_WITH_APOSTROPHE: &[&str] = &["'em", "'til", "'till", "'cause"];

/// Words that are two, with the length of the second.
const TWO_IN_ONE: &[(&str, usize)] = &[
    ("cannot", 3),
    ("'twas", 3),
    ("'tis", 2),
    ("gonna", 2),
    ("gotta", 2),
    ("lemme", 2),
    ("gimme", 2),
    ("wanna", 2),
];

/// Tokens that no rule would make.
const AS_THEY_ARE: &[&str] = &[
    "c++", "c#", "f#", "pro-", "anti-", "C.D.s", "S&P-500", "S&Ls", "-lrb-", "-rrb-", "-lcb-", "-rcb-",
    "-lsb-", "-rsb-",
];

/// Endings of names of files.
const FILE_ENDINGS: &[&str] = &[
    "bat", "bmp", "c", "cgi", "class", "cpp", "dll", "doc", "docx", "exe", "gif", "gz", "h", "htm", "html",
    "jar", "java", "jpeg", "jpg", "mov", "mp3", "pdf", "php", "pl", "png", "ppt", "ps", "py", "sql", "tar",
    "txt", "wav", "x", "xml", "zip",
];

/// Whether `word`, given without its dot and in lower case, is an abbreviation; `capital` says whether it had one.
pub(super) fn is_abbreviation(word: &str, capital: bool) -> bool {
    ABBREVIATIONS.binary_search(&word).is_ok()
        || DEGREES.contains(&word)
        || ["pty", "ptes"].contains(&word)
        || capital && CAPITALISED.contains(&word)
}

/// Whether it is the abbreviation of a title or the like.
pub(super) fn is_title(word: &str) -> bool {
    TITLES.binary_search(&word).is_ok()
}

/// The same for abbreviations that stand before numbers.
pub(super) fn is_abbreviation_before_numbers(word: &str) -> bool {
    BEFORE_NUMBERS.contains(&word)
}

/// Whether a sentence after a single letter may begin with this word.
pub(super) fn begins_sentences(word: &str) -> bool {
    BEGINNINGS.contains(&word)
}

/// Whether names of files end so.
pub(super) fn is_file_ending(word: &str) -> bool {
    FILE_ENDINGS.contains(&word)
}

/// The words with an apostrophe somewhere.
pub(super) fn apostrophised() -> impl Iterator<Item = &'static str> {
    [WITH_APOSTROPHE, ENDING_IN_APOSTROPHE, BEGINNING_WITH_APOSTROPHE].into_iter().flatten().copied()
}

/// The words that are cut in two.
pub(super) fn two_in_one() -> &'static [(&'static str, usize)] {
    TWO_IN_ONE
}

/// Tokens by heart; those of lower-case letters are known in capitals too.
pub(super) fn as_they_are() -> &'static [&'static str] {
    AS_THEY_ARE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(
            ABBREVIATIONS.is_sorted()
                && TITLES.is_sorted()
                && CAPITALISED.is_sorted()
                && BEGINNINGS.is_sorted()
        );
    }
}
