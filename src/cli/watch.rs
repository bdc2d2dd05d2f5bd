//! `crewline watch`

use std::collections::BTreeSet;

use clap::Args;
use crewline_client::{
    Client, State, Update, Watch as Live,
    protocol::{
        OPERATIONS, Operation,
        live::{LiveChange, Row},
        noun,
        operations::record,
        read::{Filter, LIST_LIMIT_MOST, Page, Scalar, Sort, Test},
        value::SessionId,
    },
};
use serde_json::{Value, json};

use super::{
    Failure,
    remote::{Remote, leave},
    screen::{Screen, print},
    show::{Room, fields, row_line, table},
};

const EXAMPLES: &str = "\
Examples:
  crewline watch run --sort -created_at --limit 10
  crewline watch pages --filter '{\"field\": \"status\", \"eq\": \"found\"}' --columns title,url,status
  crewline watch comments --columns status,quality_score,text --once
  crewline watch message --session 01890a5d-ac96-774b-bcce-b302099a8057
  crewline watch comments --json | jq -c 'select(.put).put.data'

In a terminal the table is kept true in place. In a pipe each row is a line: `=` is there, `+` came, `~` changed, `-` went.
With --json each change is a line: {\"revision\", \"snapshot\"}, or {\"revision\", \"put\", \"before\"} and the other changes.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    /// A noun, such as `run` or `session`, or one of the app's collections.
    #[arg(value_name = "NOUN|COLLECTION")]
    what: String,
    /// Which rows: a filter as the protocol has it.
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// By what; with `-` before it the greatest first. May be given again.
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Vec<String>,
    /// How many rows.
    #[arg(long, value_name = "ROWS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(LIST_LIMIT_MOST)))]
    limit: u32,
    /// The session, for what stands in one.
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    /// Which fields are shown; absent: what tells something.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    columns: Vec<String>,
    /// Show what is there, and end.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    remote: Remote,
}

/// The field that names a session.
const SESSION: &str = "session_id";

/// A page of rows of any shape.
type Rows = Page<Value>;

impl Watch {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (operation, input) = self.query()?;
        let client = self.remote.sign_in().await?;
        let live = client.watch_raw(operation, &input).await?;
        let mut shown = Shown::new(self.columns, self.once, self.remote.json);
        let ended = tokio::select! {
            ended = shown.keep_true(live, &client) => ended,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        };
        leave(client).await;
        ended
    }

    /// The operation and its input.
    fn query(&self) -> Result<(String, Value), Failure> {
        // What is no noun of this version is taken for a collection: the server knows which there are.
        let noun = noun::find(&self.what).filter(|noun| noun.name != record::NOUN.name);
        let followed = |noun: &noun::Noun| OPERATIONS.iter().any(|spec| spec.live && spec.name == format!("{}.list", noun.name));
        if let Some(noun) = noun.filter(|noun| !followed(noun)) {
            let others: Vec<&str> = noun::NOUNS.iter().filter(|noun| followed(noun)).map(|noun| noun.name).collect();
            return Err(Failure::Usage(format!(
                "{} can't be watched: there are {}, and an app's collections",
                noun.name,
                others.join(", ")
            )));
        }
        let mut input = json!({"limit": self.limit});
        let mut filters: Vec<Filter> = self.filter.iter().map(|text| filter(text)).collect::<Result<_, _>>()?;
        match (noun, self.session) {
            (None, None) => input["collection"] = json!(self.what),
            (Some(noun), None) if noun.parent.is_some() => {
                return Err(Failure::Usage(format!("{} stands in a session: say which with --session ID", noun.name)));
            }
            (Some(_), None) => {}
            (Some(noun), Some(session)) if noun.parent == Some(SESSION) => input[SESSION] = json!(session),
            (Some(noun), Some(session)) if noun.field(SESSION).is_some() => {
                filters.push(Filter::Is { field: SESSION.into(), test: Test::Eq(Scalar::Text(session.to_string())) });
            }
            (_, Some(_)) => return Err(Failure::Usage(format!("{} stands in no session: leave --session out", self.what))),
        }
        match filters.len() {
            0 => {}
            1 => input["filter"] = json!(filters[0]),
            _ => input["filter"] = json!(Filter::All(filters)),
        }
        if !self.sort.is_empty() {
            input["sort"] = self.sort.iter().map(|field| json!(sort(field))).collect();
        }
        Ok((noun.map_or_else(|| record::List::NAME.to_owned(), |noun| format!("{}.list", noun.name)), input))
    }
}

