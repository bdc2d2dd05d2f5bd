//! When a connection must do something though nothing arrives.

use std::time::Duration;

use crewline_protocol::{close::CloseCode, value::Millis};
use tokio::time::Instant;

use crate::settings::Settings;

/// A token's end is told this long before.
const TOKEN_NOTICE_MS: i64 = 60_000;
/// After its end a connection may refresh for this long.
const TOKEN_GRACE: Duration = Duration::from_secs(30);

/// Moments at which something is due. All are fields, none is a timer: the connection sleeps until the earliest.
pub(super) struct Deadlines {
    heartbeat: Duration,
    stalled: Duration,
    /// When the next ping is due.
    ping: Instant,
    /// When bytes last came.
    heard: Instant,
    /// When the peer must have said hello, or signed in.
    silence: Option<Instant>,
    /// Since when bytes wait for the socket, and how many it had taken then.
    writing: Option<(Instant, u64)>,
    /// When the token's end is to be told, and when the connection ends for it.
    token: Option<Token>,
    /// When a draining connection is closed.
    drain: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Token {
    expires_at: Millis,
    notice: Option<Instant>,
    close: Instant,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The peer is to be asked whether it is there.
    Ping,
    /// The peer is to be told that its token ends.
    TokenNotice(Millis),
    /// The connection is to end.
    Close(CloseCode, &'static str),
}

impl Deadlines {
    /// A connection that was just opened.
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        let heartbeat = Duration::from_millis(settings.heartbeat_ms);
        Self {
            heartbeat,
            stalled: Duration::from_millis(settings.stalled_ms),
            ping: now + heartbeat,
            heard: now,
            silence: Some(now + Duration::from_millis(settings.hello_ms)),
            writing: None,
            token: None,
            drain: None,
        }
    }

    /// Bytes came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Nobody is signed in, and must be within this time.
    pub(super) fn sign_in_within(&mut self, now: Instant, within: Duration) {
        self.silence = Some(now + within);
    }

    /// Somebody is signed in, with a token that ends at `expires_at` by the calendar, which shows `calendar` now.
    pub(super) fn signed_in(&mut self, now: Instant, calendar: Millis, expires_at: Millis) {
        let in_ms = |ms: i64| now + Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        let left = expires_at.since(calendar);
        self.silence = None;
        self.token = Some(Token { expires_at, notice: Some(in_ms(left - TOKEN_NOTICE_MS)), close: in_ms(left) + TOKEN_GRACE });
    }

    /// The connection is to be gone within this time.
    pub(super) fn drain(&mut self, now: Instant, within: Duration) {
        self.drain = Some(now + within);
    }

    /// Bytes wait for the socket or not; it has taken `written` so far.
    pub(super) fn writing(&mut self, now: Instant, waits: bool, written: u64) {
        self.writing = match self.writing {
            _ if !waits => None,
            Some(since) if since.1 == written => Some(since),
            _ => Some((now, written)),
        };
    }

    /// The earliest moment at which something may be due.
    pub(super) fn next(&self) -> Instant {
        let peer = self.heard + 2 * self.heartbeat;
        let token = self.token.map(|token| token.notice.unwrap_or(token.close));
        let writing = self.writing.map(|(since, _)| since + self.stalled);
        let others = [self.silence, writing, token, self.drain];
        others.into_iter().flatten().fold(self.ping.min(peer), Instant::min)
    }

    /// What is due now; asked again until there is nothing.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        if self.drain.is_some_and(|at| at <= now) {
            return Some(Due::Close(CloseCode::Shutdown, "the server shuts down: connect anew"));
        }
        if self.silence.is_some_and(|at| at <= now) {
            return Some(Due::Close(CloseCode::Silent, "nobody said hello, or nobody signed in, in time"));
        }
        if self.writing.is_some_and(|(since, _)| since + self.stalled <= now) {
            return Some(Due::Close(CloseCode::Stalled, "the socket took no bytes while some were waiting"));
        }
        if self.heard + 2 * self.heartbeat <= now {
            return Some(Due::Close(CloseCode::Heartbeat, "nothing was heard for two heartbeats"));
        }
        if let Some(token) = self.token.as_mut() {
            if token.close <= now {
                return Some(Due::Close(CloseCode::TokenRefused, "the access token ended and was not refreshed"));
            }
            if token.notice.is_some_and(|at| at <= now) {
                token.notice = None;
                return Some(Due::TokenNotice(token.expires_at));
            }
        }
        if self.ping <= now {
            self.ping = now + self.heartbeat;
            return Some(Due::Ping);
        }
        None
    }
}
