// Generated from the protocol's types; do not edit. `cargo run -p crewline-protocol --bin generate` writes it.

/** Who works on a crew's tasks. */
export type Agent = {
  /** Its id. */
  id: string,
  /** Its crew's. */
  revision: Revision,
  /** When its crew was first there. */
  created_at: Millis,
  /** When its crew last changed. */
  updated_at: Millis,
  /** Its crew's name. */
  crew: string,
  /** As the crew names it. */
  name: string,
  /** What it is, with placeholders. */
  role: string,
  /** What it is after, with placeholders. */
  goal: string,
  /** The model that it asks for; absent: the one that is used where none is named. */
  model?: string,
  /** The tools that it may use. */
  tools: Array<string>,
};

/** Tells measures over groups of agents. */
export type AgentAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Reads one agent. */
export type AgentGet = {
  /** Which one. */
  id: string,
};

/** Lists agents, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type AgentList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** What measures tell, group by group. */
export type Aggregated = {
  /** A row a group: `{groups: [..], <measure>: value}`, ordered by the groups, absent last. */
  rows: Array<{ groups: Array<string | number | boolean | null> } & Record<string, unknown>>,
};

/** A key by which a program signs in: as an access token in `hello` or `auth.authenticate`, or for one at the token endpoint. */
export type ApiKey = {
  /** Its id; at the token endpoint the `client_id`. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was made. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** What people call it. */
  name: string,
  /** As what it signs in: `worker`. */
  role: Role,
  /** Who made it; absent: whoever runs the server, on the command line. */
  created_by?: string,
  /** Since when it is good for nothing. */
  revoked_at?: Millis,
};

/** Tells measures over groups of api_keys. */
export type ApiKeyAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Makes a key for a worker. Its `secret` is shown in this answer alone. */
export type ApiKeyCreate = {
  /** An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`. */
  id?: string,
  /** What people call it. */
  name: string,
};

/** A key as it was made, with what is shown this once. */
export type ApiKeyCreated = {
  /** What the program signs in with, `crk_…`; at the token endpoint the `client_secret`. It is stored nowhere. */
  secret: string,
  /** Its id; at the token endpoint the `client_id`. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was made. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** What people call it. */
  name: string,
  /** As what it signs in: `worker`. */
  role: Role,
  /** Who made it; absent: whoever runs the server, on the command line. */
  created_by?: string,
  /** Since when it is good for nothing. */
  revoked_at?: Millis,
};

/** Reads one api_key. */
export type ApiKeyGet = {
  /** Which one. */
  id: string,
};

/** Lists api_keys, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type ApiKeyList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/**
 * Takes a key back: its connections are closed with 4101, and it is good for nothing any more. The runs that its workers hold are theirs
 * until their leases end.
 */
export type ApiKeyRevoke = {
  /** Which one. */
  id: string,
};

/** A question that holds a run until a person answers it. The first answer wins. */
export type Approval = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was asked. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** The session of its run. */
  session_id: string,
  /** The run that it holds. */
  run_id: string,
  /** The task that waits for it, as the run's events name it. */
  task?: string,
  /** The tool's call that waits for it, with `tool`. */
  call?: string,
  /** What is asked for. */
  kind: ApprovalKind,
  /** The question in a line. */
  title: string,
  /** The question. */
  body: string,
  /** The tool that is to be called. */
  tool?: string,
  /** Its arguments. */
  arguments?: unknown,
  /** The JSON Schema of the value that is asked for. */
  schema?: unknown,
  /** Who may answer. */
  roles: Array<Role>,
  /** Until when it may be answered; absent: for ever. */
  expires_at?: Millis,
  /** What becomes of the run then. */
  on_expire: OnExpire,
  /** Where it stands. */
  status: ApprovalStatus,
  /** The answer. */
  answer?: ApprovalAnswered,
  /** Who answered. */
  answered_by?: string,
};

/** Tells measures over groups of approvals. */
export type ApprovalAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/**
 * Answers a question that holds a run. The first answer wins; one that comes later, also after the question has expired or was taken
 * back: `conflict`, `state`, with the row. A role that is not among the row's: `forbidden`.
 */
export type ApprovalAnswer = {
  /** Which question. */
  id: string,
  /** The row's revision, as who answers has seen it; absent: whatever it is. */
  revision?: Revision,
  /** The decision: `answer` for an `input`, `approve` for the others, `reject` for each. */
  verdict: Verdict,
  /** With `approve` of a `tool`: the arguments with which it is called instead, an object. */
  arguments?: unknown,
  /** With `answer`: the value, as the question's schema wants it. */
  value?: unknown,
  /** Words to the agent. */
  comment?: string,
};

/** A person's answer. */
export type ApprovalAnswered = {
  /** What was decided. */
  verdict: Verdict,
  /** The tool's arguments as the person changed them. */
  arguments?: unknown,
  /** The value, with `answer`. */
  value?: unknown,
  /** Words to the agent. */
  comment?: string,
};

/** Reads one approval. */
export type ApprovalGet = {
  /** Which one. */
  id: string,
};

/** What is asked for. */
export type ApprovalKind = "tool" | "input" | "review";

/** Lists approvals, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type ApprovalList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/**
 * Puts a question before people, for a run that the worker holds. The run goes on; `run.park` puts it away until there is an answer, which
 * the run's stream tells.
 */
export type ApprovalRequest = {
  /** Which run. */
  run_id: string,
  /** The epoch of the worker's lease. */
  lease_epoch: number,
  /** The task that waits for it, as the run's events name it. */
  task?: string,
  /** The tool's call that waits for it, with `tool`. */
  call?: string,
  /** What is asked for. */
  kind: ApprovalKind,
  /** The question in a line. */
  title: string,
  /** The question. */
  body: string,
  /** The tool that is to be called: with `kind` `tool` alone, and then it must be there. */
  tool?: string,
  /** Its arguments, an object. */
  arguments?: unknown,
  /** The JSON Schema of the value that is asked for, with `kind` `input`. */
  schema?: unknown,
  /** Who may answer: each of these, and those above; absent or empty: a member. */
  roles?: Array<Role>,
  /** Until when it may be answered; absent: for ever. */
  expires_at?: Millis,
  /** What becomes of the run then; absent: `reject`. */
  on_expire?: OnExpire,
};

/** Where an approval stands. */
export type ApprovalStatus = "pending" | "approved" | "rejected" | "answered" | "expired" | "withdrawn";

/** Takes a question back: the run goes on as if it was rejected. One that waits no more: `conflict`, `state`, with the row. */
export type ApprovalWithdraw = {
  /** Which question. */
  id: string,
};

/** A file that a run made. Its bytes are read apart from its row. */
export type Artifact = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was made. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** The session of its run. */
  session_id: string,
  /** The run that made it. */
  run_id: string,
  /** What it is called, as `report.md`. */
  name: string,
  /** What it holds, as `text/markdown`. */
  media_type: string,
  /** How many bytes it has. */
  size_bytes: number,
};

/** Tells measures over groups of artifacts. */
export type ArtifactAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Adds bytes to the end of a file that a run made, which the worker holds. */
export type ArtifactAppend = {
  /** Which run. */
  run_id: string,
  /** The epoch of the worker's lease. */
  lease_epoch: number,
  /** Which artifact. */
  id: string,
  /** The bytes. */
  bytes: Uint8Array,
};

/** Makes a file of a run that the worker holds. What is longer than one request may be is appended to it. */
export type ArtifactCreate = {
  /** Which run. */
  run_id: string,
  /** The epoch of the worker's lease. */
  lease_epoch: number,
  /** What it is called, as `report.md`. */
  name: string,
  /** What it holds, as `text/markdown`; absent: what the ending of its name says. */
  media_type?: string,
  /** Its bytes, or the first of them. */
  bytes: Uint8Array,
};

/** Reads one artifact. */
export type ArtifactGet = {
  /** Which one. */
  id: string,
};

/** Lists artifacts, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type ArtifactList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** A part of an artifact's bytes. */
export type ArtifactPart = {
  /** The bytes. */
  bytes: Uint8Array,
};

/** Reads a part of an artifact's bytes. */
export type ArtifactRead = {
  /** Which one. */
  id: string,
  /** The first byte's place, from 0; absent: 0. At or behind the end: no bytes. */
  offset?: number,
  /** How many bytes at most; absent: as many as one read gives. */
  limit?: number,
};

/** Signs the connection in with an access token got elsewhere. */
export type AuthAuthenticate = {
  /** The access token. */
  access_token: string,
};

/**
 * Signs the connection in with e-mail and password.
 *
 * A wrong password and an unknown address get the same `unauthenticated`, in the same time.
 */
export type AuthLogin = {
  /** The address; trimmed and lower-cased. */
  email: string,
  /** The password. */
  password: string,
  /** The workspace to act in; absent: the latest. */
  workspace_id?: string,
};

/** Ends this sign-in, or all of the user's: replies, then closes every connection of it with 4201. */
export type AuthLogout = {
  /** Whether to end all sign-ins of the user. */
  everywhere?: boolean,
};

/** Tells who the connection is signed in as. */
export type AuthMe = Record<symbol, never>;

/**
 * Changes a refresh token for new tokens, on the same socket.
 *
 * A refresh token stays good until its successor is first used; after that, using it again signs out all that came from it.
 */
export type AuthRefresh = {
  /** The refresh token. */
  refresh_token: string,
};

/**
 * Makes a user and a workspace of one's own, and signs the connection in as its owner.
 *
 * Sent again within 24 hours with the same e-mail and password it signs in. An address that is taken: `conflict`, `taken`.
 * Where the server's registration is not open: `forbidden`.
 */
export type AuthRegister = {
  /** The address to sign in with; trimmed and lower-cased. */
  email: string,
  /** 10 to 256 characters. */
  password: string,
  /** What others see. */
  name: string,
  /** The workspace's name; absent: made from the user's. */
  workspace?: string,
  /**
   * The token of an invitation for this address; needed where registration is by invitation. It is not accepted by this:
   * `invitation.accept` does that, once signed in.
   */
  invitation?: string,
};

/** Who an access token signed in, and until when. */
export type Authenticated = {
  /** Who is signed in. */
  principal: Principal,
  /** Until when; absent: as long as it is an API key that is not revoked. */
  access_expires_at?: Millis,
};

