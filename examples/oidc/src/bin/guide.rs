use std::error::Error;

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{ErrorResponse, Html, Redirect},
    routing::get,
};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IssuerUrl, LogoutRequest, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl, Scope, TokenResponse as _,
    core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient},
    reqwest,
};
use serde::{Deserialize, Serialize};
use tower_auth_session::{
    Algorithm, KeyRing, RequireSessionLayer, Session, SessionEngine, SessionJar, SessionLayer,
    SignIn, SigningKey, Subject, config::RedirectUrls, flow::Flow,
};

const ORIGIN: &str = "http://127.0.0.1:3000";
const ISSUER: &str = "http://localhost:3001";
const CLIENT: (&str, &str) = ("example", "example-secret");

type Failure = Box<dyn Error + Send + Sync>;

/// A client with the endpoints that discovery finds.
type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The claims of a session.
#[derive(Clone, Serialize, Deserialize)]
struct User {
    name: String,
}

/// What the callback needs to complete the sign-in.
#[derive(Serialize, Deserialize)]
struct Login {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

#[derive(Clone)]
struct App {
    engine: SessionEngine<User>,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct SignInQuery {
    redirect_url: Option<String>,
}

/// If the user cancels, the provider sends `error` instead of `code`.
#[derive(Deserialize)]
struct Answer {
    state: String,
    code: Option<String>,
}

async fn sign_in(
    State(app): State<App>,
    jar: SessionJar<User>,
    Query(query): Query<SignInQuery>,
) -> Result<Redirect, ErrorResponse> {
    let client = client(&app.http).await.map_err(failed)?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let nonce = Nonce::new_random();
    let login = Login { nonce: nonce.clone(), verifier };
    let return_to = query.redirect_url.and_then(|url| app.engine.redirect_target(&url));
    let flow = jar.start_flow(Flow::new(login).return_to(return_to))?;
    let state = CsrfToken::new(flow.to_string());
    let mut request = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce)
        .add_scope(Scope::new("profile".to_owned()))
        .set_pkce_challenge(challenge);
    if !jar.accounts().is_empty() {
        // Otherwise the provider may return the account that is already signed in.
        request = request.add_prompt(CoreAuthPrompt::Login);
    }
    Ok(Redirect::to(request.url().0.as_str()))
}

async fn callback(
    State(app): State<App>,
    jar: SessionJar<User>,
    Query(answer): Query<Answer>,
) -> Result<Redirect, ErrorResponse> {
    let flow = jar.finish_flow::<Login>(&answer.state)?;
    let code = answer.code.ok_or((StatusCode::BAD_REQUEST, "You were not signed in."))?;
    let (subject, user) = exchange(&app.http, code, flow.data).await.map_err(failed)?;
    jar.sign_in(SignIn::new(subject, user))?;
    Ok(Redirect::to(flow.return_to.as_ref().map_or("/", |target| target.as_str())))
}

async fn exchange(
    http: &reqwest::Client,
    code: String,
    login: Login,
) -> Result<(Subject, User), Failure> {
    let client = client(http).await?;
    let code = client.exchange_code(AuthorizationCode::new(code))?;
    let tokens = code.set_pkce_verifier(login.verifier).request_async(http).await?;
    let token = tokens.id_token().ok_or("the provider sent no ID token")?;
    let claims = token.claims(&client.id_token_verifier(), &login.nonce)?;
    let subject = Subject::new(claims.subject().as_str())?;
    let name = claims.name().and_then(|name| name.get(None));
    let name = name.map_or_else(|| subject.to_string(), |name| name.to_string());
    Ok((subject, User { name }))
}

async fn home(session: Session<User>) -> Html<String> {
    let name = session.claims().name.replace('&', "&amp;").replace('<', "&lt;");
    Html(format!(
        "<h1>Hello, {name}</h1>\
         <p><a href=\"/sign-in\">Add an account</a> <a href=\"/sign-in/choose\">Accounts</a></p>\
         <form method=\"post\" action=\"/sign-out\"><button>Sign out</button></form>"
    ))
}

/// Reads the provider's keys, which change. Keep the client for some minutes if many users sign in.
async fn client(http: &reqwest::Client) -> Result<Client, Failure> {
    let issuer = IssuerUrl::new(ISSUER.to_owned())?;
    let metadata = ProviderMetadataWithLogout::discover_async(issuer, http).await?;
    let (id, secret) = (ClientId::new(CLIENT.0.to_owned()), ClientSecret::new(CLIENT.1.to_owned()));
    let client = CoreClient::from_provider_metadata(metadata, id, Some(secret));
    Ok(client.set_redirect_uri(RedirectUrl::new(format!("{ORIGIN}/callback"))?))
}

/// The page of the provider that ends its session and redirects back.
async fn sign_out_url(http: &reqwest::Client) -> Result<String, Failure> {
    let issuer = IssuerUrl::new(ISSUER.to_owned())?;
    let metadata = ProviderMetadataWithLogout::discover_async(issuer, http).await?;
    let end = metadata.additional_metadata().end_session_endpoint.clone();
    let request = LogoutRequest::from(end.ok_or("the provider has no end_session_endpoint")?)
        .set_client_id(ClientId::new(CLIENT.0.to_owned()))
        .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(format!("{ORIGIN}/"))?);
    Ok(request.http_get_url().to_string())
}

fn failed(error: Failure) -> ErrorResponse {
    eprintln!("the provider failed: {error}");
    (StatusCode::BAD_GATEWAY, "The provider does not answer. Try again in a minute.").into()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    // In production, load the key from a secret: with a new key, all users are signed out.
    let keys = KeyRing::new(SigningKey::generate("2026-11", Algorithm::EdDsa)?);
    let urls =
        RedirectUrls::new().sign_in_url("/sign-in").after_sign_out_url(sign_out_url(&http).await?);
    let engine = SessionEngine::<User>::builder(keys)
        .origin(ORIGIN)
        .multi_session(true)
        .redirect_urls(urls)
        .build()?;
    let app = Router::new()
        .route("/", get(home))
        .route_layer(RequireSessionLayer::new())
        .route("/sign-in", get(sign_in))
        .route("/callback", get(callback))
        .with_state(App { engine: engine.clone(), http })
        .layer(SessionLayer::new(engine));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
