//! KP at work in somebody's workspace: runs of its crews, answers to what they ask, and the records that come of it.

use std::collections::BTreeMap;

use crewline_client::{Client, FollowOptions, Followed};
use crewline_protocol::{
    RunEvent,
    operations::{
        approval::{Answer, Approval, Verdict},
        run::{Run, Start},
    },
    value::Offset,
};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::people::Seen;

/// The id of the campaign that has the sample pages.
pub(crate) async fn campaign(client: &Client) -> String {
    let filter = json!({"field": "name", "eq": "Smaller meetings"});
    let campaigns =
        client.call_raw("record.list", &json!({"collection": "campaigns", "filter": filter}), Default::default()).await.unwrap();
    campaigns["items"][0]["id"].as_str().unwrap().to_owned()
}

/// A page that comes with a run.
pub(crate) fn page(url: &str) -> Value {
    let text = "We write our plan on a wall. Whoever walks by adds to the wall what is missing, and signs it. The wall is full by noon. "
        .repeat(5);
    json!({"url": url, "title": "The wall", "text": text})
}

/// Starts a crew on the campaign that has the sample pages.
pub(crate) async fn start(client: &Client, crew: &str, pages: &[Value]) -> Run {
    let mut inputs = json!({"campaign_id": campaign(client).await});
    if !pages.is_empty() {
        inputs["pages"] = json!(pages);
    }
    client.call(Start { crew: crew.into(), inputs: inputs.as_object().unwrap().clone(), ..Start::default() }).await.unwrap()
}

/// Yes, or no with these words.
pub(crate) fn verdict(question: &Approval, no: Option<&str>) -> Answer {
    let verdict = if no.is_some() { Verdict::Reject } else { Verdict::Approve };
    Answer { id: question.id, revision: None, verdict, arguments: None, value: None, comment: no.map(str::to_owned) }
}

/// No to what quotes the page on a queue, yes to the rest.
pub(crate) fn not_the_queue(question: &Approval) -> Answer {
    let text = question.arguments.as_ref().unwrap()["data"]["text"].as_str().unwrap();
    verdict(question, text.contains("queue").then_some("Not this one."))
}

/// Follows a run to its end and answers each question that it asks, once. `moved` and `answered` tell how far it has come.
pub(crate) async fn answering(
    client: Client,
    run: &Run,
    decide: impl Fn(&Approval) -> Answer,
    moved: watch::Sender<Offset>,
    answered: watch::Sender<usize>,
) -> Seen {
    let mut seen = Seen::default();
    let mut stream = client.follow_run(run.id, FollowOptions::default()).await.unwrap();
    let (mut frame, mut asked) = (Vec::new(), Vec::new());
    while let Some(item) = stream.next().await {
        match item.unwrap() {
            Followed::Event(event) => {
                asked.extend(if let RunEvent::ApprovalRequested { approval, .. } = &event { Some(approval.clone()) } else { None });
                frame.push(event);
            }
            Followed::Position(position) => {
                seen.events.append(&mut frame);
                seen.position = position;
                moved.send_replace(position);
                for question in asked.drain(..) {
                    client.call(decide(&question)).await.unwrap();
                    answered.send_modify(|answered| *answered += 1);
                }
            }
            Followed::Attached { .. } => {}
            Followed::Restarted => panic!("the database's epoch changed, though it is the same database"),
        }
    }
    seen
}

/// A crew's run from its start to its end.
pub(crate) async fn play(client: &Client, crew: &str, pages: &[Value], decide: impl Fn(&Approval) -> Answer) -> Seen {
    let run = start(client, crew, pages).await;
    answering(client.clone(), &run, decide, watch::channel(Offset(0)).0, watch::channel(0).0).await
}

/// The questions that a run has asked.
pub(crate) fn questions(seen: &Seen) -> Vec<&Approval> {
    seen.events
        .iter()
        .filter_map(|event| if let RunEvent::ApprovalRequested { approval, .. } = event { Some(&**approval) } else { None })
        .collect()
}

/// What a workspace's records say, by collection: ids and times aside, each reference by what it leads to.
pub(crate) async fn records(client: &Client) -> BTreeMap<&'static str, Vec<Value>> {
    let (mut names, mut all) = (BTreeMap::new(), BTreeMap::new());
    for (collection, name) in
        [("personas", "name"), ("campaigns", "name"), ("pages", "url"), ("analyses", "page_id"), ("comments", "page_id")]
    {
        let list = client.call_raw("record.list", &json!({"collection": collection, "limit": 500}), Default::default()).await.unwrap();
        let mut told = Vec::new();
        for row in list["items"].as_array().unwrap() {
            let mut data = row["data"].clone();
            for value in data.as_object_mut().unwrap().values_mut() {
                if let Some(known) = value.as_str().and_then(|id| names.get(id)) {
                    *value = Value::clone(known);
                }
            }
            names.insert(row["id"].as_str().unwrap().to_owned(), data[name].clone());
            told.push(data);
        }
        told.sort_by_key(ToString::to_string);
        all.insert(collection, told);
    }
    all
}

/// Of a collection's records those that say this of a field, each by another field.
pub(crate) fn of(records: &BTreeMap<&'static str, Vec<Value>>, collection: &str, is: (&str, &str), told: &str) -> Vec<Value> {
    records[collection].iter().filter(|data| data[is.0] == is.1).map(|data| data[told].clone()).collect()
}