/** A stretch of the calendar, in UTC. */
export type Bucket = "hour" | "day" | "week" | "month";

/**
 * What all runs of a workspace, or of one of its crews, may take in a day or a month. When any of it is used up, runs end with
 * `over_quota` before their next model call, and none is started.
 */
export type Budget = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was first set. */
  created_at: Millis,
  /** When it was last set. */
  updated_at: Millis,
  /** Whose runs; absent: all of the workspace. */
  crew?: string,
  /** How long it lasts. */
  period: BudgetPeriod,
  /** What models may cost; absent: anything. */
  cost_microusd?: MicroUsd,
  /** Tokens that may go into models and come out, together; absent: any number. */
  tokens?: number,
  /** How long runs may be executed, together; absent: any time. */
  duration_ms?: number,
  /** Who set it last. */
  set_by: string,
};

/** Tells measures over groups of budgets. */
export type BudgetAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Reads one budget. */
export type BudgetGet = {
  /** Which one. */
  id: string,
};

/** Lists budgets, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type BudgetList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** How long a budget lasts, in UTC: then it begins anew. */
export type BudgetPeriod = "day" | "month";

/** Sets what runs may take: the whole budget of this crew and period. With no figure nothing is bounded any more. */
export type BudgetSet = {
  /** Whose runs; absent: all of the workspace. */
  crew?: string,
  /** How long it lasts. */
  period: BudgetPeriod,
  /** What models may cost. */
  cost_microusd?: MicroUsd,
  /** Tokens that may go into models and come out, together. */
  tokens?: number,
  /** How long runs may be executed, together. */
  duration_ms?: number,
};

/** How a run is to end. */
export type CancelMode = "graceful" | "now";

/** A client program. */
export type ClientInfo = {
  /** Its name. */
  name: string,
  /** Its version. */
  version: string,
};

/** A type of record that an app declares. */
export type Collection = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When the app first had it. */
  created_at: Millis,
  /** When the app last changed it. */
  updated_at: Millis,
  /** What operations call it. */
  name: string,
  /** What people call it. */
  title: string,
  /** What its records are. */
  description: string,
  /** The field of `data` that people know a record by. */
  title_field?: string,
  /** The JSON Schema of its records' `data`. */
  schema: Record<string, unknown>,
  /** What its records are kept in order by, for quick lists. */
  indexes: Array<Array<Sort>>,
  /** Who may do what with its records. */
  access: CollectionAccess,
  /** Fields of `data` that hold other records' ids, and of which collection. */
  references?: { [key in string]: string },
  /** From which value of a field to which others, and who may. */
  transitions?: Transitions,
  /** Whether there is one record alone, and for whom. */
  singleton?: Singleton,
};

/** Who may do what with a collection's records. */
export type CollectionAccess = {
  /** Who sees them. */
  read: Array<CollectionWho>,
  /** Who makes them. */
  create: Array<CollectionWho>,
  /** Who changes them. */
  update: Array<CollectionWho>,
  /** Who deletes them. */
  delete: Array<CollectionWho>,
};

/** Tells measures over groups of collections. */
export type CollectionAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Reads one collection. */
export type CollectionGet = {
  /** Which one. */
  id: string,
};

/** Lists collections, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type CollectionList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** A change that a field may make. */
export type CollectionMove = {
  /** From this value. */
  from: string,
  /** To this one. */
  to: string,
  /** Who may make it; absent: whoever may change the record. */
  roles?: Array<CollectionWho>,
};

/** One of those who may do something with a record; nobody may where there are none. */
export type CollectionWho = "viewer" | "member" | "admin" | "owner" | "own";

/** Agents and their tasks. */
export type Crew = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change; 0 for one of the app. */
  revision: Revision,
  /** When the app, or the workspace, first had it. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** What operations call it. */
  name: string,
  /** What people call it. */
  title: string,
  /** What it does. */
  description: string,
  /** Who works on its tasks. */
  process: CrewProcess,
  /** Who executes its runs. */
  executor: CrewExecutor,
  /** The JSON Schema of a run's inputs. */
  input_schema: Record<string, unknown>,
  /** Every input that its texts name. */
  placeholders: Array<string>,
  /** Its agents' names. */
  agents: Array<string>,
  /** Its tasks in their order. */
  tasks: Array<CrewTask>,
  /** Whether it answers what people say in a session. */
  takes_messages: boolean,
  /** The version of the app with it, which runs that begin now keep. */
  version: string,
  /** Who imported it, or changed it last; absent: it is the app's own. */
  imported_by?: string,
};

/** Tells measures over groups of crews. */
export type CrewAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Deletes an imported crew. Runs that go on are not touched. */
export type CrewDelete = {
  /** Which one. */
  id: string,
  /** The row's revision as the client has it: another one is a `conflict`; absent: whatever it is. */
  revision?: Revision,
};

/** Who executes a crew's runs. */
export type CrewExecutor = "engine" | "worker";

/** Reads a crew's files as they were written. */
export type CrewExport = {
  /** Which one. */
  id: string,
};

/** A crew's files. */
export type CrewExported = {
  /** What operations call it. */
  name: string,
  /** Its files by their names. */
  files: { [key in string]: string },
};

/** Reads one crew. */
export type CrewGet = {
  /** Which one. */
  id: string,
};

/**
 * Imports a crew into the workspace, as CrewAI's files have it. What is wrong in them, and what only Python could carry out, is
 * `invalid`, with the file, the line and the column. A name that a crew has already: `conflict`, `taken`.
 */
export type CrewImport = {
  /** An id of the client's own; absent: the server makes one. */
  id?: string,
  /** What operations are to call it: lower-case letters, digits, `-` and `_`. */
  name: string,
  /** Its files by their names. */
  files: { [key in string]: string },
};

/** Lists crews, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type CrewList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** Who works on a crew's tasks. */
export type CrewProcess = "sequential" | "hierarchical";

/** A task of a crew. */
export type CrewTask = {
  /** As the crew names it. */
  name: string,
  /** Who does it; absent: whom the manager gives it to. */
  agent?: string,
  /** What to do, with placeholders. */
  description: string,
};

/** Changes an imported crew: all its files at once. Runs that go on keep those that they began with. */
export type CrewUpdate = {
  /** Which one. */
  id: string,
  /** The row's revision as the client has it: another one is a `conflict`; absent: whatever it is. */
  revision?: Revision,
  /** Its files by their names. */
  files: { [key in string]: string },
};

/** Nothing to say but that it is done. */
export type Done = Record<symbol, never>;

/** A subscription's end. */
export type Ended = {
  /** Why. */
  why: EndedWhy,
  /** What was wrong, with `refused`. */
  fault?: Fault,
};

/** Why a subscription ended. */
export type EndedWhy = "complete" | "forbidden" | "deleted" | "server" | "refused";

/** An error meant for the peer. It never carries an internal error's text. */
export type Fault = {
  /** The stable code. */
  code: FaultCode,
  /** For people: what happened, to what, what to do. */
  message: string,
  /** What a client does next. */
  retry: Retry,
  /** How long to wait before the next try, with `retry: after`. */
  retry_after_ms?: number,
  /** How a conflict came about. */
  reason?: Reason,
  /** Which fields of the input are wrong. */
  fields?: Array<FieldFault>,
  /** The row as it is now, with a conflict. */
  current?: unknown,
  /** Finds the error behind it in the server's log. */
  reference?: string,
};

/** The stable code of a fault. */
export type FaultCode = "invalid" | "unknown_operation" | "key_required" | "key_reused" | "key_expired" | "unauthenticated" | "forbidden" | "not_found" | "conflict" | "rate_limited" | "over_quota" | "too_large" | "too_many" | "timeout" | "cancelled" | "lease_lost" | "unavailable" | "internal" | "protocol_error" | "unsupported_client" | "disconnected";

/** One field of an input that fails validation. */
export type FieldFault = {
  /** Where in the input, as `items[2].name`; empty for the whole. */
  path: string,
  /** A stable word: `type`, `required`, `unknown`, `length`, `range`, `pattern`, `format`, … */
  code: string,
  /** For people. */
  message: string,
};

/** Which rows. What it says of an absent value is false, but for `ne`, which is true of it, and `eq: nil`. */
export type Filter = { "all": Array<Filter> } | { "any": Array<Filter> } | { "not": Filter } | {
  /** Which field. */
  field: string, } & ({ "eq": Scalar } | { "ne": Scalar } | { "lt": Scalar } | { "lte": Scalar } | { "gt": Scalar } | { "gte": Scalar } | { "in": Array<Scalar> } | { "contains": Scalar });

/** The server leaves: finish, and connect anew at a random moment within the window. */
export type Goaway = {
  /** Why. */
  why: GoawayWhy,
  /** The window in which to connect anew. */
  reconnect_within_ms: number,
  /** After this the connection is closed with 4001. */
  drain_ms: number,
};

/** Why the server asks its clients to leave. */
export type GoawayWhy = "shutdown" | "upgrade" | "rebalance";

/** What the rows of a group have in common. */
export type Group = {
  /** The moment's field. */
  field: string,
  /** How long a bucket is. */
  bucket: Bucket,
} | {
  /** The number's field. */
  field: string,
  /** Where cells begin and end, ascending. */
  bounds: Array<number>,
} | {
  /** Which field. */
  field: string,
} | {
  /** The field that refers to it. */
  ref: string,
};

/** The client's first frame, within 5 s of the upgrade. */
export type Hello = {
  /** Which client. */
  client: ClientInfo,
  /** An access token or an API key; absent: nobody is signed in yet. */
  access_token?: string,
  /** The workspace to act in; absent: the principal's latest. */
  workspace_id?: string,
  /** Features that the client knows. */
  features?: Array<string>,
  /** How its last connection ended. */
  last_close?: LastClose,
};

/** An invitation to a workspace. */
export type Invitation = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was made. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** Whom it is for; lower-cased. */
  email: string,
  /** What they may do once they have joined. */
  role: Role,
  /** Who invited them. */
  invited_by: string,
  /** Where it stands. */
  status: InvitationStatus,
  /** Who joined by it. */
  accepted_by?: string,
  /** Until when it may be accepted. */
  expires_at: Millis,
};

/** Joins the workspace that one was invited to, and gives tokens for it; this connection stays where it is. */
export type InvitationAccept = {
  /** The invitation's token. */
  token: string,
};

