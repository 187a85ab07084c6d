//! The React page of `examples/react`, as its build left it, or how to build it.

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::get,
};
use tower_http::services::ServeDir;

use crate::{App, html::page, pages, visitor::Visitor};

/// Where `npm run build` writes to.
const DIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/react/dist");

/// The page's routes. Files are looked up at each request, so that a new build needs no restart.
pub(crate) fn router(app: App, policy: HeaderValue) -> Router<App> {
    let otherwise = Router::new().route("/", get(index)).fallback(pages::not_found).with_state(app);
    // For a directory it answers with a redirect that lacks the prefix of this site.
    let files = ServeDir::new(DIST).append_index_html_on_directories(false).fallback(otherwise);
    let files = Router::new()
        .fallback_service(files)
        .layer(map_response(move |response| describe(response, policy.clone())));
    Router::new()
        .route("/react", get(async || Redirect::permanent("/react/")))
        .nest_service("/react/", files)
}

async fn index(visitor: Visitor) -> Response {
    if let Ok(html) = tokio::fs::read_to_string(format!("{DIST}/index.html")).await {
        return Html(html).into_response();
    }
    let main = "<p class=\"state\">Not built yet</p>\
         <h1>The React page has to be built first</h1>\
         <p class=\"lead\">That takes Node.js 20.19 or later, and a minute:</p>\
         <pre class=\"card\"><code>cd js\nnpm ci\nnpm run build\n\
         cd ../examples/react\nnpm ci\nnpm run build</code></pre>\
         <div class=\"actions\"><a class=\"button\" href=\"/react/\">Look again</a></div>";
    page(StatusCode::NOT_FOUND, "The React page", &visitor, main)
}

/// Built files are the same for all users. The names of assets change with their contents; the page
/// that names them must be revalidated every time.
async fn describe(mut response: Response, policy: HeaderValue) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let headers = response.headers_mut();
    let is_page = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let caching = if is_page { "no-cache" } else { "public, max-age=31536000, immutable" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
