//! The tables of DESIGN.md about device-bound sessions, cell by cell. A cell without a check fails the test
//! of its table, and so does a check without a cell.

mod events;
mod requests;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use http::StatusCode;
use tower_auth_session::{
    SessionJar, SessionLayer, config::RedirectUrls, engine::SessionEngineBuilder,
    engine::SessionStatusKind::SignedIn, testing::ManualClock,
};

use super::{BOUND_FOR, Site, altered};
use crate::{
    documents,
    support::{Browser, Events, TestResponse, User, faulty_store::FaultyStore, probe::Probe},
};

/// The rows of a table: their first cell, and the check of the other cells.
type Rows<'a, T> = &'a [(&'a str, fn(T))];

/// Checks each row of the table with this head for every value of every column.
fn check_table<T: Copy + Debug>(head: &str, columns: &[(&str, &[T])], rows: Rows<'_, T>) {
    let stated: Vec<_> = head.trim_matches('|').split('|').map(str::trim).skip(1).collect();
    let checked: Vec<_> = columns.iter().map(|(column, _)| *column).collect();
    assert_eq!(stated, checked, "the columns in DESIGN.md, and those with a check");
    let table = documents::table("DESIGN.md", head);
    let stated: BTreeSet<_> = table.keys().map(String::as_str).collect();
    let checked: BTreeSet<_> = rows.iter().map(|(row, _)| *row).collect();
    assert_eq!(stated, checked, "the rows in DESIGN.md, and those with a check");
    for (row, check) in rows {
        for (column, values) in columns {
            for value in *values {
                // Shown if the check fails.
                println!("{row} | {column}: {value:?}");
                check(*value);
            }
        }
    }
}

/// What a client presents of a session that has been bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presented {
    NoProof,
    ExpiredProof,
    InvalidProof,
    ValidProof,
    /// A token from before the binding, within `binding_tolerance`.
    UnboundInFlight,
    /// A token from before the binding, later.
    UnboundLater,
}

impl Presented {
    fn is_proven(self) -> bool {
        self == Self::ValidProof
    }

    fn is_unbound(self) -> bool {
        matches!(self, Self::UnboundInFlight | Self::UnboundLater)
    }
}

/// A service, a browser whose session has been bound, and what it presents.
struct World {
    site: Site,
    store: Option<FaultyStore>,
    /// The response to the sign-in.
    offer: TestResponse,
    /// The cookies of the browser that bound the session, with a valid proof.
    owner: Browser,
}

/// A process with `store`, if there is one, on `clock`.
fn process(
    builder: SessionEngineBuilder<User>,
    store: Option<&FaultyStore>,
    clock: Option<&ManualClock>,
) -> Probe<User> {
    let events = Events::default();
    let sink = events.clone();
    let urls = RedirectUrls::new().sign_in_url("/sign-in");
    let builder = builder.redirect_urls(urls).on_event(move |event| sink.push(event));
    let layer = SessionLayer::new(builder.build().unwrap());
    let layer = match store {
        Some(store) => layer.store(store.clone()),
        None => layer,
    };
    let mut probe = Probe::on(layer, events);
    if let Some(clock) = clock {
        (probe.layer, probe.clock) = (probe.layer.clock(clock.clone()), clock.clone());
    }
    probe
}

impl World {
    /// Binds a session whose token from before the binding is due for renewal.
    fn new(builder: SessionEngineBuilder<User>, has_store: bool, presented: Presented) -> Self {
        let store = has_store.then(FaultyStore::new);
        let mut site = Site::on(process(builder, store.as_ref(), None));
        let offer = site.sign_in("ada");
        let unbound = site.browser.clone();
        site.advance(11);
        assert_eq!(site.register(&offer).status, StatusCode::OK);
        let owner = site.browser.clone();
        let mut world = Self { site, store, offer, owner };
        world.present(&unbound, presented);
        world
    }

    fn present(&mut self, unbound: &Browser, presented: Presented) {
        let name = self.site.proof_name();
        let site = &mut self.site;
        let cookies = &mut site.browser.cookies;
        match presented {
            Presented::NoProof => _ = cookies.remove(&name),
            Presented::InvalidProof => {
                let proof = altered(&cookies[&name]);
                cookies.insert(name, proof);
            }
            Presented::UnboundInFlight | Presented::UnboundLater => {
                cookies.remove(&name);
                cookies.extend(unbound.cookies.clone());
            }
            Presented::ExpiredProof | Presented::ValidProof => {}
        }
        match presented {
            Presented::ExpiredProof => site.advance(BOUND_FOR),
            Presented::UnboundLater => site.advance(6),
            _ => {}
        }
    }

    /// The requests of the browser that bound the session, which renews its proof.
    fn as_owner<T>(&mut self, run: impl FnOnce(&mut Site) -> T) -> T {
        std::mem::swap(&mut self.site.browser, &mut self.owner);
        self.site.refresh();
        let result = run(&mut self.site);
        std::mem::swap(&mut self.site.browser, &mut self.owner);
        result
    }

    #[track_caller]
    fn assert_owner_is_signed_in(&mut self) {
        assert_eq!(self.as_owner(Site::status), SignedIn, "the owner");
    }

    /// Another process with the same store, which has not seen the session.
    fn other_process(&self, builder: SessionEngineBuilder<User>) -> Probe<User> {
        process(builder, self.store.as_ref(), Some(&self.site.probe.clock))
    }
}

/// The result of a handler for a request of the site's browser.
fn ask<T: Send + 'static>(
    site: &mut Site,
    handler: impl Fn(&SessionJar<User>) -> T + Send + Sync + 'static,
) -> T {
    let found = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&found);
    site.run(move |jar| *sink.lock().unwrap() = Some(handler(jar)));
    let result = found.lock().unwrap().take();
    result.expect("the handler runs")
}
