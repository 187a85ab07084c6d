//! [`PageTexts`]: the words of the pages that this crate serves.

use std::{borrow::Cow, collections::BTreeMap};

/// The language and the texts of the pages that this crate serves: the account chooser, and the pages
/// that say why a request was refused. English by default.
///
/// Pass it to
/// [`SessionEngineBuilder::page_texts`](crate::engine::SessionEngineBuilder::page_texts). To translate
/// the pages, set every text of [`PageText::ALL`]; texts that are not set stay English. All texts are
/// plain text and escaped when shown.
///
/// ```
/// use tower_auth_session::config::{PageText, PageTexts};
///
/// let texts = PageTexts::english().text(PageText::SignIn, "Log in");
/// let french = PageTexts::new("fr").text(PageText::SignIn, "Se connecter");
/// assert_eq!((french.language(), french.get(PageText::SignIn)), ("fr", "Se connecter"));
/// # let _ = (texts, PageTexts::german());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageTexts {
    language: Cow<'static, str>,
    texts: BTreeMap<PageText, Cow<'static, str>>,
}

impl PageTexts {
    /// Texts in the language with this tag (BCP 47), such as `fr` or `pt-BR`. Every text is English
    /// until it is set.
    #[must_use]
    pub fn new(language: impl Into<Cow<'static, str>>) -> Self {
        Self { language: language.into(), texts: BTreeMap::new() }
    }

    /// The English texts.
    #[must_use]
    pub fn english() -> Self {
        Self::new("en")
    }

    /// The German texts.
    #[must_use]
    pub fn german() -> Self {
        let texts = PageText::ALL.iter().map(|text| (*text, Cow::Borrowed(text.german())));
        Self { language: "de".into(), texts: texts.collect() }
    }

    /// Sets one text.
    #[must_use]
    pub fn text(mut self, name: PageText, text: impl Into<Cow<'static, str>>) -> Self {
        self.texts.insert(name, text.into());
        self
    }

    /// The language tag, for the attribute `lang`.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// The text of this name.
    #[must_use]
    pub fn get(&self, name: PageText) -> &str {
        match self.texts.get(&name) {
            Some(text) => text,
            None => name.english(),
        }
    }
}

impl Default for PageTexts {
    fn default() -> Self {
        Self::english()
    }
}

