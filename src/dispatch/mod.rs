//! From a request to its reply: which operation, who asks, how often, under which key, with what input.

mod agents;
mod reads;
mod routes;

use std::{collections::HashMap, future::Future, net::IpAddr, sync::Arc, time::Duration};

use crewline_protocol::{
    OPERATIONS,
    fault::{Fault, FaultCode, FieldFault},
    frame::Body,
    opening::RequestOptions,
    operation::{Access, Kind, Operation, OperationSpec, Role},
    value::{Millis, MutationKey, Revision, RunId, SessionId, decode, encode, encode_with_room},
};
use futures::future::BoxFuture;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tracing::{Instrument, debug_span, error, warn};

use self::reads::Ask;
pub use self::{agents::Agents, reads::read};
use crate::{
    access::{Identity, policy},
    context::{Answer, Context, Failure, RequestKey, Services},
    leases,
    query::{List, Plan, Shape},
    runs, sessions,
    store::StreamHead,
};

/// How often a handler is run again when what it had loaded changed before it could write.
const ATTEMPTS: usize = 3;
/// How long a mutation's reply is kept under its key.
const KEY_LIFE_MS: i64 = 24 * 60 * 60 * 1000;
/// Room for an output of the usual size.
const OUTPUT_BYTES: usize = 512;
/// How far ahead of the server's clock a key may be made.
const KEY_AHEAD_MS: i64 = 5 * 60 * 1000;

/// An operation's answer, encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The encoded output.
    pub output: Vec<u8>,
    /// The revision at which it is true.
    pub as_of: Option<Revision>,
    /// Who the connection is signed in as from now on.
    pub signs_in: Option<Arc<Identity>>,
}

/// A request that is being carried out.
pub struct Begun {
    /// Gives the reply.
    pub reply: BoxFuture<'static, Result<Reply, Fault>>,
    /// Whether it may be dropped half-way: nothing is written then.
    pub cancellable: bool,
    /// Whether it may sign the connection in: what comes after it waits for that.
    pub may_sign_in: bool,
}

/// Which handler carries out which operation.
pub struct Router {
    routes: HashMap<&'static str, Route>,
}

struct Route {
    spec: &'static OperationSpec,
    prepare: Prepare,
    /// Decodes its input, where it is a read of a noun.
    ask: Option<Ask>,
    /// What a kept reply lacks; `None`: nothing.
    complete: Option<Complete>,
}

