//! The page as a whole: whatever goes in, it stays well formed, self-contained and escaped.

use image::{Rgb, RgbImage};
use proptest::prelude::*;

use super::*;

const EVIL: &str = "<script src=\"https://example.org/x.js\">alert('&amp;')</script>\0";

/// Checks that every tag is closed in order and returns the attributes of all tags as (tag, name, value).
fn parse(html: &str) -> Vec<(String, String, String)> {
    let mut open: Vec<&str> = Vec::new();
    let mut attributes = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    while let Some((text, tail)) = rest.split_once('<') {
        // The style sheet is the one text that may hold such a sign: its child combinators.
        assert!(!text.contains('>') || open.last() == Some(&"style"), "a stray '>' in {text:?}");
        let (tag, tail) = tail.split_once('>').expect("a tag that ends");
        rest = tail;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed in the wrong order");
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut list) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "tag {name:?}");
        while !list.is_empty() {
            let (key, tail) = list.split_once("=\"").expect("an attribute with a value");
            let (value, tail) = tail.split_once('"').expect("a value that ends");
            attributes.push((name.to_owned(), key.trim().to_owned(), value.to_owned()));
            list = tail.trim_start();
        }
        if !is_empty {
            assert!(!matches!(name, "img" | "meta" | "br"), "{name} takes no content");
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    attributes
}

/// Checks that a page is well formed and that nothing in it leads outside.
fn check(report: &Report) -> String {
    let html = report.render();
    let attributes = parse(&html);
    let mut ids: Vec<&str> = Vec::new();
    for (tag, name, value) in &attributes {
        match name.as_str() {
            "src" => assert!(value.starts_with("data:image/"), "{tag} {value}"),
            "href" => assert!(value.starts_with("#section-"), "{tag} {value}"),
            "id" => ids.push(value),
            _ => assert!(!name.starts_with("on") && name != "style", "{tag} {name}"),
        }
        assert!(
            !matches!(tag.as_str(), "script" | "link" | "iframe" | "object" | "base" | "use" | "form"),
            "{tag}"
        );
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "ids are unique");
    for (_, name, value) in &attributes {
        if name == "aria-labelledby" {
            assert!(value.split(' ').all(|id| ids.contains(&id)), "{value}");
        }
        if name == "href" {
            assert!(ids.contains(&&value[1..]), "{value}");
        }
    }
    html
}

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 90]))
}

/// A report with every kind of part, all of whose strings are `text`.
fn everything(text: &str) -> Report {
    let chart = || {
        Chart::new(text, Axis::log(text), Axis::linear(text).percent())
            .series(Series::line(text, [(0.1, 1.0), (0.0, 2.0), (1.0, f64::NAN), (5.0, 0.5)]))
            .series(Series::bars(text, [Bar { from: 1.0, to: 2.0, height: 3.0 }]))
            .diagonal(text)
            .horizontal(text, 0.7)
            .vertical(text, 2.0)
            .note(text)
    };
    Report::new(text, text)
        .numbers(&[(text, text, text), (text, text, "")])
        .heading(0, text)
        .text(text)
        .facts(&[(text, text)])
        .heading(1, text)
        .chart(chart())
        .chart(Chart::histogram(text, text, &[(text, &[0.0, 1.0]), (text, &[])], 3))
        .heading(2, text)
        .table(&[text, text], &[vec![text], vec![text, text, text]])
        .heading(1, text)
        .pictures(text, &[(picture(8, 6), text), (picture(0, 0), text)])
        .picture_pairs(text, &[(picture(200, 100), picture(3, 3), text)])
        .details(text, |inner| {
            inner.heading(1, text).code(text, text).chart(chart()).details(text, |deep| deep.text(text))
        })
        .heading(1, text)
        .code("", text)
}

