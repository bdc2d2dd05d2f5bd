//! Rows as a person reads them: a table that fits the terminal, or a row in a line. It knows nothing of terminals but their size.

use std::collections::BTreeSet;

use serde_json::Value;

use super::style::{Ink, Style, printable, shortened, width};

/// Columns between two of a table.
const GAP: usize = 2;
/// The most columns that one of a table takes, however wide the terminal is.
const WIDEST: usize = 48;
/// The least columns that one of a table is shown with; one that would get less is left out.
const NARROWEST: usize = 6;
/// Fields that say nothing to a person, or that every row has for the server's sake.
const UNTOLD: [&str; 5] = ["id", "revision", "created_at", "collection", "created_by"];
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How much a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) columns: usize,
    pub(crate) lines: usize,
}

/// The fields that rows are shown by: those that were asked for, or what of theirs tells something. A record's own come first, then
/// what the row itself has.
pub(crate) fn fields(asked: &[String], rows: &[Value]) -> Vec<String> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    let mut fields: Vec<&str> = Vec::new();
    for own in [true, false] {
        for map in rows.iter().filter_map(|row| if own { row["data"].as_object() } else { row.as_object() }) {
            for (name, value) in map {
                let told = !value.is_object() && !UNTOLD.contains(&name.as_str()) && (own || name != "updated_at");
                if told && !fields.contains(&name.as_str()) {
                    fields.push(name);
                }
            }
        }
    }
    fields.push("updated_at");
    fields.into_iter().map(str::to_owned).collect()
}

/// A table of these rows, `fresh` ones marked by their ids, in as many lines as there is room for.
pub(crate) fn table(fields: &[String], rows: &[Value], fresh: &BTreeSet<String>, style: Style, room: Room) -> String {
    if rows.is_empty() {
        return format!("{}\n", style.paint(Ink::Faint, &shortened("nothing to show", room.columns)));
    }
    let shown = rows.len().min(room.lines.saturating_sub(2).max(1));
    let cells: Vec<Vec<String>> = rows[..shown].iter().map(|row| fields.iter().map(|field| cell(row, field)).collect()).collect();
    let widths = widths(fields, &cells, room.columns);
    let heads: Vec<&str> = fields.iter().map(String::as_str).collect();
    let mut text = format!("{}\n", style.paint(Ink::Strong, &line(heads.into_iter(), &widths)));
    for (row, cells) in rows.iter().zip(&cells) {
        let line = line(cells.iter().map(String::as_str), &widths);
        let is_fresh = row["id"].as_str().is_some_and(|id| fresh.contains(id));
        text.push_str(&if is_fresh { style.paint(Ink::Good, &line) } else { line });
        text.push('\n');
    }
    if shown < rows.len() {
        let more = format!("… and {} more", rows.len() - shown);
        text.push_str(&format!("{}\n", style.paint(Ink::Faint, &shortened(&more, room.columns))));
    }
    text
}

/// A row in a line: its id, then `field=value` for what it has.
pub(crate) fn row_line(fields: &[String], row: &Value) -> String {
    let mut text = printable(row["id"].as_str().unwrap_or("-"));
    for field in fields.iter().filter(|field| *field != "id") {
        let value = cell(row, field);
        match value.is_empty() {
            true => {}
            false if value.contains([' ', '"', '=']) => text.push_str(&format!(" {field}={value:?}")),
            false => text.push_str(&format!(" {field}={value}")),
        }
    }
    text
}

/// How wide each field is shown; those at the end for which there is no room are not. The widest give way first.
fn widths(fields: &[String], cells: &[Vec<String>], columns: usize) -> Vec<usize> {
    let widest = |at: usize| cells.iter().map(|row| width(&row[at])).max().unwrap_or(0);
    let mut widths: Vec<usize> = fields.iter().enumerate().map(|(at, field)| width(field).max(widest(at)).min(WIDEST)).collect();
    let most = |count: usize| (columns + GAP) / (NARROWEST + GAP) >= count;
    while widths.len() > 1 && !most(widths.len()) {
        widths.pop();
    }
    let taken = |widths: &[usize]| widths.iter().map(|wide| wide + GAP).sum::<usize>() - GAP;
    while taken(&widths) > columns {
        match widths.iter_mut().max() {
            Some(wide) if *wide > NARROWEST => *wide -= 1,
            _ => break,
        }
    }
    widths
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, wide) in cells.zip(widths) {
        let cell = shortened(cell, *wide);
        let pad = wide + GAP - width(&cell);
        text.push_str(&cell);
        text.push_str(&" ".repeat(pad));
    }
    text.trim_end().to_owned()
}

