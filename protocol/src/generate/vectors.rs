//! Frames as bytes, with what a receiver makes of them: every client is tested against the same. What is expected stands here as
//! a person wrote it, and never as the code under test computes it. `vectors/README.md` explains the format.

use serde_json::{Value, json};

use crate::{
    document::{render, sorted},
    frames::From::{self, Client, Server},
};

/// Bytes, and what a receiver does with them.
struct Vector {
    name: &'static str,
    from: From,
    bytes: Vec<u8>,
    frames: Value,
    then: Then,
}

/// What comes after the frames that are read.
enum Then {
    /// Nothing; a writer given the frames writes exactly these bytes.
    Canonical,
    /// Nothing; a writer would write other bytes.
    Read,
    /// The rest is malformed.
    Malformed,
    /// The last frame's body is whole, but invalid at this path, with this code.
    Invalid(&'static str, &'static str),
}

pub(crate) fn text() -> String {
    let vectors: Vec<Value> = all().into_iter().map(Vector::document).collect();
    render(json!({"protocol": crewline_protocol::SUBPROTOCOL, "vectors": vectors}))
}

fn all() -> Vec<Vector> {
    let parts = [client_frames(), server_frames(), messages(), integers(), leniency(), values(), inputs(), malformed(), limits()];
    parts.into_iter().flatten().collect()
}

fn client_frames() -> Vec<Vector> {
    let run = "018bcfe5-6800-7707-8707-070707070707";
    let key = "018bcfe5-6800-7707-8707-07070707070a";
    vec![
        good("hello", Client, json!([1, {"client": {"name": "web", "version": "1.0.0"}}])),
        good(
            "hello with everything",
            Client,
            json!([1, {
                "access_token": "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
                "client": {"name": "web", "version": "1.0.0"},
                "features": ["one"],
                "last_close": {"at": 1_700_000_000_000_i64, "code": 4003},
                "workspace_id": run,
            }]),
        ),
        good("request", Client, json!([3, 1, "auth.me", {}])),
        good("request with a key", Client, json!([3, 2, "session.create", {"title": "Überblick ✓"}, {"key": key}])),
        good(
            "request with all options",
            Client,
            json!([3, 3, "run.get", {"id": run}, {"key": key, "timeout_ms": 5000, "trace": "00-1-2-01"}]),
        ),
        good(
            "request with nested input",
            Client,
            json!([3, 4, "run.start", {"crew": "review", "inputs": {"deep": [1, [2.5, null, true], {"a": -7}]}}]),
        ),
        good("cancel", Client, json!([6, 1])),
        good("subscribe", Client, json!([10, 1, {"run": run}])),
        good("subscribe from an offset", Client, json!([10, 2, {"only": ["text.delta"], "run": run}, {"credit": 65_536, "from": 41}])),
        good(
            "subscribe to a list from a revision",
            Client,
            json!([10, 3, {"query": {
                "input": {"filter": {"all": [{"eq": "running", "field": "status"}]}, "limit": 20, "sort": [{"descending": true, "field": "created_at"}]},
                "op": "run.list",
            }}, {"from": 17}]),
        ),
        good("subscribe to a row", Client, json!([10, 4, {"query": {"input": {"id": run}, "op": "run.get"}}])),
        good("subscribe to presence", Client, json!([10, 5, {"presence": {"session_id": run}}])),
        good("credit", Client, json!([15, 1, 4096])),
        good("credit of the connection", Client, json!([15, 0, 1])),
        good("credit of none, which is whole and refused by the connection", Client, json!([15, 1, 0])),
        good("credit below zero, which is whole and refused by the connection", Client, json!([15, 1, -1])),
        good("unsubscribe", Client, json!([16, 1])),
        good("presence", Client, json!([20, 1, {"typing": true}])),
        good("presence gone", Client, json!([20, 1, null])),
        good("ping with a number", Client, json!([30, 7])),
        good("ping with a text", Client, json!([30, "n"])),
        good("ping with nil", Client, json!([30, null])),
        good("pong", Client, json!([31, 7])),
    ]
}