/// Makes the encoded reply from the output that is kept under a key.
type Complete = Arc<dyn Fn(&Services, &[u8]) -> Result<Vec<u8>, Failure> + Send + Sync>;
type Prepare = Box<dyn Fn(Body<'_>) -> Result<Prepared, Fault> + Send + Sync>;

/// A handler with its decoded input.
struct Prepared {
    digest: [u8; 32],
    run: Box<dyn Fn(Context) -> BoxFuture<'static, Result<Reply, Failure>> + Send + Sync>,
}

impl Router {
    /// Binds a handler to the operation that its argument is, whose answer holds a secret: it is kept under its key without it, and
    /// each time it is given `complete` derives it again.
    fn handle_with_secret<O, F, Fut>(self, handler: F, complete: fn(&Services, O::Output) -> O::Output) -> Self
    where
        O: Operation,
        F: Fn(Context, O) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer<O::Output>, Failure>> + Send + 'static,
    {
        let whole = move |cx: Context, input: O| {
            let (services, answer) = (cx.services.clone(), handler(cx, input));
            async move {
                let Answer { output, as_of, signs_in } = answer.await?;
                Ok(Answer { output: complete(&services, output), as_of, signs_in })
            }
        };
        let mut router = self.handle(whole);
        if let Some(route) = router.routes.get_mut(O::NAME) {
            route.complete = Some(Arc::new(move |services, kept| {
                let kept = decode(kept).map_err(|error| Failure::Error(Box::new(error)))?;
                Ok(encode(&complete(services, kept)))
            }));
        }
        router
    }

    /// Binds a handler to the operation that its argument is.
    fn handle<O, F, Fut>(self, handler: F) -> Self
    where
        O: Operation,
        F: Fn(Context, O) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer<O::Output>, Failure>> + Send + 'static,
    {
        let prepare: Prepare = Box::new(move |body| {
            let input: O = body.decode()?;
            validate(&input)?;
            let digest = if O::KIND == Kind::Mutation { digest_of(&input)? } else { [0; 32] };
            let handler = handler.clone();
            let run = move |cx| -> BoxFuture<'static, Result<Reply, Failure>> {
                let answer = handler(cx, input.clone());
                Box::pin(async move {
                    let Answer { output, as_of, signs_in } = answer.await?;
                    Ok(Reply { output: encode_with_room(&output, OUTPUT_BYTES), as_of, signs_in })
                })
            };
            Ok(Prepared { digest, run: Box::new(run) })
        });
        self.route::<O>(prepare, None)
    }

    fn route<O: Operation>(mut self, prepare: Prepare, ask: Option<Ask>) -> Self {
        if let Some(spec) = OPERATIONS.iter().find(|spec| spec.name == O::NAME) {
            self.routes.insert(O::NAME, Route { spec, prepare, ask, complete: None });
        }
        self
    }

    /// Begins a request: everything that can be said without waiting is checked here, in the protocol's order.
    ///
    /// # Errors
    /// The request's fault, when it is refused at once.
    pub fn begin(
        &self,
        services: &Arc<Services>,
        identity: Option<&Arc<Identity>>,
        address: IpAddr,
        operation: &str,
        input: Body<'_>,
        options: Option<Body<'_>>,
    ) -> Result<Begun, Fault> {
        let route = self.routes.get(operation);
        let options = options_of(options, route)?;
        let Some(Route { spec, prepare, complete, .. }) = route else {
            return Err(Fault::new(FaultCode::UnknownOperation, format!("there is no operation `{}`", operation.escape_debug())));
        };
        let now = services.clock.now();
        policy::check(identity.map(AsRef::as_ref), spec.access, now)?;
        services.limits.check(spec.rate, identity.map(AsRef::as_ref), address)?;
        let key = (spec.kind == Kind::Mutation).then(|| mutation_key(options.key.as_deref(), now)).transpose()?;
        let prepared = prepare(input);
        let (digest, run) = match prepared {
            Ok(Prepared { digest, run }) => (digest, Ok(run)),
            Err(fault) => ([0; 32], Err(fault)),
        };
        let key = key
            .zip(identity)
            .map(|(key, identity)| Arc::new(RequestKey { principal: identity.principal.id.clone(), key, operation: spec.name, digest }));
        if let (Err(fault), None) = (&run, &key) {
            return Err(fault.clone());
        }
        let cx = Context { services: services.clone(), identity: identity.cloned(), address, key };
        let reply = carry_out(cx, run, spec.name, complete.clone());
        let reply: BoxFuture<'static, _> = match options.timeout_ms.map(Duration::from_millis) {
            Some(timeout) => Box::pin(within(timeout, reply)),
            None => Box::pin(reply),
        };
        // At the usual level it costs nothing; what is logged of a failure names the operation itself.
        let span = debug_span!("request", operation = spec.name);
        Ok(Begun {
            reply: if span.is_disabled() { reply } else { Box::pin(reply.instrument(span)) },
            cancellable: spec.kind == Kind::Read,
            may_sign_in: spec.access == Access::Anyone,
        })
    }

    /// Passes who may follow something at all.
    ///
    /// # Errors
    /// `unauthenticated` or `forbidden`.
    pub fn may_follow(&self, services: &Services, identity: Option<&Arc<Identity>>) -> Result<(), Fault> {
        policy::check(identity.map(AsRef::as_ref), Access::ViewerOrWorker, services.clock.now())
    }

    /// The plan of a live query, for this principal.
    ///
    /// # Errors
    /// The fault with which the subscription is refused.
    pub fn plan(
        &self,
        services: &Services,
        identity: Option<&Arc<Identity>>,
        operation: &str,
        input: Body<'_>,
    ) -> Result<Arc<Plan>, Fault> {
        let route = self.routes.get(operation).ok_or_else(|| {
            let message = format!("there is no operation `{}`", operation.escape_debug());
            Fault::invalid("query.op", "unknown", message)
        })?;
        policy::check(identity.map(AsRef::as_ref), route.spec.access, services.clock.now())?;
        let Some(ask) = route.ask.filter(|_| route.spec.live) else {
            return Err(Fault::invalid("query.op", "live", format!("`{operation}` can't be followed: call it")));
        };
        let asked = ask(input).map_err(|fault| fault.below("query.input"))?;
        let Some(identity) = identity else { return Err(Fault::not_found()) };
        let plan = reads::plan(services, identity, &asked).map_err(|fault| fault.below("query.input"))?;
        match &plan.shape {
            Shape::List(List { after: Some(_), .. }) => {
                Err(Fault::invalid("query.input.cursor", "live", "a list is followed from its beginning: leave out `cursor`, or call it"))
            }
            _ => Ok(Arc::new(plan)),
        }
    }

    /// Begins to follow a run: whether this principal may, and where its stream stands.
    ///
    /// # Errors
    /// The fault with which the subscription is refused.
    pub fn follow(
        &self,
        services: &Arc<Services>,
        identity: Option<&Arc<Identity>>,
        run: RunId,
    ) -> Result<BoxFuture<'static, Result<StreamHead, Fault>>, Fault> {
        self.may_follow(services, identity)?;
        let Some(identity) = identity.cloned() else { return Err(Fault::not_found()) };
        let services = services.clone();
        Ok(Box::pin(async move {
            let head = async {
                runs::load(&services, identity.workspace, run).await?;
                if identity.principal.role == Role::Worker && !leases::holds(&services.store, identity.worker, run).await? {
                    return Err(Fault::not_found().into());
                }
                let heads = services.store.heads(&[run]).await?;
                Ok(heads.first().map_or(StreamHead { head: Default::default(), complete: false }, |(_, head)| *head))
            };
            head.await.map_err(|failure| fault_of(failure, &services, "subscribe"))
        }))
    }

    /// Begins to be present in a session: whether this principal may.
    ///
    /// # Errors
    /// The fault with which the subscription is refused.
    pub fn visit(
        &self,
        services: &Arc<Services>,
        identity: Option<&Arc<Identity>>,
        session: SessionId,
    ) -> Result<BoxFuture<'static, Result<(), Fault>>, Fault> {
        policy::check(identity.map(AsRef::as_ref), Access::Viewer, services.clock.now())?;
        let Some(workspace) = identity.map(|identity| identity.workspace) else { return Err(Fault::not_found()) };
        let services = services.clone();
        Ok(Box::pin(async move {
            let found = sessions::load(&services, workspace, session).await;
            found.map(drop).map_err(|failure| fault_of(failure, &services, "subscribe"))
        }))
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

