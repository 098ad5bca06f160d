//! Rules for what is not a word: markup, entities, currencies, telephone numbers, faces, brackets, quotation marks.

use super::scan::{Piece, Scan, is_space};

/// `<b>`, `</b>`, `<img src="x">`, `<!-- … -->`.
pub(super) fn markup(s: &Scan, at: usize) -> Option<Piece> {
    if s.at(at) != '<' {
        return None;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-');
    let end = match s.at(at + 1) {
        '!' | '?' if s.is(at + 2, |c| c.is_ascii_alphabetic() || c == '-') => {
            at + 3 + s.run(at + 3, |c| !matches!(c, '>' | '\r' | '\n'))
        }
        '/' if s.is(at + 2, |c| c.is_ascii_alphabetic()) => at + 2 + s.run(at + 2, is_name),
        c if c.is_ascii_alphabetic() => attributes(s, at + 1 + s.run(at + 1, is_name)),
        _ => return None,
    };
    let end = end + s.run(end, |c| c == ' ');
    let text = s.text(at..end + 1).replace(' ', "\u{a0}");
    if s.at(end) == '>' { Some(Piece::take(end + 1 - at)?.with(text)) } else { None }
}

pub(super) fn attributes(s: &Scan, mut end: usize) -> usize {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-');
    let blanks = |at: usize| s.run(at, |c| c == ' ');
    while blanks(end) > 0 && s.is(end + blanks(end), |c| c.is_ascii_alphabetic()) {
        end += blanks(end);
        end += s.run(end, is_name);
        let sign = end + blanks(end);
        if s.at(sign) != '=' {
            continue;
        }
        let value = sign + 1 + blanks(sign + 1);
        let quoted = |quote: char| s.run(value + 1, |c| c != quote && c != '\n');
        end = match s.at(value) {
            quote @ ('"' | '\'') if s.at(value + 1 + quoted(quote)) == quote => value + 2 + quoted(quote),
            c if c.is_ascii_alphabetic() => value + s.run(value, is_name),
            _ => return end,
        };
    }
    let slash = end + blanks(end);
    if s.at(slash) == '/' { slash + 1 } else { end }
}

pub(super) fn entity(s: &Scan, at: usize) -> Option<Piece> {
    if s.at(at) != '&' {
        return None;
    }
    const MEANINGS: &[(&str, &str)] = &[
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "''"),
        ("&mdash;", "--"),
        ("&ndash;", "--"),
        ("&MD;", "--"),
    ];
    if let Some(length) = s.has(at, "&nbsp;") {
        return Some(Piece::skip(length));
    }
    for (written, meaning) in MEANINGS {
        if let Some(length) = s.has(at, written) {
            return Some(Piece::take(length)?.with(*meaning));
        }
    }
    let digits = s.run(at + 2, |c| c.is_ascii_digit());
    let is_numbered = s.at(at + 1) == '#' && digits > 0 && s.at(at + 2 + digits) == ';';
    if is_numbered { Piece::take(digits + 3) } else { None }
}

/// `$`, `US$`, `#`; other currencies are written as these.
pub(super) fn currency(s: &Scan, at: usize) -> Option<Piece> {
    let text = match s.at(at) {
        '¢' => "cents",
        '£' => "#",
        '€' | '¤' | '\u{80}' | '\u{20a0}' => "$",
        '#' => return Piece::take(1),
        '₹' | '₪' => return None,
        _ => {
            let letters = s.run(at, |c| c.is_ascii_uppercase());
            return if s.at(at + letters) == '$' { Piece::take(letters + 1) } else { None };
        }
    };
    Some(Piece::take(1)?.with(text))
}

/// The places that can be reached from a place, step by step.
pub(super) struct Reachable<'a> {
    scan: &'a Scan,
    places: Vec<usize>,
}