/** Tells measures over groups of invitations. */
export type InvitationAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Invites someone. Its `token` is shown in this answer alone. Someone who is a member already: `conflict`, `taken`. */
export type InvitationCreate = {
  /** An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`. */
  id?: string,
  /** Whom; trimmed and lower-cased. */
  email: string,
  /** What they may do once they have joined. Only an owner invites owners. */
  role: Role,
};

/** Reads one invitation. */
export type InvitationGet = {
  /** Which one. */
  id: string,
};

/** Lists invitations, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type InvitationList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** Takes an invitation back: its token is good for nothing then. */
export type InvitationRevoke = {
  /** Which one. */
  id: string,
};

/** Where an invitation stands. */
export type InvitationStatus = "pending" | "accepted" | "revoked";

/** An invitation as it was made, with what is shown this once. */
export type Invited = {
  /** Whoever has it and the address may join; hand it to them. */
  token: string,
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was made. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** Whom it is for; lower-cased. */
  email: string,
  /** What they may do once they have joined. */
  role: Role,
  /** Who invited them. */
  invited_by: string,
  /** Where it stands. */
  status: InvitationStatus,
  /** Who joined by it. */
  accepted_by?: string,
  /** Until when it may be accepted. */
  expires_at: Millis,
};

/** How the client's last connection ended. */
export type LastClose = {
  /** The close code. */
  code: number,
  /** When, by the client's clock. */
  at: Millis,
};

/** A worker's hold on one run: it is there as long as the run is the worker's. */
export type Lease = {
  /** Its id: the same run, assigned again, is another lease. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When the run was assigned. */
  created_at: Millis,
  /** When the row last changed. */
  updated_at: Millis,
  /** The run. */
  run_id: string,
  /** Who holds it. */
  worker_id: string,
  /** Its epoch, as what is written under it names it: raised with every new hold on the run. */
  epoch: number,
  /** Which attempt at the run it is; the same as before for a run that was put away or given back. */
  attempt: number,
  /** The session of the run. */
  session_id: string,
  /** The crew's name. */
  crew: string,
  /** What the run was started with. */
  inputs: Record<string, unknown>,
  /** The last offset of the run's stream when it was assigned, `run.started` of this attempt among what is before it. */
  history_head: Offset,
};

/** Tells measures over groups of leases. */
export type LeaseAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Reads one lease. */
export type LeaseGet = {
  /** Which one. */
  id: string,
};

/** A run that a worker holds, as the worker names it. */
export type LeaseHeld = {
  /** The run. */
  run_id: string,
  /** The epoch of its lease. */
  lease_epoch: number,
};

/** A run that a worker goes on with. */
export type LeaseHeldSince = {
  /** The run. */
  run_id: string,
  /** The epoch of its lease. */
  lease_epoch: number,
  /** The last `seq` that is stored; 0: nothing is. */
  seq: number,
};

/** Lists leases, by `id` unless `sort` says otherwise, which is about the order in which they were assigned. A worker sees its own alone. */
export type LeaseList = {
  /** Those of the worker that the connection acts as; where none has registered: `conflict`, `state`. */
  mine?: boolean,
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50, with `mine` 500. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** Moves the ends of leases on. What is not named is not renewed. With none it says that the worker is there. */
export type LeaseRenew = {
  /** The runs that are held. */
  held: Array<LeaseHeld>,
};

/** What became of the leases. */
export type LeaseRenewed = {
  /** Those among the runs that are the worker's no more: it stops them, for nothing that it writes is stored. */
  lost: Array<string>,
};

/** What a connection may hold at once. */
export type Limits = {
  /** Bytes of a message. */
  message_bytes: number,
  /** Bytes of a row. */
  row_bytes: number,
  /** Requests open at once. */
  requests: number,
  /** Subscriptions open at once. */
  subscriptions: number,
  /** Credit that the connection starts with, in bytes. */
  credit_bytes: number,
};

/** One change of a read's output. Those of one frame are applied in order and at once. */
export type LiveChange = {
  /** The row. */
  put: unknown,
  /** The id of the row that it stands before, which is there at this moment; `nil`: it is the last. */
  before: string | null,
} | {
  /** Its id. */
  remove: string,
} | {
  /** The output. */
  value: unknown,
} | {
  /** The cursor. */
  next: string | null,
} | {
  /** The count. */
  total: number,
};

/** How serious a log line is. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** One thing that is told of each group. */
export type Measure = {
  /** What it is called in the answer; not `groups`. */
  name: string,
  /** Of which of the group's rows; absent: all. */
  where?: Filter, } & ({ "count": true | string } | { "sum": string } | { "avg": string } | { "min": string } | { "max": string } | { "p50": string } | { "p95": string });

/** One connection that is here. */
export type Member = {
  /** Which connection: a person may be here more than once. */
  connection_id: string,
  /** Whose it is. */
  principal: MemberPrincipal,
};

/** Tells measures over groups of members. */
export type MemberAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Reads one member. */
export type MemberGet = {
  /** Which one. */
  id: string,
};

/** Lists members, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type MemberList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** Who is here, as far as other members may know. */
export type MemberPrincipal = {
  /** What it is. */
  kind: PrincipalKind,
  /** Its id. */
  id: string,
  /** Its name. */
  name: string,
};

/**
 * Takes a member out of the workspace: their connections in it are closed with 4101. Everyone may leave, admins take out others, only
 * an owner an owner. The last owner stays: `conflict`, `state`.
 */
export type MemberRemove = {
  /** Which membership. */
  id: string,
};

/** Gives a member another role. Only an owner makes owners or changes one, and a workspace keeps at least one: `conflict`, `state`. */
export type MemberUpdate = {
  /** Which membership. */
  id: string,
  /** The row's revision as the client has it: another one is a `conflict`; absent: whatever it is. */
  revision?: Revision,
  /** What they may do from now on. */
  role: Role,
};

/** Something said in a session. */
export type Message = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was said. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** The session that it was said in. */
  session_id: string,
  /** Who said it. */
  author: MessageAuthor,
  /** What was said. */
  text: string,
  /** The run that said it, or that it was said to. */
  run_id?: string,
};

