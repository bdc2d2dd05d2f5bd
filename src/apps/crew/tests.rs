use super::*;
use crate::apps::App;

const CREW: &str = "\
title: Desk
tasks: [look, write]
tools:
  reader: [content.analyze]
input_schema: {type: object, properties: {topic: {type: string}}}
";
const AGENTS: &str = "\
reader: {role: Reader, goal: g, backstory: b}
writer: {role: Writer, goal: g, backstory: b}
boss: {role: Boss, goal: g, backstory: b}
";
const TASKS: &str = "\
look:
  description: d
  expected_output: e
  agent: reader
write:
  description: d
  expected_output: e
  agent: writer
";

/// The crew of these files, or what is wrong with them; simulated answers are not asked for.
fn read_files(crew: &str, agents: &str, tasks: &str) -> Result<Crew, Vec<String>> {
    let files = [("crews/desk/crew.yaml", crew), ("crews/desk/agents.yaml", agents), ("crews/desk/tasks.yaml", tasks)];
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    let mut problems = Vec::new();
    let crew = read_all(&files, &App::built_in().collections, &mut problems).remove("desk");
    crew.ok_or_else(|| problems.iter().map(|problem| problem.to_string().replace("crews/desk/", "")).collect())
}

/// The desk with more in its files.
fn desk(crew: &str, agents: &str, tasks: &str) -> Crew {
    read_files(&format!("{CREW}{crew}"), &format!("{AGENTS}{agents}"), &format!("{TASKS}{tasks}")).unwrap()
}

fn wrong(crew: &str, agents: &str, tasks: &str) -> Vec<String> {
    read_files(&format!("{CREW}{crew}"), &format!("{AGENTS}{agents}"), &format!("{TASKS}{tasks}")).unwrap_err()
}

#[test]
fn every_field_that_the_engine_knows_is_read() {
    let crew = "process: hierarchical\nmanager_agent: boss\nmax_rpm: 30\ncache: true\non_busy: steer\n\
                budget: {cost_microusd: 5000, tokens: 100, duration_ms: 60000}\n\
                approvals:\n  content.analyze: {when: {field: input, eq: page}, roles: [admin], expires_in_ms: 1000, on_expire: fail}\n";
    let agents = "asker:\n  role: '{topic} asker'\n  goal: g\n  backstory: b\n  llm: {model: openai/gpt-4o-mini, max_tokens: 400}\n  tools: []\n  \
                  allow_delegation: true\n  cache: false\n  max_iter: 3\n  max_rpm: 2\n  max_execution_time: 30\n  max_retry_limit: 0\n  \
                  verbose: true\n  respect_context_window: true\n  use_system_prompt: true\n";
    let tasks = "  name: Write it up\n  context: [look]\n  async_execution: true\n  human_input: true\n  guardrail: It is short.\n  \
                 guardrail_max_retries: 1\n  output_json: {type: object}\n  output_file: /{topic}.json\n  markdown: true\n  create_directory: true\n";
    let desk = desk(crew, agents, tasks);
    let rule = ApprovalRule {
        when: Some(serde_json::from_value(json!({"field": "input", "eq": "page"})).unwrap()),
        roles: vec![crewline_protocol::operation::Role::Admin],
        expires_in_ms: Some(1_000),
        on_expire: crewline_protocol::operations::approval::OnExpire::Fail,
    };
    assert_eq!(desk.process, Process::Hierarchical { manager: Manager::Agent("boss".into()) });
    assert_eq!((desk.max_rpm, desk.on_busy, desk.needs_worker.len()), (Some(30), OnBusy::Steer, 0));
    assert_eq!(desk.budget, Budget { cost_microusd: Some(MicroUsd(5_000)), tokens: Some(100), duration_ms: Some(60_000) });
    assert_eq!(desk.approvals, [("content.analyze".to_owned(), rule)].into());
    let analyze = Grant { tool: "content.analyze".into(), only: BTreeMap::new() };
    let asker = Agent {
        name: "asker".into(),
        role: "{topic} asker".into(),
        goal: "g".into(),
        backstory: "b".into(),
        llm: Some("openai/gpt-4o-mini".into()),
        max_tokens: Some(400),
        tools: vec![],
        cache: false,
        max_iter: 3,
        max_retry_limit: 0,
        max_rpm: Some(2),
        max_execution_time_s: Some(30),
        allow_delegation: true,
    };
    assert_eq!(desk.agents["asker"], asker);
    let reader = Agent {
        name: "reader".into(),
        role: "Reader".into(),
        llm: None,
        max_tokens: None,
        tools: vec![analyze],
        cache: true,
        max_iter: 25,
        max_retry_limit: 2,
        max_rpm: None,
        max_execution_time_s: None,
        allow_delegation: false,
        ..asker
    };
    assert_eq!(desk.agents["reader"], reader);
    let write = Task {
        name: "write".into(),
        title: Some("Write it up".into()),
        description: "d".into(),
        expected_output: "e".into(),
        agent: Some("writer".into()),
        context: Some(vec![0]),
        tools: vec![],
        async_execution: true,
        human_input: true,
        guardrails: vec!["It is short.".into()],
        guardrail_max_retries: 1,
        output_schema: Some(json!({"type": "object"})),
        output_file: Some("{topic}.json".into()),
        markdown: true,
    };
    assert_eq!(desk.tasks[1], write);
    assert_eq!(desk.placeholders, ["topic".to_owned()].into());
}

