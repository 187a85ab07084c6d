//! The fast path and the slow path give the same result: the verified-token cache changes the cost of a
//! request and nothing else.

use http::{HeaderValue, Request, Response, header};
use proptest::{collection::vec, prelude::*, sample::select};
use tower_auth_session::{
    KeyRing, SessionEngine, SessionId, SignIn,
    testing::{SeededRandom, cookie_of},
};

use crate::support::{
    ORIGIN, User,
    engine::{Engine, at, close, open},
    engine_builder, key, subject, user,
};

/// In seconds from the start; the tokens were issued at various times before.
const NOW: u64 = 200;
const RENEW_AFTER: u64 = 10;
const TOKENS: usize = 8;

/// A part of a `Cookie` header.
#[derive(Debug, Clone)]
enum Piece {
    /// The token with this number under a name.
    Token(Name, usize),
    ActiveCookie(Option<usize>),
    Other(&'static str),
}

#[derive(Debug, Clone)]
enum Name {
    Only,
    Own,
    Of(usize),
    Odd(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    Nothing,
    ListAccounts,
    UpdateClaims,
    RenewNow,
    SignOut,
    SwitchTo(usize),
}

#[derive(Debug, Clone)]
struct RequestSpec {
    fields: Vec<(Vec<Piece>, &'static str)>,
    named: Option<usize>,
    is_background: bool,
    action: Action,
}

const ODD: &[&str] =
    &[".", ".x", "x", " ", ".0123456789012345678901", ".a=b;0123456789012345678", ".active"];
const OTHERS: &[&str] = &[
    "a=b",
    "",
    "=",
    "__Host-session",
    "x__Host-session=1",
    "__Host-session=",
    "y=__Host-session=z",
];

/// Prefers the two tokens that belong to the same session.
fn token() -> impl Strategy<Value = usize> {
    prop_oneof![0..TOKENS, Just(2), Just(TOKENS - 1)]
}

fn piece() -> impl Strategy<Value = Piece> {
    let name = prop_oneof![
        4 => Just(Name::Only),
        6 => Just(Name::Own),
        1 => token().prop_map(Name::Of),
        1 => select(ODD).prop_map(Name::Odd),
    ];
    prop_oneof![
        6 => (name, token()).prop_map(|(name, token)| Piece::Token(name, token)),
        2 => prop_oneof![1 => Just(None), 4 => token().prop_map(Some)].prop_map(Piece::ActiveCookie),
        2 => select(OTHERS).prop_map(Piece::Other),
    ]
}

fn request_spec() -> impl Strategy<Value = RequestSpec> {
    let action = prop_oneof![
        3 => Just(Action::Nothing),
        2 => Just(Action::ListAccounts),
        2 => Just(Action::UpdateClaims),
        1 => Just(Action::RenewNow),
        1 => Just(Action::SignOut),
        1 => token().prop_map(Action::SwitchTo),
    ];
    let field = (vec(piece(), 0..8), select(&["; ", ";", " ;\t"][..]));
    let named = prop_oneof![5 => Just(None), 1 => token().prop_map(Some)];
    (vec(field, 1..3), named, any::<bool>(), action).prop_map(
        |(fields, named, is_background, action)| RequestSpec {
            fields,
            named,
            is_background,
            action,
        },
    )
}

/// Tokens and their session ids: fresh, due for renewal, expired, forged, and a newer token of one of
/// these sessions.
fn tokens(engine: &Engine, multi_session: bool) -> Vec<(SessionId, String)> {
    let builder = SessionEngine::<User>::builder(KeyRing::new(key("k2")))
        .origin(ORIGIN)
        .multi_session(true)
        .random(SeededRandom::new(9));
    let forger = builder.build().unwrap();
    let ages = [1, 2, RENEW_AFTER - 1, RENEW_AFTER, RENEW_AFTER * 3, 150];
    let issued = ages.into_iter().enumerate().map(|(n, age)| (engine, n, NOW - age));
    let all = issued.chain([(&forger, ages.len(), NOW - 1)]).map(|(engine, n, second)| {
        let name = format!("user{n}");
        let cookie = cookie_of(engine, SignIn::new(subject(&name), user(&name)), at(second));
        let jar = open(engine, cookie.as_ref().unwrap(), second);
        (jar.session().unwrap().id(), token_of(&cookie.unwrap()))
    });
    let mut all: Vec<_> = all.collect();
    let (id, token) = all[2].clone();
    let old = format!(
        "__Host-session{}={token}",
        if multi_session { format!(".{id}") } else { String::new() }
    );
    let jar = open(engine, &old.try_into().unwrap(), NOW - 4);
    jar.update_claims(user("newer")).unwrap();
    let newer = close(engine, &jar, NOW - 4).unwrap();
    all.push((id, token_of(&newer)));
    assert_eq!(all.len(), TOKENS);
    all
}

/// The value of a cookie.
fn token_of(cookie: &HeaderValue) -> String {
    cookie.to_str().unwrap().split_once('=').unwrap().1.to_owned()
}

impl RequestSpec {
    fn request(&self, tokens: &[(SessionId, String)]) -> Request<()> {
        let mut request = Request::get("/").body(()).unwrap();
        for (pieces, between) in &self.fields {
            let pieces = pieces.iter().map(|piece| match piece {
                Piece::Token(name, token) => {
                    let (id, text) = &tokens[*token];
                    let rest = match name {
                        Name::Only => String::new(),
                        Name::Own => format!(".{id}"),
                        Name::Of(other) => format!(".{}", tokens[*other].0),
                        Name::Odd(rest) => (*rest).to_owned(),
                    };
                    format!("__Host-session{rest}={text}")
                }
                Piece::ActiveCookie(Some(token)) => {
                    format!("__Host-session.active={}", tokens[*token].0)
                }
                Piece::ActiveCookie(None) => "__Host-session.active=nobody".to_owned(),
                Piece::Other(text) => (*text).to_owned(),
            });
            let field = pieces.collect::<Vec<_>>().join(between);
            request.headers_mut().append(header::COOKIE, HeaderValue::try_from(field).unwrap());
        }
        let mut insert = |name: &'static str, value: &str| {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        };
        if let Some(named) = self.named {
            insert("session-id", &tokens[named].0.to_string());
        }
        if self.is_background {
            insert("session-activity", "none");
        }
        request
    }

