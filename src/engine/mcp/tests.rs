//! Tools of a real MCP server: a process of its own, over both transports.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crewline_protocol::{
    RunEvent,
    operations::{
        approval::Verdict,
        run::{CancelMode, Start, Status},
    },
};
use tempfile::TempDir;
use tokio::time::sleep;

use super::*;
use crate::{
    apps::App,
    engine::{Engine, Message, Models, Toolbox},
    settings::Settings,
    testing::{
        crews::{Node, count},
        desk::{AGENTS, Played, crew, desk, tasks},
        openai::{OpenAi, Reply},
        scripted::{Scripted, call, say},
    },
};

const CANARY: &str = "canary-0123456789";

/// A server named `t`, and what it keeps of what it was asked.
struct Place {
    folder: TempDir,
    section: String,
    /// One that is asked over HTTP is nobody's child but the test's.
    http: Option<Child>,
}

impl Place {
    /// One that is started with more in its section.
    fn stdio(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), format!("{CANARY}\n")).unwrap();
        let env = format!("env = {{CANARY = {{file = {:?}}}}}", folder.path().join("secret"));
        let section = format!("command = [{:?}, {:?}, 'stdio']\n{env}\n{more}\n", program(), folder.path());
        Self { folder, section, http: None }
    }

    /// One that is asked over HTTP.
    async fn http(more: &str) -> Self {
        let mut place = Self::stdio("");
        place.start().await;
        let secret = place.folder.path().join("secret");
        let headers = format!("headers = {{Authorization = {{file = {secret:?}, prefix = 'Bearer '}}}}");
        place.section = format!("url = 'http://{}/'\n{headers}\n{more}\n", place.read("address"));
        place
    }

    /// Starts the one that is asked over HTTP, where it was before.
    async fn start(&mut self) {
        let begun = self.lines("pids").len();
        let mut command = Command::new(program());
        command.arg(self.folder.path()).arg("http").stdin(Stdio::null()).stderr(Stdio::null());
        if let Some(mut before) = self.http.replace(command.spawn().unwrap()) {
            before.wait().unwrap();
        }
        until("it begins", || self.lines("pids").len() > begun && !self.read("address").is_empty()).await;
        while tokio::net::TcpStream::connect(self.read("address")).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn settings(&self) -> Settings {
        Settings { mcp: McpServers::read(format!("[t]\n{}", self.section).parse().unwrap()).unwrap(), ..Settings::default() }
    }

    fn tools(&self) -> Toolbox {
        Toolbox::of([]).with_mcp(&self.settings())
    }

    fn set(&self, file: &str, is: bool) {
        let file = self.folder.path().join(file);
        if is { fs::write(file, "").unwrap() } else { fs::remove_file(file).unwrap() }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default().trim().to_owned()
    }

    fn lines(&self, file: &str) -> Vec<String> {
        self.read(file).lines().map(str::to_owned).collect()
    }

    /// Whether some of the processes that were started for it still are.
    fn lives(&self) -> bool {
        self.lines("pids").iter().any(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // One that has ended may wait for somebody who asks how.
            stat.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut child) = self.http.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The example beside this test's own program.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/mcp_server");
    assert!(program.exists(), "the tests' MCP server is missing: cargo build --example mcp_server");
    program
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to this: {what}");
}

fn grant(tool: &str) -> Grant {
    Grant { tool: tool.to_owned(), only: BTreeMap::new() }
}

async fn ask(tools: &Toolbox, tool: &str, input: Value) -> Result<Value, Fault> {
    tools.call(&ToolContext::of_nobody(), tool, &[grant("mcp.t")], input).await
}

async fn offered(tools: &Toolbox, granted: &str) -> Vec<String> {
    tools.specs(&[grant(granted)]).await.unwrap().into_iter().map(|spec| spec.name).collect()
}

fn with(grants: &str, more: &str) -> App {
    desk(&crew(&["a"], &format!("tools: {{writer: [{grants}]}}\n{more}")), AGENTS, &tasks(&[("a", "agent: writer")]))
}

async fn played(app: App, place: &Place, model: Scripted) -> Played {
    Played::on(Node::new(app, place.settings()).await, model, &[]).await
}

/// What the agent read of its first calls.
fn read(played: &Played) -> Vec<String> {
    let asked = played.model.asked();
    let results =
        asked[1].messages.iter().filter_map(|message| if let Message::Tool { result, .. } = message { Some(result.clone()) } else { None });
    results.collect()
}

#[tokio::test]
async fn tools_are_told_and_called_over_both_transports() {
    for place in [Place::stdio(""), Place::http("").await] {
        let tools = place.tools();
        let specs = tools.specs(&[grant("mcp.t")]).await.unwrap();
        let add = specs.iter().find(|spec| spec.name == "mcp.t.add").unwrap();
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}});
        assert_eq!((add.description.as_str(), &add.input_schema), ("It is called add.", &schema));
        // Both of its pages, without the one whose name can't be said.
        assert_eq!(specs.len(), 16);

        assert_eq!(ask(&tools, "mcp.t.say", json!({"text": "hi"})).await, Ok(json!("say hi")));
        assert_eq!(ask(&tools, "mcp.t.add", json!({"a": 1, "b": 2})).await, Ok(json!({"sum": 3})));
        let picture = json!({"content": [
            {"type": "text", "text": "a cat"},
            {"type": "image", "media_type": "image/png", "bytes": 5},
            {"type": "resource", "uri": "note:1", "text": "purrs"},
            {"type": "resource_link", "uri": "file:///cat", "name": "cat"},
        ]});
        assert_eq!(ask(&tools, "mcp.t.picture", json!({})).await, Ok(picture));
        let big = ask(&tools, "mcp.t.big", json!({"bytes": 1_000_000})).await.unwrap();
        assert_eq!(big, json!(format!("{}\n[975424 more bytes are left out]", "x".repeat(24 << 10))));

        let fault = ask(&tools, "mcp.t.fail", json!({"why": "no milk"})).await.unwrap_err();
        assert_eq!((fault.code, &*fault.message), (FaultCode::Unavailable, "`fail` of the MCP server `t` failed: no milk"));
        let fault = ask(&tools, "mcp.t.refuse", json!({"why": "never"})).await.unwrap_err();
        assert_eq!((fault.code, &*fault.message), (FaultCode::Invalid, "the MCP server `t` refused to do `refuse`: never"));
        // What does not fit the tool's schema does not reach the server.
        let made = place.lines("calls").len();
        assert_eq!(ask(&tools, "mcp.t.add", json!({"a": "one"})).await.unwrap_err().code, FaultCode::Invalid);
        assert_eq!((place.lines("calls").len(), place.lines("lists").len()), (made, 2));
        tools.close().await;
    }
}