#[test]
fn a_hierarchical_crew_has_a_manager_and_tasks_for_anyone() {
    let anyone = TASKS.replace("  agent: writer\n", "");
    let made = |llm: &str| {
        let crew = read_files(&format!("{CREW}process: hierarchical\nmanager_llm: {llm}\n"), AGENTS, &anyone).unwrap();
        (crew.process, crew.tasks[1].agent.clone())
    };
    let process = |model: Option<&str>| Process::Hierarchical { manager: Manager::Model(model.map(str::to_owned)) };
    assert_eq!(made("default"), (process(None), None));
    assert_eq!(made("openai/gpt-4o"), (process(Some("openai/gpt-4o")), None));
    let crew = "process: hierarchical\nmanager_agent: boss\n";
    assert_eq!(
        wrong("process: hierarchical\n", "", ""),
        ["crew.yaml:6:10: a hierarchical crew needs a manager: write `manager_agent`, or `manager_llm` with a model's name or `default`"]
    );
    assert_eq!(
        wrong("process: parallel\n", "", ""),
        ["crew.yaml:6:10: process `parallel` is unknown: write `sequential` or `hierarchical`"]
    );
    let [none] = &wrong("process: hierarchical\nmanager_agent: chef\n", "", "")[..] else { panic!() };
    assert!(none.starts_with("crew.yaml:7:16: `manager_agent` is `chef`, whom agents.yaml does not name: there are `reader`"), "{none}");
    let [two] = &wrong(&format!("{crew}manager_llm: gpt\n"), "", "")[..] else { panic!() };
    assert_eq!(two, "crew.yaml:8:14: there are two managers: take out `manager_agent` or `manager_llm`");
    let [sequential] = &wrong("manager_llm: gpt\n", "", "")[..] else { panic!() };
    assert!(sequential.starts_with("crew.yaml:6:14: `manager_llm` is for a hierarchical crew"), "{sequential}");
    let [named] = &wrong("process: hierarchical\nmanager_llm: gpt\n", "manager: {role: r, goal: g, backstory: b}\n", "")[..] else {
        panic!()
    };
    assert!(named.starts_with("crew.yaml:7:14: the manager that is made is called `manager`"), "{named}");
    let [given] = &wrong(crew, "", "more:\n  description: d\n  expected_output: e\n  agent: boss\n")[..] else { panic!() };
    assert!(given.starts_with("tasks.yaml:9:1: task `more` stands in no order"), "{given}");
    let all = CREW.replace("write]", "write, more]") + crew;
    let more = format!("{TASKS}more:\n  description: d\n  expected_output: e\n  agent: boss\n");
    let given = read_files(&all, AGENTS, &more).unwrap_err();
    assert_eq!(given, ["tasks.yaml:12:10: task `more` is given to the manager, who has every task: name who is to do it, or nobody"]);
    let tools = AGENTS.replace("Boss,", "Boss, tools: [content.analyze],");
    let [tools] = &read_files(&format!("{CREW}{crew}"), &tools, TASKS).unwrap_err()[..] else { panic!() };
    assert!(tools.starts_with("agents.yaml:3:28: agent `boss` is the manager, who has no tools"), "{tools}");
    let [nobody] = &read_files(CREW, AGENTS, &anyone).unwrap_err()[..] else { panic!() };
    assert_eq!(nobody, "tasks.yaml:5:1: task `write` is given to nobody: write `agent`");
}