/** Tells measures over groups of messages. */
export type MessageAggregate = {
  /** Where they are. */
  session_id: string,
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Who said something, as they were called then. */
export type MessageAuthor = {
  /** What it is. */
  kind: PrincipalKind,
  /** Its id. */
  id: string,
  /** Its name. */
  name: string,
};

/** Reads one message. */
export type MessageGet = {
  /** Which one. */
  id: string,
};

/** Lists messages, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type MessageList = {
  /** Where they are. */
  session_id: string,
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** Says something in a session. Where a crew answers there, it starts a run of it, whose answer becomes a message when it succeeds. */
export type MessagePost = {
  /** An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`. */
  id?: string,
  /** The session. */
  session_id: string,
  /** What is said: 1 to 16,000 characters. */
  text: string,
  /** What the session's crew is given beside the text. */
  inputs?: Record<string, unknown>,
  /** What becomes of it while a run of the crew goes on in the session; absent: as the crew says. */
  on_busy?: OnBusy,
};

/** Money in micro-US-dollars. */
export type MicroUsd = number;

/** A moment: milliseconds since the Unix epoch, UTC. */
export type Millis = number;

/** Something that the server tells about the connection, without being asked. */
export type Notice = {
  "type": "token_expiring",
  /** When it ends. */
  expires_at: Millis,
} | {
  "type": "principal_changed",
  /** As it is now. */
  principal: Principal,
};

/** A position in a stream: the number of an event, from 1; 0 is before the first. */
export type Offset = number;

/** What becomes of a run that is started in a session while another of the same crew goes on there. */
export type OnBusy = "reject" | "queue" | "steer";

/** What becomes of the run when nobody answers in time. */
export type OnExpire = "reject" | "fail";

/** A part of a noun's rows. */
export type Page<T> = {
  /** The rows, in order. */
  items: Array<T>,
  /** Where the rest begins; absent: there is no more. */
  next?: string,
  /** How many rows the filter matches, where `count` asked for it. */
  total?: number,
};

/** Who acts on a connection, and where. */
export type Principal = {
  /** What it is. */
  kind: PrincipalKind,
  /** The user's id, or the worker's or agent's. */
  id: string,
  /** What others see. */
  name: string,
  /** The user's address. */
  email?: string,
  /** The workspace that the connection acts in. */
  workspace: WorkspaceRef,
  /** The role there. */
  role: Role,
  /** Whether this is an operator of the server. */
  operator?: boolean,
};

/** What acts. */
export type PrincipalKind = "user" | "worker" | "agent";

/** How a `conflict` came about. */
export type Reason = "revision" | "state" | "taken" | "sequence" | "busy";

/** How long a client waits before it connects anew: a random time up to the bound, which doubles from `base_ms` to `max_ms`. */
export type Reconnect = {
  /** The first bound. */
  base_ms: number,
  /** The last bound. */
  max_ms: number,
};

/** Tells measures over groups of records. */
export type RecordAggregate = {
  /** Where they are. */
  collection: string,
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Carries out several writes, in order, in one transaction: all or none, unless `atomic` is `false`. */
export type RecordBatch = {
  /** The writes: 1 to 100. */
  operations: Array<RecordWrite>,
  /** Whether one that is refused refuses all; absent: it does. */
  atomic?: boolean,
};

/** What a batch did. */
export type RecordBatched = {
  /** The outputs, in the order of the writes. */
  results: Array<RecordWritten>,
};

/** Makes a record. What its collection's schema refuses is `invalid`, with the path in `data`. */
export type RecordCreate = {
  /** An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`. */
  id?: string,
  /** The collection's name. */
  collection: string,
  /** Its own fields. */
  data: Record<string, unknown>,
};

/** Deletes a record. */
export type RecordDelete = {
  /** The collection's name. */
  collection: string,
  /** Which one. */
  id: string,
  /** The row's revision as the client has it: another one is a `conflict`; absent: whatever it is. */
  revision?: Revision,
};

/** Reads one record. */
export type RecordGet = {
  /** Where it is. */
  collection: string,
  /** Which one. */
  id: string,
};

/** Lists records, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type RecordList = {
  /** Where they are. */
  collection: string,
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** A row of a collection. */
export type RecordRow = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was made. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** Its collection's name. */
  collection: string,
  /** Its own fields. */
  data: Record<string, unknown>,
  /** Who made it. */
  created_by: string,
};

/** Changes a record: `data` is merged into it by its keys, and `nil` removes one. */
export type RecordUpdate = {
  /** The collection's name. */
  collection: string,
  /** Which one. */
  id: string,
  /** The row's revision as the client has it: another one is a `conflict`; absent: whatever it is. */
  revision?: Revision,
  /** What changes. */
  data: Record<string, unknown>,
};

/** One write of a batch, with the single operation's input. */
export type RecordWrite = { "create": RecordCreate } | { "update": RecordUpdate } | { "delete": RecordDelete };

/** What one write of a batch did. */
export type RecordWritten = RecordRow | {
  /** Why. */
  fault: Fault, } | Done;

/** Options of a reply. */
export type ReplyOptions = {
  /** The revision at which the output is true. */
  as_of?: Revision,
};

/** Options of a request. */
export type RequestOptions = {
  /** The key of a mutation: a UUIDv7, made once and kept through retries. */
  key?: string,
  /** After this the server answers `timeout`. */
  timeout_ms?: number,
  /** A W3C traceparent. */
  trace?: string,
};

/** What a client does after a fault. */
export type Retry = "never" | "same_key" | "after" | "sign_in" | "refetch" | "reconnect";

/** A workspace's count of committed writes; a row's last. */
export type Revision = number;

/** A principal's role in the workspace that its connection acts in. */
export type Role = "viewer" | "member" | "admin" | "owner" | "worker" | "agent";

/** One execution of a crew. */
export type Run = {
  /** Its id; its stream is followed by it. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was started by a person. */
  created_at: Millis,
  /** When the row last changed. */
  updated_at: Millis,
  /** The session that it belongs to. */
  session_id: string,
  /** The crew's name. */
  crew: string,
  /** The app's version that it started with and keeps. */
  version: string,
  /** What it was started with. */
  inputs: Record<string, unknown>,
  /** Where it stands. */
  status: RunStatus,
  /** How often it was begun; 0 before the first time. */
  attempt: number,
  /** From 0 to 1. */
  progress: number,
  /** The last task's output, when it succeeded. */
  output?: string,
  /** Why it failed. */
  fault?: Fault,
  /** What its models took and cost. */
  usage: Usage,
  /** Who started it. */
  started_by: string,
  /** Those with more are executed first. */
  priority: number,
  /** What it may take, beside what its crew may. */
  budget?: RunBudget,
  /** The record that it is about. */
  subject?: RunSubject,
  /** The same record's id, by which runs are found. */
  subject_id?: string,
  /** The message that it answers. */
  message_id?: string,
  /** The run that it tries again. */
  retry_of?: string,
  /** The run that stands for it and others, started with `for_each`. */
  parent_id?: string,
  /** How many runs it stands for, where it was started with `for_each`. */
  runs?: number,
  /** What it waits for, where it is put away, or where no worker serves its crew. */
  waiting_for?: WaitingFor,
  /** When someone asked for its end. */
  cancel_requested_at?: Millis,
  /** Since when it is to pause, or does. */
  pause_requested_at?: Millis,
  /** When it was first begun. */
  started_at?: Millis,
  /** When it ended. */
  finished_at?: Millis,
};

/** Tells measures over groups of runs. */
export type RunAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/**
 * Appends events to the stream of a run that the worker holds: `task.*`, `text.*`, `tool.*`, `progress.reported`, `usage.recorded`,
 * `log.written`, `steer.applied`; the server writes the others. A batch is stored whole or not at all, those of one run in the order in
 * which they come, however many are under way. What is stored already is skipped; a hole is `conflict`, `sequence`, whose `current` is
 * `{seq}`, the last that is stored. The cost of `usage.recorded` is the server's to tell, whatever it says. Where it uses up a budget the
 * run ends, and this is answered with `over_quota`.
 */
export type RunAppend = {
  /** Which run. */
  run_id: string,
  /** The epoch of the worker's lease. */
  lease_epoch: number,
  /** The number of the batch's first event: they count from 1 in each lease epoch. */
  seq: number,
  /** The events. */
  events: Array<RunEvent>,
};

/** What is stored. */
export type RunAppended = {
  /** The number of the last event that is stored. */
  seq: number,
  /** The stream's last offset after it. */
  head: Offset,
};

/** What a run may take; what is absent is not bounded. It ends with `over_quota` when any of it is used up. */
export type RunBudget = {
  /** What its models may cost. */
  cost_microusd?: MicroUsd,
  /** Tokens that may go into its models and come out, together. */
  tokens?: number,
  /** How long it may be executed; what it waits for people does not count. */
  duration_ms?: number,
};

/** Asks a run to end. Replies at once with its row; the stream's `run.finished` says when it has. A finished run: its row. */
export type RunCancel = {
  /** Which run. */
  id: string,
  /** How; absent: `graceful`. */
  mode?: CancelMode,
};

/** One event of a run: what happened, and when. `task`, `part` and `call` are unique within the run over all attempts. */
export type RunEvent = {
  "type": "run.started",
  /** When it happened. */
  at: Millis,
  /** From 1. */
  attempt: number,
  /** The crew's name. */
  crew: string,
  /** What the run was started with. */
  inputs: Record<string, unknown>,
} | {
  "type": "run.waiting",
  /** When it happened. */
  at: Millis,
  /** For what. */
  for: WaitingFor,
} | {
  "type": "run.resumed",
  /** When it happened. */
  at: Millis,
} | {
  "type": "run.pause_requested",
  /** When it happened. */
  at: Millis,
  /** Who. */
  by: string,
} | {
  "type": "run.cancel_requested",
  /** When it happened. */
  at: Millis,
  /** How. */
  mode: CancelMode,
  /** Who. */
  by: string,
} | {
  "type": "run.finished",
  /** When it happened. */
  at: Millis,
  /** `succeeded`, `failed` or `cancelled`. */
  status: RunStatus,
  /** The last task's output. */
  output?: string,
  /** Why it failed. */
  fault?: Fault,
  /** What it took and cost, over all attempts. */
  usage: Usage,
} | {
  "type": "task.started",
  /** When it happened. */
  at: Millis,
  /** The task's id. */
  task: string,
  /** Its name, as `tasks.yaml` has it. */
  name: string,
  /** Who works on it, as `agents.yaml` names the agent. */
  agent: string,
  /** The task under which it was delegated. */
  parent?: string,
} | {
  "type": "task.finished",
  /** When it happened. */
  at: Millis,
  /** The task's id. */
  task: string,
  /** Its output. */
  output: string,
} | {
  "type": "task.failed",
  /** When it happened. */
  at: Millis,
  /** The task's id. */
  task: string,
  /** Why. */
  fault: Fault,
} | {
  "type": "text.started",
  /** When it happened. */
  at: Millis,
  /** The part's id. */
  part: string,
  /** For which task. */
  task: string,
  /** Which agent. */
  agent: string,
  /** What it is. */
  role: TextRole,
} | {
  "type": "text.delta",
  /** When it happened. */
  at: Millis,
  /** The part's id. */
  part: string,
  /** The words. */
  text: string,
} | {
  "type": "text.finished",
  /** When it happened. */
  at: Millis,
  /** The part's id. */
  part: string,
} | {
  "type": "tool.started",
  /** When it happened. */
  at: Millis,
  /** The call's id. */
  call: string,
  /** For which task. */
  task: string,
  /** Which agent. */
  agent: string,
  /** Which tool. */
  tool: string,
  /** The arguments. */
  input: unknown,
} | {
  "type": "tool.finished",
  /** When it happened. */
  at: Millis,
  /** The call's id. */
  call: string,
  /** The result. */
  output: unknown,
} | {
  "type": "tool.failed",
  /** When it happened. */
  at: Millis,
  /** The call's id. */
  call: string,
  /** Why. */
  fault: Fault,
} | {
  "type": "approval.requested",
  /** When it happened. */
  at: Millis,
  /** The row. */
  approval: Approval,
} | {
  "type": "approval.answered",
  /** When it happened. */
  at: Millis,
  /** The row. */
  approval: Approval,
} | {
  "type": "steer.received",
  /** When it happened. */
  at: Millis,
  /** The words' id. */
  steer_id: string,
  /** The words. */
  text: string,
  /** Who gave them. */
  by: string,
} | {
  "type": "steer.applied",
  /** When it happened. */
  at: Millis,
  /** The words' id. */
  steer_id: string,
  /** In which task. */
  task: string,
} | {
  "type": "progress.reported",
  /** When it happened. */
  at: Millis,
  /** From 0 to 1. */
  fraction: number,
  /** What is being done. */
  message: string,
} | {
  "type": "usage.recorded",
  /** When it happened. */
  at: Millis,
  /** For which task. */
  task?: string,
  /** Which agent. */
  agent: string,
  /** Which model. */
  model: string,
  /** Tokens that went in. */
  input_tokens: number,
  /** Tokens that came out. */
  output_tokens: number,
  /** What they cost. */
  cost_microusd: MicroUsd,
} | {
  "type": "artifact.created",
  /** When it happened. */
  at: Millis,
  /** The row. */
  artifact: Artifact,
} | {
  "type": "log.written",
  /** When it happened. */
  at: Millis,
  /** How serious. */
  level: LogLevel,
  /** The line. */
  message: string,
  /** More about it. */
  fields?: Record<string, unknown>,
};

/** Ends a run, and with it the lease, after everything that was appended before. */
export type RunFinish = {
  /** Which run. */
  run_id: string,
  /** The epoch of the worker's lease. */
  lease_epoch: number,
  /** How it ended. `cancelled` where nobody asked for its end: `conflict`, `state`. */
  status: RunOutcome,
  /** Its output; with `succeeded` alone, and then it must be there. */
  output?: string,
  /** Why it failed; with `failed` alone, and then it must be there. */
  fault?: Fault,
};

/** Reads one run. */
export type RunGet = {
  /** Which one. */
  id: string,
};

/** Lists runs, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type RunList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** How a worker says that a run ended. */
export type RunOutcome = "succeeded" | "failed" | "cancelled";

/**
 * Puts a run away until one of its questions is answered, or, where it is to pause, until someone resumes it: the lease ends and its place
 * is free. The next lease has the same attempt. Where nothing is waited for, for it was answered just now: `conflict`, `state`, with the
 * run.
 */
export type RunPark = {
  /** Which run. */
  run_id: string,
  /** The epoch of the worker's lease. */
  lease_epoch: number,
};

/**
 * Asks a run to pause: it waits after the model and tool calls that are going on, held by nobody, until it is resumed. One that is
 * asked already: its row. One that has ended: `conflict`, `state`, with its row.
 */
export type RunPause = {
  /** Which run. */
  id: string,
};

/** Gives a run back: whoever is next goes on with it, in the same attempt. */
export type RunRelease = {
  /** Which run. */
  run_id: string,
  /** The epoch of the worker's lease. */
  lease_epoch: number,
};

/** Lets a paused run go on, or one that was asked to pause. One that is neither: `conflict`, `state`, with its row. */
export type RunResume = {
  /** Which run. */
  id: string,
};

/**
 * Starts a run that has ended anew, as the app is now: with the same inputs, session, subject, priority and budget. Of one that stands
 * for others, those that did not succeed. One that has not ended: `conflict`, `state`, with its row.
 */
export type RunRetry = {
  /** Which run. */
  id: string,
};

/** Starts a run of a crew. It belongs to the server: it goes on when the connection ends. */
export type RunStart = {
  /** An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`. */
  id?: string,
  /** The crew's name, as the app has it. */
  crew: string,
  /** A value for each placeholder of the crew, and what its input schema asks for. */
  inputs?: Record<string, unknown>,
  /** The session that it belongs to; absent: one is made. */
  session_id?: string,
  /** The record that it is about. */
  subject?: RunSubject,
  /**
   * Starts a run for each of these, whose values come before those of `inputs`. The reply is a run that stands for them: it ends when
   * all have ended, and they name it as `parent_id`.
   */
  for_each?: Record<string, unknown>[],
  /** From -100 to 100: those with more are executed first. Absent: 0. */
  priority?: number,
  /** What it may take, beside what its crew may: the tighter of both holds. With `for_each`, each of the runs. */
  budget?: RunBudget,
  /** What becomes of it while another run of the crew goes on in the session; absent: as the crew says. */
  on_busy?: OnBusy,
};

/** Where a run stands. */
export type RunStatus = "queued" | "running" | "waiting" | "succeeded" | "failed" | "cancelled";

/**
 * Gives words to a run's agents: the next model call reads them. Those that come too late become messages of the session.
 * A run that has ended: `conflict`, `state`, with its row.
 */
export type RunSteer = {
  /** Which run. */
  id: string,
  /** The words. */
  text: string,
};

/** A record that a run is about. */
export type RunSubject = {
  /** Its collection. */
  collection: string,
  /** Its id. */
  id: string,
};

/** A value that a test names. */
export type Scalar = null | boolean | number | string;

/** The server program. */
export type ServerInfo = {
  /** Its name. */
  name: string,
  /** Its version. */
  version: string,
  /** Which build. */
  build: string,
};

/** A durable shared place where people and agents work. */
export type Session = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it was made. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** What people call it. */
  title: string,
  /** Who made it. */
  created_by: string,
  /** The crew that answers what people say in it. */
  crew?: string,
  /** When it was put away; absent: it is in use. */
  archived_at?: Millis,
};

