//! [`PageTheme`]: the name of the site and the colors of the pages that this crate serves.

use std::{borrow::Cow, fmt::Write as _, sync::OnceLock};

use super::page_texts::PageTexts;
use crate::error::ConfigProblem;

/// The contrast that texts need (WCAG 2.2, 1.4.3).
const MIN_CONTRAST: f64 = 4.5;

/// The name of the site and the colors of the pages that this crate serves: the account chooser, and the
/// pages that state why a request was refused.
///
/// Pass it to [`SessionEngineBuilder::page_theme`](crate::engine::SessionEngineBuilder::page_theme). The
/// words are those of [`PageTexts`].
///
/// ```
/// use tower_auth_session::config::{PageColors, PageTheme};
///
/// let theme = PageTheme::new()
///     .site_name("Example Shop")
///     .light(PageColors::light().accent("#8a1c7c"))
///     .dark(PageColors::dark().accent("#f0b3e6").background("#1a0f18"));
/// # let _ = theme;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageTheme {
    site_name: Option<Cow<'static, str>>,
    light: PageColors,
    dark: PageColors,
}

impl PageTheme {
    /// No site name, and the default colors.
    #[must_use]
    pub const fn new() -> Self {
        Self { site_name: None, light: PageColors::light(), dark: PageColors::dark() }
    }

    /// The name of the site, above the heading and in the title of the window. It is plain text and
    /// escaped when shown.
    #[must_use]
    pub fn site_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.site_name = Some(name.into());
        self
    }

    /// The colors for browsers that do not prefer dark pages.
    #[must_use]
    pub fn light(mut self, colors: PageColors) -> Self {
        self.light = colors;
        self
    }

    /// The colors for browsers that prefer dark pages.
    #[must_use]
    pub fn dark(mut self, colors: PageColors) -> Self {
        self.dark = colors;
        self
    }

    pub(crate) fn check(&self, problems: &mut Vec<ConfigProblem>) {
        self.light.check("page_theme.light", problems);
        self.dark.check("page_theme.dark", problems);
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.site_name.as_deref()
    }

    /// The colors as custom properties. The names are those of the style sheet.
    pub(crate) fn style(&self) -> String {
        let mut css = ":root { color-scheme: light dark;".to_owned();
        self.light.write(&mut css);
        css.push_str(" }\n@media (prefers-color-scheme: dark) { :root {");
        self.dark.write(&mut css);
        css.push_str(" } }\n");
        css
    }
}

impl Default for PageTheme {
    fn default() -> Self {
        Self::new()
    }
}

/// The colors of a [`PageTheme`], for light or for dark pages. Each is written as `#rrggbb`.
///
/// `build()` reports colors that are not of this form, and texts with a contrast below 4.5:1, which many
/// users cannot read (WCAG 2.2, 1.4.3).
///
/// ```
/// use tower_auth_session::{
///     Algorithm, KeyRing, SessionEngine, SigningKey,
///     config::{PageColors, PageTheme},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::Hs256)?);
/// let dark = PageColors::dark()
///     .background("#101014")
///     .surface("#1c1c24")
///     .text("#f0f0f5")
///     .muted("#b8b8c8")
///     .border("#88889c")
///     .accent("#c0b0ff");
/// let pale = PageTheme::new().dark(dark).light(PageColors::light().accent("#ffd54f"));
/// let error = SessionEngine::<()>::builder(keys).page_theme(pale).build().unwrap_err();
/// assert_eq!(error.problems()[0].field(), "page_theme.light.accent");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageColors {
    background: Cow<'static, str>,
    surface: Cow<'static, str>,
    text: Cow<'static, str>,
    muted: Cow<'static, str>,
    border: Cow<'static, str>,
    accent: Cow<'static, str>,
}

impl PageColors {
    /// The default colors of light pages.
    #[must_use]
    pub const fn light() -> Self {
        Self {
            background: Cow::Borrowed("#f4f5f7"),
            surface: Cow::Borrowed("#ffffff"),
            text: Cow::Borrowed("#1a1d21"),
            muted: Cow::Borrowed("#555c66"),
            border: Cow::Borrowed("#767d88"),
            accent: Cow::Borrowed("#0b57d0"),
        }
    }

    /// The default colors of dark pages.
    #[must_use]
    pub const fn dark() -> Self {
        Self {
            background: Cow::Borrowed("#121417"),
            surface: Cow::Borrowed("#1d2025"),
            text: Cow::Borrowed("#eceef1"),
            muted: Cow::Borrowed("#b3bac4"),
            border: Cow::Borrowed("#858d99"),
            accent: Cow::Borrowed("#a8c7fa"),
        }
    }

    /// The background of the page.
    #[must_use]
    pub fn background(mut self, color: impl Into<Cow<'static, str>>) -> Self {
        self.background = color.into();
        self
    }

    /// The background of an account.
    #[must_use]
    pub fn surface(mut self, color: impl Into<Cow<'static, str>>) -> Self {
        self.surface = color.into();
        self
    }

    /// The color of headings and names.
    #[must_use]
    pub fn text(mut self, color: impl Into<Cow<'static, str>>) -> Self {
        self.text = color.into();
        self
    }

    /// The color of explanations, and of actions that sign out.
    #[must_use]
    pub fn muted(mut self, color: impl Into<Cow<'static, str>>) -> Self {
        self.muted = color.into();
        self
    }