fn filter(text: &str) -> Result<Filter, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let such = r#"'{"field": "status", "eq": "found"}'"#;
        Failure::Usage(format!("--filter {error}; give one such as {such}"))
    })
}

fn sort(field: &str) -> Sort {
    match field.strip_prefix('-') {
        Some(field) => Sort { field: field.into(), descending: true },
        None => Sort { field: field.into(), descending: false },
    }
}

/// What is shown, and how.
struct Shown {
    screen: Screen,
    columns: Vec<String>,
    once: bool,
    json: bool,
    /// The ids of the rows that were told, where each is a line.
    told: BTreeSet<String>,
    /// Why there is no connection now.
    lost: Option<String>,
}

impl Shown {
    fn new(columns: Vec<String>, once: bool, json: bool) -> Self {
        Self { screen: Screen::standard(), columns, once, json, told: BTreeSet::new(), lost: None }
    }

    /// Shows the rows as they are, once, or until they can't be followed any longer.
    async fn keep_true(&mut self, mut live: Live<Rows>, client: &Client) -> Result<(), Failure> {
        let mut state = client.state();
        let mut fresh = BTreeSet::new();
        loop {
            tokio::select! {
                update = live.next_update() => {
                    let update = match update {
                        Ok(update) => update,
                        Err(error) => return Err(error.into()),
                    };
                    let revision = live.revision().0;
                    let rows = live.value().map_or(&[][..], |page| &page.items);
                    fresh = changed(&update);
                    if self.json {
                        print(&json_lines(revision, &update))?;
                    } else if self.once {
                        // Not drawn over: it may be longer than the terminal.
                        let room = Room { lines: usize::MAX, ..self.screen.room() };
                        print(&table(&fields(&self.columns, rows), rows, &fresh, self.screen.style, room))?;
                    } else if self.screen.is_terminal() {
                        self.draw(rows, &fresh, revision)?;
                    } else {
                        print(&plain_lines(&fields(&self.columns, rows), &update, &mut self.told))?;
                    }
                    if self.once {
                        return Ok(());
                    }
                }
                Ok(()) = state.changed() => {
                    let lost = match &*state.borrow_and_update() {
                        State::Waiting { error, .. } => Some(error.to_string()),
                        State::Connecting => self.lost.clone(),
                        State::Idle | State::Connected(_) | State::Stopped(_) => None,
                    };
                    if self.lost != lost && !self.json {
                        self.lost = lost;
                        self.tell_connection(&live, &fresh)?;
                    }
                }
            }
        }
    }

    fn tell_connection(&mut self, live: &Live<Rows>, fresh: &BTreeSet<String>) -> Result<(), Failure> {
        if self.screen.is_terminal() {
            let rows = live.value().map_or(&[][..], |page| &page.items);
            return self.draw(rows, fresh, live.revision().0);
        }
        if let Some(lost) = &self.lost {
            eprintln!("crewline: connection lost, connecting again: {lost}");
        }
        Ok(())
    }

    fn draw(&mut self, rows: &[Value], fresh: &BTreeSet<String>, revision: i64) -> Result<(), Failure> {
        let room = self.screen.room();
        let table = table(&fields(&self.columns, rows), rows, fresh, self.screen.style, room);
        let standing = match &self.lost {
            None => format!("{} rows · revision {revision} · live, Ctrl-C ends it", rows.len()),
            Some(lost) => format!("{} rows as of revision {revision} · connecting again: {lost}", rows.len()),
        };
        self.screen.replace(&table, &standing)
    }
}

/// The ids of rows that changes put; a snapshot's are all the same.
fn changed(update: &Update<Rows, Value>) -> BTreeSet<String> {
    let Update::Changes(changes) = update else { return BTreeSet::new() };
    changes
        .iter()
        .filter_map(|change| match change {
            LiveChange::Put { put, .. } => put["id"].as_str().map(str::to_owned),
            _ => None,
        })
        .collect()
}

/// A change a line, for programs.
fn json_lines(revision: i64, update: &Update<Rows, Value>) -> String {
    match update {
        Update::Snapshot(page) => format!("{}\n", json!({"revision": revision, "snapshot": page})),
        Update::Changes(changes) => changes
            .iter()
            .map(|change| {
                let mut line = json!(change);
                line["revision"] = revision.into();
                format!("{line}\n")
            })
            .collect(),
    }
}