/** Tells measures over groups of sessions. */
export type SessionAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** Puts a session away, or takes it out again. Nothing of it is lost, and its runs go on. */
export type SessionArchive = {
  /** Which one. */
  id: string,
  /** The row's revision as the client has it: another one is a `conflict`; absent: whatever it is. */
  revision?: Revision,
  /** Whether it is put away; absent: it is. */
  archived?: boolean,
};

/** Makes a session. */
export type SessionCreate = {
  /** An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`. */
  id?: string,
  /** What people call it. */
  title: string,
  /** The crew that answers what people say in it: one with a `message_input`. Absent: none does. */
  crew?: string,
};

/** Deletes a session with its messages. While a run of it has not ended: `conflict`, `state`. */
export type SessionDelete = {
  /** Which one. */
  id: string,
  /** The row's revision as the client has it: another one is a `conflict`; absent: whatever it is. */
  revision?: Revision,
};

/** Reads one session. */
export type SessionGet = {
  /** Which one. */
  id: string,
};

/** Lists sessions, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type SessionList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** Changes a session. */
export type SessionUpdate = {
  /** Which one. */
  id: string,
  /** The row's revision as the client has it: another one is a `conflict`; absent: whatever it is. */
  revision?: Revision,
  /** What people call it; absent: as before. */
  title?: string,
  /** The crew that answers what people say in it; `nil`: none from now on; absent: as before. */
  crew?: string | null,
};

/** Tokens of a sign-in, and who it is. */
export type SignedIn = {
  /** Proves who one is, until it ends. */
  access_token: string,
  /** When the access token ends. */
  access_expires_at: Millis,
  /** Gets the next tokens. */
  refresh_token: string,
  /** When the refresh token ends. */
  refresh_expires_at: Millis,
  /** Who is signed in. */
  principal: Principal,
};

/** For whom a collection has its one record. */
export type Singleton = "user" | "workspace";

/** A field that a list is sorted by. Absent values come last either way, and equals by `id`. */
export type Sort = {
  /** Which field. */
  field: string,
  /** Whether the greatest comes first. */
  descending?: boolean,
};

/** Options of a subscription. Presence has none. */
export type SubscribeOptions = {
  /** The last offset of a run that the client has applied; absent: 0. The revision that it has of a query; absent: none. */
  from?: number,
  /** The credit to start with, in bytes; absent: 256 KiB. */
  credit?: number,
};

/** A subscription to a query has begun. */
export type SubscribedQuery = {
  /** The revision at which the query stands. */
  revision: Revision,
  /** Whether a snapshot follows; else changes since `from` do. */
  snapshot: boolean,
};

/** A subscription to a run has begun. */
export type SubscribedRun = {
  /** Events after this offset follow. */
  from: Offset,
  /** The stream's last offset. */
  head: Offset,
  /** Whether the run has finished: nothing will come after `head`. */
  complete: boolean,
};

/** What is followed. */
export type Target = {
  /** Which run. */
  run: string,
  /** Only events of these types; absent: all. */
  only?: Array<string>,
} | {
  /** Which read. */
  query: TargetQuery,
} | {
  /** Which session. */
  presence: TargetPresence,
};

/** Where someone is present. */
export type TargetPresence = {
  /** The session. */
  session_id: string,
};

/** A read that is followed. */
export type TargetQuery = {
  /** The operation's name; the table of operations marks it live. */
  op: string,
  /** Its input, without `cursor`. */
  input: Record<string, unknown>,
};

/** What a text is. */
export type TextRole = "answer" | "thought";

/** How a field of a record may change. */
export type Transitions = {
  /** Which field. */
  field: string,
  /** What it may be in a new record; empty: whatever the schema allows. */
  initial: Array<string>,
  /** Each change that it may make. */
  moves: Array<CollectionMove>,
};

/** What models took and cost. */
export type Usage = {
  /** Tokens that went into models. */
  input_tokens: number,
  /** Tokens that came out. */
  output_tokens: number,
  /** What they cost. */
  cost_microusd: MicroUsd,
};

/** What a person decides. */
export type Verdict = "approve" | "reject" | "answer";

/** What a run waits for. */
export type WaitingFor = "approval" | "pause" | "worker";

/** The server's answer to `hello`. */
export type Welcome = {
  /** The connection's id; the server's log names it. */
  connection_id: string,
  /** Which server. */
  server: ServerInfo,
  /** The server's clock. */
  now_at: Millis,
  /** The database's incarnation. A client that knew another forgets every position. */
  epoch: string,
  /** Who is signed in. */
  principal?: Principal,
  /** What the connection may hold. */
  limits: Limits,
  /** How often the server pings; two without a byte end the connection. */
  heartbeat_ms: number,
  /** Features that both know. */
  features: Array<string>,
  /** How to connect anew. */
  reconnect: Reconnect,
};

/** A process that executes runs. The same key and name is the same worker. */
export type Worker = {
  /** Its id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When it first registered. */
  created_at: Millis,
  /** When the row last changed. */
  updated_at: Millis,
  /** Its name. */
  name: string,
  /** The key that it signs in with. */
  api_key_id: string,
  /** The crews that it serves. */
  crews: Array<string>,
  /** What it has that crews may ask for. */
  labels: Array<string>,
  /** How many runs it holds at most. */
  capacity: number,
  /** How many it holds, as of a moment ago. */
  held: number,
  /** Where it stands. */
  state: WorkerState,
  /** Whether an admin asked it to take no more. */
  drained: boolean,
  /** When it last said something, as of the row's last reading: it moves no revision. */
  last_seen_at: Millis,
};

/** Tells measures over groups of workers. */
export type WorkerAggregate = {
  /** What a group's rows have in common; absent: all are one group. */
  groups?: Array<Group>,
  /** What is told of each group. */
  measures: Array<Measure>,
  /** Which rows; absent: all. */
  filter?: Filter,
};

/** A crew that a worker serves. */
export type WorkerCrew = {
  /** Its name, as `run.start` takes it: that of one in the app or imported whose `crew.yaml` says `executor: worker`, or a new one. */
  name: string,
  /** Which version of it. */
  version?: string,
  /** What it does. */
  description?: string,
  /** The JSON Schema of a run's inputs, of type `object`; absent: any. Of a crew that `crew.yaml` describes, its own holds. */
  input_schema?: Record<string, unknown>,
};

/** Asks a worker to take no more runs, or to take some again. What it holds it goes on with. */
export type WorkerDrain = {
  /** Which one. */
  id: string,
  /** Whether it takes no more; absent: so. */
  drained?: boolean,
};

/** Reads one worker. */
export type WorkerGet = {
  /** Which one. */
  id: string,
};

/** Lists workers, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type WorkerList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/**
 * Says that a worker is there, what it serves, and which runs it goes on with. Crews that nobody described before are there for everyone
 * from then on. What the worker held before and does not name in `held` is lost to it. The connection acts as this worker from then on; an
 * older one of it gets `ended: server` on its subscriptions. A worker that stays must say something, `lease.renew` or this, within
 * `lease_ms`.
 */