fn server_frames() -> Vec<Vector> {
    let id = "018bcfe5-6800-7707-8707-070707070707";
    let key = "018bcfe5-6800-7707-8707-07070707070a";
    let now = 1_700_000_000_000_i64;
    vec![
        good(
            "welcome",
            Server,
            json!([2, {
                "connection_id": id,
                "epoch": "e1",
                "features": [],
                "heartbeat_ms": 15_000,
                "limits": {"credit_bytes": 1_048_576, "message_bytes": 1_048_576, "requests": 64, "row_bytes": 262_144, "subscriptions": 256},
                "now_at": now,
                "reconnect": {"base_ms": 250, "max_ms": 15_000},
                "server": {"build": "dev", "name": "crewline", "version": "0.1.0"},
            }]),
        ),
        good("reply", Server, json!([4, 1, {"name": "Ada"}])),
        good("reply with a revision", Server, json!([4, 2, {}, {"as_of": 17}])),
        good("reply with nothing", Server, json!([4, 3, null])),
        good(
            "fault",
            Server,
            json!([5, 1, {"code": "not_found", "message": "there is no such thing here, or you may not see it", "retry": "never"}]),
        ),
        good(
            "fault with fields",
            Server,
            json!([5, 2, {
                "code": "invalid",
                "fields": [{"code": "length", "message": "is too short", "path": "password"}],
                "message": "`password` is not valid: is too short",
                "retry": "never",
            }]),
        ),
        good(
            "fault to be tried later",
            Server,
            json!([5, 3, {"code": "rate_limited", "message": "wait", "retry": "after", "retry_after_ms": 1500}]),
        ),
        good(
            "conflict with the row",
            Server,
            json!([5, 4, {"code": "conflict", "current": {"id": id, "revision": 9}, "message": "changed", "reason": "revision", "retry": "refetch"}]),
        ),
        good(
            "fault of the connection",
            Server,
            json!([5, 0, {"code": "disconnected", "message": "nothing was heard", "retry": "reconnect"}]),
        ),
        good("subscribed", Server, json!([11, 1, {"complete": false, "from": 0, "head": 41}])),
        good(
            "events",
            Server,
            json!([12, 1, 3, 3, [
                {"at": now, "attempt": 1, "crew": "review", "inputs": {}, "type": "run.started"},
                {"agent": "writer", "at": now, "part": "p1", "role": "answer", "task": "t1", "type": "text.started"},
                {"at": now, "part": "p1", "text": "Hello", "type": "text.delta"},
            ]]),
        ),
        good(
            "events merged, fewer than their span",
            Server,
            json!([12, 1, 40, 37, [{"at": now, "part": "p1", "text": "all of it", "type": "text.delta"}]]),
        ),
        good("events that only move the position", Server, json!([12, 1, 41, 1, []])),
        good(
            "events with a fraction",
            Server,
            json!([12, 1, 42, 1, [{"at": now, "fraction": 0.25, "message": "reading", "type": "progress.reported"}]]),
        ),
        good("subscribed to a query, a snapshot to come", Server, json!([11, 2, {"revision": 17, "snapshot": true}])),
        good("subscribed to a query that has not changed", Server, json!([11, 2, {"revision": 17, "snapshot": false}])),
        good("subscribed to presence", Server, json!([11, 3, {}])),
        good(
            "changes of a list",
            Server,
            json!([12, 2, 21, 4, [
                {"remove": id},
                {"before": null, "put": {"id": id, "revision": 20}},
                {"before": id, "put": {"id": key, "revision": 21}},
                {"next": "Y3Vyc29y"},
                {"next": null},
                {"total": 12},
            ]]),
        ),
        good("a change of what is no list", Server, json!([12, 2, 22, 1, [{"value": {"rows": [{"count": 3, "groups": ["done"]}]}}]])),
        good("changes that only move the revision", Server, json!([12, 2, 30, 8, []])),
        good("ended, deleted", Server, json!([14, 2, 30, {"why": "deleted"}])),
        good("ended, forbidden", Server, json!([14, 2, 30, {"why": "forbidden"}])),
        good("snapshot", Server, json!([13, 2, 17, {"items": [{"id": id, "revision": 17}]}])),
        good("ended, complete", Server, json!([14, 1, 42, {"why": "complete"}])),
        good(
            "ended, refused",
            Server,
            json!([14, 9, 0, {"fault": {"code": "not_found", "message": "there is no such thing here, or you may not see it", "retry": "never"}, "why": "refused"}]),
        ),
        good(
            "presence of a member",
            Server,
            json!([20, 1, {"connection_id": id, "principal": {"id": id, "kind": "user", "name": "Ada"}}, {"typing": true}]),
        ),
        good(
            "presence of a member who left",
            Server,
            json!([20, 1, {"connection_id": id, "principal": {"id": id, "kind": "user", "name": "Ada"}}, null]),
        ),
        good("server's ping", Server, json!([30, 1])),
        good("server's pong", Server, json!([31, "n"])),
        good("notice", Server, json!([32, {"expires_at": now, "type": "token_expiring"}])),
        good("goaway", Server, json!([33, {"drain_ms": 10_000, "reconnect_within_ms": 5000, "why": "shutdown"}])),
    ]
}

