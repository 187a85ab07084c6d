//! Sessions that a store decides about.

mod accounts;
mod any_fault;
mod bearer;
mod claims;
mod clients;
mod dropped;
mod ended;
mod feed;
mod grace;
mod late;
mod limits;
mod load;
mod outages;
mod pending;
mod renewals;
mod sign_ins;
mod sign_outs;
mod site;
mod websocket;
