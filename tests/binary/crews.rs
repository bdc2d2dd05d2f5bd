//! KP's crews on the simulated model: which records they leave, what they ask of a person, and who may answer.

use crewline_client::CallError;
use crewline_protocol::{
    RunEvent,
    event::WaitingFor,
    fault::FaultCode,
    operation::Role,
    operations::{
        approval::{Kind, List, OnExpire},
        invitation,
        run::{Cancel, CancelMode, Status},
    },
    value::Offset,
};
use futures::StreamExt;
use serde_json::json;

use crate::{
    checks::outcome,
    kp::{not_the_queue, of, page, play, questions, records, start, verdict},
    people::{Seen, register, register_as},
    server::{Database, Server},
};

const SMALL: &str = "https://teams.example/in-praise-of-small-meetings";
const QUEUE: &str = "https://engineering.example/the-queue-nobody-watched";
const TOOL: &str = "https://roomly.example/ten-reasons";
const WALL: &str = "https://walls.example/the-wall";

async fn server() -> Server {
    Server::start(Database::Sqlite, &["simulated_tokens_per_s=100000"]).await
}

/// The tools that were called, each once.
fn tools(seen: &Seen) -> Vec<&str> {
    let called = seen.events.iter().filter_map(|event| match event {
        RunEvent::ToolStarted { tool, .. } => Some(tool.as_str()),
        _ => None,
    });
    let mut tools: Vec<&str> = called.collect();
    tools.sort_unstable();
    tools.dedup();
    tools
}

