//! SIGTERM asks everyone to leave; a second one does not wait for them.

use crewline_protocol::{
    fault::FaultCode,
    opening::{Goaway, GoawayWhy},
    operations::auth::Me,
};

use crate::{
    people::{register, start_review, view},
    server::{Database, Server},
    socket::{Said, Socket},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_says_goaway_answers_nothing_new_and_closes_with_4001_at_the_end_of_the_drain() {
    let mut server = Server::start(Database::Sqlite, &["drain_ms=500"]).await;
    let token = register(&server).await.access_token;
    let mut socket = Socket::open(server.address(), &token).await;
    socket.ask(1, &Me {}).await;
    assert_eq!(socket.next().await, Said::Reply(1));

    server.signal("TERM");
    let Said::Goaway(goaway) = socket.next().await else { panic!("no goaway") };
    assert_eq!(goaway, Goaway { why: GoawayWhy::Shutdown, drain_ms: 500, ..goaway });
    socket.ask(2, &Me {}).await;
    let Said::Fault(2, fault) = socket.next().await else { panic!("request 2 was not refused") };
    assert_eq!(fault.code, FaultCode::Unavailable);
    let Said::Fault(0, fault) = socket.next().await else { panic!("no fault before the close") };
    assert_eq!(fault.code, FaultCode::Unavailable);
    assert_eq!(socket.next().await, Said::Close(4001));
    let (status, said) = server.ended().await;
    assert!(status.success(), "{status}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nobody_connected_sigterm_ends_it_without_waiting() {
    let mut server = Server::start(Database::Sqlite, &["drain_ms=600000"]).await;
    server.signal("TERM");
    let (status, said) = server.ended().await;
    assert!(status.success(), "{status}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_ends_it_at_once() {
    let mut server = Server::start(Database::Sqlite, &["drain_ms=600000"]).await;
    let token = register(&server).await.access_token;
    let mut socket = Socket::open(server.address(), &token).await;
    server.signal("TERM");
    assert!(matches!(socket.next().await, Said::Goaway(_)));
    server.signal("TERM");
    server.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_going_at_sigterm_goes_on_in_the_same_stream_at_the_next_start() {
    let mut server = Server::start(Database::Sqlite, &["drain_ms=0", "simulated_tokens_per_s=400"]).await;
    let token = register(&server).await.access_token;
    let client = server.client(&token);
    let run = start_review(&client).await;
    let (moved, mut furthest) = tokio::sync::watch::channel(crewline_protocol::value::Offset(0));
    let viewer = tokio::spawn(view(client.clone(), run.id, moved));
    furthest.wait_for(|furthest| furthest.0 >= 20).await.unwrap();
    server.signal("TERM");
    server.ended().await;
    server.start_again();
    let seen = viewer.await.unwrap();
    assert_eq!(crate::checks::attempts(&seen.events), 2);
    assert_eq!(crate::checks::outcome(&seen.events).status, crewline_protocol::operations::run::Status::Succeeded);
}
