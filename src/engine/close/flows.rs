//! The cookies of [flows](crate::flow::Flow) that a response sets and removes.
//!
//! A browser has few flows and few bytes of them, and all cookies of this crate have one budget: the
//! oldest flows are removed first, and no session is evicted for a flow. The rules are applied when a
//! flow is started or finished, when a user signs in and when a session is bound to a device. Flows that are abandoned expire in the browser.

use std::{cmp::Reverse, collections::HashSet};

use super::cookies::SetCookies;
use crate::{
    engine::{
        cookie::{config::SameSite, set_cookie::CookieSlot},
        flow::{Flow, FlowId, sealed::SealedFlow},
        jar::{SessionJar, flows::FlowChanges, limits::MAX_REMOVALS},
        logging,
        session_engine::SessionEngine,
    },
    time::Timestamp,
};

/// A flow that the browser has after the response, unless it is removed.
struct HeldFlow {
    id: FlowId,
    same_site: SameSite,
    bytes: usize,
    /// The value of a flow that this response sets.
    value: Option<(String, Timestamp)>,
}

impl<C> SessionEngine<C> {
    /// Sets and removes the flows of one request, next to `session_bytes` of other cookies.
    pub(super) fn write_flows(
        &self,
        jar: &SessionJar<C>,
        changes: FlowChanges,
        session_bytes: usize,
        now: Timestamp,
        written: &mut SetCookies,
    ) {
        let mut removed: Vec<(FlowId, SameSite)> = changes.removed;
        // The latest first: also with clocks that differ between nodes, what this request started stays.
        let mut held: Vec<HeldFlow> = Vec::new();
        for flow in changes.started.into_iter().rev() {
            let (id, same_site) = (flow.id, flow.header.same_site);
            let bytes = self.flow_size(id, &flow.value);
            let value = Some((flow.value, flow.header.expires_at));
            held.push(HeldFlow { id, same_site, bytes, value });
        }
        let mut seen: HashSet<FlowId> = removed.iter().map(|(id, _)| *id).collect();
        let mut presented = Vec::new();
        for (id, value) in jar.flow_cookies().filter(|(id, _)| seen.insert(*id)) {
            match SealedFlow::read(value).map(|sealed| sealed.header) {
                Some(header) if now < header.expires_at => {
                    let (same_site, bytes) = (header.same_site, self.flow_size(id, value));
                    let flow = HeldFlow { id, same_site, bytes, value: None };
                    presented.push((header.started_at, flow));
                }
                Some(header) => removed.push((id, header.same_site)),
                None => removed.push((id, SameSite::Lax)),
            }
        }
        presented.sort_by_key(|(started_at, flow)| Reverse((*started_at, flow.id)));
        held.extend(presented.into_iter().map(|(_, flow)| flow));

        let cookie = self.session_cookie();
        let mut bytes = 0;
        for (index, flow) in held.into_iter().enumerate() {
            bytes += flow.bytes;
            let fits = index < Flow::MAX_AT_A_TIME
                && bytes <= Flow::MAX_BYTES
                && session_bytes + bytes <= self.cookie_budget();
            match flow.value {
                // The latest was compared with the limits when it was started.
                Some((value, expires_at)) if fits || index == 0 => {
                    let remaining = expires_at.saturating_since(now);
                    let header = cookie.set_flow(flow.id, &value, flow.same_site, remaining);
                    written.add(CookieSlot::Flow(flow.id), header);
                }
                None if fits => {}
                value => {
                    logging::flow_removed(flow.id);
                    if value.is_none() {
                        removed.push((flow.id, flow.same_site));
                    }
                }
            }
        }
        for (id, same_site) in removed.into_iter().take(MAX_REMOVALS) {
            written.add(CookieSlot::Flow(id), cookie.remove_flow(id, same_site));
        }
    }
}
