//! Making a connection: the token, the socket, hello and welcome, and the sign-in that is renewed before anything else is said.

use std::sync::Arc;

use crewline_protocol::{
    Fault,
    fault::Retry,
    frame::{Body, ClientFrame, ServerFrame},
    opening::{Hello, Welcome},
    value::encode,
};
use tokio::time::timeout;

use super::{Driver, Ending, OPENING, refresh, unreadable};
use crate::{Connector, Token, auth::Plan, client::State, error::ConnectError, link::Link};

impl<C: Connector> Driver<C> {
    /// Makes a connection and is welcomed on it.
    pub(super) async fn open(&mut self) -> Result<(Link<C::Socket>, Arc<Welcome>), Ending> {
        let not_made = |error: ConnectError| Ending::NotMade(error);
        let late = |_| not_made(ConnectError::NotWelcomed(format!("nothing came within {OPENING:?}")));
        let plan = self.sign_in.plan().await.map_err(|error| not_made(error.into()))?;
        let socket = timeout(OPENING, self.connector.connect()).await.map_err(late)?.map_err(not_made)?;
        let mut link = Link::new(socket);
        let (access_token, refresh) = match plan {
            Plan::Hello(token) => (token.map(|token| token.expose().to_owned()), None),
            Plan::Refresh(token) => (None, Some(token)),
        };
        let hello = Hello {
            client: self.identity.client.clone(),
            access_token,
            workspace_id: self.identity.workspace_id,
            features: Vec::new(),
            last_close: self.last_close,
        };
        link.say(ClientFrame::Hello(Body::own(&encode(&hello))));
        let welcome = timeout(OPENING, self.welcomed(&mut link)).await.map_err(late)??;
        match refresh {
            Some(refresh) => timeout(OPENING, self.refreshed(&mut link, &refresh)).await.map_err(late)??,
            None if welcome.principal.is_some() => self.sign_in.accepted(),
            None => {}
        }
        let signed_in = welcome.principal.is_some() || link.last_id > 0;
        if signed_in {
            link.message_bytes = usize::try_from(welcome.limits.message_bytes).unwrap_or(usize::MAX);
        }
        let another_epoch = self.epoch.as_ref().is_some_and(|epoch| *epoch != welcome.epoch);
        self.follows.connected(welcome.limits.credit_bytes, another_epoch);
        self.epoch = Some(welcome.epoch.clone());
        (self.reconnect, self.requests) = (welcome.reconnect, welcome.limits.requests.max(1));
        (self.said, self.last_close) = (None, None);
        let welcome = Arc::new(welcome);
        self.state.send_replace(State::Connected(welcome.clone()));
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(Ok(welcome.clone()));
        }
        Ok((link, welcome))
    }
    async fn welcomed(&mut self, link: &mut Link<C::Socket>) -> Result<Welcome, Ending> {
        loop {
            let message = link.message().await.map_err(Ending::Lost)?;
            let mut rest = &message[..];
            while !rest.is_empty() {
                match ServerFrame::read(&mut rest).map_err(unreadable)? {
                    Some(ServerFrame::Welcome(body)) => return body.decode().map_err(unreadable),
                    Some(ServerFrame::Fault { id: 0, fault }) => self.said = fault.decode().ok(),
                    _ => {}
                }
            }
        }
    }
    /// Signs a connection in with the refresh token, before anything else is said on it.
    async fn refreshed(&mut self, link: &mut Link<C::Socket>, token: &Token) -> Result<(), Ending> {
        let mut request = Vec::new();
        refresh(token).write(1, &mut request);
        link.last_id = 1;
        link.say_encoded(request);
        loop {
            let message = link.message().await.map_err(Ending::Lost)?;
            let mut rest = &message[..];
            while !rest.is_empty() {
                match ServerFrame::read(&mut rest).map_err(unreadable)? {
                    Some(ServerFrame::Reply { id: 1, output, .. }) => {
                        self.sign_in.signed_in(output.decode().map_err(unreadable)?);
                        return Ok(());
                    }
                    Some(ServerFrame::Fault { id, fault }) => {
                        let fault: Fault = fault.decode().map_err(unreadable)?;
                        if id == 0 {
                            self.said = Some(fault);
                            continue;
                        }
                        if fault.retry == Retry::SignIn {
                            self.sign_in.forget();
                        }
                        return Err(Ending::NotMade(ConnectError::NotWelcomed(fault.to_string())));
                    }
                    Some(ServerFrame::Ping(nonce)) => link.say(ClientFrame::Pong(nonce)),
                    _ => {}
                }
            }
        }
    }
}