    /// The border of an account.
    #[must_use]
    pub fn border(mut self, color: impl Into<Cow<'static, str>>) -> Self {
        self.border = color.into();
        self
    }

    /// The color of the primary action, of links, and of the active account. The text on a button of this
    /// color is black or white, whichever has the higher contrast.
    #[must_use]
    pub fn accent(mut self, color: impl Into<Cow<'static, str>>) -> Self {
        self.accent = color.into();
        self
    }

    const fn named(&self) -> [(&'static str, &Cow<'static, str>); 6] {
        [
            ("background", &self.background),
            ("surface", &self.surface),
            ("text", &self.text),
            ("muted", &self.muted),
            ("border", &self.border),
            ("accent", &self.accent),
        ]
    }

    fn check(&self, field: &str, problems: &mut Vec<ConfigProblem>) {
        let before = problems.len();
        for (name, color) in self.named() {
            if luminance(color).is_none() {
                let remedy = "write # and six hexadecimal digits, such as #0b57d0";
                problems.push(ConfigProblem::new(format!("{field}.{name}"), &**color, remedy));
            }
        }
        if problems.len() > before {
            return;
        }
        for (name, color) in
            [("text", &self.text), ("muted", &self.muted), ("accent", &self.accent)]
        {
            let worst = contrast(color, &self.background).min(contrast(color, &self.surface));
            if worst < MIN_CONTRAST {
                let remedy = format!(
                    "choose a color that can be read on background and surface: its contrast is \
                     {worst:.1}:1, and 4.5:1 is the minimum"
                );
                problems.push(ConfigProblem::new(format!("{field}.{name}"), &**color, remedy));
            }
        }
    }

    fn write(&self, css: &mut String) {
        for (name, color) in self.named() {
            let _ = write!(css, " --{name}: {color};");
        }
        let on_accent = ["#ffffff", "#000000"];
        let [white, black] = on_accent.map(|color| contrast(color, &self.accent));
        let _ = write!(css, " --on-accent: {}", on_accent[usize::from(black > white)]);
    }
}

/// The words, the name and the colors of the pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PageDesign {
    pub(crate) texts: PageTexts,
    pub(crate) theme: PageTheme,
    style: OnceLock<PageStyle>,
}

/// The style sheet of the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageStyle {
    pub(crate) css: String,
    /// The source expression of the policy that allows it.
    pub(crate) source: String,
}

impl PageDesign {
    pub(crate) const fn new(texts: PageTexts, theme: PageTheme) -> Self {
        Self { texts, theme, style: OnceLock::new() }
    }

    /// The style that `new` makes of the theme. It is made once, for the first page.
    pub(crate) fn style(&self, new: impl FnOnce(&PageTheme) -> PageStyle) -> &PageStyle {
        self.style.get_or_init(|| new(&self.theme))
    }
}

/// The relative luminance (WCAG 2.2) of `#rrggbb`.
fn luminance(color: &str) -> Option<f64> {
    let digits = color.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let rgb = u32::from_str_radix(digits, 16).ok()?;
    let [_, channels @ ..] = rgb.to_be_bytes();
    let [red, green, blue] = channels.map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    Some(0.2126 * red + 0.7152 * green + 0.0722 * blue)
}

/// The contrast of two valid colors, from 1 to 21.
fn contrast(one: &str, other: &str) -> f64 {
    let (one, other) = (luminance(one).unwrap_or_default(), luminance(other).unwrap_or_default());
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[cfg(test)]
mod tests {
    use crate::config::page_theme::*;

    fn problems(theme: &PageTheme) -> Vec<String> {
        let mut problems = Vec::new();
        theme.check(&mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn contrast_is_that_of_the_recommendation() {
        for (one, other, expected) in [
            ("#000000", "#ffffff", 21.0),
            ("#777777", "#ffffff", 4.478),
            ("#767676", "#FFFFFF", 4.542),
            ("#0b57d0", "#0b57d0", 1.0),
        ] {
            let contrast = contrast(one, other);
            assert!((contrast - expected).abs() < 0.001, "{one} on {other}: {contrast}");
        }
    }

    #[test]
    fn default_colors_can_be_read() {
        assert_eq!(problems(&PageTheme::new()), [""; 0]);
    }

    #[test]
    fn colors_that_cannot_be_read_are_problems() {
        let broken = ["", "red", "#fff", "#12345g", "#+12345", "#1234567", "#fff;}", "#é1234"];
        for color in broken {
            let theme = PageTheme::new().dark(PageColors::dark().border(color));
            let [problem] = &problems(&theme)[..] else { panic!("{color}") };
            assert!(problem.contains("page_theme.dark.border"), "{problem}");
            assert!(problem.contains("six hexadecimal digits"), "{problem}");
        }
        let pale = PageTheme::new().light(PageColors::light().muted("#aaaaaa").surface("#fffff0"));
        let [problem] = &problems(&pale)[..] else { panic!("one problem") };
        assert!(problem.contains("page_theme.light.muted") && problem.contains("2."), "{problem}");
    }

    #[test]
    fn text_on_the_accent_is_black_or_white() {
        let on = |accent: &'static str| {
            PageTheme::new().light(PageColors::light().accent(accent)).style()
        };
        assert!(on("#0b57d0").contains("--accent: #0b57d0; --on-accent: #ffffff }"));
        assert!(on("#ffd54f").contains("--accent: #ffd54f; --on-accent: #000000 }"));
    }
}
