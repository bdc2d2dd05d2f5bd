//! Who the client is: the provider that is asked for tokens, and the tokens that a sign-in over the socket gave.

use std::{fmt, future::Future, sync::Arc};

use crewline_protocol::operations::auth::SignedIn;
use futures::future::BoxFuture;

/// A token that proves who one is: an access token or an API key. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// Its text, to be sent and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthReason {
    /// A connection is made.
    Initial,
    /// The token in use ends within a minute.
    Expiring,
    /// The server refused the last one: the same again is refused again.
    Rejected,
}

/// Why there is no token now. The client tries again as after a lost connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no token could be had: {0}")]
pub struct AuthError(pub String);

/// Gives the client its token, each time that it connects and when the token ends. Functions
/// `Fn(AuthReason) -> impl Future<Output = Result<Option<Token>, AuthError>>` are providers, and so is a [`Token`] that stays the same.
pub trait AuthProvider: Send + Sync + 'static {
    /// The token; `None`: connect without one.
    fn token(&self, reason: AuthReason) -> BoxFuture<'static, Result<Option<Token>, AuthError>>;
}

impl<F, Answer> AuthProvider for F
where
    F: Fn(AuthReason) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Option<Token>, AuthError>> + Send + 'static,
{
    fn token(&self, reason: AuthReason) -> BoxFuture<'static, Result<Option<Token>, AuthError>> {
        Box::pin(self(reason))
    }
}

impl AuthProvider for Token {
    fn token(&self, _: AuthReason) -> BoxFuture<'static, Result<Option<Token>, AuthError>> {
        Box::pin(std::future::ready(Ok(Some(self.clone()))))
    }
}

/// The provider of a client that signs in over the socket, by `login` or `register`.
#[derive(Debug, Clone, Copy)]
pub struct NoToken;

impl AuthProvider for NoToken {
    fn token(&self, _: AuthReason) -> BoxFuture<'static, Result<Option<Token>, AuthError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// How a connection is to be signed in.
pub(crate) enum Plan {
    /// With this token in `hello`, or with none.
    Hello(Option<Token>),
    /// Without one, then by `auth.refresh` with this refresh token.
    Refresh(Token),
}

/// What the driver knows of who it is.
pub(crate) struct SignIn {
    provider: Arc<dyn AuthProvider>,
    /// From the last sign-in over the socket; they go before the provider's.
    tokens: Option<(Token, Token)>,
    /// In the last `hello`.
    used: Option<Token>,
    /// The last token that was refused.
    refused: Option<Token>,
    reason: AuthReason,
}

impl SignIn {
    pub(crate) fn new(provider: Arc<dyn AuthProvider>) -> Self {
        Self { provider, tokens: None, used: None, refused: None, reason: AuthReason::Initial }
    }
    /// How to sign in the next connection.
    pub(crate) async fn plan(&mut self) -> Result<Plan, AuthError> {
        let plan = match (&self.tokens, self.reason) {
            (Some((_, refresh)), AuthReason::Rejected) => Plan::Refresh(refresh.clone()),
            (Some((access, _)), _) => Plan::Hello(Some(access.clone())),
            (None, reason) => Plan::Hello(self.provider.token(reason).await?),
        };
        self.used = match &plan {
            Plan::Hello(token) => token.clone(),
            Plan::Refresh(_) => None,
        };
        Ok(plan)
    }
    /// The connection was welcomed: the token was good.
    pub(crate) fn accepted(&mut self) {
        (self.refused, self.reason) = (None, AuthReason::Initial);
    }
    /// The token was refused, or the sign-in has ended. Says whether the same token was refused twice, which no further try mends.
    pub(crate) fn refused(&mut self) -> bool {
        let again = self.used.is_some() && self.used == self.refused;
        (self.refused, self.reason) = (self.used.take(), AuthReason::Rejected);
        again
    }
    /// Somebody signed in over the socket.
    pub(crate) fn signed_in(&mut self, signed_in: SignedIn) {
        self.tokens = Some((Token(signed_in.access_token), Token(signed_in.refresh_token)));
        self.accepted();
    }
    /// The tokens of the sign-in are worth nothing any more.
    pub(crate) fn forget(&mut self) {
        self.tokens = None;
    }
    /// How the token in use is renewed, before it ends.
    pub(crate) fn renewal(&self) -> Renewal {
        match &self.tokens {
            Some((_, refresh)) => Renewal::Refresh(refresh.clone()),
            None => Renewal::Ask(self.provider.token(AuthReason::Expiring)),
        }
    }
}

/// How a token is renewed on a connection that stays.
pub(crate) enum Renewal {
    /// By `auth.refresh`.
    Refresh(Token),
    /// By `auth.authenticate` with what the provider gives.
    Ask(BoxFuture<'static, Result<Option<Token>, AuthError>>),
}