type Run = Box<dyn Fn(Context) -> BoxFuture<'static, Result<Reply, Failure>> + Send + Sync>;

async fn carry_out(cx: Context, run: Result<Run, Fault>, operation: &'static str, complete: Option<Complete>) -> Result<Reply, Fault> {
    let failure = match run {
        Ok(run) => match attempt(&cx, &run).await {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        },
        Err(fault) => Failure::Fault(fault),
    };
    // Boxed, so that what is rare makes no request's future larger.
    Box::pin(answer_again(cx, failure, operation, complete)).await
}

/// A request that was answered before is answered the same, also when its handler would refuse it by now.
async fn answer_again(cx: Context, failure: Failure, operation: &'static str, complete: Option<Complete>) -> Result<Reply, Fault> {
    if let Some(key) = cx.key.as_deref() {
        match cx.services.store.reply(&key.principal, key.key).await {
            Ok(Some(kept)) => {
                let (kept, as_of) = key.answered(kept)?;
                let output = match complete {
                    Some(complete) => complete(&cx.services, &kept).map_err(|failure| fault_of(failure, &cx.services, operation))?,
                    None => kept.to_vec(),
                };
                return Ok(Reply { output, as_of, signs_in: None });
            }
            Ok(None) => {}
            Err(error) => return Err(fault_of(error.into(), &cx.services, operation)),
        }
    }
    Err(fault_of(failure, &cx.services, operation))
}