fn messages() -> Vec<Vector> {
    vec![
        vector(
            "three frames in one message",
            Client,
            "93 0f 01 cd1000 | 92 10 01 | 92 1e c0",
            json!([[15, 1, 4096], [16, 1], [30, null]]),
            Then::Canonical,
        ),
        vector("two frames from a server", Server, "93 04 01 80 | 92 1e 05", json!([[4, 1, {}], [30, 5]]), Then::Canonical),
        vector("an empty message", Client, "", json!([]), Then::Malformed),
        vector("an empty message from a server", Server, "", json!([]), Then::Malformed),
        vector("a good frame before a bad one is carried out", Client, "92 06 01 | c1", json!([[6, 1]]), Then::Malformed),
        vector("a good frame before one cut off", Client, "92 06 01 | 92 06", json!([[6, 1]]), Then::Malformed),
        vector("a good frame before a byte too many", Client, "92 1e 01 | 00", json!([[30, 1]]), Then::Malformed),
    ]
}

fn integers() -> Vec<Vector> {
    vec![
        good("the largest fixint", Client, json!([6, 127])),
        good("the smallest u8", Client, json!([6, 128])),
        good("the smallest u16", Client, json!([6, 256])),
        good("the smallest u32", Client, json!([6, 65_536])),
        good("the smallest u64", Client, json!([6, 4_294_967_296_i64])),
        good("the largest integer", Client, json!([6, 9_007_199_254_740_991_i64])),
        good("the smallest integer", Client, json!([15, 1, -9_007_199_254_740_991_i64])),
        good(
            "negative integers of every width",
            Client,
            json!([30, [-1, -32, -33, -128, -129, -32_768, -32_769, -2_147_483_648_i64, -2_147_483_649_i64]]),
        ),
        vector("an id one above the largest integer", Client, "92 06 cf0020000000000000", json!([]), Then::Malformed),
        vector("an id of zero", Client, "92 06 00", json!([]), Then::Malformed),
        vector("an id below zero", Client, "92 06 ff", json!([]), Then::Malformed),
        vector("an id that is a float", Client, "92 06 cb3ff0000000000000", json!([]), Then::Malformed),
        vector("an id that is a text", Client, "92 06 a131", json!([]), Then::Malformed),
        vector("a subscription numbered zero", Client, "93 0a 00 80", json!([]), Then::Malformed),
        vector("a grant that is no integer", Client, "93 0f 01 cb3ff8000000000000", json!([]), Then::Malformed),
        vector("a position below zero", Server, "94 0e 01 ff 80", json!([]), Then::Malformed),
        vector("an id in more bytes than it needs", Client, "92 cc06 cf0000000000000009", json!([[6, 9]]), Then::Read),
        vector("an id in a signed integer", Client, "92 06 d009", json!([[6, 9]]), Then::Read),
        vector("an id in a signed integer of 64 bits", Client, "92 06 d30000000000000009", json!([[6, 9]]), Then::Read),
        vector("an array's head in more bytes than it needs", Client, "dd00000002 06 01", json!([[6, 1]]), Then::Read),
        vector(
            "a text's and a map's heads in more bytes than they need",
            Client,
            "94 03 01 da0007 617574682e6d65 df00000000",
            json!([[3, 1, "auth.me", {}]]),
            Then::Read,
        ),
        vector("a float of 32 bits", Client, "92 1e ca3f000000", json!([[30, 0.5]]), Then::Read),
    ]
}

