//! Rules for addresses of pages and people, and names of files.

use super::scan::{Piece, Scan, is_space};
use super::words;

/// Addresses of pages and of people.
pub(super) fn address(s: &Scan, at: usize) -> Option<Piece> {
    let lengths = [full_address(s, at), likely_address(s, at), mail_address(s, at), file_name(s, at)];
    Piece::take(lengths.into_iter().flatten().max()?)
}

fn ends_address(c: char) -> bool {
    is_blank_or(c, "\"<>|.!?(){},-")
}

fn is_blank_or(c: char, signs: &str) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{c}' | '\r') || signs.contains(c)
}

/// The longest run that ends in a character fit for an end, of at least two.
fn path(s: &Scan, at: usize, inside: impl Fn(char) -> bool, last: impl Fn(char) -> bool) -> Option<usize> {
    let run = s.run(at, inside);
    (2..=run).rev().find(|length| s.is(at + length - 1, &last))
}

fn full_address(s: &Scan, at: usize) -> Option<usize> {
    let scheme = ["https://", "http://"].into_iter().find_map(|scheme| s.has(at, scheme))?;
    Some(scheme + path(s, at + scheme, |c| !is_blank_or(c, "\"<>|(){}"), |c| !ends_address(c) && c != '\'')?)
}

/// A site without `http://`: `www.` and names, or names of which the last is a well-known domain.
fn likely_address(s: &Scan, at: usize) -> Option<usize> {
    let signs = "\"<>|.!?(){},";
    let is_www = s.has(at, "www.").is_some();
    // Without `www.` no name has digits, capitals or signs.
    let is_inside =
        |c: char| !is_blank_or(c, signs) && (is_www || !matches!(c, ','..='_' | '`' | '\'' | '$'));
    let start = at + if is_www { 4 } else { 0 };
    let (mut end, mut site) = (start, None);
    loop {
        let name = s.run(end, is_inside);
        let letters = s.run(end, |c| c.is_ascii_alphabetic()).min(4);
        let domain = ["com", "net", "org", "edu"].into_iter().find_map(|domain| s.has(end, domain));
        let last = if is_www { Some(letters).filter(|l| *l >= 2) } else { domain };
        if let Some(last) = last.filter(|_| end > start) {
            site = Some(end + last);
        }
        if name == 0 || s.at(end + name) != '.' {
            break;
        }
        end += name + 1;
    }
    let site = site?;
    let tail =
        path(s, site + 1, |c| !is_blank_or(c, "\"<>|()"), |c| !ends_address(c)).filter(|_| s.at(site) == '/');
    Some(site - at + tail.map_or(0, |tail| tail + 1))
}

/// Names of files are known by their ending, if a blank or sign follows.
fn file_name(s: &Scan, at: usize) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric();
    let mut end = at + s.run(at, is_part);
    let mut found = None;
    while end > at && s.at(end) == '.' && s.is(end + 1, is_part) {
        let part = s.run(end + 1, is_part);
        let next = s.at(end + 1 + part);
        let is_known = words::is_file_ending(&s.lower(end + 1..end + 1 + part));
        if is_known && (is_space(next) || ".?!,\"".contains(next)) {
            found = Some(end + 1 + part - at);
        }
        end += 1 + part;
    }
    found
}

fn mail_address(s: &Scan, at: usize) -> Option<usize> {
    let open = s.run(at, |c| c == '<').min(1);
    let is_inside = |c: char| !is_blank_or(c, "\u{a0}\"<>|(){}");
    let start = at + open;
    let run = s.run(start, is_inside);
    if !s.is(start, |c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let hosts = (1..run).filter(|i| s.at(start + i) == '@').map(|i| start + i + 1);
    let end = hosts.filter_map(|host| host_end(s, host, start + run)).max()?;
    Some(end + s.run(end, |c| c == '>').min(1) - at)
}

/// The end of a host, names with single dots between them, that begins at `at` and lies before `limit`.
fn host_end(s: &Scan, at: usize, limit: usize) -> Option<usize> {
    let name = |at: usize| s.run(at, |c| c != '.').min(limit.saturating_sub(at));
    let mut end = at + name(at);
    while s.at(end) == '.' && name(end + 1) > 0 {
        end += 1 + name(end + 1);
    }
    (end > at).then_some(end)
}