async fn attempt(cx: &Context, run: &Run) -> Result<Reply, Failure> {
    let mut attempts = 1;
    loop {
        match run(cx.clone()).await {
            Err(Failure::Stale(_)) if attempts < ATTEMPTS => attempts += 1,
            done => return done,
        }
    }
}

async fn within(timeout: Duration, reply: impl Future<Output = Result<Reply, Fault>>) -> Result<Reply, Fault> {
    tokio::time::timeout(timeout, reply).await.unwrap_or_else(|_| {
        Err(Fault::new(FaultCode::Timeout, format!("not done within {} ms: send it again with the same key", timeout.as_millis())))
    })
}

/// What the peer is told of a failure. What it is not told goes to the log, under a reference that both have.
fn fault_of(failure: Failure, services: &Services, operation: &str) -> Fault {
    let reference = |code, message| {
        let reference: String = services.clock.random::<6>().iter().map(|byte| format!("{byte:02x}")).collect();
        Fault { reference: Some(reference), ..Fault::new(code, message) }
    };
    match failure {
        Failure::Fault(fault) | Failure::Stale(fault) => fault,
        Failure::Error(cause) => {
            let fault = reference(FaultCode::Internal, "something is wrong in the server: its log has more under the reference");
            error!(operation, reference = fault.reference, error = %cause, "a handler failed");
            fault
        }
        Failure::Unavailable(cause) => {
            let fault = reference(FaultCode::Unavailable, "the database is away: send it again with the same key");
            warn!(operation, reference = fault.reference, error = %cause, "the database is away");
            fault
        }
    }
}

/// A request's options. A key that comes with anything but a mutation is ignored, whatever it is.
fn options_of(options: Option<Body<'_>>, route: Option<&Route>) -> Result<RequestOptions, Fault> {
    #[derive(Default, Deserialize)]
    struct Unkeyed {
        timeout_ms: Option<u64>,
        trace: Option<String>,
    }
    if route.is_some_and(|route| route.spec.kind == Kind::Mutation) {
        return options.map(Body::decode).transpose().map(Option::unwrap_or_default);
    }
    let Unkeyed { timeout_ms, trace } = options.map(Body::decode).transpose()?.unwrap_or_default();
    Ok(RequestOptions { key: None, timeout_ms, trace })
}

fn mutation_key(key: Option<&str>, now: Millis) -> Result<MutationKey, Fault> {
    let text = key.ok_or_else(|| {
        Fault::new(FaultCode::KeyRequired, "a mutation needs `key`, a UUIDv7 made once and kept through retries, in its options")
    })?;
    let key: MutationKey =
        text.parse().map_err(|error: crewline_protocol::value::MalformedId| Fault::invalid("key", "format", error.to_string()))?;
    let age = now.since(key.made_at());
    if (-KEY_AHEAD_MS..=KEY_LIFE_MS).contains(&age) {
        return Ok(key);
    }
    Err(Fault::new(
        FaultCode::KeyExpired,
        "the key is older than 24 hours or over 5 minutes ahead: look whether it happened, then make a new one",
    ))
}