fn leniency() -> Vec<Vector> {
    vec![
        vector("elements after those that are known", Client, "95 10 03 c0 91 01 02", json!([[16, 3]]), Then::Read),
        vector("elements after those that are known, from a server", Server, "94 1e 01 81a17801 a0", json!([[30, 1]]), Then::Read),
        vector("options that are nil", Client, "95 03 01 a7617574682e6d65 80 c0", json!([[3, 1, "auth.me", {}]]), Then::Read),
        vector("a kind that a client does not know is ignored", Server, "93 63 01 81a17801 | 92 1e 01", json!([[30, 1]]), Then::Read),
        vector("a kind below zero is ignored by a client", Server, "91 ff | 92 1f 01", json!([[31, 1]]), Then::Read),
        vector(
            "binary from a server",
            Server,
            "93 04 01 81 a5 6279746573 c403 000102",
            json!([[4, 1, {"bytes": {"$bin": "000102"}}]]),
            Then::Read,
        ),
        vector(
            "binary where an operation takes it",
            Client,
            "94 03 01 af 61727469666163742e637265617465 81 a5 6279746573 c403 000102",
            json!([[3, 1, "artifact.create", {"bytes": {"$bin": "000102"}}]]),
            Then::Read,
        ),
        vector(
            "another flaw after binary that an operation takes",
            Client,
            "94 03 07 af 61727469666163742e637265617465 82 a5 6279746573 c403 000102 a4 6e616d65 a1 00",
            json!([[3, 7, "artifact.create"]]),
            Then::Invalid("name", "pattern"),
        ),
        good(
            "keys that a body does not know",
            Client,
            json!([1, {"client": {"later": true, "name": "web", "version": "2"}, "later": [1]}]),
        ),
    ]
}

fn values() -> Vec<Vector> {
    vec![
        invalid("a key twice", "82 a2 6964 01 a2 6964 02", "id", "duplicate"),
        invalid("a key twice further in", "81 a1 61 92 01 82 a1 62 01 a1 62 02", "a[1].b", "duplicate"),
        invalid("a key twice in a map of many", &many_keys(), "k00", "duplicate"),
        invalid("U+0000 in a text", "81 a1 61 a3 780079", "a", "pattern"),
        invalid("U+0000 in a key", "81 a2 6100 01", "a\u{0}", "pattern"),
        invalid("not a number", "81 a1 61 cb7ff8000000000000", "a", "range"),
        invalid("not a number in 32 bits", "81 a1 61 ca7fc00000", "a", "range"),
        invalid("infinity", "81 a1 61 cb7ff0000000000000", "a", "range"),
        invalid("minus infinity", "81 a1 61 cbfff0000000000000", "a", "range"),
        invalid("an integer one above the largest", "81 a1 61 cf0020000000000000", "a", "range"),
        invalid("an integer one below the smallest", "81 a1 61 d3ffe0000000000000", "a", "range"),
        invalid("a key that is a number", "81 a1 61 81 01 02", "a", "type"),
        invalid("a key that is a map", "81 80 01", "", "type"),
        invalid("binary where none is expected", "81 a1 61 c401 00", "a", "type"),
        invalid("the first of two flaws", "82 a1 61 cb7ff8000000000000 a1 62 a1 00", "a", "range"),
        invalid("an input that is an array", "90", "", "type"),
        invalid("an input that is nil", "c0", "", "type"),
        invalid("an input that is a text", "a161", "", "type"),
    ]
}