#[tokio::test]
async fn a_tool_that_is_not_granted_is_neither_offered_nor_called() {
    let place = Place::stdio("");
    let tools = place.tools();
    assert_eq!(offered(&tools, "mcp.t.say").await, ["mcp.t.say"]);
    let cx = ToolContext::of_nobody();
    let grants = [Grant { only: [("text".to_owned(), vec![json!("hi")])].into(), ..grant("mcp.t.say") }];
    let specs = tools.specs(&grants).await.unwrap();
    assert_eq!(specs[0].input_schema["properties"]["text"], json!({"enum": ["hi"]}));
    let fault = tools.call(&cx, "mcp.t.add", &grants, json!({})).await.unwrap_err();
    assert_eq!((fault.code, &*fault.message), (FaultCode::NotFound, "there is no tool `mcp.t.add` for this agent; there are: mcp.t.say"));
    let fault = tools.call(&cx, "mcp.t.say", &grants, json!({"text": "ho"})).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::Forbidden);
    assert_eq!(tools.call(&cx, "mcp.t.say", &grants, json!({"text": "hi"})).await, Ok(json!("say hi")));
    assert_eq!(place.lines("calls"), ["say {\"text\":\"hi\"}"]);
}

#[tokio::test]
async fn a_call_without_an_answer_ends_in_time_and_the_server_hears_of_it() {
    for place in [Place::stdio("call_ms = 300"), Place::http("call_ms = 300").await] {
        let tools = place.tools();
        let fault = ask(&tools, "mcp.t.hang", json!({})).await.unwrap_err();
        let says = "the MCP server `t` did not answer within 300 ms while `hang` was called; whether it was done is not known: find out \
                    before it is called again";
        assert_eq!((fault.code, &*fault.message), (FaultCode::Unavailable, says));
        until("the call is cancelled there", || place.lines("cancelled") == ["hang"]).await;
        let begun = place.lines("pids");
        assert_eq!(ask(&tools, "mcp.t.say", json!({"text": "hi"})).await, Ok(json!("say hi")));
        assert_eq!(place.lines("pids"), begun, "one that still answers is let be");
    }
}