#[test]
fn contexts_lead_backwards_to_what_is_done_by_then() {
    let tasks = |fields: &[(&str, &str)]| {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let crew = CREW.replace("look, write", &names.join(", "));
        let tasks =
            fields.iter().map(|(name, fields)| format!("{name}: {{description: d, expected_output: e, agent: reader, {fields}}}\n"));
        read_files(&crew, AGENTS, &tasks.collect::<String>())
            .map(|crew| crew.tasks.into_iter().map(|task| task.context).collect::<Vec<_>>())
    };
    let contexts = tasks(&[("a", ""), ("b", "context: []"), ("c", "context: [b, a]")]).unwrap();
    assert_eq!(contexts, [None, Some(vec![]), Some(vec![1, 0])]);
    let expected = ["tasks.yaml:1:66: the context of task `a` names `b`, which does not come before it"];
    assert_eq!(tasks(&[("a", "context: [b]"), ("b", "")]).unwrap_err(), expected);
    let expected = ["tasks.yaml:1:66: the context of task `a` names `c`, whose own leads back to `a`: take one of them out"];
    assert_eq!(tasks(&[("a", "context: [c]"), ("b", "context: [a]"), ("c", "context: [b]")]).unwrap_err(), expected);
    let [own] = &tasks(&[("a", "context: [a]")]).unwrap_err()[..] else { panic!() };
    assert!(own.ends_with("names `a`, whose own leads back to `a`: take one of them out"), "{own}");

    let side = "async_execution: true";
    assert!(tasks(&[("a", side), ("b", side), ("c", "context: [a, b]"), ("d", "async_execution: true, context: [a, b]")]).is_ok());
    let [beside] = &tasks(&[("a", side), ("b", "async_execution: true, context: [a]"), ("c", "")]).unwrap_err()[..] else { panic!() };
    assert!(beside.starts_with("tasks.yaml:2:89: the context of task `b` names `a`, which is done beside it"), "{beside}");
    let expected = ["tasks.yaml:2:73: the crew ends with 2 asynchronous tasks: one is the most"];
    assert_eq!(tasks(&[("a", ""), ("b", side), ("c", side)]).unwrap_err(), expected);
}