fn inputs() -> Vec<Vector> {
    let wrong = |name, operation: &str, input: Value, path, code| Vector {
        name,
        from: Client,
        bytes: encode(&json!([3, 7, operation, input])),
        frames: json!([[3, 7, operation]]),
        then: Then::Invalid(path, code),
    };
    vec![
        wrong("a field that the operation does not know", "auth.me", json!({"role": "owner"}), "role", "unknown"),
        wrong("a field that is missing", "auth.login", json!({"email": "a@b.c"}), "password", "required"),
        wrong("a field of the wrong type", "auth.login", json!({"email": 1, "password": "x"}), "email", "type"),
        wrong("an id that is none", "run.get", json!({"id": "7"}), "id", "format"),
        wrong("an id in capitals", "run.get", json!({"id": "018BCFE5-6800-7707-8707-070707070707"}), "id", "format"),
        wrong("an id of another version", "run.get", json!({"id": "9e107d9d-372b-4b82-a0b2-000000000000"}), "id", "format"),
        wrong(
            "a word that is none of those",
            "run.cancel",
            json!({"id": "018bcfe5-6800-7707-8707-070707070707", "mode": "soon"}),
            "mode",
            "enum",
        ),
        wrong(
            "a number in place of a word",
            "run.cancel",
            json!({"id": "018bcfe5-6800-7707-8707-070707070707", "mode": 0}),
            "mode",
            "type",
        ),
        wrong("an integer too large for its field", "run.list", json!({"limit": 4_294_967_296_i64}), "limit", "range"),
        wrong(
            "a filter within a filter that knows no such test",
            "run.list",
            json!({"filter": {"all": [{"eq": 1, "field": "attempt"}, {"field": "status", "like": "x"}]}}),
            "filter.all[1].like",
            "unknown",
        ),
        wrong("a filter that names no field", "run.list", json!({"filter": {"not": {"eq": 1}}}), "filter.not.field", "required"),
        wrong("a comparison with nil", "run.list", json!({"filter": {"field": "attempt", "gt": null}}), "filter.gt", "type"),
        wrong("an element that is nil", "run.list", json!({"filter": {"field": "crew", "in": ["a", null]}}), "filter.in[1]", "type"),
        wrong("a test of a map", "run.list", json!({"filter": {"eq": {}, "field": "crew"}}), "filter.eq", "type"),
        wrong("a field without a test", "run.list", json!({"filter": {"field": "crew"}}), "filter", "format"),
        wrong("a sort that is a text", "run.list", json!({"sort": ["crew"]}), "sort[0]", "type"),
    ]
}

fn malformed() -> Vec<Vector> {
    let bad = |name, from, hex: &str| vector(name, from, hex, json!([]), Then::Malformed);
    vec![
        bad("not an array", Client, "80"),
        bad("an array of nothing", Client, "90"),
        bad("a kind that is a text", Client, "91 a131"),
        bad("a kind that a server does not know", Client, "92 63 80"),
        bad("a kind that only a server sends", Client, "92 02 80"),
        bad("a kind that only a client sends", Server, "92 06 01"),
        bad("a frame that lacks an element", Client, "93 03 01 a7617574682e6d65"),
        bad("a frame cut off in a text", Client, "94 03 01 a76175"),
        bad("a frame cut off in a head", Client, "92 06 cd01"),
        bad("a frame that promises more than there is", Client, "dcffff 06 01"),
        bad("a body that promises more than there is", Client, "92 01 dfffffffff"),
        bad("an operation that is a number", Client, "94 03 01 07 80"),
        bad("an operation that is not UTF-8", Client, "94 03 01 a2fffe 80"),
        bad("a text that is not UTF-8", Client, "92 1e a2c328"),
        bad("the marker c1", Client, "92 1e c1"),
        bad("the marker c1 in a body", Client, "92 01 81 a161 c1"),
        bad("an extension", Client, "92 1e d40100"),
        bad("a timestamp extension", Client, "92 1e d6ff00000000"),
        bad("an extension from a server", Server, "93 04 01 c7010100"),
        bad("an extension after the elements that are known", Client, "93 10 01 d40100"),
    ]
}

