//! What is said in a session that a crew answers: the message, and the run that it starts, in one commit.

use crewline_protocol::{
    fault::{Fault, Reason},
    opening::PrincipalKind,
    operations::{
        message::{Message, Post},
        run::{Inputs, Start},
    },
    value::{MessageId, SessionId},
};

use super::start::{Begun, Origin, begin};
use crate::{
    apps::Crew,
    context::{Answer, Context, Failure},
    sessions::{self, MessageRow},
    store::{Commit, Direction, Select, Store, StoreError},
};

/// How many messages a crew is told of what was said before.
const EARLIER: usize = 40;
/// How many bytes of them, the latest first.
const EARLIER_BYTES: usize = 16 << 10;

/// Says something in a session; where a crew answers there, it is started.
///
/// # Errors
/// `not_found` for a session that is absent or in another workspace; `conflict`, `state` for one that is put away, or whose crew the app
/// has no more; `conflict`, `taken` for an id that is there already; and, where a crew is started, as [`start`](super::start).
pub async fn post(cx: Context, input: Post) -> Result<Answer<Message>, Failure> {
    let identity = cx.identity()?.clone();
    let session = sessions::load(&cx.services, identity.workspace, input.session_id).await?;
    let in_use = session.in_use()?;
    let (id, commit) = cx.id::<MessageRow, _>(input.id, MessageId::new, Commit::in_workspace(identity.workspace)).await?;
    let message = MessageRow::said(id, &session, &identity.principal, input.text, cx.now());
    // What agents say is no question: their crews would talk to each other for ever.
    let answers = session.crew.filter(|_| identity.principal.kind == PrincipalKind::User);
    let Some(name) = answers else {
        if !input.inputs.is_empty() {
            return Err(Fault::invalid("inputs", "unsupported", "no crew answers in this session: leave `inputs` out").into());
        }
        let commit = commit.guard(in_use).insert(&message);
        return cx.commit(commit, move |revision| message.at(revision)).await;
    };
    let app = cx.services.apps.of(identity.workspace);
    let crew = app.crews.get(&name).ok_or_else(|| crew_is_gone(&name))?;
    let start = Start {
        crew: name.clone(),
        inputs: inputs(crew, &cx.services.store, &message, input.inputs).await?,
        session_id: Some(session.id),
        on_busy: input.on_busy,
        ..Start::default()
    };
    let origin = Origin { message_id: Some(id), retry_of: None };
    let Begun { run, commit } = begin(&cx, start, origin, commit).await?;
    let message = MessageRow { run_id: Some(run.id), ..message };
    let commit = commit.insert(&message);
    let answer = cx.commit(commit, move |revision| message.at(revision)).await?;
    cx.services.hub.run_queued();
    Ok(answer)
}

/// What the crew is given: the words, what was said before where it wants that, and what came with the words.
async fn inputs(crew: &Crew, store: &Store, message: &MessageRow, more: Inputs) -> Result<Inputs, Failure> {
    let mut inputs = more;
    let Some(words) = &crew.message_input else { return Err(crew_is_gone(&crew.name).into()) };
    inputs.insert(words.clone(), message.text.clone().into());
    if let Some(history) = &crew.history_input {
        inputs.insert(history.clone(), earlier(store, message.session_id).await?.into());
    }
    Ok(inputs)
}

/// What was said in a session before, a message after the other, each with who said it.
async fn earlier(store: &Store, session: SessionId) -> Result<String, StoreError> {
    let select = Select::by("session_id", session).order_by("id", Direction::Descending).limit(EARLIER);
    let (mut said, mut bytes) = (Vec::new(), 0);
    for message in store.select::<MessageRow>(&select).await? {
        let line = format!("{}: {}", message.author_name, message.text);
        bytes += line.len();
        if bytes > EARLIER_BYTES {
            break;
        }
        said.push(line);
    }
    said.reverse();
    Ok(said.join("\n\n"))
}

fn crew_is_gone(name: &str) -> Fault {
    let message =
        format!("crew `{name}`, which answered in this session, is not there any more, or takes no messages: change the session's `crew`");
    Fault::conflict(Reason::State, message)
}