#[tokio::test]
async fn a_server_that_answers_nothing_any_more_is_started_again() {
    let place = Place::stdio("call_ms = 300");
    let tools = place.tools();
    let fault = ask(&tools, "mcp.t.freeze", json!({})).await.unwrap_err();
    assert!(fault.message.contains("did not answer within 300 ms"), "{fault}");
    assert_eq!(ask(&tools, "mcp.t.say", json!({"text": "hi"})).await, Ok(json!("say hi")));
    assert_eq!(place.lines("pids").len(), 4, "two processes of each start");
}

#[tokio::test]
async fn a_server_that_dies_in_mid_call_is_there_for_the_next() {
    for mut place in [Place::stdio("call_ms = 5000"), Place::http("call_ms = 5000").await] {
        let tools = place.tools();
        let fault = ask(&tools, "mcp.t.die", json!({})).await.unwrap_err();
        assert!(fault.message.contains("while `die` was called; whether it was done is not known"), "{fault}");
        if place.http.is_some() {
            place.start().await;
        }
        assert_eq!(ask(&tools, "mcp.t.say", json!({"text": "hi"})).await, Ok(json!("say hi")));
        assert_eq!(place.lines("calls"), ["die {}", "say {\"text\":\"hi\"}"], "nothing is called again by itself");
    }
}

#[tokio::test]
async fn a_server_that_does_not_start_is_what_the_agent_reads_and_is_tried_again_later_each_time() {
    let place = Place::stdio("start_ms = 5000");
    place.set("broken", true);
    let tools = place.tools();
    let away = tools.specs(&[grant("mcp.t.say")]).await.unwrap().remove(0);
    let says = "It can't be used now: the MCP server `t` ended before it had answered. What it takes is not known either.";
    assert_eq!((away.name.as_str(), away.description.as_str()), ("mcp.t.say", says));
    let fault = ask(&tools, "mcp.t.say", json!({})).await.unwrap_err();
    assert_eq!((fault.code, &*fault.message), (FaultCode::Unavailable, "the MCP server `t` ended before it had answered"));
    // Twice it was tried at once, and now it is not.
    place.set("broken", false);
    let fault = ask(&tools, "mcp.t.say", json!({})).await.unwrap_err();
    assert_eq!(fault.message, "the MCP server `t` ended before it had answered; it is tried again in 1 s");
    while ask(&tools, "mcp.t.say", json!({"text": "hi"})).await != Ok(json!("say hi")) {
        sleep(Duration::from_millis(50)).await;
    }

    // What was known of it is known while it is away.
    place.set("broken", true);
    ask(&tools, "mcp.t.die", json!({})).await.unwrap_err();
    assert_eq!(offered(&tools, "mcp.t.add").await, ["mcp.t.add"]);

    let nothing = Toolbox::of([]).with_mcp(&Settings {
        mcp: McpServers::read("[t]\ncommand = ['/nowhere/at/all']\n".parse().unwrap()).unwrap(),
        ..Settings::default()
    });
    let fault = ask(&nothing, "mcp.t.say", json!({})).await.unwrap_err();
    assert!(fault.message.starts_with("the MCP server `t` can't be started: No such file"), "{fault}");
}

