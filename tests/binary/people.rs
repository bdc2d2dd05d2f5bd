//! Who uses the server while it dies: an owner, viewers that follow a run, a viewer that keeps reloading, writers.

use crewline_client::{CallOptions, Client, Clock, FollowOptions, Followed};
use crewline_protocol::{
    RunEvent,
    operations::{
        auth::{Register, SignedIn},
        run::{Run, Start},
        session::{Create, Session},
    },
    value::{MutationKey, Offset, RunId},
};
use futures::StreamExt;
use rand::{Rng, rngs::StdRng};
use tokio::sync::watch;

use crate::server::Server;

/// Registers the one person of a test.
pub(crate) async fn register(server: &Server) -> SignedIn {
    register_as(server, "ada@example.com").await
}

/// Registers one of several, each with a workspace of their own.
pub(crate) async fn register_as(server: &Server, email: &str) -> SignedIn {
    let input =
        Register { email: email.into(), password: "a long enough password".into(), name: "Ada".into(), workspace: None, invitation: None };
    server.stranger().register(input).await.unwrap()
}

/// Starts KP's review of a short page.
pub(crate) async fn start_review(client: &Client) -> Run {
    let page = "<h1>On tea</h1><p>Tea is a drink. It is made of leaves and hot water. Some add milk.</p>";
    let inputs = serde_json::json!({ "name": "tea.html", "page": page });
    let inputs = inputs.as_object().unwrap().clone();
    client.call(Start { crew: "review".into(), inputs, ..Start::default() }).await.unwrap()
}

/// What a viewer has made of a run's stream.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) events: Vec<RunEvent>,
    pub(crate) position: Offset,
}

impl Seen {
    /// Follows from where it is until the run has ended, or until `enough` more positions were reached. True: the run has ended.
    pub(crate) async fn follow(&mut self, client: &Client, run: RunId, enough: Option<usize>, moved: &watch::Sender<Offset>) -> bool {
        let mut left = enough.unwrap_or(usize::MAX);
        let mut stream = client.follow_run(run, FollowOptions { from: self.position, ..FollowOptions::default() }).await.unwrap();
        let mut frame = Vec::new();
        while let Some(item) = stream.next().await {
            match item.unwrap() {
                Followed::Attached { from, .. } => assert_eq!((from, &frame), (self.position, &Vec::new()), "resumed elsewhere"),
                Followed::Event(event) => frame.push(event),
                Followed::Position(position) => {
                    assert!(position > self.position || frame.is_empty(), "{position:?} came after {:?}", self.position);
                    self.events.append(&mut frame);
                    self.position = position;
                    moved.send_if_modified(|furthest| std::mem::replace(furthest, position.max(*furthest)) < position);
                    left -= 1;
                    if left == 0 {
                        return false;
                    }
                }
                Followed::Restarted => panic!("the database's epoch changed, though it is the same database"),
            }
        }
        true
    }
}

/// A viewer whose page stays open.
pub(crate) async fn view(client: Client, run: RunId, moved: watch::Sender<Offset>) -> Seen {
    let mut seen = Seen::default();
    assert!(seen.follow(&client, run, None, &moved).await);
    seen
}

/// A viewer who reloads the page again and again, each time with a new client, from the position that was kept.
pub(crate) async fn view_reloading(clients: impl Fn() -> Client, run: RunId, moved: watch::Sender<Offset>, mut dice: StdRng) -> Seen {
    let mut seen = Seen::default();
    while !seen.follow(&clients(), run, Some(dice.random_range(1..20)), &moved).await {}
    seen
}

/// Makes one session after another, each under its key, until told to stop. Gives all that were acknowledged.
pub(crate) async fn write(client: Client, stop: watch::Receiver<bool>) -> Vec<(MutationKey, Session)> {
    let clock = Clock::system();
    let mut acknowledged = Vec::new();
    while !*stop.borrow() {
        let key = clock.mutation_key();
        acknowledged.push((key, create(&client, key).await));
    }
    acknowledged
}

/// Makes a session under a key; under one that was used, gives the session that was made.
pub(crate) async fn create(client: &Client, key: MutationKey) -> Session {
    let options = CallOptions { key: Some(key), ..CallOptions::default() };
    client.call_with(Create { id: None, title: "Written while it dies".into(), crew: None }, options).await.unwrap()
}