#[test]
fn what_only_python_can_do_needs_a_worker() {
    let (crew, agents, tasks) = (
        "memory: true\nplanning: false\nfunction_calling_llm: gpt\n",
        "dated: {role: r, goal: g, backstory: b, reasoning: true, mcps: [], tools: [search_tool], llm: {model: gpt, temperature: 0}, use_system_prompt: false}\n",
        "  guardrail: {python: checks.length}\n  output_json: Report\n  callback: done\n",
    );
    let what = [
        "agents.yaml:4:52: needs a worker: `reasoning` of agent `dated` is Python's",
        "agents.yaml:4:76: needs a worker: there is no tool `search_tool`: there are `content.analyze`, `web.fetch`, `web.search`, tools of MCP servers as `mcp.SERVER.TOOL`, and operations as `record.create`",
        "agents.yaml:4:108: needs a worker: `temperature` of a model is Python's",
        "agents.yaml:4:144: needs a worker: `use_system_prompt: false` of agent `dated` is Python's",
        "crew.yaml:6:9: needs a worker: `memory` of the crew is Python's",
        "crew.yaml:8:23: needs a worker: `function_calling_llm` of the crew is Python's",
        "tasks.yaml:9:14: needs a worker: a guardrail of task `write` that is no text is Python's",
        "tasks.yaml:10:16: needs a worker: `output_json` of task `write` names a Python class: write a JSON Schema instead",
        "tasks.yaml:11:13: needs a worker: `callback` of task `write` is Python's",
    ];
    let expected = what.map(|what| format!("{what}; take it out, or write `executor: worker` in crew.yaml"));
    assert_eq!(wrong(crew, agents, tasks), expected);
    let for_a_worker = desk(&format!("executor: worker\n{crew}"), agents, tasks);
    assert_eq!((for_a_worker.executor, for_a_worker.needs_worker.len()), (Executor::Worker, what.len()));
    let [misspelt] = &wrong("executor: worker\nmemroy: true\n", "", "")[..] else { panic!() };
    assert!(misspelt.starts_with("crew.yaml:7:1: unknown field `memroy`"), "{misspelt}");
}

#[test]
fn tools_are_granted_by_the_crew_s_file_alone() {
    let granted = |tools: &str| {
        let crew = CREW.replace("[content.analyze]", tools);
        read_files(&crew, AGENTS, TASKS).map(|mut crew| crew.agents.remove("reader").unwrap().tools).map_err(|wrong| wrong.join("\n"))
    };
    let grants =
        granted("[record.list, {record.create: {collection: [pages, comments]}}, mcp.files, {mcp.files.read: {path: /tmp}}]").unwrap();
    let names: Vec<&str> = grants.iter().map(|grant| grant.tool.as_str()).collect();
    assert_eq!(names, ["record.list", "record.create", "mcp.files", "mcp.files.read"]);
    assert_eq!(grants[1].only, [("collection".to_owned(), vec![json!("pages"), json!("comments")])].into());
    assert_eq!(grants[3].only, [("path".to_owned(), vec![json!("/tmp")])].into());
    for (tools, expected) in [
        (
            "[web.serch]",
            "crew.yaml:4:12: there is no tool `web.serch`: there are `content.analyze`, `web.fetch`, `web.search`, tools of MCP servers",
        ),
        ("[auth.login]", "crew.yaml:4:12: the operation `auth.login` is no tool: it is for people"),
        ("[{member.update: {}}]", "crew.yaml:4:13: the operation `member.update` is no tool: it is for people"),
        ("[mcp.]", "crew.yaml:4:12: `mcp.` names no tool of an MCP server"),
        ("[7]", "crew.yaml:4:12: this is no tool"),
        ("[{record.create: {colection: pages}}]", "crew.yaml:4:29: `record.create` has no argument `colection`"),
        ("[{record.create: {collection: [pages, page]}}]", "crew.yaml:4:49: there is no collection \"page\": there are `analyses`"),
    ] {
        let wrong = granted(tools).unwrap_err();
        assert!(wrong.starts_with(expected) && !wrong.contains('\n'), "{tools}: {wrong}");
    }
    let nobody = wrong("", "", "  tools: [content.analyze]\n");
    assert_eq!(nobody, ["tasks.yaml:9:11: agent `writer` may not use `content.analyze`: grant it under `tools` of crew.yaml"]);
    let crew = CREW.replace("  reader:", "  raeder:");
    let [nobody] = &read_files(&crew, AGENTS, TASKS).unwrap_err()[..] else { panic!() };
    assert!(nobody.starts_with("crew.yaml:4:3: `tools` names agent `raeder`, whom agents.yaml does not"), "{nobody}");
}