export type WorkerRegister = {
  /** Its name; the same key and name is the same worker. */
  name: string,
  /** The crews that it serves. */
  crews: Array<WorkerCrew>,
  /** How many runs it holds at most; 0: it takes no more. */
  capacity: number,
  /** What it has that crews may ask for, as `gpu`: a run is given to a worker that has all `labels` of its crew's `crew.yaml`. */
  labels?: Array<string>,
  /** The runs that it goes on with. */
  held?: Array<LeaseHeld>,
};

/** A worker that is registered. */
export type WorkerRegistered = {
  /** The row. */
  worker: Worker,
  /** How long a lease holds without being renewed: `lease.renew` comes every third of it. */
  lease_ms: number,
  /** The runs among those named that it still holds. */
  held: Array<LeaseHeldSince>,
};

/** Where a worker stands. */
export type WorkerState = "online" | "draining" | "offline";

/** The boundary of members, data and quota. */
export type Workspace = {
  /** Its id. */
  id: string,
  /** Its revision when this row last changed. */
  revision: Revision,
  /** When it was made. */
  created_at: Millis,
  /** When the row last changed. */
  updated_at: Millis,
  /** What people call it. */
  name: string,
};

/** Reads one workspace. */
export type WorkspaceGet = {
  /** Which one. */
  id: string,
};

/** Lists workspaces, by `id` unless `sort` says otherwise, which is about the order in which they were made. */
export type WorkspaceList = {
  /** Which; absent: all. */
  filter?: Filter,
  /** By what; equals come by `id`. */
  sort?: Array<Sort>,
  /** How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50. */
  limit?: number,
  /** `next` of the list before. */
  cursor?: string,
  /** Whether to tell how many match in all. */
  count?: boolean,
};

/** A person in a workspace. */
export type WorkspaceMember = {
  /** The membership's id. */
  id: string,
  /** The workspace's revision at its last change. */
  revision: Revision,
  /** When they joined. */
  created_at: Millis,
  /** When it last changed. */
  updated_at: Millis,
  /** Who it is. */
  user_id: string,
  /** What others see. */
  name: string,
  /** The address that they sign in with. */
  email: string,
  /** What they may do here. */
  role: Role,
};

/** A workspace by id and name. */
export type WorkspaceRef = {
  /** Its id. */
  id: string,
  /** Its name. */
  name: string,
};

/** Changes the workspace that the connection acts in. */
export type WorkspaceUpdate = {
  /** Which one. */
  id: string,
  /** The row's revision as the client has it: another one is a `conflict`; absent: whatever it is. */
  revision?: Revision,
  /** What people call it; absent: as before. */
  name?: string,
};

/** Every operation: its input and output, and what sending it again does. */
export type Operations = {
  "auth.register": { kind: "idempotent", live: false, input: AuthRegister, output: SignedIn },
  "auth.login": { kind: "idempotent", live: false, input: AuthLogin, output: SignedIn },
  "auth.refresh": { kind: "idempotent", live: false, input: AuthRefresh, output: SignedIn },
  "auth.authenticate": { kind: "idempotent", live: false, input: AuthAuthenticate, output: Authenticated },
  "auth.logout": { kind: "idempotent", live: false, input: AuthLogout, output: Done },
  "auth.me": { kind: "read", live: false, input: AuthMe, output: Principal },
  "workspace.get": { kind: "read", live: true, input: WorkspaceGet, output: Workspace },
  "workspace.list": { kind: "read", live: false, input: WorkspaceList, output: Page<Workspace> },
  "workspace.update": { kind: "mutation", live: false, input: WorkspaceUpdate, output: Workspace },
  "member.get": { kind: "read", live: true, input: MemberGet, output: WorkspaceMember },
  "member.list": { kind: "read", live: true, input: MemberList, output: Page<WorkspaceMember> },
  "member.aggregate": { kind: "read", live: true, input: MemberAggregate, output: Aggregated },
  "member.update": { kind: "mutation", live: false, input: MemberUpdate, output: WorkspaceMember },
  "member.remove": { kind: "mutation", live: false, input: MemberRemove, output: Done },
  "invitation.get": { kind: "read", live: true, input: InvitationGet, output: Invitation },
  "invitation.list": { kind: "read", live: true, input: InvitationList, output: Page<Invitation> },
  "invitation.aggregate": { kind: "read", live: true, input: InvitationAggregate, output: Aggregated },
  "invitation.create": { kind: "mutation", live: false, input: InvitationCreate, output: Invited },
  "invitation.revoke": { kind: "mutation", live: false, input: InvitationRevoke, output: Invitation },
  "invitation.accept": { kind: "idempotent", live: false, input: InvitationAccept, output: SignedIn },
  "api_key.get": { kind: "read", live: true, input: ApiKeyGet, output: ApiKey },
  "api_key.list": { kind: "read", live: true, input: ApiKeyList, output: Page<ApiKey> },
  "api_key.aggregate": { kind: "read", live: true, input: ApiKeyAggregate, output: Aggregated },
  "api_key.create": { kind: "mutation", live: false, input: ApiKeyCreate, output: ApiKeyCreated },
  "api_key.revoke": { kind: "mutation", live: false, input: ApiKeyRevoke, output: ApiKey },
  "session.create": { kind: "mutation", live: false, input: SessionCreate, output: Session },
  "session.get": { kind: "read", live: true, input: SessionGet, output: Session },
  "session.list": { kind: "read", live: true, input: SessionList, output: Page<Session> },
  "session.aggregate": { kind: "read", live: true, input: SessionAggregate, output: Aggregated },
  "session.update": { kind: "mutation", live: false, input: SessionUpdate, output: Session },
  "session.archive": { kind: "mutation", live: false, input: SessionArchive, output: Session },
  "session.delete": { kind: "mutation", live: false, input: SessionDelete, output: Done },
  "message.get": { kind: "read", live: true, input: MessageGet, output: Message },
  "message.list": { kind: "read", live: true, input: MessageList, output: Page<Message> },
  "message.aggregate": { kind: "read", live: true, input: MessageAggregate, output: Aggregated },
  "message.post": { kind: "mutation", live: false, input: MessagePost, output: Message },
  "run.start": { kind: "mutation", live: false, input: RunStart, output: Run },
  "run.get": { kind: "read", live: true, input: RunGet, output: Run },
  "run.list": { kind: "read", live: true, input: RunList, output: Page<Run> },
  "run.aggregate": { kind: "read", live: true, input: RunAggregate, output: Aggregated },
  "run.cancel": { kind: "mutation", live: false, input: RunCancel, output: Run },
  "run.steer": { kind: "mutation", live: false, input: RunSteer, output: Run },
  "run.pause": { kind: "mutation", live: false, input: RunPause, output: Run },
  "run.resume": { kind: "mutation", live: false, input: RunResume, output: Run },
  "run.retry": { kind: "mutation", live: false, input: RunRetry, output: Run },
  "run.append": { kind: "idempotent", live: false, input: RunAppend, output: RunAppended },
  "run.park": { kind: "mutation", live: false, input: RunPark, output: Run },
  "run.finish": { kind: "mutation", live: false, input: RunFinish, output: Run },
  "run.release": { kind: "mutation", live: false, input: RunRelease, output: Run },
  "approval.get": { kind: "read", live: true, input: ApprovalGet, output: Approval },
  "approval.list": { kind: "read", live: true, input: ApprovalList, output: Page<Approval> },
  "approval.aggregate": { kind: "read", live: true, input: ApprovalAggregate, output: Aggregated },
  "approval.answer": { kind: "mutation", live: false, input: ApprovalAnswer, output: Approval },
  "approval.withdraw": { kind: "mutation", live: false, input: ApprovalWithdraw, output: Approval },
  "approval.request": { kind: "mutation", live: false, input: ApprovalRequest, output: Approval },
  "worker.get": { kind: "read", live: true, input: WorkerGet, output: Worker },
  "worker.list": { kind: "read", live: true, input: WorkerList, output: Page<Worker> },
  "worker.aggregate": { kind: "read", live: true, input: WorkerAggregate, output: Aggregated },
  "worker.register": { kind: "idempotent", live: false, input: WorkerRegister, output: WorkerRegistered },
  "worker.drain": { kind: "mutation", live: false, input: WorkerDrain, output: Worker },
  "lease.get": { kind: "read", live: true, input: LeaseGet, output: Lease },
  "lease.list": { kind: "read", live: true, input: LeaseList, output: Page<Lease> },
  "lease.aggregate": { kind: "read", live: true, input: LeaseAggregate, output: Aggregated },
  "lease.renew": { kind: "idempotent", live: false, input: LeaseRenew, output: LeaseRenewed },
  "crew.get": { kind: "read", live: true, input: CrewGet, output: Crew },
  "crew.list": { kind: "read", live: true, input: CrewList, output: Page<Crew> },
  "crew.aggregate": { kind: "read", live: true, input: CrewAggregate, output: Aggregated },
  "crew.import": { kind: "mutation", live: false, input: CrewImport, output: Crew },
  "crew.update": { kind: "mutation", live: false, input: CrewUpdate, output: Crew },
  "crew.delete": { kind: "mutation", live: false, input: CrewDelete, output: Done },
  "crew.export": { kind: "read", live: false, input: CrewExport, output: CrewExported },
  "agent.get": { kind: "read", live: true, input: AgentGet, output: Agent },
  "agent.list": { kind: "read", live: true, input: AgentList, output: Page<Agent> },
  "agent.aggregate": { kind: "read", live: true, input: AgentAggregate, output: Aggregated },
  "artifact.get": { kind: "read", live: true, input: ArtifactGet, output: Artifact },
  "artifact.list": { kind: "read", live: true, input: ArtifactList, output: Page<Artifact> },
  "artifact.aggregate": { kind: "read", live: true, input: ArtifactAggregate, output: Aggregated },
  "artifact.read": { kind: "read", live: false, input: ArtifactRead, output: ArtifactPart },
  "artifact.create": { kind: "mutation", live: false, input: ArtifactCreate, output: Artifact },
  "artifact.append": { kind: "mutation", live: false, input: ArtifactAppend, output: Artifact },
  "budget.get": { kind: "read", live: true, input: BudgetGet, output: Budget },
  "budget.list": { kind: "read", live: true, input: BudgetList, output: Page<Budget> },
  "budget.aggregate": { kind: "read", live: true, input: BudgetAggregate, output: Aggregated },
  "budget.set": { kind: "mutation", live: false, input: BudgetSet, output: Budget },
  "collection.get": { kind: "read", live: true, input: CollectionGet, output: Collection },
  "collection.list": { kind: "read", live: true, input: CollectionList, output: Page<Collection> },
  "collection.aggregate": { kind: "read", live: true, input: CollectionAggregate, output: Aggregated },
  "record.create": { kind: "mutation", live: false, input: RecordCreate, output: RecordRow },
  "record.get": { kind: "read", live: true, input: RecordGet, output: RecordRow },
  "record.list": { kind: "read", live: true, input: RecordList, output: Page<RecordRow> },
  "record.aggregate": { kind: "read", live: true, input: RecordAggregate, output: Aggregated },
  "record.update": { kind: "mutation", live: false, input: RecordUpdate, output: RecordRow },
  "record.delete": { kind: "mutation", live: false, input: RecordDelete, output: Done },
  "record.batch": { kind: "mutation", live: false, input: RecordBatch, output: RecordBatched },
};

