//! Sessions that a store decides about.

mod ended;
mod feed;
mod limits;
mod outages;
mod renewals;
mod sign_ins;
mod sign_outs;
mod site;
mod websocket;
