//! What followers see is what is stored: random writers, readers, roles, reconnects and restarts on each database. Whenever it is
//! quiet every follower's answer is the one that a fresh read gives, and none ever saw a row that it may not see. A seed that fails
//! is repeated by `CREWLINE_SEED=<seed>`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crewline_protocol::{
    fault::{Fault, FaultCode},
    follow::EndedWhy,
    frame::Body,
    live::{Live, LiveChange},
    opening::RequestOptions,
    operation::Role,
    operations::auth::SignedIn,
    read::Page,
    value::{MutationKey, Revision, decode, encode},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use crate::{
    access::Identity,
    apps::{App, Files},
    clock::Clock,
    connection::Node,
    dispatch::Reply,
    hub::Hub,
    query::Feeds,
    server::tell,
    settings::Settings,
    store::conformance::place::{Database, Place},
    testing::{self, ADDRESS, Heard, Peer, START, Welcomed},
};

/// Seeds on each database.
const SEEDS: u64 = 250;
/// Servers that play them, each on a database of its own.
const WORLDS: usize = 4;
/// What happens in a seed.
const STEPS: usize = 40;
/// A follower that is not told in this time never will be: the seed hangs, and says so.
const PATIENCE: Duration = Duration::from_secs(60);

const NOTES: &str = "\
title: Notes
title_field: name
schema:
  type: object
  additionalProperties: false
  required: [name, rank]
  properties:
    name: {type: string}
    rank: {type: integer}
    tags: {type: array, items: {type: string}}
    due_at: {type: integer}
indexes: [rank, [name, -rank], due_at]
access: {read: [admin, own], create: [member], update: [admin, own], delete: [admin, own]}
";

#[tokio::test]
async fn followers_of_sqlite_see_what_is_stored() {
    on_every_seed(Database::Sqlite).await;
}

#[tokio::test]
async fn followers_of_postgres_see_what_is_stored() {
    on_every_seed(Database::Postgres).await;
}

async fn on_every_seed(database: Database) {
    let seeds = match std::env::var("CREWLINE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    };
    let share = seeds.clone().count().div_ceil(WORLDS);
    let shares: Vec<u64> = seeds.clone().step_by(share).collect();
    // Most of a seed's time is spent waiting for a database, so that some go on beside each other.
    futures::future::join_all(shares.into_iter().map(|first| {
        let last = (first + share as u64).min(seeds.end);
        async move {
            let place = Place::new(database).await;
            let mut world = World::open(&place, first).await;
            for seed in first..last {
                world.play(seed).await;
            }
        }
    }))
    .await;
}

/// A server on a database, which may be started anew.
struct World<'a> {
    place: &'a Place,
    clock: Clock,
    node: Node,
    /// The roles that people had, from which revision on.
    roles: HashMap<String, Vec<(Revision, Role)>>,
}

/// Somebody in a workspace.
struct Person {
    tokens: SignedIn,
    member: String,
}

/// A query that somebody follows.
struct Follower {
    person: usize,
    op: &'static str,
    input: Value,
    peer: Peer<DuplexStream>,
    answer: Option<Answer>,
    position: Revision,
    /// Why it is over, if it is.
    over: Option<EndedWhy>,
}

#[derive(Debug, Clone, PartialEq)]
enum Answer {
    List(Page<Value>),
    Other(Value),
}

impl<'a> World<'a> {
    async fn open(place: &'a Place, seed: u64) -> Self {
        let clock = Clock::simulated(seed, START);
        Self { place, node: Self::node(place, clock.clone()).await, clock, roles: HashMap::new() }
    }

    async fn node(place: &Place, clock: Clock) -> Node {
        let settings = Settings { gather_ms: 1, live_history_bytes: 4_096, ..Settings::default() };
        let (hub, feeds) = (Hub::new(1 << 16), Feeds::new(&settings));
        let store = place.open_telling(tell(&hub, &feeds)).await.unwrap();
        // A small app: it is read anew at every restart.
        let mut files: Files = testing::crews::app().files;
        files.insert("collections/notes.yaml".into(), NOTES.into());
        let app = App::from_files(files).unwrap();
        testing::node_of(app, settings, clock, store, hub, feeds).await
    }

