//! Detection of copied cookies without a store: the token of a renewal is compared with the ones that
//! this process issued.

use http::HeaderValue;

use super::SessionJar;
use crate::{
    config::CopiedCookies,
    engine::{
        event::SessionEvent,
        session::{identity::SessionIdentity, lineage::LineageId},
        session_engine::SessionEngine,
    },
};

impl<C: Send + Sync + 'static> SessionJar<C> {
    /// Compares the token that is due with the ones that this process issued for its session.
    pub(crate) fn compare_lineage(&self) {
        let engine = self.engine();
        let Some(policy) = engine.lineage_policy() else { return };
        let Some((session, is_due)) = self.renewal_target() else { return };
        let Some(next) = engine.new_lineage_id() else { return };
        let (id, now) = (session.id(), self.received_at());
        let request = policy.request(session.lineage(), is_due, next);
        let Some(lineage) = engine.renew_lineage(id, &request, now) else { return };
        let verdict = lineage.verdict(&request, policy.grace, now);
        if verdict.is_new_copy() {
            engine.emit_copied_cookie(session, None, self.user_agent());
            if engine.copied_cookies() == CopiedCookies::End {
                self.mark_revoked(id);
                return;
            }
        }
        self.apply_lineage(id, verdict);
    }

    /// The `User-Agent` of the request, if it is kept.
    pub(crate) fn user_agent(&self) -> Option<&HeaderValue> {
        self.0.facts.user_agent.as_ref()
    }
}

impl<C> SessionEngine<C> {
    /// The lineage id of a session that signs in; `None` if copies are not looked for.
    pub(crate) fn first_lineage_id(&self) -> Option<LineageId> {
        self.lineage_policy().and_then(|_| self.new_lineage_id())
    }

    pub(crate) fn emit_copied_cookie(
        &self,
        session: SessionIdentity,
        device: Option<Box<str>>,
        user_agent: Option<&HeaderValue>,
    ) {
        const MAX_USER_AGENT: usize = 256;
        let user_agent = user_agent.and_then(|value| value.to_str().ok()).map(|text| {
            let visible = text.chars().filter(char::is_ascii).filter(|c| !c.is_control());
            visible.take(MAX_USER_AGENT).collect::<String>().into_boxed_str()
        });
        let reaction = self.copied_cookies();
        self.emit(&SessionEvent::CopiedCookie { session, device, user_agent, reaction });
    }
}