fn validate<O: Operation>(input: &O) -> Result<(), Fault> {
    let Err(report) = input.validate() else { return Ok(()) };
    let mut fields: Vec<FieldFault> = Vec::new();
    for (path, error) in report.iter() {
        let (path, message) = (path.to_string(), error.message().to_owned());
        // One thing is wrong with a field at a time.
        if fields.iter().all(|field| field.path != path) {
            fields.push(FieldFault { path, code: code_of(&message).into(), message });
        }
    }
    Err(Fault::invalid_fields(fields))
}

/// The rule that was broken, which the library tells by its words alone.
fn code_of(message: &str) -> &'static str {
    match message {
        message if message.starts_with("length ") => "length",
        message if message.starts_with("does not contain ") => "format",
        _ => "range",
    }
}

/// Of what is asked for, in whatever order the keys of its maps came.
fn digest_of(input: &impl Serialize) -> Result<[u8; 32], Fault> {
    let mut value = serde_json::to_value(input).map_err(|error| Fault::invalid("", "type", error.to_string()))?;
    value.sort_all_objects();
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, &encode(&value)).as_ref());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_handler() {
        let router = Router::new();
        let without: Vec<&str> = OPERATIONS.iter().map(|spec| spec.name).filter(|name| !router.routes.contains_key(name)).collect();
        assert_eq!(without, Vec::<&str>::new());
        assert_eq!(router.routes.len(), OPERATIONS.len());
    }

    #[test]
    fn a_field_is_told_of_once_by_the_rule_that_it_breaks() {
        use crewline_protocol::operations::{invitation, run};
        let told =
            |fault: Fault| -> Vec<(String, String)> { fault.fields.iter().map(|field| (field.path.clone(), field.code.clone())).collect() };
        let invite = |email: &str| invitation::Create { id: None, email: email.into(), role: crewline_protocol::operation::Role::Member };
        for (email, code) in [("zz", "length"), ("zzz", "format")] {
            assert_eq!(told(validate(&invite(email)).unwrap_err()), [("email".into(), code.into())], "{email}");
        }
        let list = run::List { limit: Some(501), ..run::List::default() };
        assert_eq!(told(validate(&list).unwrap_err()), [("limit".into(), "range".into())]);
    }

    #[test]
    fn the_same_is_asked_for_in_any_order_of_keys() {
        let digests: Vec<[u8; 32]> = [
            r#"{"collection": "c", "data": {"a": {"x": 1, "y": [2]}, "b": null}}"#,
            r#"{"data": {"b": null, "a": {"y": [2], "x": 1}}, "collection": "c"}"#,
            r#"{"collection": "c", "data": {"a": {"x": 1, "y": [2]}, "b": 0}}"#,
        ]
        .map(|text| digest_of(&serde_json::from_str::<crewline_protocol::operations::record::Create>(text).unwrap()).unwrap())
        .into();
        assert_eq!(digests[0], digests[1]);
        assert_ne!(digests[0], digests[2]);
    }

    #[test]
    fn a_key_is_a_uuid_v7_of_the_last_day() {
        let now = Millis(1_700_000_000_000);
        let made = |at: i64| MutationKey::new(Millis(at), [1; 10]).to_string();
        let code = |key: Option<&str>| mutation_key(key, now).map_err(|fault| fault.code);
        assert_eq!(code(None), Err(FaultCode::KeyRequired));
        assert_eq!(code(Some("x")), Err(FaultCode::Invalid));
        assert!(code(Some(&made(now.0 - KEY_LIFE_MS))).is_ok());
        assert_eq!(code(Some(&made(now.0 - KEY_LIFE_MS - 1))), Err(FaultCode::KeyExpired));
        assert!(code(Some(&made(now.0 + KEY_AHEAD_MS))).is_ok());
        assert_eq!(code(Some(&made(now.0 + KEY_AHEAD_MS + 1))), Err(FaultCode::KeyExpired));
    }
}
