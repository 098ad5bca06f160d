//! The page around the parts.

use super::Report;
use super::chart;
use super::markup::Markup;
use super::part::{Numbering, Part, heading_id, write_parts};

const STYLE: &str = include_str!("style.css");
/// What a page may use: its own style and pictures within itself. Nothing is fetched and no script runs, even if a
/// report was tampered with.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
/// From so many sections on a page opens with links to them.
const MANY_SECTIONS: usize = 4;

pub(super) fn render(report: &Report) -> String {
    let mut out = Markup::default();
    out.literal("<!DOCTYPE html>\n");
    out.element("html", &[("lang", "en")], |out| {
        out.element("head", &[], |out| head(&report.title, out));
        out.literal("\n");
        out.element("body", &[], |out| body(report, out));
    });
    out.literal("\n");
    out.into_string()
}

fn head(title: &str, out: &mut Markup) {
    out.empty("meta", &[("charset", "utf-8")]);
    out.empty("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
    out.empty("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
    out.empty("meta", &[("name", "color-scheme"), ("content", "light dark")]);
    out.leaf("title", &[], title);
    out.element("style", &[], |out| {
        out.literal(chart::STYLE);
        out.literal(STYLE);
    });
}

fn body(report: &Report, out: &mut Markup) {
    out.element("header", &[], |out| {
        out.leaf("h1", &[], &report.title);
        if !report.subtitle.is_empty() {
            out.leaf("p", &[("class", "subtitle")], &report.subtitle);
        }
    });
    contents(&report.parts, out);
    out.literal("\n");
    out.element("main", &[], |out| write_parts(&report.parts, &mut Numbering::default(), out));
    out.leaf("footer", &[], concat!("Ocelli ", env!("CARGO_PKG_VERSION")));
}

/// Links to the sections. Headings are numbered in page order, folded ones included, as [`write_parts`] numbers them.
fn contents(parts: &[Part], out: &mut Markup) {
    let mut number = 0;
    let mut sections = Vec::new();
    for part in parts {
        if let Part::Heading { level: 1, text } = part {
            sections.push((heading_id(number), text));
        }
        number += part.headings();
    }
    if sections.len() < MANY_SECTIONS {
        return;
    }
    out.element("nav", &[("aria-label", "Sections")], |out| {
        for (id, text) in sections {
            out.leaf("a", &[("href", &format!("#{id}"))], text);
        }
    });
}
