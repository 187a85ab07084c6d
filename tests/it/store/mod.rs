//! Sessions with a store.

mod accounts;
mod bearer;
mod bounded_load;
mod browser_limits;
mod cancellation;
mod claims;
mod client_responses;
mod copied_cookie_tables;
mod copied_cookies;
mod deferred_revocations;
mod ended;
mod fault_model;
mod feed;
mod fixture;
mod limits;
mod memory_bounds;
mod outage_grace;
mod outages;
mod pending;
mod renewals;
mod sign_ins;
mod sign_outs;
mod websocket;
