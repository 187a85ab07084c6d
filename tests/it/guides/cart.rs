use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};
use tower_auth_session::{RequireSessionLayer, Session, SessionLayer};
use tower_sessions::{MemoryStore, Session as VisitorData, SessionManagerLayer, session::Error};

/// Works signed in or out: the cart belongs to the browser.
async fn add_to_cart(visitor: VisitorData) -> Result<StatusCode, StatusCode> {
    async fn add(visitor: &VisitorData) -> Result<(), Error> {
        let items = visitor.get::<u32>("items").await?.unwrap_or(0);
        visitor.insert("items", items + 1).await?;
        // A flash message: the next page shows it once.
        visitor.insert("flash", "Added to your cart.").await
    }
    add(&visitor).await.map(|()| StatusCode::CREATED).map_err(|_| StatusCode::BAD_GATEWAY)
}

/// Needs both: who buys, and what.
async fn check_out(session: Session, visitor: VisitorData) -> Result<String, StatusCode> {
    let items = visitor.get::<u32>("items").await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let flash = visitor.remove::<String>("flash").await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let (items, flash) = (items.unwrap_or(0), flash.unwrap_or_default());
    Ok(format!("{flash} {} buys {items}.", session.subject()))
}

pub(super) fn shop(sessions: SessionLayer) -> Router {
    // Another cookie and another store: signing in and out leaves them as they are.
    let visitors = SessionManagerLayer::new(MemoryStore::default()).with_name("__Host-visitor");
    let signed_in =
        Router::new().route("/check-out", get(check_out)).route_layer(RequireSessionLayer::new());
    Router::new().route("/cart", post(add_to_cart)).merge(signed_in).layer(visitors).layer(sessions)
}