macro_rules! page_texts {
    ($($(#[$doc:meta])* $name:ident: $english:literal, $german:literal;)+) => {
        /// The name of a text of [`PageTexts`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum PageText {
            $($(#[$doc])* #[doc = concat!("\"", $english, "\"")] $name,)+
        }

        impl PageText {
            /// All names, for checking that a translation is complete.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The English text.
            #[must_use]
            pub const fn english(self) -> &'static str {
                match self { $(Self::$name => $english,)+ }
            }

            const fn german(self) -> &'static str {
                match self { $(Self::$name => $german,)+ }
            }
        }
    };
}

page_texts! {
    /// Link to the sign-in page:
    SignIn: "Sign in", "Anmelden";
    /// Link to the page on which the user completes what is required:
    Continue: "Continue", "Weiter";
    /// Link to the page that was requested:
    TryAgain: "Try again", "Erneut versuchen";
    /// Link to the page that held the form:
    GoBack: "Go back", "Zurück";
    /// Link to the default page:
    StartPage: "Go to the start page", "Zur Startseite";
    /// Below the reason, if a form was not accepted:
    NotSaved: "What you sent was not saved.", "Ihre Eingaben wurden nicht gespeichert.";

    /// Account chooser, title:
    ChooseTitle: "Choose an account", "Konto auswählen";
    /// Account chooser:
    ChooseText: "These accounts are signed in from this browser.",
        "Mit diesen Konten sind Sie in diesem Browser angemeldet.";
    /// Account chooser without an account:
    NoAccountText: "No account is signed in from this browser.",
        "In diesem Browser ist kein Konto angemeldet.";
    /// Account chooser, read by screen readers before the name of an account:
    ContinueAs: "Continue as", "Weiter als";
    /// Account chooser, button:
    SignOut: "Sign out", "Abmelden";
    /// Account chooser, read by screen readers between [`SignOut`](Self::SignOut) and the name of an
    /// account:
    SignOutOf: "of", "von";
    /// Account chooser, link to the sign-in page:
    AddAccount: "Add another account", "Weiteres Konto hinzufügen";
    /// Account chooser, button:
    SignOutOfAll: "Sign out of all accounts", "Von allen Konten abmelden";
    /// Account chooser, at the active account:
    Active: "Active now", "Jetzt aktiv";
    /// Account chooser, before the name of the user who impersonates an account:
    ImpersonatedBy: "Impersonated by", "Übernommen von";

    /// Title of the page for a user who is not signed in:
    SignedOutTitle: "You are not signed in", "Sie sind nicht angemeldet";
    /// To a user who is not signed in:
    SignedOutText: "You need to sign in to continue.", "Bitte melden Sie sich an, um fortzufahren.";
    /// Title for a pending session, and at its account in the chooser:
    PendingTitle: "The sign-in is not complete", "Die Anmeldung ist noch nicht abgeschlossen";
    /// To the user of a pending session:
    PendingText: "Complete the remaining steps of signing in to continue.",
        "Bitte führen Sie die übrigen Schritte der Anmeldung aus, um fortzufahren.";
    /// Title where a user must be verified again:
    NotFreshTitle: "Confirm that it is you", "Bitte bestätigen Sie Ihre Identität";
    /// To a user who must be verified again:
    NotFreshText: "You need to verify your identity again before you can do this.",
        "Dafür müssen Sie Ihre Identität erneut bestätigen.";
    /// Title where the request names an account that is not signed in:
    SessionMismatchTitle: "This account is no longer signed in",
        "Dieses Konto ist nicht mehr angemeldet";
    /// To a user whose page belongs to an account that is not signed in:
    SessionMismatchText: "The page that you used belongs to an account that is not signed in from this browser.",
        "Die verwendete Seite gehört zu einem Konto, das in diesem Browser nicht angemeldet ist.";
    /// Title where the account lacks a permission:
    ForbiddenTitle: "You do not have access", "Kein Zugriff";
    /// To a user whose account lacks a permission:
    ForbiddenText: "Your account does not have permission to open this page or to do this.",
        "Ihr Konto hat keine Berechtigung für diese Seite oder diese Aktion.";
    /// To an impersonated session:
    ImpersonatedText: "This is not possible while you act as another user.",
        "Das ist nicht möglich, solange Sie als andere Person handeln.";
    /// Title where another site caused the request:
    CrossOriginTitle: "The request was refused", "Die Anfrage wurde abgelehnt";
    /// To a user whose request another site caused:
    CrossOriginText: "The request came from another site. Go to the start page and try again there.",
        "Die Anfrage kam von einer anderen Website. Bitte versuchen Sie es von der Startseite aus erneut.";
    /// Title while sessions cannot be checked or changed:
    UnavailableTitle: "Please try again in a moment", "Bitte versuchen Sie es gleich noch einmal";
    /// To a user while sessions cannot be checked or changed:
    UnavailableText: "Your sign-in cannot be checked at the moment. This is usually resolved within minutes.",
        "Ihre Anmeldung kann gerade nicht geprüft werden. Das ist meist nach wenigen Minuten behoben.";
    /// Title where the request has no proof of the device that its session is bound to:
    UnprovenTitle: "Your device could not be confirmed", "Ihr Gerät konnte nicht bestätigt werden";
    /// To a user whose browser sent no proof of its device:
    UnprovenText: "Your sign-in works only on the device on which you signed in, and your browser has not confirmed it just now. Try again in a moment. If this does not help, sign in again.",
        "Ihre Anmeldung gilt nur auf dem Gerät, auf dem Sie sich angemeldet haben, und Ihr Browser hat es gerade nicht bestätigt. Bitte versuchen Sie es gleich noch einmal. Wenn das nicht hilft, melden Sie sich bitte neu an.";
    /// Title where a session must be bound to a device:
    NotDeviceBoundTitle: "This browser is not supported", "Dieser Browser wird nicht unterstützt";
    /// To a user whose browser cannot bind a session to its device:
    NotDeviceBoundText: "This service requires a browser that binds your sign-in to your device, such as a current Chrome on Windows.",
        "Dieser Dienst setzt einen Browser voraus, der Ihre Anmeldung an Ihr Gerät bindet, zum Beispiel ein aktuelles Chrome unter Windows.";
    /// Title where a sign-in exceeds a limit:
    LimitTitle: "Too many sign-ins", "Zu viele Anmeldungen";
    /// To a user whose browser holds the maximum number of accounts:
    TooManyAccountsText: "This browser has the maximum number of accounts. Sign out of one of them first.",
        "In diesem Browser sind bereits so viele Konten angemeldet wie möglich. Bitte melden Sie sich zuerst von einem ab.";
    /// To a user who is signed in as often as allowed:
    TooManySessionsText: "You are signed in on as many devices as allowed. Sign out on another device first.",
        "Sie sind bereits auf so vielen Geräten angemeldet wie erlaubt. Bitte melden Sie sich zuerst auf einem anderen Gerät ab.";
    /// Title where a sign-in, or another flow, was not completed in time or began in another browser:
    UnknownFlowTitle: "Please start again", "Bitte beginnen Sie noch einmal";
    /// The sentence below:
    UnknownFlowText: "It took too long, or was started in another browser.",
        "Es hat zu lange gedauert oder wurde in einem anderen Browser begonnen.";
    /// Title where a link opens an address that accepts only forms:
    WrongMethodTitle: "This address cannot be opened", "Diese Adresse kann nicht geöffnet werden";
    /// To a user who opened such an address, for example by an old link to sign out:
    WrongMethodText: "It belongs to a button, such as the one to sign out. Go to the start page and use the button there.",
        "Sie gehört zu einer Schaltfläche, zum Beispiel zum Abmelden. Bitte gehen Sie zur Startseite und verwenden Sie dort die Schaltfläche.";
    /// Title where a request is malformed:
    BadRequestTitle: "The request is not valid", "Diese Anfrage funktioniert nicht";
    /// To a user whose request is malformed:
    BadRequestText: "The address or the form is not valid. Go back and try again.",
        "Die Adresse oder das Formular ist ungültig. Bitte gehen Sie zurück und versuchen Sie es erneut.";
    /// Title of all other failures:
    InternalTitle: "Something went wrong", "Etwas ist schiefgelaufen";
    /// To a user after all other failures:
    InternalText: "This service could not complete the request. If it happens again, contact its operator.",
        "Der Dienst konnte die Anfrage nicht ausführen. Wenn das wieder vorkommt, wenden Sie sich bitte an den Betreiber.";
}

#[cfg(test)]
mod tests {
    use crate::config::page_texts::*;

    #[test]
    fn german_texts_are_complete() {
        let german = PageTexts::german();
        for name in PageText::ALL {
            assert_ne!(german.get(*name), name.english(), "{name:?}");
        }
        assert_eq!((german.language(), PageTexts::default().language()), ("de", "en"));
    }

    #[test]
    fn text_that_is_not_set_is_english() {
        let texts = PageTexts::new("fr").text(PageText::SignIn, "Se connecter".to_owned());
        assert_eq!(texts.get(PageText::SignIn), "Se connecter");
        assert_eq!(texts.get(PageText::SignOut), "Sign out");
    }
}
