//! Signing in and out over a connection, and the command line's way to a new user. Who is who, `access` knows; this is where a
//! connection learns of it.

use crewline_protocol::{
    close::CloseCode,
    fault::{Fault, FaultCode, FieldFault},
    opening::Principal,
    operations::auth::{Authenticate, Authenticated, Done, Login, Logout, Me, Refresh, Register, SignedIn},
};
use garde::Validate;
use secrecy::SecretString;

use crate::{
    access::{Access, Cost, Denied, Grant, Identity, NewUser, Refused, SigningKey, Threads, User, normal_email, same_principal},
    clock::Clock,
    context::{Answer, Context, Failure, Services},
    settings::Settings,
    store::{Location, Store},
};

/// `auth.register`
///
/// # Errors
/// See [`Access::register`].
pub async fn register(cx: Context, input: Register) -> Result<Answer<SignedIn>, Failure> {
    cx.services.limits.check_account(&normal_email(&input.email))?;
    let grant = cx.services.access.register(new_user(input, false), cx.identity.as_deref()).await?;
    Ok(signing_in(grant))
}

/// `auth.login`
///
/// # Errors
/// See [`Access::login`]; `rate_limited` for too many tries at one address.
pub async fn login(cx: Context, input: Login) -> Result<Answer<SignedIn>, Failure> {
    Ok(signing_in(log_in(&cx.services, input, cx.identity.as_deref()).await?))
}

/// `auth.refresh`
///
/// # Errors
/// See [`Access::refresh`].
pub async fn refresh(cx: Context, input: Refresh) -> Result<Answer<SignedIn>, Failure> {
    Ok(signing_in(renew(&cx.services, &input.refresh_token, cx.identity.as_deref()).await?))
}

/// `auth.authenticate`
///
/// # Errors
/// See [`Access::verify`]; `conflict` for another principal than the one who is signed in on the connection.
pub async fn authenticate(cx: Context, input: Authenticate) -> Result<Answer<Authenticated>, Failure> {
    let here = cx.identity.as_deref();
    let identity = cx.services.access.verify(&input.access_token, here.map(|here| here.workspace)).await;
    let identity = identity.map_err(|refused| refused.fault)?;
    same_principal(here, identity.user, None)?;
    let output = Authenticated { principal: identity.principal.clone(), access_expires_at: identity.expires_at };
    Ok(Answer::from(output).signing_in(identity.into()))
}

/// `auth.logout`
///
/// # Errors
/// When the database fails.
pub async fn logout(cx: Context, input: Logout) -> Result<Answer<Done>, Failure> {
    let identity = cx.identity()?;
    let everywhere = input.everywhere == Some(true);
    cx.services.access.log_out(identity, everywhere).await?;
    let fault = Fault::new(FaultCode::Unauthenticated, "signed out");
    // The connection that asked is among them: it sends what it has to say, this reply too, before it closes.
    if everywhere {
        cx.services.hub.close_user(identity.user, CloseCode::SignedOut, &fault);
    } else {
        cx.services.hub.close_sign_in(identity.sign_in, CloseCode::SignedOut, &fault);
    }
    Ok(Done {}.into())
}

/// `auth.me`
///
/// # Errors
/// When the database fails, or the principal may not be here any more.
pub async fn me(cx: Context, _: Me) -> Result<Answer<Principal>, Failure> {
    let standings = cx.services.access.standings(std::slice::from_ref(cx.identity()?)).await?;
    let now = standings.into_iter().next().unwrap_or_else(|| Err(Refused::revoked()));
    Ok(now.map_err(|refused| refused.fault)?.principal.into())
}

/// Signs in with e-mail and password, on a connection or without one.
pub(crate) async fn log_in(services: &Services, input: Login, here: Option<&Identity>) -> Result<Grant, Failure> {
    services.limits.check_account(&normal_email(&input.email))?;
    let Login { email, password, workspace_id } = input;
    Ok(services.access.login(&email, SecretString::from(password), workspace_id, here).await?)
}

/// Changes a refresh token for new ones, on a connection or without one. A token that comes back too late closes every connection of its
/// sign-in.
pub(crate) async fn renew(services: &Services, refresh_token: &str, here: Option<&Identity>) -> Result<Grant, Failure> {
    let renewed = services.access.refresh(refresh_token, here).await;
    if let Err(Denied::Reused(sign_in, refused)) = &renewed {
        services.hub.close_sign_in(*sign_in, refused.close, &refused.fault);
    }
    Ok(renewed?)
}

/// Adds a user on the machine itself, for the command line: the only way to an operator.
///
/// # Errors
/// `invalid` and `taken` as [`Access::add_user`] has them; where the database can't be opened. A file of SQLite belongs to the server that
/// runs on it: stop that first. With PostgreSQL it may go on.
pub async fn add_user(location: &Location, input: Register, operator: bool) -> Result<User, Failure> {
    input.validate().map_err(|report| {
        let field = |(path, error): &(garde::Path, garde::Error)| FieldFault {
            path: path.to_string(),
            code: "length".into(),
            message: error.message().to_owned(),
        };
        Fault::invalid_fields(report.iter().map(field).collect())
    })?;
    let store = Store::open(location, std::sync::Arc::new(|_| ())).await?;
    let clock = Clock::system();
    // No token is made here, so that it needs no key that others know.
    let key = SigningKey::from_seed(clock.random());
    let access = Access::with_key(&key, Cost::STRONG, Threads::Own, store.clone(), clock, &Settings::default());
    let added = match access {
        Ok(access) => access.add_user(new_user(input, operator)).await.map_err(Failure::from),
        Err(error) => Err(Failure::Error(Box::new(error))),
    };
    store.close().await;
    added
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Fault(fault) => Self::Fault(fault),
            Denied::Reused(_, refused) => Self::Fault(refused.fault),
            Denied::Store(error) => error.into(),
            Denied::Error(error) => Self::Error(error),
        }
    }
}

fn signing_in(grant: Grant) -> Answer<SignedIn> {
    Answer::from(grant.tokens).signing_in(grant.identity)
}

fn new_user(input: Register, operator: bool) -> NewUser {
    let Register { email, password, name, workspace } = input;
    NewUser { email, name, password: password.into(), workspace, operator }
}