#[test]
fn every_kind_of_part_makes_a_valid_page() {
    let html = check(&everything("plain"));
    assert_eq!(html.matches("<nav").count(), 1);
    assert_eq!(html.matches("href=").count(), 4, "the folded section is not linked to");
    for outside in ["http:", "https:", "url(", "@import", "<script"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn no_text_can_act_as_markup() {
    let html = check(&everything(EVIL));
    assert!(!html.contains("<script"));
    assert!(!html.contains('\0'));
    let shown = "&lt;script src=&quot;https://example.org/x.js&quot;&gt;alert(&#39;&amp;amp;&#39;)&lt;/script&gt;\u{fffd}";
    assert!(html.matches(shown).count() >= 40, "{}", html.matches(shown).count());
}

#[test]
fn an_empty_report_is_a_page() {
    let html = check(&Report::new("", ""));
    assert!(html.contains("<h1></h1>"));
    check(
        &Report::new("t", "")
            .table::<&str, [&str; 0], &str>(&[], &[])
            .facts::<&str, &str>(&[])
            .text("")
            .details("", |d| d),
    );
}

#[test]
fn paragraphs_are_parted_by_blank_lines() {
    let html = Report::new("t", "").text("one\ntwo\n \n\nthree").render();
    assert!(html.contains("<p>one\ntwo</p><p>three</p>"));
}

#[test]
fn neighbouring_charts_share_a_grid() {
    let chart = || Chart::new("c", Axis::linear("x"), Axis::linear("y"));
    let html = check(&Report::new("t", "").chart(chart()).chart(chart()).text("between").chart(chart()));
    assert_eq!(html.matches("class=\"charts\"").count(), 2);
    assert_eq!(html.matches("nothing to show").count(), 3);
}

#[test]
fn saving_replaces_the_whole_file_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    std::fs::write(&file, "x".repeat(1_000_000)).unwrap();
    let report = everything("plain");
    report.save(&file).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), report.render());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn saving_where_there_is_no_folder_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("absent").join("report.html");
    let message = Report::new("t", "").save(&file).unwrap_err().to_string();
    assert!(message.contains("absent") && message.contains("check that its folder exists"), "{message}");
    assert!(!message.contains('\n'), "{message}");
    // A folder in the report's place is not replaced, and no temporary file stays beside it.
    let message = Report::new("t", "").save(folder.path()).unwrap_err().to_string();
    assert!(message.contains("cannot be written"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => -10.0..10.0_f64, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(0.0), 1 => Just(f64::INFINITY)]
}

fn any_axis(log: bool, ends: (f64, f64)) -> Axis {
    let axis = if log { Axis::log("a") } else { Axis::linear("a") };
    if ends.0 > 0.0 { axis.range(ends.0, ends.1) } else { axis }
}

proptest! {
    #[test]
    fn any_text_makes_a_valid_page(text in any::<String>()) {
        check(&everything(&text));
    }

    #[test]
    fn any_numbers_make_a_valid_chart(
        points in prop::collection::vec((any_number(), any_number()), 0..40),
        values in prop::collection::vec(any_number(), 0..40),
        logs in any::<(bool, bool)>(),
        ends in (any_number(), any_number()),
        bins in 0..9_usize,
    ) {
        let bars = points.iter().map(|&(from, height)| Bar { from, to: from + 1.0, height });
        let chart = Chart::new("c", any_axis(logs.0, ends), any_axis(logs.1, ends))
            .series(Series::line("line", points.clone()).smoothed(bins))
            .series(Series::line("marked", points.clone()))
            .series(Series::bars("bars", bars))
            .diagonal("d")
            .horizontal("h", ends.0)
            .vertical("v", ends.1);
        let histogram = Chart::histogram("h", "x", &[("set", &values)], bins);
        let html = check(&Report::new("t", "").chart(chart).chart(histogram));
        for (_, name, value) in parse(&html) {
            if matches!(name.as_str(), "d" | "x" | "y" | "width" | "height") {
                prop_assert!(!value.contains("NaN") && !value.contains("inf"), "{name}={value}");
            }
        }
    }
}