    async fn play(&mut self, seed: u64) {
        let mut dice = StdRng::seed_from_u64(seed);
        let people = self.people(seed).await;
        let mut records: Vec<String> = Vec::new();
        let mut followers: Vec<Follower> = Vec::new();
        for _ in 0..5 {
            let person = dice.random_range(0..people.len());
            followers.push(self.follow(&people, person, query(&mut dice), None).await);
        }
        for _ in 0..STEPS {
            match dice.random_range(0..20) {
                0..12 => self.write(&mut dice, &people, &mut records).await,
                12..15 => {
                    for follower in &mut followers {
                        follower.hear_some(dice.random_range(0..3), &self.roles, &people).await;
                    }
                }
                15..17 => {
                    let place = dice.random_range(0..followers.len());
                    let Follower { person, op, input, answer, position, over, .. } = followers.swap_remove(place);
                    let had = answer.filter(|_| over.is_none()).map(|answer| (answer, position));
                    followers.push(self.follow(&people, person, (op, input), had).await);
                }
                17..19 => self.change_role(&mut dice, &people).await,
                _ if dice.random_bool(0.3) => {
                    self.restart().await;
                    let mut again = Vec::new();
                    for Follower { person, op, input, answer, position, over, .. } in std::mem::take(&mut followers) {
                        let had = answer.filter(|_| over.is_none()).map(|answer| (answer, position));
                        again.push(self.follow(&people, person, (op, input), had).await);
                    }
                    followers = again;
                }
                _ => {
                    let person = dice.random_range(0..people.len());
                    followers.push(self.follow(&people, person, query(&mut dice), None).await);
                }
            }
        }
        for follower in &mut followers {
            let settled = tokio::time::timeout(PATIENCE, self.settle(follower, &people)).await;
            assert!(
                settled.is_ok(),
                "seed {seed}: {} {} of person {} stays at {:?} ({:?}), and a fresh read says {:?}",
                follower.op,
                follower.input,
                follower.person,
                follower.answer,
                follower.over,
                self.ask(&people[follower.person], follower.op, &follower.input).await
            );
        }
    }

    /// An owner and two members of a workspace of their own.
    async fn people(&mut self, seed: u64) -> Vec<Person> {
        let mut people = Vec::new();
        let owner = testing::register(&self.node, &format!("owner{seed}@example.com")).await;
        for number in 0..3 {
            let tokens = if number == 0 {
                owner.clone()
            } else {
                let email = format!("member{number}.{seed}@example.com");
                let guest = testing::register(&self.node, &email).await;
                let owner = self.identity(&owner).await;
                let invitation = self.call(&owner, "invitation.create", &json!({ "email": email, "role": "member" })).await.unwrap();
                let guest = self.identity(&guest).await;
                let accepted = self.call(&guest, "invitation.accept", &json!({ "token": invitation["token"] })).await.unwrap();
                serde_json::from_value(accepted).unwrap()
            };
            people.push(Person { member: String::new(), tokens });
        }
        let members = self.ask(&people[0], "member.list", &json!({})).await.unwrap();
        for person in &mut people {
            let row = members["items"].as_array().unwrap().iter().find(|row| row["user_id"] == json!(person.tokens.principal.id)).unwrap();
            person.member = row["id"].as_str().unwrap().to_owned();
            let role = Role::from_name(row["role"].as_str().unwrap()).unwrap();
            self.roles.insert(person.tokens.principal.id.clone(), vec![(Revision(0), role)]);
        }
        people
    }

    async fn identity(&self, tokens: &SignedIn) -> Arc<Identity> {
        let workspace = Some(tokens.principal.workspace.id);
        Arc::new(self.node.services.access.verify(&tokens.access_token, workspace).await.unwrap())
    }

    async fn call(&self, identity: &Arc<Identity>, op: &str, input: &Value) -> Result<Value, Fault> {
        self.call_at(identity, op, input).await.map(|(output, _)| output)
    }

    async fn call_at(&self, identity: &Arc<Identity>, op: &str, input: &Value) -> Result<(Value, Option<Revision>), Fault> {
        let key = self.node.services.clock.id(MutationKey::new).to_string();
        let options = encode(&RequestOptions { key: Some(key), ..RequestOptions::default() });
        let input = encode(input);
        let Node { services, router } = &self.node;
        let begun = router.begin(services, Some(identity), ADDRESS, op, Body::own(&input), Some(Body::own(&options)))?;
        let Reply { output, as_of, .. } = begun.reply.await?;
        Ok((decode(&output).unwrap(), as_of))
    }