/// A row a line, for people who keep them.
fn plain_lines(fields: &[String], update: &Update<Rows, Value>, told: &mut BTreeSet<String>) -> String {
    let mut lines = String::new();
    match update {
        Update::Snapshot(page) => {
            told.clear();
            for row in &page.items {
                told.insert(row.id());
                lines.push_str(&format!("= {}\n", row_line(fields, row)));
            }
        }
        Update::Changes(changes) => {
            for change in changes {
                match change {
                    LiveChange::Put { put, .. } => {
                        let mark = if told.insert(put.id()) { '+' } else { '~' };
                        lines.push_str(&format!("{mark} {}\n", row_line(fields, put)));
                    }
                    LiveChange::Remove { remove } => {
                        told.remove(remove);
                        lines.push_str(&format!("- {remove}\n"));
                    }
                    LiveChange::Value { .. } | LiveChange::Next { .. } | LiveChange::Total { .. } => {}
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        watch: Watch,
    }

    fn query(line: &str) -> Result<(String, Value), String> {
        let line = Line::try_parse_from(std::iter::once("watch").chain(line.split(' '))).map_err(|error| error.to_string())?;
        line.watch.query().map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_noun_or_a_collection_is_asked_for_as_the_protocol_has_it() {
        let session = "01890a5d-ac96-774b-bcce-b302099a8057";
        let sorted = json!({"limit": 10, "sort": [{"field": "created_at", "descending": true}, {"field": "crew"}]});
        assert_eq!(query("run --sort -created_at --sort crew --limit 10"), Ok(("run.list".into(), sorted)));
        let new = json!({"limit": 50, "collection": "pages", "filter": {"field": "status", "eq": "new"}});
        assert_eq!(query(r#"pages --filter {"field":"status","eq":"new"}"#), Ok(("record.list".into(), new)));
        let said = json!({"limit": 50, "session_id": session});
        assert_eq!(query(&format!("message --session {session}")), Ok(("message.list".into(), said)));
        let within = json!({"field": "session_id", "eq": session});
        let runs = json!({"limit": 50, "filter": {"all": [{"any": []}, within]}});
        assert_eq!(query(&format!(r#"run --session {session} --filter {{"any":[]}}"#)), Ok(("run.list".into(), runs)));
    }

    #[test]
    fn what_can_t_be_asked_for_is_said_before_anybody_is_asked() {
        assert!(query("message").unwrap_err().contains("--session ID"));
        assert!(query("pages --session 01890a5d-ac96-774b-bcce-b302099a8057").unwrap_err().contains("leave --session out"));
        assert!(query(r#"run --filter {"field":"a"}"#).unwrap_err().contains("beside `field` stands one of"));
        assert!(query("run --filter {").unwrap_err().contains("give one such as"));
        assert!(query("run --limit 501").unwrap_err().contains("1..=500"));
    }

    fn update(wire: Value) -> Update<Rows, Value> {
        Update::Changes(serde_json::from_value(wire).unwrap())
    }

    #[test]
    fn a_pipe_gets_a_line_a_row_and_json_a_line_a_change() {
        let page: Rows = serde_json::from_value(json!({"items": [{"id": "a", "n": 1}, {"id": "b", "n": 1}]})).unwrap();
        let changes =
            update(json!([{"remove": "a"}, {"put": {"id": "b", "n": 2}, "before": null}, {"put": {"id": "c", "n": 1}, "before": "b"}]));
        let (fields, mut told) = (["n".to_owned()], BTreeSet::new());
        let snapshot = Update::Snapshot(page);
        assert_eq!(plain_lines(&fields, &snapshot, &mut told), "= a n=1\n= b n=1\n");
        assert_eq!(plain_lines(&fields, &changes, &mut told), "- a\n~ b n=2\n+ c n=1\n");
        assert_eq!(changed(&changes), BTreeSet::from(["b".to_owned(), "c".to_owned()]));
        let lines: Vec<Value> =
            [json_lines(3, &snapshot), json_lines(4, &changes)].concat().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0], json!({"revision": 3, "snapshot": {"items": [{"id": "a", "n": 1}, {"id": "b", "n": 1}]}}));
        assert_eq!(lines[2], json!({"revision": 4, "put": {"id": "b", "n": 2}, "before": null}));
        assert_eq!(lines.len(), 4);
    }
}