#[tokio::test]
async fn a_server_that_says_nothing_at_its_start_is_given_up() {
    let place = Place::stdio("start_ms = 300");
    place.set("mute", true);
    let fault = ask(&place.tools(), "mcp.t.say", json!({})).await.unwrap_err();
    assert_eq!(fault.message, "the MCP server `t` was not there within 300 ms");
    until("it is ended", || !place.lives()).await;
}

#[tokio::test]
async fn calls_at_once_are_bounded_and_messages_too() {
    let place = Place::stdio("call_ms = 400\ncalls = 1");
    let tools = place.tools();
    let hang = || {
        let tools = tools.clone();
        tokio::spawn(async move { ask(&tools, "mcp.t.hang", json!({})).await })
    };
    let first = hang();
    until("it is called", || place.lines("calls") == ["hang {}"]).await;
    // Its turn comes when the first is given up: too late for the third.
    let second = hang();
    tokio::task::yield_now().await;
    let busy = ask(&tools, "mcp.t.say", json!({})).await.unwrap_err();
    assert_eq!(busy.message, "the MCP server `t` is busy: more calls wait than the 1 at once that `calls` allows");
    for hung in [first, second] {
        assert!(hung.await.unwrap().unwrap_err().message.contains("did not answer"));
    }
    assert_eq!(place.lines("calls"), ["hang {}", "hang {}"]);
    for place in [Place::stdio("call_ms = 3000"), Place::http("call_ms = 3000").await] {
        let tools = place.tools();
        assert_eq!(ask(&tools, "mcp.t.big", json!({"bytes": 5_000_000})).await.unwrap_err().code, FaultCode::Unavailable);
        assert_eq!(ask(&tools, "mcp.t.say", json!({"text": "hi"})).await, Ok(json!("say hi")));
    }
}

