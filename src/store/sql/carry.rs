//! A group of commits, carried out in one transaction.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use crewline_protocol::value::{Millis, Offset, RunId};

use super::{
    driver::{Arg, Connection, Failure, Query},
    facts::Facts,
    order::{Order, Turn},
    query::{IDS, among, primary},
    statement::{Kind, Texts, lengths},
};
use crate::{
    settings::store::{KEY_KEPT_MS, KEYS_PRUNED, KEYS_PRUNED_EVERY_MS},
    store::{
        Block, ColumnKind, Commit, CommitError, Committed, Table, Told, Value,
        group::{self, Id, Pending, Plan, RowState, SET},
    },
};

/// What outlives a transaction of a lane.
pub(super) struct Carrier {
    /// What a `SELECT` ends in whose rows are to stay as they are.
    lock: &'static str,
    order: Arc<Order>,
    texts: Texts,
    /// When kept replies are next looked through for old ones.
    prune_at: Millis,
}

/// What a group came to, durable once the transaction has been committed.
pub(super) struct Carried {
    pub(super) committed: Vec<(usize, Committed)>,
    pub(super) refused: Vec<(usize, CommitError)>,
    pub(super) told: Vec<Told>,
    /// This group's place among those that tell of the same streams and workspaces.
    pub(super) turn: Turn,
}

/// Where a stream stood before the group, and the key under which its log is kept.
struct Stream {
    key: i64,
    head: Offset,
}

impl Carrier {
    pub(super) fn new(lock: &'static str, order: Arc<Order>) -> Self {
        Self { lock, order, texts: Texts::default(), prune_at: Millis(i64::MIN) }
    }

    /// Carries commits out in the transaction that has begun. The caller commits it.
    pub(super) async fn carry(&mut self, connection: &mut Connection, commits: &[&Commit]) -> Result<Carried, Failure> {
        let facts = Facts::read(connection, commits, self.lock).await?;
        let mut plan = group::plan(commits.iter().copied(), &facts);
        let refused = std::mem::take(&mut plan.refused);
        let streams = self.grow(connection, &plan).await?;
        self.write_rows(connection, &plan).await?;
        self.write_counters(connection, &plan).await?;
        self.write_topics(connection, &plan).await?;
        self.write_keys(connection, &plan).await?;
        let turn = self.order.enter(plan.streams.keys(), plan.revisions.keys());
        let heads = streams.iter().map(|(run, stream)| (*run, stream.head)).collect();
        let appended = plan.append(heads);
        self.write_log(connection, &streams, &appended.blocks).await?;
        Ok(Carried { committed: appended.committed, refused, told: appended.told, turn })
    }

    /// Makes streams or lets them grow, and holds them until the transaction ends.
    async fn grow(&mut self, connection: &mut Connection, plan: &Plan<'_>) -> Result<HashMap<RunId, Stream>, Failure> {
        let mut streams = HashMap::with_capacity(plan.streams.len());
        let mut rest = plan.streams.iter();
        for length in lengths(plan.streams.len(), 3) {
            let args = rest.by_ref().take(length).flat_map(|(run, growth)| {
                [Arg::Text(run.to_string().into()), Arg::Integer(growth.count), Arg::Integer(growth.complete.into())]
            });
            let kinds = Cow::Borrowed(&[ColumnKind::Text, ColumnKind::Integer, ColumnKind::Integer][..]);
            let query = Query { sql: self.texts.own(Kind::Streams, length), args: args.collect(), kinds };
            for row in connection.run(&query).await? {
                let [Value::Text(run), Value::Integer(key), Value::Integer(head)] = row.as_slice() else { continue };
                let Ok(run) = run.parse::<RunId>() else { continue };
                let grown = plan.streams.get(&run).map_or(0, |growth| growth.count);
                streams.insert(run, Stream { key: *key, head: Offset(head - grown) });
            }
        }
        Ok(streams)
    }

    async fn write_rows(&mut self, connection: &mut Connection, plan: &Plan<'_>) -> Result<(), Failure> {
        let mut rest: Vec<_> = plan.rows.iter().collect();
        while let Some(((name, _), pending)) = rest.first() {
            let (name, table) = (*name, pending.table);
            let (of_table, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|((other, _), _)| *other == name);
            rest = others;
            // What goes first may make room for a unique value that comes.
            let gone = of_table.iter().filter(|(_, pending)| pending.state == RowState::Deleted).map(|((_, id), _)| id);
            delete(connection, table, &gone.collect::<Vec<_>>()).await?;
            for (kind, absent) in [(Kind::Put, false), (Kind::Insert, true)] {
                let puts: Vec<_> = of_table.iter().map(|(_, pending)| *pending).filter(|pending| pending.absent == absent).collect();
                self.put(connection, kind, table, &puts).await?;
            }
        }
        Ok(())
    }