fn limits() -> Vec<Vector> {
    let long = "k".repeat(256);
    let nested = |levels: usize| format!("92 1e {} 90", "91".repeat(levels - 2));
    let nils = |count: u16| format!("93 06 01 dc {count:04x} {}", "c0".repeat(count.into()));
    let mut deep = json!([]);
    for _ in 0..30 {
        deep = json!([deep]);
    }
    vec![
        vector("32 deep, the frame counted", Client, &nested(32), json!([[30, deep]]), Then::Canonical),
        vector("33 deep", Client, &nested(33), json!([]), Then::Malformed),
        vector("33 deep from a server", Server, &nested(33), json!([]), Then::Malformed),
        vector(
            "33 deep after the elements that are known",
            Client,
            &format!("93 06 01 {} 90", "91".repeat(31)),
            json!([]),
            Then::Malformed,
        ),
        vector("10,000 values", Client, &nils(9996), json!([[6, 1]]), Then::Read),
        vector("10,001 values", Client, &nils(9997), json!([]), Then::Malformed),
        good("a key of 256 bytes", Client, json!([30, {&long: 1}])),
        vector("a key of 257 bytes", Client, &format!("92 1e 81 da0101 {} 01", "6b".repeat(257)), json!([]), Then::Malformed),
        vector(
            "a key of 257 bytes from a server",
            Server,
            &format!("92 1e 81 da0101 {} 01", "6b".repeat(257)),
            json!([[30, {format!("{long}k"): 1}]]),
            Then::Canonical,
        ),
    ]
}

/// One frame, written as every writer writes it.
fn good(name: &'static str, from: From, frame: Value) -> Vector {
    Vector { name, from, bytes: encode(&frame), frames: Value::Array(vec![frame]), then: Then::Canonical }
}

/// Bytes written by hand; spaces and bars are for the reader.
fn vector(name: &'static str, from: From, hex: &str, frames: Value, then: Then) -> Vector {
    Vector { name, from, bytes: bytes(hex), frames, then }
}

/// A request whose input breaks a rule for values.
fn invalid(name: &'static str, input: &str, path: &'static str, code: &'static str) -> Vector {
    vector(name, Client, &format!("94 03 07 a7617574682e6d65 {input}"), json!([[3, 7, "auth.me"]]), Then::Invalid(path, code))
}

/// Twenty keys, and the first of them again.
fn many_keys() -> String {
    (0..20).chain([0]).fold("de0015".into(), |map, key| format!("{map} a3 6b{:02x}{:02x} 01", 0x30 + key / 10, 0x30 + key % 10))
}

/// MessagePack as another library writes it, keys in their order.
fn encode(value: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(&sorted(value.clone())).expect("a JSON value is MessagePack")
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |place: usize| u8::from_str_radix(&digits[place..place + 2], 16).expect("hex digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

impl Vector {
    fn document(self) -> Value {
        let hex: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut document = json!({"name": self.name, "from": self.from.word(), "hex": hex, "frames": self.frames});
        match self.then {
            Then::Canonical => document["canonical"] = true.into(),
            Then::Read => {}
            Then::Malformed => document["malformed"] = true.into(),
            Then::Invalid(path, code) => document["invalid"] = json!({"path": path, "code": code}),
        }
        document
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_are_enough_of_them_and_each_has_a_name() {
        let vectors = super::all();
        let names: std::collections::BTreeSet<_> = vectors.iter().map(|vector| vector.name).collect();
        assert_eq!(names.len(), vectors.len());
        assert!(vectors.len() >= 100, "{}", vectors.len());
    }
}