/** What sending each operation again does: a `mutation` carries a key. */
export const OPERATION_KINDS = {
  "auth.register": "idempotent",
  "auth.login": "idempotent",
  "auth.refresh": "idempotent",
  "auth.authenticate": "idempotent",
  "auth.logout": "idempotent",
  "auth.me": "read",
  "workspace.get": "read",
  "workspace.list": "read",
  "workspace.update": "mutation",
  "member.get": "read",
  "member.list": "read",
  "member.aggregate": "read",
  "member.update": "mutation",
  "member.remove": "mutation",
  "invitation.get": "read",
  "invitation.list": "read",
  "invitation.aggregate": "read",
  "invitation.create": "mutation",
  "invitation.revoke": "mutation",
  "invitation.accept": "idempotent",
  "api_key.get": "read",
  "api_key.list": "read",
  "api_key.aggregate": "read",
  "api_key.create": "mutation",
  "api_key.revoke": "mutation",
  "session.create": "mutation",
  "session.get": "read",
  "session.list": "read",
  "session.aggregate": "read",
  "session.update": "mutation",
  "session.archive": "mutation",
  "session.delete": "mutation",
  "message.get": "read",
  "message.list": "read",
  "message.aggregate": "read",
  "message.post": "mutation",
  "run.start": "mutation",
  "run.get": "read",
  "run.list": "read",
  "run.aggregate": "read",
  "run.cancel": "mutation",
  "run.steer": "mutation",
  "run.pause": "mutation",
  "run.resume": "mutation",
  "run.retry": "mutation",
  "run.append": "idempotent",
  "run.park": "mutation",
  "run.finish": "mutation",
  "run.release": "mutation",
  "approval.get": "read",
  "approval.list": "read",
  "approval.aggregate": "read",
  "approval.answer": "mutation",
  "approval.withdraw": "mutation",
  "approval.request": "mutation",
  "worker.get": "read",
  "worker.list": "read",
  "worker.aggregate": "read",
  "worker.register": "idempotent",
  "worker.drain": "mutation",
  "lease.get": "read",
  "lease.list": "read",
  "lease.aggregate": "read",
  "lease.renew": "idempotent",
  "crew.get": "read",
  "crew.list": "read",
  "crew.aggregate": "read",
  "crew.import": "mutation",
  "crew.update": "mutation",
  "crew.delete": "mutation",
  "crew.export": "read",
  "agent.get": "read",
  "agent.list": "read",
  "agent.aggregate": "read",
  "artifact.get": "read",
  "artifact.list": "read",
  "artifact.aggregate": "read",
  "artifact.read": "read",
  "artifact.create": "mutation",
  "artifact.append": "mutation",
  "budget.get": "read",
  "budget.list": "read",
  "budget.aggregate": "read",
  "budget.set": "mutation",
  "collection.get": "read",
  "collection.list": "read",
  "collection.aggregate": "read",
  "record.create": "mutation",
  "record.get": "read",
  "record.list": "read",
  "record.aggregate": "read",
  "record.update": "mutation",
  "record.delete": "mutation",
  "record.batch": "mutation",
} as const satisfies { [Name in keyof Operations]: Operations[Name]["kind"] };

/** What the reads of each noun may name: in a filter, and in `sort`. */
export const NOUNS = {
  workspace: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    name: {"is":"text","filter":true,"sort":true},
  },
  member: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    user_id: {"is":"id","filter":true,"sort":true},
    name: {"is":"text","filter":true,"sort":true},
    email: {"is":"text","filter":true,"sort":true},
    role: {"is":"text","filter":true,"sort":true},
  },
  invitation: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    email: {"is":"text","filter":true,"sort":true},
    role: {"is":"text","filter":true,"sort":true},
    invited_by: {"is":"id","filter":true,"sort":true},
    status: {"is":"text","filter":true,"sort":true},
    accepted_by: {"is":"id","optional":true,"filter":true,"sort":true},
    expires_at: {"is":"time","filter":true,"sort":true},
  },
  api_key: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    name: {"is":"text","filter":true,"sort":true},
    role: {"is":"text","filter":true,"sort":true},
    created_by: {"is":"id","optional":true,"filter":true,"sort":true,"refers":"member"},
    revoked_at: {"is":"time","optional":true,"filter":true,"sort":true},
  },
  session: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    title: {"is":"text","filter":true,"sort":true},
    created_by: {"is":"id","filter":true,"sort":true,"refers":"member"},
    crew: {"is":"text","optional":true,"filter":true,"sort":true},
    archived_at: {"is":"time","optional":true,"filter":true,"sort":true},
  },
  message: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    session_id: {"is":"id","filter":true,"sort":true,"refers":"session"},
    author: {"is":"any value"},
    text: {"is":"text","filter":true},
    run_id: {"is":"id","optional":true,"filter":true,"sort":true,"refers":"run"},
  },
  run: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    session_id: {"is":"id","filter":true,"sort":true,"refers":"session"},
    crew: {"is":"text","filter":true,"sort":true},
    version: {"is":"text","filter":true,"sort":true},
    inputs: {"is":"any value"},
    status: {"is":"text","filter":true,"sort":true},
    attempt: {"is":"integer","filter":true,"sort":true},
    progress: {"is":"number","filter":true,"sort":true},
    output: {"is":"text","optional":true,"filter":true},
    fault: {"is":"any value","optional":true},
    usage: {"is":"any value"},
    started_by: {"is":"id","filter":true,"sort":true,"refers":"member"},
    priority: {"is":"integer","filter":true,"sort":true},
    budget: {"is":"any value","optional":true},
    subject: {"is":"any value","optional":true},
    subject_id: {"is":"id","optional":true,"filter":true,"sort":true},
    message_id: {"is":"id","optional":true,"filter":true,"sort":true,"refers":"message"},
    retry_of: {"is":"id","optional":true,"filter":true,"sort":true,"refers":"run"},
    parent_id: {"is":"id","optional":true,"filter":true,"sort":true,"refers":"run"},
    runs: {"is":"integer","optional":true,"filter":true,"sort":true},
    waiting_for: {"is":"text","optional":true,"filter":true,"sort":true},
    cancel_requested_at: {"is":"time","optional":true,"filter":true,"sort":true},
    pause_requested_at: {"is":"time","optional":true,"filter":true,"sort":true},
    started_at: {"is":"time","optional":true,"filter":true,"sort":true},
    finished_at: {"is":"time","optional":true,"filter":true,"sort":true},
  },
  approval: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    session_id: {"is":"id","filter":true,"sort":true,"refers":"session"},
    run_id: {"is":"id","filter":true,"sort":true,"refers":"run"},
    task: {"is":"text","optional":true,"filter":true,"sort":true},
    call: {"is":"text","optional":true,"filter":true,"sort":true},
    kind: {"is":"text","filter":true,"sort":true},
    title: {"is":"text","filter":true},
    body: {"is":"text","filter":true},
    tool: {"is":"text","optional":true,"filter":true,"sort":true},
    arguments: {"is":"any value","optional":true},
    schema: {"is":"any value","optional":true},
    roles: {"is":"any value"},
    expires_at: {"is":"time","optional":true,"filter":true,"sort":true},
    on_expire: {"is":"text","filter":true,"sort":true},
    status: {"is":"text","filter":true,"sort":true},
    answer: {"is":"any value","optional":true},
    answered_by: {"is":"id","optional":true,"filter":true,"sort":true},
  },
  worker: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    name: {"is":"text","filter":true,"sort":true},
    api_key_id: {"is":"id","filter":true,"sort":true,"refers":"api_key"},
    crews: {"is":"list of text","filter":true},
    labels: {"is":"list of text","filter":true},
    capacity: {"is":"integer","filter":true,"sort":true},
    held: {"is":"integer","filter":true,"sort":true},
    state: {"is":"text","filter":true,"sort":true},
    drained: {"is":"boolean","filter":true,"sort":true},
    last_seen_at: {"is":"time","filter":true,"sort":true},
  },
  lease: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    run_id: {"is":"id","filter":true,"sort":true,"refers":"run"},
    worker_id: {"is":"id","filter":true,"sort":true,"refers":"worker"},
    epoch: {"is":"integer","filter":true,"sort":true},
    attempt: {"is":"integer","filter":true,"sort":true},
    session_id: {"is":"id","filter":true,"sort":true,"refers":"session"},
    crew: {"is":"text","filter":true,"sort":true},
    inputs: {"is":"any value"},
    history_head: {"is":"integer","filter":true,"sort":true},
  },
  artifact: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    session_id: {"is":"id","filter":true,"sort":true,"refers":"session"},
    run_id: {"is":"id","filter":true,"sort":true,"refers":"run"},
    name: {"is":"text","filter":true,"sort":true},
    media_type: {"is":"text","filter":true,"sort":true},
    size_bytes: {"is":"integer","filter":true,"sort":true},
  },
  budget: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    crew: {"is":"text","optional":true,"filter":true,"sort":true},
    period: {"is":"text","filter":true,"sort":true},
    cost_microusd: {"is":"integer","optional":true,"filter":true,"sort":true},
    tokens: {"is":"integer","optional":true,"filter":true,"sort":true},
    duration_ms: {"is":"integer","optional":true,"filter":true,"sort":true},
    set_by: {"is":"id","filter":true,"sort":true,"refers":"member"},
  },
  crew: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    name: {"is":"text","filter":true,"sort":true},
    title: {"is":"text","filter":true,"sort":true},
    description: {"is":"text","filter":true},
    process: {"is":"text","filter":true,"sort":true},
    executor: {"is":"text","filter":true,"sort":true},
    input_schema: {"is":"any value"},
    placeholders: {"is":"list of text","filter":true},
    agents: {"is":"list of text","filter":true},
    tasks: {"is":"any value"},
    takes_messages: {"is":"boolean","filter":true,"sort":true},
    version: {"is":"text","filter":true,"sort":true},
    imported_by: {"is":"id","optional":true,"filter":true,"sort":true,"refers":"member"},
  },
  agent: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    crew: {"is":"text","filter":true,"sort":true},
    name: {"is":"text","filter":true,"sort":true},
    role: {"is":"text","filter":true,"sort":true},
    goal: {"is":"text","filter":true},
    model: {"is":"text","optional":true,"filter":true,"sort":true},
    tools: {"is":"list of text","filter":true},
  },
  collection: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    name: {"is":"text","filter":true,"sort":true},
    title: {"is":"text","filter":true,"sort":true},
    description: {"is":"text","filter":true},
    title_field: {"is":"text","optional":true,"filter":true,"sort":true},
    schema: {"is":"any value"},
    indexes: {"is":"any value"},
    access: {"is":"any value"},
    references: {"is":"any value","optional":true},
    transitions: {"is":"any value","optional":true},
    singleton: {"is":"text","optional":true,"filter":true,"sort":true},
  },
  record: {
    id: {"is":"id","filter":true,"sort":true},
    revision: {"is":"integer","filter":true,"sort":true},
    created_at: {"is":"time","filter":true,"sort":true},
    updated_at: {"is":"time","filter":true,"sort":true},
    collection: {"is":"text","filter":true,"sort":true},
    data: {"is":"any value"},
    created_by: {"is":"id","filter":true,"sort":true,"refers":"member"},
  },
} as const;