#[test]
fn other_mistakes_are_told_where_they_stand() {
    for (file, text, expected) in [
        ("crew", "max_rpm: 0\n", "crew.yaml:6:10: `max_rpm` is 1 or more"),
        ("crew", "on_busy: wait\n", "crew.yaml:6:10: `on_busy` can't be `wait`: write `reject`, `queue` or `steer`"),
        ("crew", "inputs: {topic: 7}\n", "crew.yaml:6:17: `inputs.topic` does not fit `input_schema`: the value is not of type"),
        ("crew", "cache: yes\n", "crew.yaml:6:8: "),
        ("crew", "executor: cloud\n", "crew.yaml:6:11: executor `cloud` is unknown: write `engine` or `worker`"),
        ("crew", "budget: {tokens: 0}\n", "crew.yaml:6:18: `tokens` is 1 or more"),
        ("crew", "budget: {cost_microusd: -1}\n", "crew.yaml:6:25: `cost_microusd` is 1 or more"),
        ("crew", "approvals: {record.create: {}}\n", "crew.yaml:6:13: `approvals` names `record.create`, which no agent is granted"),
        ("crew", "approvals: {content.analyze: {roles: [viewer]}}\n", "crew.yaml:6:39: `viewer` is no role that may answer"),
        ("crew", "approvals: {content.analyze: {roles: []}}\n", "crew.yaml:6:13: `roles` is empty, so that nobody could answer"),
        ("crew", "approvals: {content.analyze: {on_expire: approve}}\n", "crew.yaml:6:42: `on_expire` can't be `approve`"),
        ("crew", "approvals: {content.analyze: {when: {field: a}}}\n", "crew.yaml:6:37: without a test: beside `field` stands one of"),
        ("agents", "x: {role: ' ', goal: g, backstory: b}\n", "agents.yaml:4:11: agent `x` has no role"),
        ("agents", "x: {role: r, goal: '', backstory: b}\n", "agents.yaml:4:20: agent `x` has no goal"),
        ("agents", "x: {role: r, goal: g, backstory: b, max_iter: 0}\n", "agents.yaml:4:47: `max_iter` is 1 or more"),
        ("agents", "x: {role: r, goal: g, backstory: b, max_execution_time: 0}\n", "agents.yaml:4:57: `max_execution_time` is 1 or more"),
        ("agents", "x: {role: r, goal: g, backstory: b, llm: [a]}\n", "agents.yaml:4:42: this is no model: write its name"),
        ("agents", "x: {role: '{who}', goal: g, backstory: b}\n", "agents.yaml:4:11: the placeholder `{who}` is not declared"),
        ("tasks", "  output_json: {type: objet}\n", "tasks.yaml:9:23: `output_json` of task `write` is no JSON Schema: "),
        ("tasks", "  output_file: ../secrets\n", "tasks.yaml:9:16: `output_file` can't be `../secrets`: write a name as `report.md`"),
        ("tasks", "  output_file: '{who}.md'\n", "tasks.yaml:9:16: the placeholder `{who}` is not declared"),
        ("tasks", "  guardrail_max_retries: -1\n", "tasks.yaml:9:26: "),
    ] {
        let of = |name: &str| if name == file { text } else { "" };
        let wrong = wrong(of("crew"), of("agents"), of("tasks"));
        assert!(wrong.len() == 1 && wrong[0].starts_with(expected), "{text}: {wrong:#?}");
    }
    let typo = CREW.replace("reader: [content.analyze]", "reader: [record.create]");
    let typo = format!("{typo}approvals: {{record.create: {{when: {{field: dta.status, eq: x}}}}}}\n");
    let [typo] = &read_files(&typo, AGENTS, TASKS).unwrap_err()[..] else { panic!() };
    assert!(typo.starts_with("crew.yaml:6:13: `record.create` has no argument `dta`, so that the rule would never ask"), "{typo}");
    let schema = CREW.replace("{type: string}", "{type: txt}");
    let [schema] = &read_files(&schema, AGENTS, TASKS).unwrap_err()[..] else { panic!() };
    assert!(schema.starts_with("crew.yaml:5:57: `input_schema` is no JSON Schema"), "{schema}");
}