    /// The result as text, and the last activity if the request is signed in.
    fn result(&self, engine: &Engine, tokens: &[(SessionId, String)]) -> (String, Option<u64>) {
        let jar = engine.open(&self.request(tokens), at(NOW));
        let status = jar.status();
        let before =
            jar.session().map(|it| (it.id(), it.claims().name.clone(), it.last_active_at()));
        let outcome = match self.action {
            Action::Nothing => String::new(),
            Action::ListAccounts => {
                let mut all: Vec<_> =
                    jar.accounts().iter().map(|account| format!("{account:?}")).collect();
                all.sort();
                all.join(", ")
            }
            Action::UpdateClaims => format!("{:?}", jar.update_claims(user("new"))),
            Action::RenewNow => {
                jar.renew_now();
                String::new()
            }
            Action::SignOut => format!("{:?}", jar.sign_out().map(|it| it.id())),
            Action::SwitchTo(token) => {
                format!("{:?}", jar.switch_to(tokens[token].0).map(|it| it.id()).is_ok())
            }
        };
        let after = jar.session();
        let mut response = Response::new(());
        let closed = engine.close(&jar, &mut response, at(NOW));
        let mut cookies: Vec<_> = response
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|line| {
                let line = line.to_str().unwrap();
                let (pair, attributes) = line.split_once(';').unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                // Two tokens of one session differ in the time of the last activity.
                let value = if value.contains('.') { "a token" } else { value };
                let is_removal = attributes.contains("Max-Age=0");
                format!("{name}={value} {is_removal}")
            })
            .collect();
        cookies.sort();
        let now = after.as_ref().map(|it| (it.id(), it.claims().name.clone()));
        let [vary, caching] =
            [header::VARY, header::CACHE_CONTROL].map(|name| response.headers().get(name).cloned());
        let text = format!(
            "{:?} {before:?} {outcome} {now:?} {closed:?} {cookies:?} {vary:?} {caching:?}",
            status.kind(),
        );
        (text, after.map(|it| it.last_active_at().as_unix_seconds()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn fast_path_and_slow_path_give_the_same_result(request_spec in request_spec(), multi_session: bool) {
        let engine = |cache_capacity| {
            let builder = engine_builder().0.multi_session(multi_session);
            builder.verified_token_cache(cache_capacity).build().unwrap()
        };
        let tokens = tokens(&engine(0), multi_session);
        let (with_cache, without_cache) = (engine(100), engine(0));
        for (id, token) in &tokens {
            for name in ["__Host-session".to_owned(), format!("__Host-session.{id}")] {
                let cookie = format!("{name}={token}");
                let request = Request::get("/").header(header::COOKIE, cookie).body(()).unwrap();
                drop(with_cache.open(&request, at(NOW)));
            }
        }
        let (cached, cached_activity) = request_spec.result(&with_cache, &tokens);
        let (uncached, uncached_activity) = request_spec.result(&without_cache, &tokens);
        prop_assert_eq!(cached, uncached);
        // The fast path does not record activity again if the last one was recorded a moment ago.
        match cached_activity.zip(uncached_activity) {
            Some((cached, uncached)) => prop_assert!(cached <= uncached && uncached - cached < RENEW_AFTER),
            None => prop_assert_eq!(cached_activity, uncached_activity),
        }
    }
}