    async fn ask(&self, person: &Person, op: &str, input: &Value) -> Result<Value, Fault> {
        let identity = self.identity(&person.tokens).await;
        self.call(&identity, op, input).await
    }

    async fn write(&self, dice: &mut StdRng, people: &[Person], records: &mut Vec<String>) {
        let person = people.choose(dice).unwrap();
        let name = *["a", "b", "é", "Z"].choose(dice).unwrap();
        let data = json!({
            "name": name,
            "rank": dice.random_range(0..6),
            "tags": if dice.random_bool(0.5) { json!(["x"]) } else { json!(["x", "y"]) },
        });
        let mut data = data.as_object().unwrap().clone();
        if dice.random_bool(0.5) {
            data.insert("due_at".into(), json!(dice.random_range(0..4) * 86_400_000_i64));
        }
        let (op, input) = match (dice.random_range(0..10), records.choose(dice)) {
            (0..3, Some(id)) => {
                let mut change = data.clone();
                change.retain(|_, _| dice.random_bool(0.5));
                ("record.update", json!({ "collection": "notes", "id": id, "data": change }))
            }
            (3..5, Some(id)) => ("record.delete", json!({ "collection": "notes", "id": id })),
            (5, Some(id)) => {
                let operations = json!([
                    { "create": { "collection": "notes", "data": data } },
                    { "delete": { "collection": "notes", "id": id } },
                ]);
                ("record.batch", json!({ "operations": operations, "atomic": dice.random_bool(0.5) }))
            }
            (6, _) => ("session.create", json!({ "title": "A session" })),
            _ => ("record.create", json!({ "collection": "notes", "data": data })),
        };
        match self.ask(person, op, &input).await {
            Ok(row) if op == "record.create" => records.push(row["id"].as_str().unwrap().to_owned()),
            Ok(_) => {}
            Err(fault) => assert!(matches!(fault.code, FaultCode::Forbidden | FaultCode::NotFound), "{op} {input}: {fault:?}"),
        }
    }

    async fn change_role(&mut self, dice: &mut StdRng, people: &[Person]) {
        let person = &people[dice.random_range(1..people.len())];
        let role = *[Role::Viewer, Role::Member, Role::Admin].choose(dice).unwrap();
        let owner = self.identity(&people[0].tokens).await;
        let input = json!({ "id": person.member, "role": role });
        let (_, revision) = self.call_at(&owner, "member.update", &input).await.unwrap();
        // Who has the role already gets no new revision.
        if let Some(revision) = revision {
            self.roles.get_mut(&person.tokens.principal.id).unwrap().push((revision, role));
        }
    }

    async fn restart(&mut self) {
        self.node.services.store.close().await;
        self.node = Self::node(self.place, self.clock.clone()).await;
    }

    async fn follow(
        &self,
        people: &[Person],
        person: usize,
        (op, input): (&'static str, Value),
        had: Option<(Answer, Revision)>,
    ) -> Follower {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(crate::connection::serve(theirs, Vec::new(), ADDRESS, self.node.clone(), Welcomed));
        let mut peer = Peer::new(ours).await;
        let tokens = &people[person].tokens;
        peer.hello(Some(&tokens.access_token)).await;
        let options = had.as_ref().map_or_else(|| json!({}), |(_, position)| json!({ "from": position }));
        peer.watch(1, op, &input, options).await;
        let (answer, position) = had.map_or((None, Revision(0)), |(answer, position)| (Some(answer), position));
        Follower { person, op, input, peer, answer, position, over: None }
    }

    /// Listens until the answer is the one that a fresh read gives.
    async fn settle(&self, follower: &mut Follower, people: &[Person]) {
        loop {
            match self.ask(&people[follower.person], follower.op, &follower.input).await {
                Ok(fresh) if follower.over.is_none() && follower.answer == Some(Answer::of(follower.op, fresh.clone())) => return,
                Err(_) if follower.over.is_some() => return,
                _ => follower.hear_one(&self.roles, people).await,
            }
        }
    }
}

impl Answer {
    fn of(op: &str, value: Value) -> Self {
        if op.ends_with(".list") { Self::List(serde_json::from_value(value).unwrap()) } else { Self::Other(value) }
    }
}

impl Follower {
    async fn hear_some(&mut self, frames: usize, roles: &HashMap<String, Vec<(Revision, Role)>>, people: &[Person]) {
        for _ in 0..frames {
            // What has not come yet comes later.
            if tokio::time::timeout(Duration::from_millis(3), self.hear_one(roles, people)).await.is_err() {
                return;
            }
        }
    }

