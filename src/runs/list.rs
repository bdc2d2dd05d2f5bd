//! A workspace's runs, page by page.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use crewline_protocol::{
    fault::Fault,
    operations::run::{List, Run},
    read::Page,
    value::{RunId, encode},
};

use super::RunRow;
use crate::{
    context::{Answer, Context, Failure},
    store::{Condition, Select, Value},
};

/// Runs in a list that names no limit.
const DEFAULT: u32 = 50;
/// Runs at most in a list that goes on with a cursor.
const WITH_CURSOR: u32 = 200;
/// Bytes of rows after which a list ends early: the reply must fit a message of 1 MiB.
const BYTES: usize = 700 << 10;
/// Rows read at once: each may be 256 KiB.
const ROWS: usize = 25;

/// Lists the workspace's runs by id. The cursor is the last id that was listed, so that rows which come meanwhile move nothing.
///
/// # Errors
/// `invalid` for a cursor that no list gave and for a limit that is too large with one.
pub async fn list(cx: Context, input: List) -> Result<Answer<Page<Run>>, Failure> {
    let workspace = cx.identity()?.workspace;
    let limit = input.limit.unwrap_or(DEFAULT);
    if input.cursor.is_some() && limit > WITH_CURSOR {
        return Err(Fault::invalid("limit", "range", format!("with `cursor` at most {WITH_CURSOR}")).into());
    }
    let mut after = input.cursor.as_deref().map(from_cursor).transpose()?;
    let limit = limit as usize;
    let mut snapshot = cx.services.store.snapshot().await?;
    let as_of = snapshot.revision(workspace).await?;
    let (mut items, mut bytes) = (Vec::new(), 0);
    loop {
        let wanted = ROWS.min(limit - items.len()) + 1;
        let mut select = Select::by("workspace_id", workspace).limit(wanted);
        if let Some(after) = after {
            select = select.and(Condition::Greater("id", Value::from(after)));
        }
        let rows: Vec<RunRow> = snapshot.select(&select).await?;
        // One row more than wanted tells whether there is more; it is read again with the next.
        let more = rows.len() == wanted;
        for row in rows.into_iter().take(wanted - 1) {
            let run = row.run();
            bytes += encode(&run).len();
            if bytes > BYTES && !items.is_empty() {
                return Ok(Answer::at(as_of, Page { items, next: after.map(to_cursor), total: None }));
            }
            after = Some(run.id);
            items.push(run);
        }
        if !more || items.len() >= limit {
            let next = if more { after.map(to_cursor) } else { None };
            return Ok(Answer::at(as_of, Page { items, next, total: None }));
        }
    }
}

fn to_cursor(id: RunId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn from_cursor(cursor: &str) -> Result<RunId, Fault> {
    let bytes: Option<[u8; 16]> = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| bytes.try_into().ok());
    let id = bytes.and_then(|bytes| uuid::Uuid::from_bytes(bytes).to_string().parse().ok());
    id.ok_or_else(|| Fault::invalid("cursor", "format", "no list gave this cursor: begin without one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crewline_protocol::value::Millis;

    #[test]
    fn a_cursor_leads_back_to_its_id() {
        let id = RunId::new(Millis(1_700_000_000_000), [9; 10]);
        assert_eq!(from_cursor(&to_cursor(id)), Ok(id));
        for wrong in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", "!"] {
            assert_eq!(from_cursor(wrong).unwrap_err().fields[0].path, "cursor");
        }
    }
}
