//! Markup that is escaped and balanced by construction.

/// A growing piece of HTML or SVG.
///
/// Tags and attribute names are literals of this program, every other string goes through [`escape`], and a tag is
/// closed by the call that opened it, so no caller can leave one open or let a caption act as markup.
#[derive(Debug, Default)]
pub(super) struct Markup {
    out: String,
}

impl Markup {
    /// Writes `text` as text.
    pub(super) fn text(&mut self, text: &str) {
        escape(text, &mut self.out);
    }

    /// Writes an element; `inside` writes its content.
    pub(super) fn element(
        &mut self,
        tag: &'static str,
        attributes: &[(&'static str, &str)],
        inside: impl FnOnce(&mut Self),
    ) {
        self.start(tag, attributes);
        self.out.push('>');
        inside(self);
        self.out.push_str("</");
        self.out.push_str(tag);
        self.out.push('>');
    }

    /// Writes an element that holds nothing but `text`.
    pub(super) fn leaf(&mut self, tag: &'static str, attributes: &[(&'static str, &str)], text: &str) {
        self.element(tag, attributes, |inside| inside.text(text));
    }

    /// Writes an element without content, such as `meta`, `img` or an SVG shape.
    pub(super) fn empty(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.start(tag, attributes);
        self.out.push_str("/>");
    }

    /// Writes text of this program as it stands: the document type, the style sheet, line breaks between blocks.
    pub(super) fn literal(&mut self, text: &'static str) {
        self.out.push_str(text);
    }

    pub(super) fn into_string(self) -> String {
        self.out
    }

    fn start(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.out.push('<');
        self.out.push_str(tag);
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
    }
}

/// Appends `text` so that it reads the same in a text node and in a double-quoted attribute.
///
/// Control characters, which HTML forbids even as references, become U+FFFD.
fn escape(text: &str, out: &mut String) {
    out.reserve(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            _ if character.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_are_escaped() {
        let mut markup = Markup::default();
        markup.leaf("p", &[("title", "a\"b'<")], "x < y & \u{1b}[0m </p>\n");
        assert_eq!(
            markup.into_string(),
            "<p title=\"a&quot;b&#39;&lt;\">x &lt; y &amp; \u{fffd}[0m &lt;/p&gt;\n</p>"
        );
    }

    #[test]
    fn elements_nest_and_close() {
        let mut markup = Markup::default();
        markup.element("div", &[], |out| {
            out.empty("img", &[("alt", "")]);
            out.element("b", &[], |_| ());
        });
        assert_eq!(markup.into_string(), "<div><img alt=\"\"/><b></b></div>");
    }
}
