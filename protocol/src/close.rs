//! Close codes: why a connection ended, and what a client does about it.

use crate::fault::FaultCode;

/// What a client does after a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Nothing: it was done.
    Done,
    /// Reconnects with full jitter.
    Reconnect,
    /// Reconnects, backing off to the maximum at once.
    BackOff,
    /// Gets a new token, then reconnects.
    SignIn,
    /// Stops and says why.
    Stop,
}

macro_rules! close_codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal, $after:ident, $fault:expr;)*) => {
        /// The codes with which a connection is closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum CloseCode {
            $($(#[doc = $doc])* $variant = $code,)*
        }

        impl CloseCode {
            /// Every code, ascending.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As it stands in the close frame.
            pub const fn code(self) -> u16 {
                self as u16
            }
            /// The code with this number.
            pub fn from_code(code: u16) -> Option<Self> {
                Self::ALL.iter().copied().find(|close| close.code() == code)
            }
            /// What a client does after it.
            pub const fn after(self) -> After {
                match self { $(Self::$variant => After::$after,)* }
            }
            /// The code of the fault with id 0 that goes before it.
            pub const fn fault(self) -> Option<FaultCode> {
                match self { $(Self::$variant => $fault,)* }
            }
            /// Why.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)*).trim_ascii(),)* }
            }
        }
    };
}

close_codes! {
    /// Done.
    Normal = 1000, Done, None;
    /// The peer goes away.
    GoingAway = 1001, Reconnect, None;
    /// The server shuts down.
    Shutdown = 4001, Reconnect, Some(FaultCode::Unavailable);
    /// A defect of the server.
    Internal = 4002, Reconnect, Some(FaultCode::Internal);
    /// Nothing was heard for two heartbeats.
    Heartbeat = 4003, Reconnect, Some(FaultCode::Disconnected);
    /// The socket took no bytes while some were waiting.
    Stalled = 4004, Reconnect, Some(FaultCode::Disconnected);
    /// Too many connections.
    TooManyConnections = 4006, BackOff, Some(FaultCode::Disconnected);
    /// The token has ended or was refused.
    TokenRefused = 4100, SignIn, Some(FaultCode::Unauthenticated);
    /// The sign-in was revoked.
    SignInRevoked = 4101, SignIn, Some(FaultCode::Unauthenticated);
    /// Nothing was said in time.
    Silent = 4102, SignIn, Some(FaultCode::Unauthenticated);
    /// Signed out elsewhere.
    SignedOut = 4201, Stop, Some(FaultCode::Unauthenticated);
    /// The account or key is disabled.
    Disabled = 4202, Stop, Some(FaultCode::Forbidden);
    /// The protocol was broken.
    ProtocolError = 4203, Stop, Some(FaultCode::ProtocolError);
    /// The client is too old.
    UnsupportedClient = 4204, Stop, Some(FaultCode::UnsupportedClient);
    /// There is no such workspace for this principal.
    NoWorkspace = 4205, Stop, Some(FaultCode::NotFound);
    /// A message was too large.
    TooLarge = 4206, Stop, Some(FaultCode::TooLarge);
}

/// What a client does after a close with this number, known or not (`None`: the socket broke without a close frame).
pub fn after(code: Option<u16>) -> After {
    match code {
        None => After::Reconnect,
        Some(code) => CloseCode::from_code(code).map_or_else(
            || match code {
                4100..=4199 => After::SignIn,
                4200..=4299 => After::Stop,
                _ => After::Reconnect,
            },
            CloseCode::after,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_fall_into_their_range() {
        assert_eq!(after(Some(4099)), After::Reconnect);
        assert_eq!(after(Some(4150)), After::SignIn);
        assert_eq!(after(Some(4250)), After::Stop);
        assert_eq!(after(Some(3000)), After::Reconnect);
        assert_eq!(after(Some(1000)), After::Done);
    }

    #[test]
    fn every_close_of_the_application_has_a_fault_before_it() {
        for close in CloseCode::ALL {
            assert_eq!(close.code() >= 4000, close.fault().is_some(), "{close:?}");
            assert_eq!(CloseCode::from_code(close.code()), Some(*close));
        }
    }
}
