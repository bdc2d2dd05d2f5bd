//! Hello and welcome.

use std::{sync::Arc, time::Duration};

use crewline_protocol::{
    MESSAGE_BYTES, ROW_BYTES,
    frame::{Body, ServerFrame},
    opening::{Hello, Limits, PrincipalKind, Reconnect, ServerInfo, Welcome},
    value::encode,
};
use futures::FutureExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Connection, Done, Ended, Phase, Place};
use crate::{
    access::{Identity, Refused},
    context::Services,
    settings::Settings,
};

/// A client connects anew after a random time up to this, which doubles up to the maximum.
const RECONNECT: Reconnect = Reconnect { base_ms: 250, max_ms: 30_000 };

/// How whoever is signed in is to connect anew. A worker is back before its leases end.
fn reconnect(identity: Option<&Identity>, settings: &Settings) -> Reconnect {
    let is_worker = identity.is_some_and(|identity| identity.principal.kind == PrincipalKind::Worker);
    let max_ms = if is_worker { RECONNECT.max_ms.min(settings.lease_ms / 3) } else { RECONNECT.max_ms };
    Reconnect { max_ms: max_ms.max(RECONNECT.base_ms), ..RECONNECT }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send, P: Place> Connection<S, P> {
    /// Takes hello and begins to check its token.
    pub(super) fn hello(&mut self, body: Body<'_>) -> Result<(), Ended> {
        let hello: Hello = body.decode().map_err(|fault| Ended::malformed(fault.message))?;
        self.phase = Phase::Greeting;
        let doubts = self.node.services.hub.doubts();
        let Some(token) = hello.access_token else { return self.greeted(doubts, Ok(None)) };
        let access = self.node.services.access.clone();
        let verified = async move { Done::Greeted(doubts, access.verify(&token, hello.workspace_id).await.map(Some)) };
        self.requests.push(verified.boxed());
        Ok(())
    }

    /// Answers hello, now that it is known who says it.
    pub(super) fn greeted(&mut self, doubts: u64, greeted: Result<Option<Identity>, Refused>) -> Result<(), Ended> {
        let identity = greeted.map_err(|refused| Ended::Close(refused.close, refused.fault))?.map(Arc::new);
        self.phase = Phase::Open;
        let services = &self.node.services;
        let settings = &services.settings;
        let welcome = Welcome {
            connection_id: self.id,
            server: ServerInfo {
                name: "crewline".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                build: option_env!("CREWLINE_BUILD").unwrap_or("source").into(),
            },
            now_at: services.clock.now(),
            epoch: epoch(services),
            principal: identity.as_ref().map(|identity| identity.principal.clone()),
            limits: Limits {
                message_bytes: MESSAGE_BYTES as u64,
                row_bytes: ROW_BYTES as u64,
                requests: settings.requests,
                subscriptions: settings.subscriptions,
                credit_bytes: settings.connection_credit_bytes,
            },
            heartbeat_ms: settings.heartbeat_ms,
            features: Vec::new(),
            reconnect: reconnect(identity.as_deref(), settings),
        };
        let body = encode(&welcome);
        self.outbox.control(&ServerFrame::Welcome(Body::own(&body)));
        match identity {
            Some(identity) => {
                self.sign_in(identity);
                self.read_at(doubts);
            }
            None => self.deadlines.sign_in_within(Instant::now(), Duration::from_millis(settings.sign_in_ms)),
        }
        Ok(())
    }
}

/// Names the database's incarnation, and the rules by which it is read: by those of another version of the app, what a client has is
/// not what it may see.
fn epoch(services: &Services) -> String {
    let version = &services.apps.current().version;
    format!("{}-{}", services.store.epoch(), version.get(..16).unwrap_or(version))
}
