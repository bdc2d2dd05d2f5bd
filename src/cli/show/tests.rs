//! A run as it was recorded, and the text that it becomes.

use super::*;

const RECORDED: &str = include_str!("recorded.jsonl");

fn shown(style: Style, columns: usize) -> String {
    let mut show = Show::new(style, columns);
    RECORDED.lines().map(|line| show.event(&serde_json::from_str(line).unwrap())).collect()
}

#[test]
fn a_run_reads_well_in_sixty_columns_without_colour() {
    let shown = shown(Style::Plain, 60);
    assert_eq!(shown, include_str!("shown_60.txt"));
    assert!(shown.lines().all(|line| width(line) <= 60));
}

#[test]
fn colours_change_nothing_but_ink_and_a_headings_marks() {
    let mut coloured = shown(Style::Coloured, 60);
    while let Some(from) = coloured.find('\x1b') {
        let to = from + coloured[from..].find('m').unwrap();
        coloured.replace_range(from..=to, "");
    }
    assert_eq!(coloured, include_str!("shown_60.txt").replace("## How", "How"));
}

#[test]
fn where_a_run_stands_fits_into_one_line() {
    let mut show = Show::new(Style::Plain, 70);
    let mut standings = Vec::new();
    for line in RECORDED.lines() {
        show.event(&serde_json::from_str(line).unwrap());
        if standings.last() != Some(&show.standing()) {
            standings.push(show.standing());
        }
    }
    let expected = [
        "0 tokens in, 0 out · $0.0000  begins",
        "0 tokens in, 0 out · $0.0000  content_analyst: analyze_page",
        "  0%  0 tokens in, 0 out · $0.0000  content_analyst: analyze_page",
        "  0%  310 tokens in, 12 out · $0.000053  content_analyst: analyze_page",
        "  0%  310 tokens in, 12 out · $0.000053  begins",
        "  0%  1,210 tokens in, 100 out · $0.000240  begins",
        "  0%  1,210 tokens in, 100 out · $0.000240  comment_writer: draft_com…",
        " 50%  1,210 tokens in, 100 out · $0.000240  comment_writer: draft_com…",
        " 50%  2,410 tokens in, 106 out · $0.000423  comment_writer: draft_com…",
        "100%  2,410 tokens in, 106 out · $0.000423  comment_writer: draft_com…",
        "100%  2,410 tokens in, 106 out · $0.000423  succeeded",
    ];
    assert_eq!(standings, expected);
}

#[test]
fn a_resume_and_words_of_two_agents_at_once_stay_apart() {
    let delta = |part: &str, text: &str| RunEvent::TextDelta { at: Millis(1), part: part.into(), text: text.into() };
    let mut show = Show::new(Style::Plain, 60);
    let mut out = show.event(&delta("p", "One agent says "));
    out += &show.event(&delta("q", "and another. "));
    out += &show.lost("the connection broke");
    out += &show.resumed(Offset(41), Offset(255));
    out += &show.event(&delta("q", "Then more.\n"));
    out += &show.restarted();
    let expected = "  One agent says
  and another.
↻ connection lost, the run goes on: the connection broke
↻ resumed after event 41, 214 events to catch up
  Then more.
↻ the server was restored from a copy: the run is shown from its start again
";
    assert_eq!(out, expected);
}

#[test]
fn figures_are_told_as_people_write_them() {
    assert_eq!([0, 1, 100, 1_234_500, 12].map(|cost| money(MicroUsd(cost))), ["$0.0000", "$0.000001", "$0.0001", "$1.2345", "$0.000012"]);
    assert_eq!([0, 950, 61_000].map(duration), ["0.0 s", "0.9 s", "1 min 1 s"]);
    assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([12, 1_536].map(size), ["12 B", "1.5 KiB"]);
}