    async fn hear_one(&mut self, roles: &HashMap<String, Vec<(Revision, Role)>>, people: &[Person]) {
        match self.peer.hear_said().await {
            Heard::Snapshot(_, revision, value) => {
                self.answer = Some(Answer::of(self.op, value));
                self.position = revision;
                let rows = match &self.answer {
                    Some(Answer::List(page)) => page.items.clone(),
                    _ => Vec::new(),
                };
                self.check(revision, &rows, roles, people);
            }
            Heard::Events { offset, events, .. } if events.is_empty() => self.position = Revision(offset.0),
            Heard::Changes { offset, span, changes, .. } => {
                assert_eq!(Revision(offset.0 - span), self.position, "a frame begins where the last ended");
                self.position = offset;
                let put: Vec<Value> = changes
                    .iter()
                    .filter_map(|change| match change {
                        LiveChange::Put { put, .. } => Some(put.clone()),
                        _ => None,
                    })
                    .collect();
                self.check(offset, &put, roles, people);
                match self.answer.as_mut() {
                    Some(Answer::List(page)) => page.apply(decode(&encode(&changes)).unwrap()).unwrap(),
                    _ => {
                        let Some(LiveChange::Value { value }) = changes.into_iter().next_back() else { panic!("no value") };
                        self.answer = Some(Answer::Other(value));
                    }
                }
            }
            Heard::Ended(_, _, ended) => self.over = Some(ended.why),
            Heard::Asked(..) | Heard::Notice(_) => {}
            other => panic!("{other:?}"),
        }
    }

    /// No row of the answer at this revision is one that this person could read neither then nor since: an answer that others follow
    /// may be of just before the person was let in.
    fn check(&self, revision: Revision, rows: &[Value], roles: &HashMap<String, Vec<(Revision, Role)>>, people: &[Person]) {
        if self.op != "record.list" {
            return;
        }
        let me = &people[self.person].tokens.principal.id;
        let had = &roles[me];
        let then = had.partition_point(|(from, _)| *from <= revision) - 1;
        if had[then..].iter().all(|(_, role)| role.rank() < Role::Admin.rank()) {
            for row in rows {
                assert_eq!(row["created_by"], json!(me), "who had {had:?} saw at {revision:?} what another made: {row}");
            }
        }
    }
}

fn query(dice: &mut StdRng) -> (&'static str, Value) {
    let filters = [
        json!({ "all": [] }),
        json!({ "field": "rank", "gte": dice.random_range(0..5) }),
        json!({ "field": "due_at", "eq": null }),
        json!({ "not": { "field": "due_at", "lt": 2 * 86_400_000 } }),
        json!({ "field": "name", "in": ["a", "Z"] }),
        json!({ "any": [{ "field": "tags", "contains": "y" }, { "field": "rank", "eq": 0 }] }),
    ];
    let filter = filters.choose(dice).unwrap().clone();
    let sorts = [
        json!([]),
        json!([{ "field": "rank" }]),
        json!([{ "field": "rank", "descending": true }]),
        json!([{ "field": "due_at", "descending": true }, { "field": "name" }]),
        json!([{ "field": "updated_at", "descending": true }]),
    ];
    let sort = sorts.choose(dice).unwrap().clone();
    match dice.random_range(0..10) {
        0 => ("session.list", json!({ "sort": [{ "field": "created_at", "descending": true }], "limit": 3 })),
        1 => ("member.list", json!({ "count": true })),
        2 => {
            let measures = json!([{ "name": "all", "count": true }, { "name": "sum", "sum": "rank" }, { "name": "middle", "p50": "rank" }]);
            let groups = [
                json!([]),
                json!([{ "field": "name" }]),
                json!([{ "field": "due_at", "bucket": "day" }]),
                json!([{ "field": "rank", "bounds": [2, 4] }]),
            ];
            (
                "record.aggregate",
                json!({ "collection": "notes", "filter": filter, "groups": groups.choose(dice).unwrap(), "measures": measures }),
            )
        }
        _ => {
            let limit = dice.random_range(1..6);
            (
                "record.list",
                json!({ "collection": "notes", "filter": filter, "sort": sort, "limit": limit, "count": dice.random_bool(0.5) }),
            )
        }
    }
}