impl Reachable<'_> {
    fn digits(self, least: usize, most: usize) -> Self {
        let runs = |&at: &usize| {
            let run = self.scan.run(at, |c| c.is_ascii_digit()).min(most);
            (least..=run).map(move |length| at + length)
        };
        Self { places: self.places.iter().flat_map(runs).collect(), ..self }
    }

    fn sign(self, signs: &str) -> Self {
        let fits = |at: &usize| self.scan.is(*at, |c| signs.contains(c)).then_some(at + 1);
        Self { places: self.places.iter().filter_map(fits).collect(), ..self }
    }

    /// One plus or two.
    fn plus(self) -> Self {
        self.sign("+").maybe(|r| r.sign("+"))
    }

    /// The step may also be left out.
    fn maybe(self, step: impl Fn(Self) -> Self) -> Self {
        let stay = self.places.clone();
        let mut gone = step(self);
        gone.places.extend(stay);
        gone
    }
}

pub(super) fn telephone(s: &Scan, at: usize) -> Option<Piece> {
    const GAP: &str = "- \u{a0}";
    if !s.is(at, |c| c.is_ascii_digit() || matches!(c, '(' | '+')) {
        return None;
    }
    let start = || Reachable { scan: s, places: vec![at] };
    let tail = |r: Reachable<'_>| r.digits(3, 4).maybe(|r| r.sign(GAP)).digits(3, 5).places;
    let bracketed = start().sign("(").digits(2, 3).sign(")").maybe(|r| r.sign(" \u{a0}"));
    let spaced = start().maybe(Reachable::plus).maybe(|r| r.digits(2, 4).sign(GAP)).digits(2, 4).sign(GAP);
    let dotted = start().maybe(|r| r.maybe(Reachable::plus).digits(2, 4).sign("."));
    let dotted = dotted.digits(2, 4).sign(".").digits(3, 4).sign(".").digits(3, 5).places;
    let end = tail(bracketed).into_iter().chain(tail(spaced)).chain(dotted).max()?;
    let text = s.text(at..end).replace(' ', "\u{a0}").replace('(', "-LRB-").replace(')', "-RRB-");
    Some(Piece::take(end - at)?.with(text))
}

/// `:)`, `^_^`.
pub(super) fn face(s: &Scan, at: usize) -> Option<Piece> {
    let hat = s.run(at, |c| matches!(c, '<' | '>')).min(1);
    let eyes = s.run(at + hat, |c| matches!(c, ':' | ';' | '=')).min(1);
    let noses = s.run(at + hat + eyes, |c| matches!(c, '-' | 'o' | '*' | '\'')).min(1);
    let is_mouth = |c: char| "()DPdpO\\{@|[]".contains(c);
    let nose = if s.is(at + hat + eyes + noses, is_mouth) { noses } else { 0 };
    let length = hat + eyes + nose + 1;
    let written = |length: usize| s.text(at..at + length).replace('(', "-LRB-").replace(')', "-RRB-");
    if eyes == 1 && s.is(at + length - 1, is_mouth) && !s.at(at + length).is_ascii_alphanumeric() {
        return Some(Piece::take(length)?.with(written(length)).looking(1));
    }
    let is_eye = |at: usize| s.is(at, |c| matches!(c, '-' | '^' | 'x' | '=' | '~' | '<' | '>' | '\''));
    let bare = is_eye(at) && s.at(at + 1) == '_' && is_eye(at + 2);
    let in_brackets = |length: usize| {
        s.at(at) == '(' && is_eye(at + 1) && is_eye(at + length - 2) && s.at(at + length - 1) == ')'
    };
    let length = match () {
        () if bare => 3,
        () if in_brackets(4) => 4,
        () if in_brackets(5) && matches!(s.at(at + 2), '_' | '.' | '-') => 5,
        () => return None,
    };
    Some(Piece::take(length)?.with(written(length)))
}

pub(super) fn bracket(s: &Scan, at: usize) -> Option<Piece> {
    let text = match s.at(at) {
        '(' => "-LRB-",
        ')' => "-RRB-",
        '{' => "-LCB-",
        '}' => "-RCB-",
        '[' => "-LSB-",
        ']' => "-RSB-",
        _ => return None,
    };
    Some(Piece::take(1)?.with(text))
}