    async fn put(&mut self, connection: &mut Connection, kind: Kind, table: &'static Table, rows: &[&Pending<'_>]) -> Result<(), Failure> {
        let places = SET.map(|column| table.position(column));
        let puts: Vec<_> = rows.iter().filter_map(|pending| pending.state.put()).collect();
        let mut rest = puts.into_iter();
        for length in lengths(rest.len(), table.columns.len()) {
            let mut args: Vec<Arg<'_>> = Vec::with_capacity(length * table.columns.len());
            for (values, set) in rest.by_ref().take(length) {
                let start = args.len();
                args.extend(values.iter().map(Arg::from));
                for (place, value) in places.into_iter().zip(set).filter_map(|(place, value)| place.zip(value)) {
                    args[start + place] = Arg::Integer(value);
                }
            }
            run(connection, self.texts.of(kind, table, length), args).await?;
        }
        Ok(())
    }

    async fn write_counters(&mut self, connection: &mut Connection, plan: &Plan<'_>) -> Result<(), Failure> {
        let mut rest = plan.counters.iter();
        for length in lengths(plan.counters.len(), 2) {
            let args = rest.by_ref().take(length).flat_map(|(id, counter)| [Arg::Text(id.as_ref().into()), Arg::Integer(*counter)]);
            run(connection, self.texts.own(Kind::Counters, length), args.collect()).await?;
        }
        Ok(())
    }

    async fn write_topics(&mut self, connection: &mut Connection, plan: &Plan<'_>) -> Result<(), Failure> {
        let mut rest = plan.topics.iter();
        for length in lengths(plan.topics.len(), 3) {
            let args = rest.by_ref().take(length).flat_map(|((workspace, topic), revision)| {
                [Arg::Text(workspace.to_string().into()), Arg::Text(topic.as_str().into()), Arg::Integer(revision.0)]
            });
            run(connection, self.texts.own(Kind::Topics, length), args.collect()).await?;
        }
        Ok(())
    }

    async fn write_keys(&mut self, connection: &mut Connection, plan: &Plan<'_>) -> Result<(), Failure> {
        let keyed = plan.accepted.iter().filter_map(|accepted| {
            let (key, reply) = (accepted.commit.key.as_ref()?, accepted.reply.as_ref()?);
            Some((key, accepted.revision.unwrap_or_default(), reply))
        });
        let keyed: Vec<_> = keyed.collect();
        let mut rest = keyed.iter();
        for length in lengths(keyed.len(), 7) {
            let args = rest.by_ref().take(length).flat_map(|(key, revision, reply)| {
                [
                    Arg::Text(key.principal.as_str().into()),
                    Arg::Text(key.key.to_string().into()),
                    Arg::Text(key.operation.into()),
                    Arg::Blob(&key.digest),
                    Arg::Integer(revision.0),
                    Arg::Blob(reply),
                    Arg::Integer(key.at.0),
                ]
            });
            run(connection, self.texts.own(Kind::Keys, length), args.collect()).await?;
        }
        match keyed.iter().map(|(key, ..)| key.at).max() {
            Some(newest) if newest >= self.prune_at => self.prune(connection, newest).await,
            _ => Ok(()),
        }
    }

    async fn write_log(
        &mut self,
        connection: &mut Connection,
        streams: &HashMap<RunId, Stream>,
        blocks: &[(RunId, Arc<Block>)],
    ) -> Result<(), Failure> {
        let mut rest = blocks.iter();
        for length in lengths(blocks.len(), 4) {
            let mut args: Vec<Arg<'_>> = Vec::with_capacity(length * 4);
            for (run, block) in rest.by_ref().take(length) {
                let stream = streams.get(run).ok_or_else(|| Failure::Broken(format!("the stream of run {run} was not made")))?;
                args.extend([
                    Arg::Integer(stream.key),
                    Arg::Integer(block.first.0),
                    Arg::Integer(block.count.into()),
                    Arg::Blob(&block.events),
                ]);
            }
            run(connection, self.texts.own(Kind::Log, length), args).await?;
        }
        Ok(())
    }

    /// Removes some of the replies that were kept long enough at this time.
    async fn prune(&mut self, connection: &mut Connection, now: Millis) -> Result<(), Failure> {
        let sql = "DELETE FROM keys WHERE (principal, key) IN \
                   (SELECT principal, key FROM keys WHERE at < $1 ORDER BY at LIMIT $2) RETURNING at";
        let limit = i64::try_from(KEYS_PRUNED).unwrap_or(i64::MAX);
        let args = vec![Arg::Integer(now.plus(-KEY_KEPT_MS).0), Arg::Integer(limit)];
        let query = Query { sql: Arc::from(sql), args, kinds: Cow::Borrowed(&[ColumnKind::Integer]) };
        if connection.run(&query).await?.len() < KEYS_PRUNED {
            self.prune_at = now.plus(KEYS_PRUNED_EVERY_MS);
        }
        Ok(())
    }
}

async fn delete(connection: &mut Connection, table: &'static Table, ids: &[&Id<'_>]) -> Result<(), Failure> {
    let head = format!("DELETE FROM {} WHERE {} IN ", table.name, primary(table));
    for ids in ids.chunks(IDS) {
        connection.run(&among(&head, ids.iter().map(|id| Arg::from(*id)), "", &[])).await?;
    }
    Ok(())
}

async fn run(connection: &mut Connection, sql: Arc<str>, args: Vec<Arg<'_>>) -> Result<(), Failure> {
    connection.run(&Query { sql, args, kinds: Cow::Borrowed(&[]) }).await.map(drop)
}
