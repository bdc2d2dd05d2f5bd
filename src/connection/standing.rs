//! Whether who is signed in still may. When a commit puts that in doubt, nothing of what is followed is sent and no request is begun
//! until the database has been asked: a right that is taken away is gone at once, and not with the next sweep.

use std::sync::Arc;

use crewline_protocol::{
    close::CloseCode,
    fault::{Fault, FaultCode},
    follow::EndedWhy,
    frame::{Body, ClientFrame, ServerFrame},
    opening::Notice,
    value::{RunId, encode},
};
use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Done, Ended, Place};
use crate::access::{Identity, Refused};

impl<S: AsyncRead + AsyncWrite + Unpin + Send, P: Place> Connection<S, P> {
    /// Whether it is in doubt what the principal may.
    pub(super) fn in_doubt(&self) -> bool {
        self.asking || self.mailbox.doubted()
    }

    /// Whether a frame waits until that is known.
    pub(super) fn waits(&self, frame: &ClientFrame<'_>) -> bool {
        use ClientFrame::{Presence, Request, Subscribe};
        matches!(frame, Request { .. } | Subscribe { .. } | Presence { .. }) && self.in_doubt()
    }

    /// Asks where the principal stands, if that is in doubt: once at a time, beside all other work.
    pub(super) fn ask_standing(&mut self) {
        if self.asking || !self.mailbox.take_doubt() {
            return;
        }
        let Some(identity) = self.identity.clone() else { return };
        self.asking = true;
        let access = self.node.services.access.clone();
        let asked = async move {
            let standing = access.standings(std::slice::from_ref(&identity)).await;
            Done::Stood(identity, standing.map(|mut standings| standings.pop()))
        };
        self.requests.push(asked.boxed());
    }

    /// Takes the answer, unless it is in doubt again or about another sign-in by now: then it is asked once more.
    pub(super) fn stood(&mut self, was: &Arc<Identity>, standing: Result<Option<Result<Identity, Refused>>, Fault>) -> Result<(), Ended> {
        self.asking = false;
        if self.mailbox.doubted() || !self.identity.as_ref().is_some_and(|identity| Arc::ptr_eq(identity, was)) {
            self.mailbox.doubt();
            return Ok(());
        }
        match standing {
            Ok(Some(Ok(now))) if now != **was => self.became(Arc::new(now)),
            Ok(Some(Ok(_)) | None) => {}
            Ok(Some(Err(refused))) => return Err(Ended::Close(refused.close, refused.fault)),
            // Who can't be asked about is not sent anything, and would wait for nothing: it connects anew.
            Err(fault) => return Err(Ended::Close(CloseCode::Internal, fault)),
        }
        Ok(())
    }

    /// Goes on as the same principal with another name or role.
    fn became(&mut self, identity: Arc<Identity>) {
        let body = encode(&Notice::PrincipalChanged { principal: identity.principal.clone() });
        self.outbox.control(&ServerFrame::Notice(Body::own(&body)));
        let may = self.node.router.may_follow(&self.node.services, Some(&identity));
        if may.is_err_and(|fault| fault.code == FaultCode::Forbidden) {
            self.subscriptions.end_all(EndedWhy::Forbidden, &mut self.outbox);
            self.presences.end_all(EndedWhy::Forbidden, &mut self.outbox);
        }
        self.sign_in(identity);
        self.presences.renamed();
        self.ask_all_again();
    }

    /// Sees no more of runs that its worker has lost, and of none where the worker acts on another connection by now.
    pub(super) fn heard_of_leases(&mut self, lost: Vec<RunId>, superseded: bool) {
        for run in lost {
            self.subscriptions.end_run(run, EndedWhy::Forbidden, &mut self.outbox);
        }
        let Some(identity) = self.identity.as_deref().filter(|_| superseded) else { return };
        let nobody = Identity { worker: None, ..identity.clone() };
        self.subscriptions.end_all(EndedWhy::Server, &mut self.outbox);
        self.sign_in(Arc::new(nobody));
    }

    /// What was read of the principal's rights when they had come into doubt this often may be old by now.
    pub(super) fn read_at(&self, doubts: u64) {
        if self.node.services.hub.doubts() != doubts {
            self.mailbox.doubt();
        }
    }
}

#[cfg(test)]
mod tests;