pub(super) fn run_of_signs(s: &Scan, at: usize) -> Option<Piece> {
    let sign = s.at(at);
    let same = s.run(at, |c| c == sign);
    match sign {
        '-' if (3..=4).contains(&same) => Some(Piece::take(same)?.with("--")),
        '.' if same >= 3 => Some(Piece::take(same)?.with("...")),
        '.' => spaced_dots(s, at),
        '…' | '\u{85}' => Some(Piece::take(1)?.with("...")),
        '–' | '—' | '―' | '\u{96}' | '\u{97}' => Some(Piece::take(1)?.with("--")),
        '!' | '?' => Piece::take(s.run(at, |c| matches!(c, '!' | '?'))),
        '-' | '@' | '#' | '_' | '*' => Piece::take(same),
        '<' | '>' => Piece::take(same.min(2)),
        '\\' if s.at(at + 1) == '*' => Piece::take(2),
        ',' | ';' | ':' | '=' | '/' => Piece::take(1),
        _ => None,
    }
}

/// `. . .`, which is an ellipsis too, and a plain dot.
pub(super) fn spaced_dots(s: &Scan, at: usize) -> Option<Piece> {
    let mut dots = 1;
    while matches!(s.at(at + 2 * dots - 1), ' ' | '\u{a0}') && s.at(at + 2 * dots) == '.' {
        dots += 1;
    }
    if dots >= 3 { Some(Piece::take(2 * dots - 1)?.with("...")) } else { Piece::take(1) }
}

/// Quotation marks. A letter and more after a plain one are looked at, so that `'sup` is no `'s`.
pub(super) fn quote(s: &Scan, at: usize) -> Option<Piece> {
    let first = s.at(at);
    if first == '"' {
        return Some(Piece::skip(1));
    }
    if first == '\'' && s.at(at + 1) == '\'' {
        return Some(Piece::skip(2));
    }
    if first == '\'' {
        let second = s.at(at + 2);
        let is_opening = s.is(at + 1, |c| c.is_ascii_alphabetic()) && !is_space(second);
        let before_word = s.is(at + 1, |c| "AaIiUu".contains(c)) && is_space(second);
        return Some(if is_opening || before_word { Piece::skip(1).looking(2) } else { Piece::skip(1) });
    }
    if let Some(length) = s.has(at, "&apos;") {
        return Some(Piece::skip(length));
    }
    let is_mark = |c: char| matches!(c, '`' | '‘'..='‟' | '‹' | '›' | '«' | '»' | '\u{82}' | '\u{84}' | '\u{91}'..='\u{94}');
    let length = s.run(at, is_mark).min(2);
    // Two marks are one token; what they are written as may be no punctuation that would be dropped.
    let written = |c: char| match c {
        '‘' | '\u{91}' | '‹' => "`".to_owned(),
        '’' | '\u{92}' | '›' => "'".to_owned(),
        '“' | '\u{93}' | '«' => "``".to_owned(),
        '”' | '\u{94}' | '»' => "''".to_owned(),
        other => other.to_string(),
    };
    let text: String = s.text(at..at + length).chars().map(written).collect();
    Some(Piece::take(length)?.with(text))
}

/// Signs that are tokens by themselves; anything else is left out.
pub(super) fn symbol(s: &Scan, at: usize) -> Option<Piece> {
    let is_symbol = |c: char| {
        matches!(c, '+' | '%' | '&' | '~' | '^' | '|' | '\\' | '$' | '¡' | '¿')
            || matches!(c, '¥' | '¦' | '§' | '¨' | '©' | '¬' | '®' | '¯' | '°'..='´' | '¶'..='¹' | 'º' | '×' | '÷')
            || matches!(c, '‖' | '‗' | '†'..='‥' | '‰'..='‵' | '※' | '‼' | '⁰'..='⁾' | '₀'..='₎' | '₤')
            || matches!(c, '\u{2100}'..='\u{214f}' | '\u{2190}'..='\u{2bff}' | '\u{3001}'..='\u{3020}' | '￠'..='￮')
            || matches!(c, '！'..='／' | '：'..='＠' | '［'..='｀' | '｛'..='･')
    };
    if s.is(at, is_symbol) { Piece::take(1) } else { None }
}