/// A field of a row in few words. A record's own are meant before the row's.
fn cell(row: &Value, field: &str) -> String {
    let value = row["data"].get(field).or_else(|| row.get(field)).unwrap_or(&Value::Null);
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Number(number) => match number.as_i64().filter(|_| field.ends_with("_at")) {
            Some(ms) => moment(ms),
            None => number.to_string(),
        },
        Value::Array(elements) => {
            let elements: Vec<String> =
                elements.iter().map(|element| element.as_str().map_or_else(|| element.to_string(), str::to_owned)).collect();
            printable(&elements.join(", "))
        }
        other => printable(&other.to_string()),
    }
}

/// A moment in UTC, to the second.
fn moment(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS) / 1000);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Year, month and day of a day that is so many after 1970-01-01, in the Gregorian calendar. Years are counted from March, so that a
/// leap day is a year's last and months before it have fixed beginnings.
const fn date(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 400 * 365 + 97;
    let since = days + 719_468; // 0000-03-01
    let (era, of_era) = (since.div_euclid(ERA), since.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + if month <= 2 { 1 } else { 0 }, month, day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pages() -> Vec<Value> {
        let row = |id: &str, title: &str, score: Value| {
            let data = json!({"title": title, "score": score, "tags": ["a", "b"], "nested": {"x": 1}});
            json!({"id": id, "revision": 3, "created_at": 0, "updated_at": 1_700_000_000_000_i64, "collection": "pages", "data": data})
        };
        vec![row("p1", "Tea is a drink", json!(7)), row("p2", "飲み物\u{1b}[2J about tea", json!(null))]
    }

    #[test]
    fn a_record_is_shown_by_what_it_says_and_when_it_changed() {
        let rows = pages();
        let fields = fields(&[], &rows);
        assert_eq!(fields, ["title", "score", "tags", "updated_at"]);
        let table = table(&fields, &rows, &BTreeSet::new(), Style::Plain, Room { columns: 80, lines: 10 });
        let expected = "\
title                 score  tags  updated_at
Tea is a drink        7      a, b  2023-11-14 22:13:20
飲み物 [2J about tea         a, b  2023-11-14 22:13:20
";
        assert_eq!(table, expected);
    }

    #[test]
    fn a_table_never_takes_more_than_there_is_room_for() {
        let mut rows = pages();
        rows.extend((3..40).map(|n| json!({"id": format!("p{n}"), "data": {"title": "x".repeat(n * 3)}, "updated_at": n})));
        let fields = fields(&[], &rows);
        for columns in [10, 20, 37, 60, 120] {
            for lines in [1, 3, 10, 100] {
                let table = table(&fields, &rows, &BTreeSet::new(), Style::Plain, Room { columns, lines });
                assert!(table.lines().all(|line| width(line) <= columns), "{columns} columns:\n{table}");
                assert!(table.lines().count() <= lines.max(3), "{lines} lines:\n{table}");
            }
        }
    }

    #[test]
    fn what_has_changed_is_marked_and_only_by_ink() {
        let (rows, fresh) = (pages(), BTreeSet::from(["p2".to_owned()]));
        let fields = vec!["title".to_owned()];
        let table = table(&fields, &rows, &fresh, Style::Coloured, Room { columns: 80, lines: 10 });
        let marked: Vec<&str> = table.lines().filter(|line| line.starts_with(Style::Coloured.on(Ink::Good))).collect();
        assert_eq!(marked.len(), 1);
        assert!(marked[0].contains("about tea"));
    }

    #[test]
    fn a_row_in_a_line_says_what_is_what() {
        let rows = pages();
        let line = row_line(&fields(&[], &rows), &rows[0]);
        assert_eq!(line, r#"p1 title="Tea is a drink" score=7 tags="a, b" updated_at="2023-11-14 22:13:20""#);
    }

    #[test]
    fn moments_are_of_the_calendar_also_before_its_beginning() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (951_868_800_000, "2000-03-01 00:00:00"),
            (4_107_542_399_000, "2100-02-28 23:59:59"),
            (4_107_542_400_000, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(moment(ms), text);
        }
    }
}
