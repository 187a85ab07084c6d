//! [`Html`]: escaped text, links and forms.

use crate::config::RedirectTarget;

/// A piece of HTML.
#[derive(Debug, Default)]
pub(crate) struct Html(String);

/// A form of one button.
pub(crate) struct Form<'a> {
    pub(crate) action: &'a str,
    pub(crate) class: &'static str,
    pub(crate) hidden: &'a [(&'static str, &'a str)],
}

impl Html {
    /// Trusted markup.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.markup(markup)
    }

    /// Trusted markup that is composed at run time.
    pub(super) fn markup(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Untrusted text, as content or between double quotes.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        self
    }

    pub(crate) fn append(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// A link, shown as a button if it is the primary action of the page.
    pub(crate) fn link(&mut self, is_primary: bool, target: &RedirectTarget, text: &str) {
        self.raw(if is_primary { "<a class=\"primary\" href=\"" } else { "<a href=\"" });
        self.text(target.as_str()).raw("\">").text(text).raw("</a>\n");
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    pub(crate) fn form(&mut self, form: &Form<'_>, button: impl FnOnce(&mut Self)) {
        self.raw("<form method=\"post\" action=\"").text(form.action);
        self.raw("\" class=\"").raw(form.class).raw("\">");
        for (name, value) in form.hidden {
            self.raw("<input type=\"hidden\" name=\"").raw(name).raw("\" value=\"").text(value);
            self.raw("\">");
        }
        self.raw("<button>");
        button(self);
        self.raw("</button></form>\n");
    }
}

#[cfg(test)]
mod tests {
    use crate::pages::html::*;

    #[test]
    fn html_text_is_escaped() {
        let mut html = Html::default();
        html.text("<b a='1' b=\"2\">&amp;\u{202e}</b>");
        assert_eq!(html.0, "&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;amp;\u{202e}&lt;/b&gt;");
    }
}
