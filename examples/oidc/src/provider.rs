//! The OpenID provider, by the crate `openidconnect`.

use std::{error::Error, sync::Arc};

use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IssuerUrl, LogoutRequest, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl, Scope, TokenResponse as _,
    core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient},
    reqwest,
    url::Url,
};
use serde::{Deserialize, Serialize};
use tower_auth_session::{Subject, config::SameSite, flow::FlowId};

use crate::{User, setting};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Settings>);

struct Settings {
    http: reqwest::Client,
    issuer: IssuerUrl,
    client: ClientId,
    secret: ClientSecret,
    redirect: RedirectUrl,
    sign_out: Url,
    answers_by_form: bool,
}

/// A client with the endpoints that discovery found.
type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What this service needs to complete a sign-in, and the browser must not read.
#[derive(Serialize, Deserialize)]
pub(crate) struct Login {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

/// A request for a sign-in at the provider.
pub(crate) struct Authorization {
    client: Client,
    challenge: PkceCodeChallenge,
    nonce: Nonce,
    answers_by_form: bool,
}

impl Provider {
    /// The provider of the environment, as it describes itself.
    pub(crate) async fn discover(origin: &str) -> Result<Self, Failure> {
        // A provider that redirects must not make this service send requests elsewhere.
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let issuer = IssuerUrl::new(setting("ISSUER", "http://localhost:3001"))?;
        let client = ClientId::new(setting("CLIENT_ID", "example"));
        let metadata = ProviderMetadataWithLogout::discover_async(issuer.clone(), &http).await?;
        let end = metadata.additional_metadata().end_session_endpoint.clone();
        let end = end.ok_or("the provider has no end_session_endpoint")?;
        let sign_out = LogoutRequest::from(end)
            .set_client_id(client.clone())
            .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(format!("{origin}/"))?)
            .http_get_url();
        Ok(Self(Arc::new(Settings {
            http,
            issuer,
            client,
            secret: ClientSecret::new(setting("CLIENT_SECRET", "example-secret")),
            redirect: RedirectUrl::new(format!("{origin}/callback"))?,
            sign_out,
            answers_by_form: setting("RESPONSE_MODE", "query") == "form_post",
        })))
    }

    /// The provider's page that ends its session, and then returns to this service.
    pub(crate) fn sign_out_url(&self) -> &str {
        self.0.sign_out.as_str()
    }

    /// The attribute of a cookie that comes back with the provider's answer.
    pub(crate) fn same_site(&self) -> SameSite {
        if self.0.answers_by_form { SameSite::None } else { SameSite::Lax }
    }

    /// A new request, and what completes it.
    pub(crate) async fn authorization(&self) -> Result<(Authorization, Login), Failure> {
        let client = self.client().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (nonce, answers_by_form) = (Nonce::new_random(), self.0.answers_by_form);
        let login = Login { nonce: nonce.clone(), verifier };
        Ok((Authorization { client, challenge, nonce, answers_by_form }, login))
    }

    /// The user that the provider signed in, by the claims of its ID token.
    pub(crate) async fn exchange(
        &self,
        code: String,
        login: Login,
    ) -> Result<(Subject, User), Failure> {
        let client = self.client().await?;
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))?
            .set_pkce_verifier(login.verifier)
            .request_async(&self.0.http)
            .await?;
        let token = tokens.id_token().ok_or("the provider sent no ID token")?;
        // Verifies the signature, issuer, audience, times and nonce.
        let claims = token.claims(&client.id_token_verifier(), &login.nonce)?;
        let subject = Subject::new(claims.subject().as_str())?;
        let name = claims.name().and_then(|name| name.get(None)).map(|name| name.to_string());
        let email = claims.email().map(|email| email.to_string());
        let name = name.or_else(|| email.clone()).unwrap_or_else(|| subject.to_string());
        Ok((subject, User { name, email }))
    }

    /// The provider's keys change, so they are read again for each sign-in. A service with many sign-ins
    /// keeps them for some minutes.
    async fn client(&self) -> Result<Client, Failure> {
        let Settings { http, issuer, client, secret, redirect, .. } = &*self.0;
        let metadata = ProviderMetadataWithLogout::discover_async(issuer.clone(), http).await?;
        let client =
            CoreClient::from_provider_metadata(metadata, client.clone(), Some(secret.clone()));
        Ok(client.set_redirect_uri(redirect.clone()))
    }
}

impl Authorization {
    /// Where the user signs in; `state` comes back with the answer.
    pub(crate) fn url(self, state: FlowId, asks_again: bool) -> Url {
        let (nonce, state) = (self.nonce, CsrfToken::new(state.to_string()));
        let mut request = self
            .client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce)
            .add_scope(Scope::new("profile".to_owned()))
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(self.challenge);
        if asks_again {
            request = request.add_prompt(CoreAuthPrompt::Login);
        }
        if self.answers_by_form {
            request = request.add_extra_param("response_mode", "form_post");
        }
        request.url().0
    }
}