/** The client's first frame, within 5 s of the upgrade. */
export type HelloFrame = [kind: 1, body: Hello];

/** The server's answer to `hello`. */
export type WelcomeFrame = [kind: 2, body: Welcome];

/** Asks for an operation. `id` counts up from 1. */
export type RequestFrame = [kind: 3, id: number, op: string, input: unknown, options?: RequestOptions];

/** A request's answer. */
export type ReplyFrame = [kind: 4, id: number, output: unknown, options?: ReplyOptions];

/** Why a request has no answer. With id 0 it is about the connection, and a close may follow. */
export type FaultFrame = [kind: 5, id: number, fault: Fault];

/** Asks the server to stop a request: a fault `cancelled` follows, or the reply if it was too late. */
export type CancelFrame = [kind: 6, id: number];

/** Follows something. `sub` counts up from 1. */
export type SubscribeFrame = [kind: 10, sub: number, target: Target, options?: SubscribeOptions];

/** A subscription to a run, a query or a session's presence has begun. */
export type SubscribedFrame = [kind: 11, sub: number, body: SubscribedRun | SubscribedQuery | Done];

/** A run's events at the offsets (offset − span, offset] that this subscriber gets, or a query's changes up to the revision `offset`. */
export type EventsFrame = [kind: 12, sub: number, offset: number, span: number, events: Array<RunEvent> | Array<LiveChange>];

/** What a live query reads at the revision `offset`. */
export type SnapshotFrame = [kind: 13, sub: number, offset: number, value: unknown];

/** A subscription has ended, or was refused. */
export type EndedFrame = [kind: 14, sub: number, offset: number, body: Ended];

/** Lets the server send so many more bytes on a subscription; on the connection with sub 0. */
export type CreditFrame = [kind: 15, sub: number, bytes: number];

/** Ends a subscription. */
export type UnsubscribeFrame = [kind: 16, sub: number];

/** Sets one's own state; `nil`: gone. */
export type ClientPresenceFrame = [kind: 20, sub: number, state: unknown];

/** Another member's state; `nil`: gone. */
export type ServerPresenceFrame = [kind: 20, sub: number, member: Member, state: unknown];

/** To be answered by `pong` at once. */
export type ClientPingFrame = [kind: 30, nonce: unknown];

/** To be answered by `pong` at once. */
export type ServerPingFrame = [kind: 30, nonce: unknown];

/** Answers a `ping` with its nonce. */
export type ClientPongFrame = [kind: 31, nonce: unknown];

/** Answers a `ping` with its nonce. */
export type ServerPongFrame = [kind: 31, nonce: unknown];

/** Something about the connection that nobody asked for. */
export type NoticeFrame = [kind: 32, body: Notice];

/** The server leaves: finish, and connect anew. */
export type GoawayFrame = [kind: 33, body: Goaway];

/** What a client sends. */
export type ClientFrame = HelloFrame | RequestFrame | CancelFrame | SubscribeFrame | CreditFrame | UnsubscribeFrame | ClientPresenceFrame | ClientPingFrame | ClientPongFrame;

/** What a server sends. */
export type ServerFrame = WelcomeFrame | ReplyFrame | FaultFrame | SubscribedFrame | EventsFrame | SnapshotFrame | EndedFrame | ServerPresenceFrame | ServerPingFrame | ServerPongFrame | NoticeFrame | GoawayFrame;

/** The WebSocket subprotocol. */
export const SUBPROTOCOL = "crewline.v1";

/** The number that each frame begins with. */
export const KINDS = {
  hello: 1,
  welcome: 2,
  request: 3,
  reply: 4,
  fault: 5,
  cancel: 6,
  subscribe: 10,
  subscribed: 11,
  events: 12,
  snapshot: 13,
  ended: 14,
  credit: 15,
  unsubscribe: 16,
  presence: 20,
  ping: 30,
  pong: 31,
  notice: 32,
  goaway: 33,
} as const;

/** What a client does after each fault, unless the fault says otherwise. */
export const FAULT_RETRY = {
  /** The input fails validation; `fields` says where. */
  invalid: "never",
  /** No operation has this name. */
  unknown_operation: "never",
  /** A mutation came without a key. */
  key_required: "never",
  /** The key was used for another operation or input. */
  key_reused: "never",
  /** The key is older than 24 hours, or more than 5 minutes ahead. */
  key_expired: "never",
  /** Nobody is signed in, or the token has ended. */
  unauthenticated: "sign_in",
  /** The principal may know of it, but may not do this. */
  forbidden: "never",
  /** It is absent, or not visible: both read the same. */
  not_found: "never",
  /** The state is another than the request expects; `reason` says how, `current` may hold the row. */
  conflict: "refetch",
  /** Too many requests in too short a time. */
  rate_limited: "after",
  /** A budget or quota of the workspace is used up. */
  over_quota: "never",
  /** A message, row, event or state is larger than the limit. */
  too_large: "never",
  /** Too many requests or subscriptions are open at once. */
  too_many: "after",
  /** The request's `timeout_ms` passed; sending it again with its key tells whether it happened. */
  timeout: "same_key",
  /** The client cancelled it. */
  cancelled: "never",
  /** Written under a lease that is no longer the writer's own. */
  lease_lost: "never",
  /** The server is draining, or its database is away. */
  unavailable: "same_key",
  /** A defect of the server; `reference` finds it in the log. */
  internal: "same_key",
  /** The peer broke the protocol; with id 0, before a close. */
  protocol_error: "never",
  /** The client is too old for this server; with id 0, before a close. */
  unsupported_client: "never",
  /** The server ends the connection; with id 0, before a close. */
  disconnected: "reconnect",
} as const satisfies Record<FaultCode, Retry>;

/**
 * What a client does after each close. Others: 4100 to 4199 `sign_in`, 4200 to 4299 `stop`, and all else `reconnect`.
 */
export const CLOSES = {
  /** Done. */
  1000: { after: "done", fault: null },
  /** The peer goes away. */
  1001: { after: "reconnect", fault: null },
  /** The server shuts down. */
  4001: { after: "reconnect", fault: "unavailable" },
  /** A defect of the server. */
  4002: { after: "reconnect", fault: "internal" },
  /** Nothing was heard for two heartbeats. */
  4003: { after: "reconnect", fault: "disconnected" },
  /** The socket took no bytes while some were waiting. */
  4004: { after: "reconnect", fault: "disconnected" },
  /** Too many connections. */
  4006: { after: "back_off", fault: "disconnected" },
  /** The token has ended or was refused. */
  4100: { after: "sign_in", fault: "unauthenticated" },
  /** The sign-in was revoked. */
  4101: { after: "sign_in", fault: "unauthenticated" },
  /** Nothing was said in time. */
  4102: { after: "sign_in", fault: "unauthenticated" },
  /** Signed out elsewhere. */
  4201: { after: "stop", fault: "unauthenticated" },
  /** The account or key is disabled. */
  4202: { after: "stop", fault: "forbidden" },
  /** The protocol was broken. */
  4203: { after: "stop", fault: "protocol_error" },
  /** The client is too old. */
  4204: { after: "stop", fault: "unsupported_client" },
  /** There is no such workspace for this principal. */
  4205: { after: "stop", fault: "not_found" },
  /** A message was too large. */
  4206: { after: "stop", fault: "too_large" },
} as const;

/** Every type of a run's event. */
export const RUN_EVENT_TYPES = [
  "run.started",
  "run.waiting",
  "run.resumed",
  "run.pause_requested",
  "run.cancel_requested",
  "run.finished",
  "task.started",
  "task.finished",
  "task.failed",
  "text.started",
  "text.delta",
  "text.finished",
  "tool.started",
  "tool.finished",
  "tool.failed",
  "approval.requested",
  "approval.answered",
  "steer.received",
  "steer.applied",
  "progress.reported",
  "usage.recorded",
  "artifact.created",
  "log.written",
] as const satisfies readonly RunEvent["type"][];

/** Bounds that hold for every connection. */
export const LIMITS = {
  /** Bytes of a message. */
  message_bytes: 1048576,
  /** Bytes of a client's message before it has signed in. */
  message_bytes_before_sign_in: 16384,
  /** Bytes of a row or an event. */
  row_bytes: 262144,
  /** How deep a frame may be nested, itself counted as 1. */
  depth: 32,
  /** Credit that a subscription starts with when its options name none. */
  credit_bytes: 262144,
  /** The most credit of a subscription. */
  credit_cap_bytes: 16777216,
  /** The most credit of a connection. */
  connection_credit_cap_bytes: 67108864,
} as const;