#[tokio::test]
async fn tools_that_a_server_comes_to_have_are_offered() {
    for place in [Place::stdio(""), Place::http("").await] {
        let tools = place.tools();
        assert!(!offered(&tools, "mcp.t").await.contains(&"mcp.t.grown".to_owned()));
        ask(&tools, "mcp.t.grow", json!({})).await.unwrap();
        for _ in 0..1_000 {
            if offered(&tools, "mcp.t").await.contains(&"mcp.t.grown".to_owned()) {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(ask(&tools, "mcp.t.grown", json!({})).await, Ok(json!("grown ")));
        assert_eq!(place.lines("lists").len(), 4, "it is asked for its tools when they have changed");
    }
}

#[tokio::test]
async fn what_a_server_is_given_is_in_nothing_that_is_kept_or_told() {
    for place in [Place::stdio(""), Place::http("").await] {
        let model = Scripted::new([("a", vec![call("mcp.t.secrets", json!({})).call("mcp.t.fail", json!({"why": CANARY})), say("DONE")])]);
        let played = played(with("mcp.t", ""), &place, model).await;
        assert_eq!(played.ends().await, Ok("DONE".into()));
        let expected = if place.http.is_some() { "Bearer [secret]" } else { "[secret]" };
        assert_eq!(read(&played)[0], expected);
        let log: Vec<String> =
            played.log().await.iter().skip_while(|event| event.type_name() != "usage.recorded").map(|event| format!("{event:?}")).collect();
        assert!(log.iter().all(|event| !event.contains(CANARY)), "{log:#?}");
        assert!(!format!("{:?} {:?}", played.node.row(played.run).await, place.settings()).contains(CANARY));
    }
}

#[tokio::test]
async fn a_program_has_nothing_of_this_server_s_environment_that_it_was_not_given() {
    let place = Place::stdio("");
    let environment = ask(&place.tools(), "mcp.t.environment", json!({})).await.unwrap();
    let names: BTreeSet<&str> = environment.as_str().unwrap().split_whitespace().collect();
    assert!(names.contains("CANARY") && names.contains("PATH"));
    let more: Vec<&&str> = names.iter().filter(|name| **name != "CANARY" && !connection::INHERITED.contains(name)).collect();
    assert_eq!(more, Vec::<&&str>::new());
    let mut lacking = place.settings();
    let section = place.section.replace(&format!("{:?}", place.folder.path().join("secret")), "'/nowhere/secret'");
    lacking.mcp = McpServers::read(format!("[t]\n{section}").parse().unwrap()).unwrap();
    let fault = ask(&Toolbox::of([]).with_mcp(&lacking), "mcp.t.say", json!({})).await.unwrap_err();
    assert!(fault.message.starts_with("the MCP server `t` lacks its `CANARY`: /nowhere/secret can't be read"), "{fault}");
}

#[tokio::test]
async fn nothing_is_sent_to_where_a_service_sends_us() {
    let trap = OpenAi::start([Reply::Silence]).await;
    let to: &'static str = Box::leak(trap.url.clone().into_boxed_str());
    for status in [301, 302, 303, 307, 308] {
        let moved = OpenAi::start([Reply::Status(status, vec![("location", to)], String::new())]).await;
        let section = format!("[t]\nurl = '{}'\nheaders = {{Authorization = '{CANARY}'}}\n", moved.url);
        let settings = Settings { mcp: McpServers::read(section.parse().unwrap()).unwrap(), ..Settings::default() };
        let fault = ask(&Toolbox::of([]).with_mcp(&settings), "mcp.t.say", json!({})).await.unwrap_err();
        assert_eq!(fault.message, "the MCP server `t` can't be reached, or answers nothing that is MCP", "{status}");
        assert_eq!(moved.asked()[0].authorization.as_deref(), Some(CANARY));
    }
    assert!(trap.asked().is_empty());
}

#[tokio::test]
async fn a_crew_whose_server_is_not_known_fails_and_says_what_is_missing() {
    let place = Place::stdio("");
    for (granted, says) in [
        (
            "mcp.other.say",
            "the crew `desk` has tools of the MCP server `other`, which this server does not know: who runs it adds a section \
             `[mcp.other]` to its settings' file",
        ),
        ("mcp.t.none", "there is no tool `mcp.t.none`: its MCP server has mcp.t.add, "),
    ] {
        let played = played(with(granted, ""), &place, Scripted::new([("a", vec![say("DONE")])])).await;
        let fault = played.ends().await.unwrap_err();
        assert!(fault.code == FaultCode::Invalid && fault.message.starts_with(says), "{fault}");
        assert!(played.model.asked().is_empty());
    }
}

#[tokio::test]
async fn a_person_allows_a_call_and_what_is_called_is_what_they_made_of_it() {
    for rule in ["mcp.t", "mcp.t.say"] {
        let place = Place::stdio("");
        let more = format!("approvals: {{{rule}: {{when: {{field: text, ne: free}}}}}}\n");
        let model =
            Scripted::new([("a", vec![call("mcp.t.say", json!({"text": "ONE"})).call("mcp.t.say", json!({"text": "free"})), say("DONE")])]);
        let played = played(with("mcp.t", &more), &place, model).await;
        let question = played.waits().await.remove(0);
        assert_eq!((question.tool.as_deref(), question.title.as_str()), (Some("mcp.t.say"), "May writer call mcp.t.say?"));
        assert_eq!(place.lines("calls"), ["say {\"text\":\"free\"}"]);
        played.answers(&question, Verdict::Approve, Some(json!({"text": "TWO"})), None).await;
        assert_eq!(played.ends().await, Ok("DONE".into()));
        assert_eq!(place.lines("calls"), ["say {\"text\":\"free\"}", "say {\"text\":\"TWO\"}"]);
        assert_eq!(read(&played)[0], "A person changed the arguments; it was called with {\"text\":\"TWO\"}.\nsay TWO");
    }
}

#[tokio::test]
async fn a_call_that_a_crash_cut_off_is_not_made_again_and_its_outcome_is_not_known() {
    let place = Place::stdio("");
    let script = || Scripted::new([("a", vec![call("mcp.t.hang", json!({})), say("DONE")])]);
    let mut played = played(with("mcp.t.hang", ""), &place, script()).await;
    until("it is called", || place.lines("calls") == ["hang {}"]).await;
    let run = played.run;
    let node = played.crashes();
    until("what was started for it is gone", || !place.lives()).await;
    let node = node.beside(with("mcp.t.hang", ""), place.settings()).await;
    let model = script();
    let _engine = model.engine(&node, []);
    let row = node.finishes(run).await;
    assert_eq!((row.status, row.output.as_deref()), (Status::Succeeded, Some("DONE")));
    let Message::Tool { result, .. } = model.asked()[0].messages.last().unwrap().clone() else { panic!() };
    assert!(result.contains("whether `mcp.t.hang` did it is not known"), "{result}");
    assert_eq!(place.lines("calls"), ["hang {}"]);
}

#[tokio::test]
async fn who_cancels_a_run_cancels_its_call() {
    for place in [Place::stdio(""), Place::http("").await] {
        let played = played(with("mcp.t", ""), &place, Scripted::new([("a", vec![call("mcp.t.hang", json!({}))])])).await;
        until("it is called", || place.lines("calls") == ["hang {}"]).await;
        played.node.cancel(&played.ada, played.run, CancelMode::Now).await;
        assert_eq!(played.node.finishes(played.run).await.status, Status::Cancelled);
        until("the call is cancelled there", || place.lines("cancelled") == ["hang"]).await;
        assert_eq!(count(&played.log().await, "tool.finished"), 0);
    }
}

#[tokio::test]
async fn an_engine_that_leaves_leaves_no_process_behind() {
    let place = Place::stdio("");
    let played = played(with("mcp.t", ""), &place, Scripted::new([("a", vec![call("mcp.t.say", json!({})), say("DONE")])])).await;
    assert_eq!(played.ends().await, Ok("DONE".into()));
    assert!(place.lives() && place.lines("pids").len() == 2);
    played.engine.as_ref().unwrap().stop().await;
    // Who is killed takes a moment to be gone.
    until("what was started for it is gone", || !place.lives()).await;
}

#[tokio::test]
async fn providers_are_told_names_that_they_take_and_that_lead_back() {
    let place = Place::stdio("");
    let plain = "mcp_t_read_file_2";
    let server = OpenAi::start([Reply::Call(vec![(plain, r#"{"text": "a"}"#)]), Reply::Say(vec!["DONE"])]).await;
    let mut settings = place.settings();
    for (key, value) in [("model", "local/x".to_owned()), ("model_urls", format!("local={}", server.url))] {
        settings.set(key, &value).unwrap();
    }
    let node = Node::new(with("mcp.t", ""), settings.clone()).await;
    let (models, tools) = (Models::new(&settings).unwrap(), Toolbox::of([]).with_mcp(&settings));
    let _engine = Engine::start_with(node.services.clone(), "n".into(), models, tools);
    let ada = node.someone("ada@example.com").await;
    let inputs = [("topic".into(), "rain".into())].into_iter().collect();
    let start = Start { crew: "desk".into(), inputs, ..Start::default() };
    let run = crate::runs::start(node.context(Some(&ada)), start).await.unwrap().output.id;
    assert_eq!(node.finishes(run).await.output.as_deref(), Some("DONE"));
    let body = &server.asked()[0].body;
    let names: Vec<&str> = body["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 16);
    assert!(names.iter().all(|name| name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))));
    assert!(names.contains(&"mcp_t_read_file"), "{names:?}");
    let log = node.log(run).await;
    let tool = log.iter().find_map(|event| if let RunEvent::ToolStarted { tool, .. } = event { Some(tool.as_str()) } else { None });
    assert_eq!((tool, place.lines("calls")), (Some("mcp.t.read_file"), vec!["read_file {\"text\":\"a\"}".to_owned()]));
}
