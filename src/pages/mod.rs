//! The HTML pages that this crate serves: the frame, the style and the headers that they share. Imports
//! the settings and the redirect targets. Open `html.rs` for how text is escaped; the pages themselves
//! are in `endpoints/chooser.rs` and `rejection/error_page.rs`.
//!
//! A page has no script, so that it works wherever a browser does. Its policy allows one style, by its
//! hash, and forms to this site (ASVS 3.4.3); text from claims, requests and settings is escaped
//! (ASVS 1.2.1).

pub(crate) mod html;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
};

use self::html::Html;
use crate::{
    config::{
        PageText, PageTheme, RedirectTarget,
        page_theme::{PageDesign, PageStyle},
    },
    engine::{close::cache_headers::NO_STORE, keys::backend::sha256},
};

/// A page: a heading, the sentences below it, and links and forms.
pub(crate) struct Page<'a> {
    pub(crate) design: &'a PageDesign,
    pub(crate) title: PageText,
    pub(crate) sentences: &'a [PageText],
    pub(crate) content: Html,
    /// Where the responses to the page's forms may redirect.
    pub(crate) form_targets: &'a [&'a RedirectTarget],
    /// Whether Turbo must load the page in place of the whole one, not in a part of it.
    pub(crate) breaks_out_of_turbo_frame: bool,
}

impl Page<'_> {
    pub(crate) fn into_response(self, status: StatusCode) -> Response<Bytes> {
        let style = self.design.style(style);
        let policy = policy(&style.source, self.form_targets);
        let mut response = Response::new(Bytes::from(self.html(&style.css)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, NO_STORE);
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        // Without a referrer the endpoints would not learn which page a form is on.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(NOSNIFF.0, NOSNIFF.1);
        response
    }

    fn html(self, style: &str) -> String {
        let Self { design, title, sentences, content, breaks_out_of_turbo_frame, .. } = self;
        let (texts, site) = (&design.texts, design.theme.name());
        let title = texts.get(title);
        let mut html = Html::default();
        html.raw("<!doctype html>\n<html lang=\"").text(texts.language());
        html.raw("\" dir=\"auto\">\n<head>\n<meta charset=\"utf-8\">\n");
        html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        html.raw("<meta name=\"robots\" content=\"noindex\">\n");
        if breaks_out_of_turbo_frame {
            html.raw("<meta name=\"turbo-visit-control\" content=\"reload\">\n");
        }
        html.raw("<title>").text(title);
        if let Some(site) = site {
            html.raw(" · ").text(site);
        }
        html.raw("</title>\n<style>").markup(style).raw("</style>\n</head>\n<body>\n<main>\n");
        if let Some(site) = site {
            html.raw("<p class=\"site\">").text(site).raw("</p>\n");
        }
        html.raw("<h1>").text(title).raw("</h1>\n");
        for sentence in sentences {
            html.raw("<p>").text(texts.get(*sentence)).raw("</p>\n");
        }
        html.append(&content).raw("</main>\n</body>\n</html>\n");
        html.into_string()
    }
}

/// The style of all pages, after the colors.
const STYLE: &str = include_str!("style.css");

/// The style of the pages of `theme`, and its hash (CSP 3 §2.3.1).
fn style(theme: &PageTheme) -> PageStyle {
    // An HTML parser changes nothing in it, because the colors are checked.
    let css = format!("{}{STYLE}", theme.style());
    // Without a cryptographic back end no engine serves pages.
    let source = match sha256(css.as_bytes()) {
        Some(digest) => format!("sha256-{}", STANDARD.encode(digest)),
        None => "none".to_owned(),
    };
    PageStyle { css, source }
}

/// The policy of a page. Browsers also apply `form-action` to the redirect that follows a form
/// (CSP 3 §6.3.1), so the other origins that the page's forms lead to are in it.
fn policy(style: &str, form_targets: &[&RedirectTarget]) -> HeaderValue {
    let mut policy = format!("default-src 'none'; style-src '{style}'; form-action 'self'");
    let mut origins: Vec<&str> =
        form_targets.iter().filter_map(|target| origin_of(target)).collect();
    origins.sort_unstable();
    origins.dedup();
    for origin in origins {
        policy.push(' ');
        policy.push_str(origin);
    }
    policy.push_str("; base-uri 'none'; frame-ancestors 'none'");
    // Targets are checked, so this is always a header value; the other one keeps it free of a panic.
    HeaderValue::from_str(&policy)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

/// The origin of an absolute URL.
fn origin_of(target: &RedirectTarget) -> Option<&str> {
    let url = target.as_str();
    let host = url.find("://")? + "://".len();
    if url.starts_with('/') {
        return None;
    }
    let end = url.get(host..)?.find(['/', '?', '#']).map_or(url.len(), |length| host + length);
    url.get(..end)
}

/// Browsers must not sniff the content type (ASVS 3.4.4).
pub(crate) const NOSNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));

#[cfg(test)]
mod tests {
    use crate::{config::PageTexts, pages::*};

    #[test]
    fn redirect_target_origin_is_extracted_from_absolute_urls() {
        for (url, origin) in [
            ("/", None),
            ("/x?y=https://evil.example", None),
            ("https://a.example", Some("https://a.example")),
            ("https://a.example:8443?x=/", Some("https://a.example:8443")),
            ("http://a.example/b;c#d", Some("http://a.example")),
        ] {
            assert_eq!(origin_of(&RedirectTarget::parse(url).unwrap()), origin, "{url}");
        }
    }

    #[cfg(feature = "aws-lc-rs")]
    #[test]
    fn content_security_policy_allows_the_style_of_the_page() {
        let design = PageDesign::default();
        let page = Page {
            design: &design,
            title: PageText::InternalTitle,
            sentences: &[],
            content: Html::default(),
            form_targets: &[],
            breaks_out_of_turbo_frame: false,
        };
        let response = page.into_response(StatusCode::OK);
        let html = std::str::from_utf8(response.body()).unwrap();
        let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert!(!style.contains(['<', '\r', '\0']), "what a parser would change has another hash");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, style.as_bytes());
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        let allowed = format!("; style-src 'sha256-{}';", STANDARD.encode(digest));
        assert!(policy.contains(&allowed), "{policy}");
        assert!(style.starts_with(":root { color-scheme: light dark; --background: #f4f5f7;"));
    }

    #[test]
    fn page_texts_are_escaped() {
        let texts = PageTexts::new("a\"b").text(PageText::SignedOutTitle, "<i>");
        let design = PageDesign::new(texts, PageTheme::new().site_name("B&W"));
        let page = Page {
            design: &design,
            title: PageText::SignedOutTitle,
            sentences: &[PageText::SignedOutText],
            content: Html::default(),
            form_targets: &[],
            breaks_out_of_turbo_frame: false,
        };
        let html = page.html("");
        assert!(html.contains("<title>&lt;i&gt; · B&amp;W</title>"), "{html}");
        assert!(html.contains("<p class=\"site\">B&amp;W</p>\n<h1>"), "{html}");
        assert!(
            html.contains("lang=\"a&quot;b\"") && html.contains("<h1>&lt;i&gt;</h1>"),
            "{html}"
        );
        assert!(!html.contains("<i>") && !html.contains("turbo-visit-control"), "{html}");
    }
}