/// How a run ended; no tool has failed in it but those that a person refused.
fn succeeded(seen: &Seen) -> String {
    let outcome = outcome(&seen.events);
    assert_eq!(outcome.status, Status::Succeeded);
    for event in &seen.events {
        if let RunEvent::ToolFailed { fault, .. } = event {
            assert!(fault.message.contains("a person did not allow this call"), "{fault}");
        }
    }
    outcome.output.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn research_stores_each_page_once_and_asks_nobody() {
    let server = server().await;
    let owner = server.client(&register(&server).await.access_token);
    let before = records(&owner).await;
    for stored in ["1 stored now, 4 in all", "4 pages are stored"] {
        let seen = play(&owner, "research", &[page(WALL), page(SMALL)], |_| panic!("it asks nothing")).await;
        assert!(succeeded(&seen).contains(stored));
        assert!(tools(&seen).iter().all(|tool| ["record.create", "record.get", "record.list"].contains(tool)));
        let mut after = records(&owner).await;
        assert_eq!(of(&after, "pages", ("url", WALL), "status"), ["read"]);
        assert_eq!(of(&after, "pages", ("url", WALL), "campaign_id"), ["Smaller meetings"]);
        after.get_mut("pages").unwrap().retain(|page| page["url"] != WALL);
        assert_eq!(after, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn analyze_scores_each_page_that_was_read_and_asks_nobody() {
    let server = server().await;
    let owner = server.client(&register(&server).await.access_token);
    let before = records(&owner).await;
    let seen = play(&owner, "analyze", &[], |_| panic!("it asks nothing")).await;
    assert!(succeeded(&seen).starts_with("3 pages analysed, 1 of them skipped."));
    let after = records(&owner).await;
    for (url, score, tone, status) in
        [(SMALL, 10, "personal", "analysed"), (QUEUE, 10, "factual", "analysed"), (TOOL, 2, "promotional", "skipped")]
    {
        let told = |field| of(&after, "analyses", ("page_id", url), field);
        assert_eq!((told("quality_score"), told("tone")), (vec![json!(score)], vec![json!(tone)]), "{url}");
        assert!(told("summary")[0].as_str().unwrap().starts_with("Simulated: "));
        assert_eq!(of(&after, "pages", ("url", url), "status"), [status], "{url}");
    }
    assert_eq!(after["analyses"].len(), before["analyses"].len() + 3);
    assert_eq!((&after["comments"], &after["campaigns"]), (&before["comments"], &before["campaigns"]));

    let again = play(&owner, "analyze", &[], |_| panic!("it asks nothing")).await;
    assert!(succeeded(&again).contains("0 pages analysed"));
    assert_eq!(records(&owner).await, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outreach_leaves_every_decision_to_a_person_and_what_they_refuse_ends_rejected() {
    let server = server().await;
    let owner = server.client(&register(&server).await.access_token);
    succeeded(&play(&owner, "analyze", &[], |_| panic!("it asks nothing")).await);
    let before = records(&owner).await;
    let seen = play(&owner, "outreach", &[], not_the_queue).await;
    assert!(succeeded(&seen).starts_with("1 approved, 1 rejected, 0 left as they were."));

    let asked = questions(&seen);
    assert_eq!(asked.len(), 2);
    for question in asked {
        assert_eq!((question.kind, question.tool.as_deref(), &question.roles[..]), (Kind::Tool, Some("record.update"), &[Role::Admin][..]));
        assert_eq!((question.on_expire, question.expires_at), (OnExpire::Reject, Some(question.created_at.plus(604_800_000))));
        let data = &question.arguments.as_ref().unwrap()["data"];
        assert_eq!(data["status"], "approved");
        assert!(data["text"].as_str().unwrap().split_whitespace().count() >= 40, "the words are in the question");
    }

    let mut after = records(&owner).await;
    let told = |url, field| of(&after, "comments", ("page_id", url), field);
    assert_eq!((told(SMALL, "status"), told(SMALL, "quality_score")), (vec![json!("approved")], vec![json!(10)]));
    assert_eq!((told(QUEUE, "status"), told(QUEUE, "quality_score")), (vec![json!("rejected")], vec![json!(8)]));
    assert_eq!(told(QUEUE, "decision_note"), ["Not this one."]);
    assert!(told(QUEUE, "review")[0].as_str().unwrap().starts_with("Simulated: quotes its page,"));
    assert_eq!(told(SMALL, "persona_id"), ["The newcomer"]);
    after.get_mut("comments").unwrap().retain(|comment| comment["campaign_id"] != "Smaller meetings");
    assert_eq!(after, before, "nothing else has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_admin_can_not_answer_what_a_crew_asks() {
    let server = server().await;
    let owner = server.client(&register(&server).await.access_token);
    succeeded(&play(&owner, "analyze", &[], |_| panic!("it asks nothing")).await);
    let run = start(&owner, "outreach", &[]).await;
    let mut stream = owner.follow_run(run.id, Default::default()).await.unwrap();
    while !matches!(
        stream.next().await.unwrap().unwrap(),
        crewline_client::Followed::Event(RunEvent::RunWaiting { r#for: WaitingFor::Approval, .. })
    ) {}
    let asked = owner.call(List::default()).await.unwrap().items;
    assert_eq!(asked.len(), 2);
    for role in [Role::Viewer, Role::Member] {
        let email = format!("{}@example.com", role.as_str());
        let token = owner.call(invitation::Create { id: None, email: email.clone(), role }).await.unwrap().token;
        let own = server.client(&register_as(&server, &email).await.access_token);
        let other = server.client(&own.call(invitation::Accept { token }).await.unwrap().access_token);
        for question in &asked {
            let Err(CallError::Fault(fault)) = other.call(verdict(question, None)).await else { panic!("{role:?} answered") };
            assert_eq!(fault.code, FaultCode::Forbidden);
        }
    }
    assert_eq!(owner.call(List::default()).await.unwrap().items, asked);
    assert_eq!(of(&records(&owner).await, "comments", ("campaign_id", "Smaller meetings"), "status"), ["reviewed", "reviewed"]);
    owner.call(Cancel { id: run.id, mode: Some(CancelMode::Now) }).await.unwrap();
    while stream.next().await.is_some() {}
    assert_eq!(of(&records(&owner).await, "comments", ("campaign_id", "Smaller meetings"), "status"), ["reviewed", "reviewed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_s_manager_has_the_other_four_do_it_all_and_posts_nothing() {
    let server = server().await;
    let owner = server.client(&register(&server).await.access_token);
    let seen = play(&owner, "campaign", &[page(WALL)], not_the_queue).await;
    assert!(succeeded(&seen).contains("Decided: 2 approved, 1 rejected, 0 left as they were."));
    assert!(seen.position > Offset(0) && questions(&seen).iter().all(|question| question.body == r#"It is for "ask_for_approval"."#));
    let worked = |event: &RunEvent| if let RunEvent::TaskStarted { agent, .. } = event { Some(agent.clone()) } else { None };
    let workers: std::collections::BTreeSet<String> = seen.events.iter().filter_map(worked).collect();
    let five = ["blog_researcher", "campaign_manager", "comment_writer", "content_analyzer", "quality_reviewer"];
    assert_eq!(workers.iter().map(String::as_str).collect::<Vec<_>>(), five);
    let own = ["content.analyze", "coworker.delegate", "record.create", "record.get", "record.list", "record.update"];
    assert_eq!(tools(&seen), own);
    assert!(
        seen.events
            .iter()
            .any(|event| matches!(event, RunEvent::ArtifactCreated { artifact, .. } if artifact.name == "campaign-report.md"))
    );

    let after = records(&owner).await;
    for (url, page, comment) in [(WALL, "analysed", "approved"), (SMALL, "analysed", "approved"), (QUEUE, "analysed", "rejected")] {
        assert_eq!(of(&after, "pages", ("url", url), "status"), [page], "{url}");
        assert_eq!(of(&after, "comments", ("page_id", url), "status"), [comment], "{url}");
        assert_eq!(of(&after, "analyses", ("page_id", url), "quality_score").len(), 1, "{url}");
    }
    assert_eq!(of(&after, "pages", ("url", TOOL), "status"), ["skipped"]);
    assert_eq!(of(&after, "comments", ("page_id", TOOL), "status").len(), 0);
}
