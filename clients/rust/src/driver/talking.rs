//! Speaking on a connection: what is ready goes out, what comes in finds the call, or what is followed, that it is for.

use std::time::Duration;

use crewline_protocol::{
    Fault, Operation,
    follow::Ended,
    frame::{Body, ClientFrame, ServerFrame},
    opening::{Goaway, Notice, Welcome},
    operations::auth::{Authenticate, Login, Logout, Refresh, Register, SignedIn},
    value::encode,
};
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::{Driver, Ending, refresh, unreadable};
use crate::{
    AuthError, Connector, Token,
    auth::Renewal,
    calls::Call,
    error::CallError,
    follows::Overdrawn,
    link::{Link, Lost},
};

impl<C: Connector> Driver<C> {
    /// Speaks on a connection until it ends.
    pub(super) async fn talk(&mut self, mut link: Link<C::Socket>, welcome: &Welcome) -> Ending {
        let silence = Duration::from_millis(welcome.heartbeat_ms.saturating_mul(2));
        let mut leave_at: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if leave_at.is_some_and(|at| at <= now) {
                link.leave().await;
                return Ending::Asked;
            }
            if now >= link.heard + silence {
                return Ending::Silent;
            }
            if leave_at.is_none() {
                self.say_ready(&mut link, now);
            }
            if self.gone && !self.is_wanted() {
                link.leave().await;
                return Ending::Unwanted;
            }
            let dues = [leave_at, self.calls.next_due(), self.follows.next_due(), Some(link.heard + silence)];
            let due = dues.into_iter().flatten().min().unwrap_or(now + silence);
            let room = self.has_room();
            tokio::select! {
                message = link.message() => {
                    let read = message.map_err(Ending::Lost).and_then(|message| self.read(&mut link, &message, welcome));
                    match read {
                        Ok(None) => {}
                        Ok(Some(goaway)) => {
                            let window = Duration::from_millis(goaway.reconnect_within_ms);
                            leave_at.get_or_insert(Instant::now() + self.clock.up_to(window));
                        }
                        Err(ending) => return ending,
                    }
                }
                input = self.inbox.next(room), if !self.gone && leave_at.is_none() => self.take(input),
                () = self.wake.notified() => {
                    for id in self.calls.drop_abandoned() {
                        link.say(ClientFrame::Cancel { id });
                    }
                    self.follows.settle(|frame| link.say(frame));
                }
                token = renewed(&mut self.renewing) => {
                    self.renewing = None;
                    match token {
                        Ok(Some(token)) => {
                            let input = Authenticate { access_token: token.expose().to_owned() };
                            self.calls.add(Call::own(Authenticate::NAME, encode(&input)));
                        }
                        Ok(None) => {}
                        Err(error) => tracing::warn!(%error, "the token ends soon and no other could be had"),
                    }
                }
                () = sleep_until(due) => {}
            }
        }
    }
    /// Sends what is to be sent now.
    fn say_ready(&mut self, link: &mut Link<C::Socket>, now: Instant) {
        self.calls.wake(now);
        self.follows.wake(now);
        while let Some((number, call)) = self.calls.next_ready() {
            let mut frame = Vec::new();
            call.write(link.last_id + 1, &mut frame);
            if frame.len() > link.message_bytes {
                let (bytes, limit) = (frame.len(), link.message_bytes);
                if let Some(call) = self.calls.remove(number) {
                    let operation = call.operation.to_string();
                    call.answer(Err(CallError::TooLarge { operation, bytes, limit }));
                }
                continue;
            }
            link.last_id += 1;
            self.calls.sent_as(number, link.last_id);
            link.say_encoded(frame);
        }
        let mut sub = link.last_sub;
        self.follows.subscribe_ready(&mut sub, |frame| link.say(frame));
        link.last_sub = sub;
    }

    /// Takes one message's frames.
    fn read(&mut self, link: &mut Link<C::Socket>, message: &[u8], welcome: &Welcome) -> Result<Option<Goaway>, Ending> {
        let mut goaway = None;
        let mut rest = message;
        while !rest.is_empty() {
            let before = rest.len();
            let Some(frame) = ServerFrame::read(&mut rest).map_err(unreadable)? else { continue };
            let bytes = i64::try_from(before - rest.len()).unwrap_or(i64::MAX);
            match frame {
                ServerFrame::Reply { id, output, .. } => self.replied(link, id, output, welcome),
                ServerFrame::Fault { id: 0, fault } => self.said = fault.decode().ok(),
                ServerFrame::Fault { id, fault } => self.faulted(id, &fault.decode().map_err(unreadable)?),
                ServerFrame::Subscribed { sub, body } => {
                    self.follows.subscribed(sub, body, |frame| link.say(frame)).map_err(unreadable)?;
                }
                ServerFrame::Events { sub, offset, span, events } => {
                    self.follows.events((sub, offset, span, bytes), events, &self.clock, |frame| link.say(frame)).map_err(overdrawn)?;
                }
                ServerFrame::Snapshot { sub, offset, value } => {
                    self.follows.snapshot((sub, offset, bytes), value, |frame| link.say(frame)).map_err(overdrawn)?;
                }
                ServerFrame::Ended { sub, body, .. } => {
                    let ended: Ended = body.decode().map_err(unreadable)?;
                    self.follows.ended(sub, ended, &self.clock, |frame| link.say(frame));
                }
                ServerFrame::Presence { sub, member, state } => self.follows.presence(sub, member, state).map_err(unreadable)?,
                ServerFrame::Ping(nonce) => link.say(ClientFrame::Pong(nonce)),
                ServerFrame::Notice(body) => match body.decode() {
                    Ok(Notice::TokenExpiring { .. }) => match self.sign_in.renewal() {
                        Renewal::Refresh(token) => self.calls.add(refresh(&token)),
                        Renewal::Ask(token) => self.renewing = Some(token),
                    },
                    // Others, which a newer server may send, ask nothing of a client.
                    Ok(Notice::PrincipalChanged { .. }) | Err(_) => {}
                },
                ServerFrame::Goaway(body) => goaway = Some(body.decode().map_err(unreadable)?),
                ServerFrame::Welcome(_) | ServerFrame::Pong(_) => {}
            }
        }
        Ok(goaway)
    }
    fn replied(&mut self, link: &mut Link<C::Socket>, id: u64, output: Body<'_>, welcome: &Welcome) {
        let Some(call) = self.calls.answered(id) else { return };
        let operation = &*call.operation;
        if [Register::NAME, Login::NAME, Refresh::NAME].contains(&operation)
            && let Ok(signed_in) = output.decode::<SignedIn>()
        {
            self.sign_in.signed_in(signed_in);
            link.message_bytes = usize::try_from(welcome.limits.message_bytes).unwrap_or(usize::MAX);
        } else if operation == Authenticate::NAME {
            link.message_bytes = usize::try_from(welcome.limits.message_bytes).unwrap_or(usize::MAX);
        } else if operation == Logout::NAME {
            self.sign_in.forget();
        }
        let answer = match output.flaw() {
            None => Ok(output.bytes().to_vec()),
            Some(flaw) => Err(CallError::Unreadable { operation: operation.to_owned(), error: format!("{flaw:?}") }),
        };
        call.answer(answer);
    }
    fn faulted(&mut self, id: u64, fault: &Fault) {
        let Some(call) = self.calls.faulted(id, fault, Instant::now(), &self.clock) else { return };
        if call.answer.is_none() {
            tracing::warn!(%fault, "the token ends soon and was not renewed");
        }
        call.answer(Err(CallError::Fault(fault.clone())));
    }
}

fn overdrawn(_: Overdrawn) -> Ending {
    Ending::Lost(Lost::Broken("the server sent more than it had credit for".into()))
}

/// The token that was asked for; never, where none was.
async fn renewed(asked: &mut Option<BoxFuture<'static, Result<Option<Token>, AuthError>>>) -> Result<Option<Token>, AuthError> {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}
