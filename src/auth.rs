//! Signing in and out over a connection, and the command line's way to a new user. Who is who, `access` knows; this is where a
//! connection learns of it.

use std::sync::Arc;

use crewline_protocol::{
    close::CloseCode,
    fault::{Fault, FaultCode, FieldFault},
    opening::Principal,
    operations::auth::{Authenticate, Authenticated, Done, Login, Logout, Me, Refresh, Register, SignedIn},
};
use garde::Validate;
use secrecy::SecretString;

use crate::{
    access::{Access, Cost, Denied, Furnish, Grant, Identity, NewUser, SigningKey, Threads, User, normal_email},
    apps::{App, Apps},
    clock::Clock,
    context::{Answer, Context, Failure, Services},
    members, records,
    settings::Settings,
    store::{Location, Store},
};

/// `auth.register`
///
/// # Errors
/// See [`Access::register`].
pub async fn register(cx: Context, input: Register) -> Result<Answer<SignedIn>, Failure> {
    cx.services.limits.check_account(&normal_email(&input.email))?;
    let furnish = records::furnish(cx.services.apps.current(), cx.services.clock.clone());
    let invited = match &input.invitation {
        Some(token) => members::is_invited(&cx.services, token, &normal_email(&input.email)).await?,
        None => false,
    };
    let new = NewUser { invited, ..new_user(input, furnish) };
    let grant = cx.services.access.register(new, cx.identity.as_deref()).await?;
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
/// See [`Access::authenticate`].
pub async fn authenticate(cx: Context, input: Authenticate) -> Result<Answer<Authenticated>, Failure> {
    let identity = cx.services.access.authenticate(&input.access_token, cx.identity.as_deref()).await?;
    let access_expires_at = identity.ends().then_some(identity.expires_at);
    let output = Authenticated { principal: identity.principal.clone(), access_expires_at };
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

/// `auth.me`: as whom the connection acts, which the sweep keeps true. It is asked often, and costs no read.
///
/// # Errors
/// `unauthenticated` when nobody is signed in.
pub async fn me(cx: Context, _: Me) -> Result<Answer<Principal>, Failure> {
    Ok(cx.identity()?.principal.clone().into())
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

/// Adds a user on the machine itself, for the command line: the only way to an operator. A server may run on the database meanwhile.
/// Their workspace begins with the seed records of `app`; of the app that was served last, or KP, where there is none.
///
/// # Errors
/// `invalid` and `taken` as [`Access::add_user`] has them; where the database can't be opened.
pub async fn add_user(location: &Location, app: Option<App>, input: Register, operator: bool) -> Result<User, Failure> {
    input.validate().map_err(|report| {
        let field = |(path, error): &(garde::Path, garde::Error)| FieldFault {
            path: path.to_string(),
            code: "length".into(),
            message: error.message().to_owned(),
        };
        Fault::invalid_fields(report.iter().map(field).collect())
    })?;
    let store = Store::open_beside(location).await?;
    let clock = Clock::system();
    let app = match app {
        Some(app) => Some(Arc::new(app)),
        None => Apps::served_last(&store).await?,
    };
    let furnish = records::furnish(app.unwrap_or_else(|| Arc::new(App::built_in())), clock.clone());
    // No token is made here, so that it needs no key that others know.
    let key = SigningKey::from_seed(clock.random());
    let access = Access::with_key(&key, Cost::STRONG, Threads::Own, store.clone(), clock, &Settings::default());
    let added = match access {
        Ok(access) => access.add_user(NewUser { operator, ..new_user(input, furnish) }).await.map_err(Failure::from),
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

fn new_user(input: Register, furnish: Furnish) -> NewUser {
    let Register { email, password, name, workspace, .. } = input;
    NewUser { email, name, password: password.into(), workspace, invited: false, operator: false, furnish }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{net::IpAddr, sync::Arc};

    use crewline_protocol::{fault::Reason, operation::Role, value::ConnectionId};

    use super::*;
    use crate::{
        access::testing,
        apps::{App, Apps},
        hub::{Hub, Mailbox, Registered},
        limits::Limits,
        lines::Lines,
        query::{Feeds, Live},
    };

    /// A node's rooms over an empty memory, in simulated time.
    pub(crate) async fn services(settings: Settings) -> Arc<Services> {
        let (_, store) = testing::access().await;
        let access = testing::access_with(&store, &settings);
        let clock = Clock::simulated(2, testing::START);
        let limits = Limits::new(&settings);
        let live = Live::new(Feeds::new(&settings), store.clone());
        Arc::new(Services {
            settings,
            clock,
            store,
            hub: Hub::new(0),
            live,
            access,
            apps: Apps::new(App::built_in()),
            limits,
            lines: Lines::default(),
        })
    }

    fn context(services: &Arc<Services>, identity: Option<&Arc<Identity>>) -> Context {
        let address = IpAddr::from([127, 0, 0, 1]);
        Context { services: services.clone(), identity: identity.cloned(), address, key: None }
    }

    pub(crate) fn ada() -> Register {
        let (email, password) = ("ada@example.com".into(), "correct horse".into());
        Register { email, password, name: "Ada".into(), workspace: None, invitation: None }
    }

    async fn log_in_ada(services: &Arc<Services>) -> (SignedIn, Arc<Identity>) {
        let Register { email, password, .. } = ada();
        let answer = login(context(services, None), Login { email, password, workspace_id: None }).await.unwrap();
        (answer.output, answer.signs_in.unwrap())
    }

    /// A connection on which somebody is signed in.
    fn connect(services: &Services, identity: &Arc<Identity>, number: u8) -> (Registered, Arc<Mailbox>) {
        let mailbox = Arc::<Mailbox>::default();
        let registered = services.hub.register(ConnectionId::new(testing::START, [number; 10]), mailbox.clone());
        registered.signed_in(identity.clone());
        (registered, mailbox)
    }

    fn closed(mailbox: &Mailbox) -> Option<CloseCode> {
        mailbox.take().close.map(|(code, _)| code)
    }

    fn fault<T>(answer: Result<T, Failure>) -> Fault {
        match answer {
            Err(Failure::Fault(fault)) => fault,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it was answered"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_way_of_signing_in_makes_the_connection_who_the_reply_says() {
        let services = services(Settings::default()).await;
        let registered = register(context(&services, None), ada()).await.unwrap();
        assert_eq!(registered.signs_in.unwrap().principal, registered.output.principal);
        let (logged_in, identity) = log_in_ada(&services).await;
        assert_eq!(identity.principal, logged_in.principal);
        let refreshed = refresh(context(&services, Some(&identity)), Refresh { refresh_token: logged_in.refresh_token }).await.unwrap();
        assert_eq!(refreshed.signs_in.unwrap().sign_in, identity.sign_in);
        let access_token = refreshed.output.access_token;
        let authenticated = authenticate(context(&services, None), Authenticate { access_token }).await.unwrap();
        assert_eq!(authenticated.signs_in.unwrap().principal, authenticated.output.principal);
        assert_eq!(authenticated.output.access_expires_at, Some(refreshed.output.access_expires_at));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_of_somebody_else_is_a_conflict_on_a_signed_in_connection() {
        let services = services(Settings::default()).await;
        let here = register(context(&services, None), ada()).await.unwrap().signs_in;
        let ben = Register { email: "ben@example.com".into(), ..ada() };
        let access_token = register(context(&services, None), ben).await.unwrap().output.access_token;
        let refused = fault(authenticate(context(&services, here.as_ref()), Authenticate { access_token }).await);
        assert_eq!((refused.code, refused.reason), (FaultCode::Conflict, Some(Reason::State)));
    }

    #[tokio::test(start_paused = true)]
    async fn signing_out_closes_the_connections_of_that_sign_in_or_of_all() {
        let services = services(Settings::default()).await;
        let ben = Register { email: "ben@example.com".into(), ..ada() };
        let ben = register(context(&services, None), ben).await.unwrap().signs_in.unwrap();
        let phone = register(context(&services, None), ada()).await.unwrap().signs_in.unwrap();
        let (_, laptop) = log_in_ada(&services).await;
        let (_ben, ben_mail) = connect(&services, &ben, 0);
        let connections = [(&phone, 1), (&phone, 2), (&laptop, 3)].map(|(identity, number)| connect(&services, identity, number));
        let closes = || connections.each_ref().map(|(_, mailbox)| closed(mailbox));
        logout(context(&services, Some(&phone)), Logout::default()).await.unwrap();
        assert_eq!(closes(), [Some(CloseCode::SignedOut), Some(CloseCode::SignedOut), None]);
        logout(context(&services, Some(&laptop)), Logout { everywhere: Some(true) }).await.unwrap();
        assert_eq!(closes()[2], Some(CloseCode::SignedOut));
        assert_eq!(closed(&ben_mail), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_token_that_comes_back_too_late_closes_every_connection_of_its_sign_in() {
        let services = services(Settings::default()).await;
        let first = register(context(&services, None), ada()).await.unwrap();
        let (_, other) = log_in_ada(&services).await;
        let (_one, mail) = connect(&services, first.signs_in.as_ref().unwrap(), 1);
        let (_two, other_mail) = connect(&services, &other, 2);
        let stolen = Refresh { refresh_token: first.output.refresh_token };
        let second = refresh(context(&services, None), stolen.clone()).await.unwrap().output.refresh_token;
        refresh(context(&services, None), Refresh { refresh_token: second }).await.unwrap();
        assert_eq!(closed(&mail), None);
        assert_eq!(fault(refresh(context(&services, None), stolen).await).code, FaultCode::Unauthenticated);
        assert_eq!((closed(&mail), closed(&other_mail)), (Some(CloseCode::SignInRevoked), None));
    }

    #[tokio::test(start_paused = true)]
    async fn me_tells_as_whom_the_connection_acts() {
        let services = services(Settings::default()).await;
        let identity = register(context(&services, None), ada()).await.unwrap().signs_in.unwrap();
        assert_eq!(me(context(&services, Some(&identity)), Me {}).await.unwrap().output, identity.principal);
        assert_eq!(fault(me(context(&services, None), Me {}).await).code, FaultCode::Unauthenticated);
    }

    #[tokio::test(start_paused = true)]
    async fn tries_at_one_account_are_counted_together_however_it_is_written() {
        let services = services(Settings { sign_in_rate: 3, ..Settings::default() }).await;
        let attempt = async |email: &str| {
            let input = Login { email: email.into(), password: "x".into(), workspace_id: None };
            fault(login(context(&services, None), input).await).code
        };
        for email in ["ada@example.com", " ADA@example.com", "Ada@Example.com "] {
            assert_eq!(attempt(email).await, FaultCode::Unauthenticated);
        }
        assert_eq!(attempt("ada@example.com").await, FaultCode::RateLimited);
        assert_eq!(attempt("ben@example.com").await, FaultCode::Unauthenticated);
    }

    #[tokio::test]
    async fn the_command_line_adds_operators_beside_a_server_and_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("crewline.db"));
        let server = Store::open(&location, Arc::new(|_| ())).await.unwrap();
        let added = add_user(&location, None, ada(), true).await.unwrap();
        assert_eq!((added.email.as_str(), added.operator), ("ada@example.com", true));
        let taken = fault(add_user(&location, None, ada(), true).await);
        assert_eq!((taken.code, taken.reason), (FaultCode::Conflict, Some(Reason::Taken)));
        let short = fault(add_user(&location, None, Register { password: "short".into(), ..ada() }, true).await);
        assert_eq!((short.code, short.fields[0].path.as_str()), (FaultCode::Invalid, "password"));

        let access = testing::access_with(&server, &Settings::default());
        let grant = access.login("ada@example.com", "correct horse".into(), None, None).await.unwrap();
        assert_eq!((grant.identity.principal.role, grant.identity.principal.operator), (Role::Owner, Some(true)));
        server.close().await;
    }
}
