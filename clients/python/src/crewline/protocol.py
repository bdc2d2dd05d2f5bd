"""The protocol's types, and its operations by name.

Generated from the protocol's types; do not edit. `cargo run -p crewline-protocol --bin generate` writes it.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, overload

if TYPE_CHECKING:
    # Known to whoever checks types, and no dependency.
    from typing_extensions import NotRequired

class AuthRegister(TypedDict):
    """Makes a user and a workspace of one's own, and signs the connection in as its owner. Sent again within 24 hours with the same e-mail and password it signs in. An address that is taken: `conflict`, `taken`. Where the server's registration is not open: `forbidden`."""

    email: str
    """The address to sign in with; trimmed and lower-cased."""
    password: str
    """10 to 256 characters."""
    name: str
    """What others see."""
    workspace: NotRequired[str | None]
    """The workspace's name; absent: made from the user's."""
    invitation: NotRequired[str | None]
    """The token of an invitation for this address; needed where registration is by invitation. It is not accepted by this: `invitation.accept` does that, once signed in."""


class SignedIn(TypedDict):
    """Tokens of a sign-in, and who it is."""

    access_token: str
    """Proves who one is, until it ends."""
    access_expires_at: int
    """When the access token ends."""
    refresh_token: str
    """Gets the next tokens."""
    refresh_expires_at: int
    """When the refresh token ends."""
    principal: Principal
    """Who is signed in."""


class Principal(TypedDict):
    """Who acts on a connection, and where."""

    kind: PrincipalKind
    """What it is."""
    id: str
    """The user's id, or the worker's or agent's."""
    name: str
    """What others see."""
    email: NotRequired[str | None]
    """The user's address."""
    workspace: WorkspaceRef
    """The workspace that the connection acts in."""
    role: Role
    """The role there."""
    operator: NotRequired[bool | None]
    """Whether this is an operator of the server."""


PrincipalKind: TypeAlias = 'Literal["user", "worker", "agent"]'
"""What acts."""

class WorkspaceRef(TypedDict):
    """A workspace by id and name."""

    id: str
    """Its id."""
    name: str
    """Its name."""


Role: TypeAlias = 'Literal["viewer", "member", "admin", "owner", "worker", "agent"]'
"""A principal's role in the workspace that its connection acts in."""

class AuthLogin(TypedDict):
    """Signs the connection in with e-mail and password. A wrong password and an unknown address get the same `unauthenticated`, in the same time."""

    email: str
    """The address; trimmed and lower-cased."""
    password: str
    """The password."""
    workspace_id: NotRequired[str | None]
    """The workspace to act in; absent: the latest."""


class AuthRefresh(TypedDict):
    """Changes a refresh token for new tokens, on the same socket. A refresh token stays good until its successor is first used; after that, using it again signs out all that came from it."""

    refresh_token: str
    """The refresh token."""


class AuthAuthenticate(TypedDict):
    """Signs the connection in with an access token got elsewhere."""

    access_token: str
    """The access token."""


class Authenticated(TypedDict):
    """Who an access token signed in, and until when."""

    principal: Principal
    """Who is signed in."""
    access_expires_at: NotRequired[int | None]
    """Until when; absent: as long as it is an API key that is not revoked."""


class AuthLogout(TypedDict):
    """Ends this sign-in, or all of the user's: replies, then closes every connection of it with 4201."""

    everywhere: NotRequired[bool | None]
    """Whether to end all sign-ins of the user."""


Done: TypeAlias = 'dict[str, Any]'
"""Nothing to say but that it is done."""

AuthMe: TypeAlias = 'dict[str, Any]'
"""Tells who the connection is signed in as."""

class WorkspaceGet(TypedDict):
    """Reads one workspace."""

    id: str
    """Which one."""


class Workspace(TypedDict):
    """The boundary of members, data and quota."""

    id: str
    """Its id."""
    revision: int
    """Its revision when this row last changed."""
    created_at: int
    """When it was made."""
    updated_at: int
    """When the row last changed."""
    name: str
    """What people call it."""


class WorkspaceList(TypedDict):
    """Lists workspaces, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class FilterAll(TypedDict):
    """Those that pass every one of these; of none: all rows."""

    all: list[Filter]


class FilterAny(TypedDict):
    """Those that pass one of these; of none: no rows."""

    any: list[Filter]


FilterNot = TypedDict("FilterNot", {"not": 'Filter'})
"""Those that do not pass this."""

Filter: TypeAlias = 'FilterAll | FilterAny | FilterNot | dict[str, Any]'
"""Which rows. What it says of an absent value is false, but for `ne`, which is true of it, and `eq: nil`."""

Scalar: TypeAlias = 'None | bool | int | float | str'
"""A value that a test names."""

class Sort(TypedDict):
    """A field that a list is sorted by. Absent values come last either way, and equals by `id`."""

    field: str
    """Which field."""
    descending: NotRequired[bool]
    """Whether the greatest comes first."""


class WorkspacePage(TypedDict):
    """A part of a noun's rows."""

    items: list[Workspace]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class WorkspaceUpdate(TypedDict):
    """Changes the workspace that the connection acts in."""

    id: str
    """Which one."""
    revision: NotRequired[int | None]
    """The row's revision as the client has it: another one is a `conflict`; absent: whatever it is."""
    name: NotRequired[str | None]
    """What people call it; absent: as before."""


class MemberGet(TypedDict):
    """Reads one member."""

    id: str
    """Which one."""


class WorkspaceMember(TypedDict):
    """A person in a workspace."""

    id: str
    """The membership's id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When they joined."""
    updated_at: int
    """When it last changed."""
    user_id: str
    """Who it is."""
    name: str
    """What others see."""
    email: str
    """The address that they sign in with."""
    role: Role
    """What they may do here."""


class MemberList(TypedDict):
    """Lists members, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class WorkspaceMemberPage(TypedDict):
    """A part of a noun's rows."""

    items: list[WorkspaceMember]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class MemberAggregate(TypedDict):
    """Tells measures over groups of members."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class GroupField(TypedDict):
    """The hour, day, week or month that a moment falls into; told as its beginning, in milliseconds."""

    field: str
    """The moment's field."""
    bucket: Bucket
    """How long a bucket is."""


class GroupField2(TypedDict):
    """The cell that a number falls into; told as its place: 0 is below the first bound, 1 from the first to below the second."""

    field: str
    """The number's field."""
    bounds: list[float]
    """Where cells begin and end, ascending."""


class GroupField3(TypedDict):
    """A field's value."""

    field: str
    """Which field."""


class GroupRef(TypedDict):
    """The row that a field refers to; told as that row's title."""

    ref: str
    """The field that refers to it."""


Group: TypeAlias = 'GroupField | GroupField2 | GroupField3 | GroupRef'
"""What the rows of a group have in common."""

Bucket: TypeAlias = 'Literal["hour", "day", "week", "month"]'
"""A stretch of the calendar, in UTC."""

Measure: TypeAlias = 'dict[str, Any]'
"""One thing that is told of each group."""

class Aggregated(TypedDict):
    """What measures tell, group by group."""

    rows: list[dict[str, Any]]
    """A row a group: `{groups: [..], <measure>: value}`, ordered by the groups, absent last."""


class MemberUpdate(TypedDict):
    """Gives a member another role. Only an owner makes owners or changes one, and a workspace keeps at least one: `conflict`, `state`."""

    id: str
    """Which membership."""
    revision: NotRequired[int | None]
    """The row's revision as the client has it: another one is a `conflict`; absent: whatever it is."""
    role: Role
    """What they may do from now on."""


class MemberRemove(TypedDict):
    """Takes a member out of the workspace: their connections in it are closed with 4101. Everyone may leave, admins take out others, only an owner an owner. The last owner stays: `conflict`, `state`."""

    id: str
    """Which membership."""


class InvitationGet(TypedDict):
    """Reads one invitation."""

    id: str
    """Which one."""


class Invitation(TypedDict):
    """An invitation to a workspace."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was made."""
    updated_at: int
    """When it last changed."""
    email: str
    """Whom it is for; lower-cased."""
    role: Role
    """What they may do once they have joined."""
    invited_by: str
    """Who invited them."""
    status: InvitationStatus
    """Where it stands."""
    accepted_by: NotRequired[str | None]
    """Who joined by it."""
    expires_at: int
    """Until when it may be accepted."""


InvitationStatus: TypeAlias = 'Literal["pending", "accepted", "revoked"]'
"""Where an invitation stands."""

class InvitationList(TypedDict):
    """Lists invitations, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class InvitationPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Invitation]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class InvitationAggregate(TypedDict):
    """Tells measures over groups of invitations."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class InvitationCreate(TypedDict):
    """Invites someone. Its `token` is shown in this answer alone. Someone who is a member already: `conflict`, `taken`."""

    id: NotRequired[str | None]
    """An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`."""
    email: str
    """Whom; trimmed and lower-cased."""
    role: Role
    """What they may do once they have joined. Only an owner invites owners."""


class Invited(TypedDict):
    """An invitation as it was made, with what is shown this once."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was made."""
    updated_at: int
    """When it last changed."""
    email: str
    """Whom it is for; lower-cased."""
    role: Role
    """What they may do once they have joined."""
    invited_by: str
    """Who invited them."""
    status: InvitationStatus
    """Where it stands."""
    accepted_by: NotRequired[str | None]
    """Who joined by it."""
    expires_at: int
    """Until when it may be accepted."""
    token: str
    """Whoever has it and the address may join; hand it to them."""


class InvitationRevoke(TypedDict):
    """Takes an invitation back: its token is good for nothing then."""

    id: str
    """Which one."""


class InvitationAccept(TypedDict):
    """Joins the workspace that one was invited to, and gives tokens for it; this connection stays where it is."""

    token: str
    """The invitation's token."""


class ApiKeyGet(TypedDict):
    """Reads one api_key."""

    id: str
    """Which one."""


class ApiKey(TypedDict):
    """A key by which a program signs in: as an access token in `hello` or `auth.authenticate`, or for one at the token endpoint."""

    id: str
    """Its id; at the token endpoint the `client_id`."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was made."""
    updated_at: int
    """When it last changed."""
    name: str
    """What people call it."""
    role: Role
    """As what it signs in: `worker`."""
    created_by: NotRequired[str | None]
    """Who made it; absent: whoever runs the server, on the command line."""
    revoked_at: NotRequired[int | None]
    """Since when it is good for nothing."""


class ApiKeyList(TypedDict):
    """Lists api_keys, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class ApiKeyPage(TypedDict):
    """A part of a noun's rows."""

    items: list[ApiKey]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class ApiKeyAggregate(TypedDict):
    """Tells measures over groups of api_keys."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class ApiKeyCreate(TypedDict):
    """Makes a key for a worker. Its `secret` is shown in this answer alone."""

    id: NotRequired[str | None]
    """An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`."""
    name: str
    """What people call it."""


class ApiKeyCreated(TypedDict):
    """A key as it was made, with what is shown this once."""

    id: str
    """Its id; at the token endpoint the `client_id`."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was made."""
    updated_at: int
    """When it last changed."""
    name: str
    """What people call it."""
    role: Role
    """As what it signs in: `worker`."""
    created_by: NotRequired[str | None]
    """Who made it; absent: whoever runs the server, on the command line."""
    revoked_at: NotRequired[int | None]
    """Since when it is good for nothing."""
    secret: str
    """What the program signs in with, `crk_…`; at the token endpoint the `client_secret`. It is stored nowhere."""


class ApiKeyRevoke(TypedDict):
    """Takes a key back: its connections are closed with 4101, and it is good for nothing any more. The runs that its workers hold are theirs until their leases end."""

    id: str
    """Which one."""


class SessionCreate(TypedDict):
    """Makes a session."""

    id: NotRequired[str | None]
    """An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`."""
    title: str
    """What people call it."""
    crew: NotRequired[str | None]
    """The crew that answers what people say in it: one with a `message_input`. Absent: none does."""


class Session(TypedDict):
    """A durable shared place where people and agents work."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was made."""
    updated_at: int
    """When it last changed."""
    title: str
    """What people call it."""
    created_by: str
    """Who made it."""
    crew: NotRequired[str | None]
    """The crew that answers what people say in it."""
    archived_at: NotRequired[int | None]
    """When it was put away; absent: it is in use."""


class SessionGet(TypedDict):
    """Reads one session."""

    id: str
    """Which one."""


class SessionList(TypedDict):
    """Lists sessions, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class SessionPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Session]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class SessionAggregate(TypedDict):
    """Tells measures over groups of sessions."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class SessionUpdate(TypedDict):
    """Changes a session."""

    id: str
    """Which one."""
    revision: NotRequired[int | None]
    """The row's revision as the client has it: another one is a `conflict`; absent: whatever it is."""
    title: NotRequired[str | None]
    """What people call it; absent: as before."""
    crew: NotRequired[str | None]
    """The crew that answers what people say in it; `nil`: none from now on; absent: as before."""


class SessionArchive(TypedDict):
    """Puts a session away, or takes it out again. Nothing of it is lost, and its runs go on."""

    id: str
    """Which one."""
    revision: NotRequired[int | None]
    """The row's revision as the client has it: another one is a `conflict`; absent: whatever it is."""
    archived: NotRequired[bool | None]
    """Whether it is put away; absent: it is."""


class SessionDelete(TypedDict):
    """Deletes a session with its messages. While a run of it has not ended: `conflict`, `state`."""

    id: str
    """Which one."""
    revision: NotRequired[int | None]
    """The row's revision as the client has it: another one is a `conflict`; absent: whatever it is."""


class MessageGet(TypedDict):
    """Reads one message."""

    id: str
    """Which one."""


class Message(TypedDict):
    """Something said in a session."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was said."""
    updated_at: int
    """When it last changed."""
    session_id: str
    """The session that it was said in."""
    author: MessageAuthor
    """Who said it."""
    text: str
    """What was said."""
    run_id: NotRequired[str | None]
    """The run that said it, or that it was said to."""


class MessageAuthor(TypedDict):
    """Who said something, as they were called then."""

    kind: PrincipalKind
    """What it is."""
    id: str
    """Its id."""
    name: str
    """Its name."""


class MessageList(TypedDict):
    """Lists messages, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    session_id: str
    """Where they are."""
    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class MessagePage(TypedDict):
    """A part of a noun's rows."""

    items: list[Message]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class MessageAggregate(TypedDict):
    """Tells measures over groups of messages."""

    session_id: str
    """Where they are."""
    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class MessagePost(TypedDict):
    """Says something in a session. Where a crew answers there, it starts a run of it, whose answer becomes a message when it succeeds."""

    id: NotRequired[str | None]
    """An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`."""
    session_id: str
    """The session."""
    text: str
    """What is said: 1 to 16,000 characters."""
    inputs: NotRequired[dict[str, Any]]
    """What the session's crew is given beside the text."""
    on_busy: NotRequired[OnBusy | None]
    """What becomes of it while a run of the crew goes on in the session; absent: as the crew says."""


OnBusy: TypeAlias = 'Literal["reject", "queue", "steer"]'
"""What becomes of a run that is started in a session while another of the same crew goes on there."""

class RunStart(TypedDict):
    """Starts a run of a crew. It belongs to the server: it goes on when the connection ends."""

    id: NotRequired[str | None]
    """An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`."""
    crew: str
    """The crew's name, as the app has it."""
    inputs: NotRequired[dict[str, Any]]
    """A value for each placeholder of the crew, and what its input schema asks for."""
    session_id: NotRequired[str | None]
    """The session that it belongs to; absent: one is made."""
    subject: NotRequired[RunSubject | None]
    """The record that it is about."""
    for_each: NotRequired[list[dict[str, Any]] | None]
    """Starts a run for each of these, whose values come before those of `inputs`. The reply is a run that stands for them: it ends when all have ended, and they name it as `parent_id`."""
    priority: NotRequired[int | None]
    """From -100 to 100: those with more are executed first. Absent: 0."""
    budget: NotRequired[RunBudget | None]
    """What it may take, beside what its crew may: the tighter of both holds. With `for_each`, each of the runs."""
    on_busy: NotRequired[OnBusy | None]
    """What becomes of it while another run of the crew goes on in the session; absent: as the crew says."""


class RunSubject(TypedDict):
    """A record that a run is about."""

    collection: str
    """Its collection."""
    id: str
    """Its id."""


class RunBudget(TypedDict):
    """What a run may take; what is absent is not bounded. It ends with `over_quota` when any of it is used up."""

    cost_microusd: NotRequired[int | None]
    """What its models may cost."""
    tokens: NotRequired[int | None]
    """Tokens that may go into its models and come out, together."""
    duration_ms: NotRequired[int | None]
    """How long it may be executed; what it waits for people does not count."""


class Run(TypedDict):
    """One execution of a crew."""

    id: str
    """Its id; its stream is followed by it."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was started by a person."""
    updated_at: int
    """When the row last changed."""
    session_id: str
    """The session that it belongs to."""
    crew: str
    """The crew's name."""
    version: str
    """The app's version that it started with and keeps."""
    inputs: dict[str, Any]
    """What it was started with."""
    status: RunStatus
    """Where it stands."""
    attempt: int
    """How often it was begun; 0 before the first time."""
    progress: float
    """From 0 to 1."""
    output: NotRequired[str | None]
    """The last task's output, when it succeeded."""
    fault: NotRequired[Fault | None]
    """Why it failed."""
    usage: Usage
    """What its models took and cost."""
    started_by: str
    """Who started it."""
    priority: int
    """Those with more are executed first."""
    budget: NotRequired[RunBudget | None]
    """What it may take, beside what its crew may."""
    subject: NotRequired[RunSubject | None]
    """The record that it is about."""
    subject_id: NotRequired[str | None]
    """The same record's id, by which runs are found."""
    message_id: NotRequired[str | None]
    """The message that it answers."""
    retry_of: NotRequired[str | None]
    """The run that it tries again."""
    parent_id: NotRequired[str | None]
    """The run that stands for it and others, started with `for_each`."""
    runs: NotRequired[int | None]
    """How many runs it stands for, where it was started with `for_each`."""
    waiting_for: NotRequired[WaitingFor | None]
    """What it waits for, where it is put away, or where no worker serves its crew."""
    cancel_requested_at: NotRequired[int | None]
    """When someone asked for its end."""
    pause_requested_at: NotRequired[int | None]
    """Since when it is to pause, or does."""
    started_at: NotRequired[int | None]
    """When it was first begun."""
    finished_at: NotRequired[int | None]
    """When it ended."""


RunStatus: TypeAlias = 'Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]'
"""Where a run stands."""

class Fault(TypedDict):
    """An error meant for the peer. It never carries an internal error's text."""

    code: FaultCode
    """The stable code."""
    message: str
    """For people: what happened, to what, what to do."""
    retry: Retry
    """What a client does next."""
    retry_after_ms: NotRequired[int | None]
    """How long to wait before the next try, with `retry: after`."""
    reason: NotRequired[Reason | None]
    """How a conflict came about."""
    fields: NotRequired[list[FieldFault]]
    """Which fields of the input are wrong."""
    current: NotRequired[Any]
    """The row as it is now, with a conflict."""
    reference: NotRequired[str | None]
    """Finds the error behind it in the server's log."""


FaultCode: TypeAlias = 'Literal["invalid", "unknown_operation", "key_required", "key_reused", "key_expired", "unauthenticated", "forbidden", "not_found", "conflict", "rate_limited", "over_quota", "too_large", "too_many", "timeout", "cancelled", "lease_lost", "unavailable", "internal", "protocol_error", "unsupported_client", "disconnected"]'
"""The stable code of a fault."""

Retry: TypeAlias = 'Literal["never", "same_key", "after", "sign_in", "refetch", "reconnect"]'
"""What a client does after a fault."""

Reason: TypeAlias = 'Literal["revision", "state", "taken", "sequence", "busy"]'
"""How a `conflict` came about."""

class FieldFault(TypedDict):
    """One field of an input that fails validation."""

    path: str
    """Where in the input, as `items[2].name`; empty for the whole."""
    code: str
    """A stable word: `type`, `required`, `unknown`, `length`, `range`, `pattern`, `format`, …"""
    message: str
    """For people."""


class Usage(TypedDict):
    """What models took and cost."""

    input_tokens: int
    """Tokens that went into models."""
    output_tokens: int
    """Tokens that came out."""
    cost_microusd: int
    """What they cost."""


WaitingFor: TypeAlias = 'Literal["approval", "pause", "worker"]'
"""What a run waits for."""

class RunGet(TypedDict):
    """Reads one run."""

    id: str
    """Which one."""


class RunList(TypedDict):
    """Lists runs, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class RunPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Run]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class RunAggregate(TypedDict):
    """Tells measures over groups of runs."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class RunCancel(TypedDict):
    """Asks a run to end. Replies at once with its row; the stream's `run.finished` says when it has. A finished run: its row."""

    id: str
    """Which run."""
    mode: NotRequired[CancelMode | None]
    """How; absent: `graceful`."""


CancelMode: TypeAlias = 'Literal["graceful", "now"]'
"""How a run is to end."""

class RunSteer(TypedDict):
    """Gives words to a run's agents: the next model call reads them. Those that come too late become messages of the session. A run that has ended: `conflict`, `state`, with its row."""

    id: str
    """Which run."""
    text: str
    """The words."""


class RunPause(TypedDict):
    """Asks a run to pause: it waits after the model and tool calls that are going on, held by nobody, until it is resumed. One that is asked already: its row. One that has ended: `conflict`, `state`, with its row."""

    id: str
    """Which run."""


class RunResume(TypedDict):
    """Lets a paused run go on, or one that was asked to pause. One that is neither: `conflict`, `state`, with its row."""

    id: str
    """Which run."""


class RunRetry(TypedDict):
    """Starts a run that has ended anew, as the app is now: with the same inputs, session, subject, priority and budget. Of one that stands for others, those that did not succeed. One that has not ended: `conflict`, `state`, with its row."""

    id: str
    """Which run."""


class RunAppend(TypedDict):
    """Appends events to the stream of a run that the worker holds: `task.*`, `text.*`, `tool.*`, `progress.reported`, `usage.recorded`, `log.written`, `steer.applied`; the server writes the others. A batch is stored whole or not at all, those of one run in the order in which they come, however many are under way. What is stored already is skipped; a hole is `conflict`, `sequence`, whose `current` is `{seq}`, the last that is stored. The cost of `usage.recorded` is the server's to tell, whatever it says. Where it uses up a budget the run ends, and this is answered with `over_quota`."""

    run_id: str
    """Which run."""
    lease_epoch: int
    """The epoch of the worker's lease."""
    seq: int
    """The number of the batch's first event: they count from 1 in each lease epoch."""
    events: list[RunEvent]
    """The events."""


class RunEventRunStarted(TypedDict):
    """An attempt begins. With `attempt` > 1 it voids parts without `text.finished` and calls without an end."""

    type: Literal["run.started"]
    at: int
    """When it happened."""
    attempt: int
    """From 1."""
    crew: str
    """The crew's name."""
    inputs: dict[str, Any]
    """What the run was started with."""


RunEventRunWaiting = TypedDict("RunEventRunWaiting", {"type": 'Literal["run.waiting"]', "at": 'int', "for": 'WaitingFor'})
"""The run waits."""

class RunEventRunResumed(TypedDict):
    """The run goes on after waiting."""

    type: Literal["run.resumed"]
    at: int
    """When it happened."""


class RunEventRunPauseRequested(TypedDict):
    """Someone asked the run to pause: it waits after the model and tool calls that are going on."""

    type: Literal["run.pause_requested"]
    at: int
    """When it happened."""
    by: str
    """Who."""


class RunEventRunCancelRequested(TypedDict):
    """Someone asked for the run's end."""

    type: Literal["run.cancel_requested"]
    at: int
    """When it happened."""
    mode: CancelMode
    """How."""
    by: str
    """Who."""


class RunEventRunFinished(TypedDict):
    """The run has ended; nothing comes after it."""

    type: Literal["run.finished"]
    at: int
    """When it happened."""
    status: RunStatus
    """`succeeded`, `failed` or `cancelled`."""
    output: NotRequired[str | None]
    """The last task's output."""
    fault: NotRequired[Fault | None]
    """Why it failed."""
    usage: Usage
    """What it took and cost, over all attempts."""


class RunEventTaskStarted(TypedDict):
    """A task begins."""

    type: Literal["task.started"]
    at: int
    """When it happened."""
    task: str
    """The task's id."""
    name: str
    """Its name, as `tasks.yaml` has it."""
    agent: str
    """Who works on it, as `agents.yaml` names the agent."""
    parent: NotRequired[str | None]
    """The task under which it was delegated."""


class RunEventTaskFinished(TypedDict):
    """A task has its output."""

    type: Literal["task.finished"]
    at: int
    """When it happened."""
    task: str
    """The task's id."""
    output: str
    """Its output."""


class RunEventTaskFailed(TypedDict):
    """A task failed."""

    type: Literal["task.failed"]
    at: int
    """When it happened."""
    task: str
    """The task's id."""
    fault: Fault
    """Why."""


class RunEventTextStarted(TypedDict):
    """A model begins to speak."""

    type: Literal["text.started"]
    at: int
    """When it happened."""
    part: str
    """The part's id."""
    task: str
    """For which task."""
    agent: str
    """Which agent."""
    role: TextRole
    """What it is."""


class RunEventTextDelta(TypedDict):
    """Words of a part. Adjacent ones of the same part may reach a subscriber as one."""

    type: Literal["text.delta"]
    at: int
    """When it happened."""
    part: str
    """The part's id."""
    text: str
    """The words."""


class RunEventTextFinished(TypedDict):
    """A part is whole."""

    type: Literal["text.finished"]
    at: int
    """When it happened."""
    part: str
    """The part's id."""


class RunEventToolStarted(TypedDict):
    """An agent calls a tool."""

    type: Literal["tool.started"]
    at: int
    """When it happened."""
    call: str
    """The call's id."""
    task: str
    """For which task."""
    agent: str
    """Which agent."""
    tool: str
    """Which tool."""
    input: Any
    """The arguments."""


class RunEventToolFinished(TypedDict):
    """A tool gave its result."""

    type: Literal["tool.finished"]
    at: int
    """When it happened."""
    call: str
    """The call's id."""
    output: Any
    """The result."""


class RunEventToolFailed(TypedDict):
    """A tool failed; the agent reads the fault and goes on."""

    type: Literal["tool.failed"]
    at: int
    """When it happened."""
    call: str
    """The call's id."""
    fault: Fault
    """Why."""


class RunEventApprovalRequested(TypedDict):
    """A person is asked; the run waits where it needs the answer."""

    type: Literal["approval.requested"]
    at: int
    """When it happened."""
    approval: Approval
    """The row."""


class RunEventApprovalAnswered(TypedDict):
    """A person has answered, or nobody did in time, or the question was taken back."""

    type: Literal["approval.answered"]
    at: int
    """When it happened."""
    approval: Approval
    """The row."""


class RunEventSteerReceived(TypedDict):
    """Someone gave words to the run."""

    type: Literal["steer.received"]
    at: int
    """When it happened."""
    steer_id: str
    """The words' id."""
    text: str
    """The words."""
    by: str
    """Who gave them."""


class RunEventSteerApplied(TypedDict):
    """The words have reached an agent."""

    type: Literal["steer.applied"]
    at: int
    """When it happened."""
    steer_id: str
    """The words' id."""
    task: str
    """In which task."""


class RunEventProgressReported(TypedDict):
    """How far the run is. A later one supersedes an earlier."""

    type: Literal["progress.reported"]
    at: int
    """When it happened."""
    fraction: float
    """From 0 to 1."""
    message: str
    """What is being done."""


class RunEventUsageRecorded(TypedDict):
    """A model call's figures."""

    type: Literal["usage.recorded"]
    at: int
    """When it happened."""
    task: NotRequired[str | None]
    """For which task."""
    agent: str
    """Which agent."""
    model: str
    """Which model."""
    input_tokens: int
    """Tokens that went in."""
    output_tokens: int
    """Tokens that came out."""
    cost_microusd: int
    """What they cost."""


class RunEventArtifactCreated(TypedDict):
    """The run made a file."""

    type: Literal["artifact.created"]
    at: int
    """When it happened."""
    artifact: Artifact
    """The row."""


class RunEventLogWritten(TypedDict):
    """A line for who looks closely."""

    type: Literal["log.written"]
    at: int
    """When it happened."""
    level: LogLevel
    """How serious."""
    message: str
    """The line."""
    fields: NotRequired[dict[str, Any] | None]
    """More about it."""


RunEvent: TypeAlias = 'RunEventRunStarted | RunEventRunWaiting | RunEventRunResumed | RunEventRunPauseRequested | RunEventRunCancelRequested | RunEventRunFinished | RunEventTaskStarted | RunEventTaskFinished | RunEventTaskFailed | RunEventTextStarted | RunEventTextDelta | RunEventTextFinished | RunEventToolStarted | RunEventToolFinished | RunEventToolFailed | RunEventApprovalRequested | RunEventApprovalAnswered | RunEventSteerReceived | RunEventSteerApplied | RunEventProgressReported | RunEventUsageRecorded | RunEventArtifactCreated | RunEventLogWritten'
"""One event of a run: what happened, and when. `task`, `part` and `call` are unique within the run over all attempts."""

TextRole: TypeAlias = 'Literal["answer", "thought"]'
"""What a text is."""

class Approval(TypedDict):
    """A question that holds a run until a person answers it. The first answer wins."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was asked."""
    updated_at: int
    """When it last changed."""
    session_id: str
    """The session of its run."""
    run_id: str
    """The run that it holds."""
    task: NotRequired[str | None]
    """The task that waits for it, as the run's events name it."""
    call: NotRequired[str | None]
    """The tool's call that waits for it, with `tool`."""
    kind: ApprovalKind
    """What is asked for."""
    title: str
    """The question in a line."""
    body: str
    """The question."""
    tool: NotRequired[str | None]
    """The tool that is to be called."""
    arguments: NotRequired[Any]
    """Its arguments."""
    schema: NotRequired[Any]
    """The JSON Schema of the value that is asked for."""
    roles: list[Role]
    """Who may answer."""
    expires_at: NotRequired[int | None]
    """Until when it may be answered; absent: for ever."""
    on_expire: OnExpire
    """What becomes of the run then."""
    status: ApprovalStatus
    """Where it stands."""
    answer: NotRequired[ApprovalAnswered | None]
    """The answer."""
    answered_by: NotRequired[str | None]
    """Who answered."""


ApprovalKind: TypeAlias = 'Literal["tool", "input", "review"]'
"""What is asked for."""

OnExpire: TypeAlias = 'Literal["reject", "fail"]'
"""What becomes of the run when nobody answers in time."""

ApprovalStatus: TypeAlias = 'Literal["pending", "approved", "rejected", "answered", "expired", "withdrawn"]'
"""Where an approval stands."""

class ApprovalAnswered(TypedDict):
    """A person's answer."""

    verdict: Verdict
    """What was decided."""
    arguments: NotRequired[Any]
    """The tool's arguments as the person changed them."""
    value: NotRequired[Any]
    """The value, with `answer`."""
    comment: NotRequired[str | None]
    """Words to the agent."""


Verdict: TypeAlias = 'Literal["approve", "reject", "answer"]'
"""What a person decides."""

class Artifact(TypedDict):
    """A file that a run made. Its bytes are read apart from its row."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was made."""
    updated_at: int
    """When it last changed."""
    session_id: str
    """The session of its run."""
    run_id: str
    """The run that made it."""
    name: str
    """What it is called, as `report.md`."""
    media_type: str
    """What it holds, as `text/markdown`."""
    size_bytes: int
    """How many bytes it has."""


LogLevel: TypeAlias = 'Literal["debug", "info", "warn", "error"]'
"""How serious a log line is."""

class RunAppended(TypedDict):
    """What is stored."""

    seq: int
    """The number of the last event that is stored."""
    head: int
    """The stream's last offset after it."""


class RunPark(TypedDict):
    """Puts a run away until one of its questions is answered, or, where it is to pause, until someone resumes it: the lease ends and its place is free. The next lease has the same attempt. Where nothing is waited for, for it was answered just now: `conflict`, `state`, with the run."""

    run_id: str
    """Which run."""
    lease_epoch: int
    """The epoch of the worker's lease."""


class RunFinish(TypedDict):
    """Ends a run, and with it the lease, after everything that was appended before."""

    run_id: str
    """Which run."""
    lease_epoch: int
    """The epoch of the worker's lease."""
    status: RunOutcome
    """How it ended. `cancelled` where nobody asked for its end: `conflict`, `state`."""
    output: NotRequired[str | None]
    """Its output; with `succeeded` alone, and then it must be there."""
    fault: NotRequired[Fault | None]
    """Why it failed; with `failed` alone, and then it must be there."""


RunOutcome: TypeAlias = 'Literal["succeeded", "failed", "cancelled"]'
"""How a worker says that a run ended."""

class RunRelease(TypedDict):
    """Gives a run back: whoever is next goes on with it, in the same attempt."""

    run_id: str
    """Which run."""
    lease_epoch: int
    """The epoch of the worker's lease."""


class ApprovalGet(TypedDict):
    """Reads one approval."""

    id: str
    """Which one."""


class ApprovalList(TypedDict):
    """Lists approvals, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class ApprovalPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Approval]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class ApprovalAggregate(TypedDict):
    """Tells measures over groups of approvals."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class ApprovalAnswer(TypedDict):
    """Answers a question that holds a run. The first answer wins; one that comes later, also after the question has expired or was taken back: `conflict`, `state`, with the row. A role that is not among the row's: `forbidden`."""

    id: str
    """Which question."""
    revision: NotRequired[int | None]
    """The row's revision, as who answers has seen it; absent: whatever it is."""
    verdict: Verdict
    """The decision: `answer` for an `input`, `approve` for the others, `reject` for each."""
    arguments: NotRequired[Any]
    """With `approve` of a `tool`: the arguments with which it is called instead, an object."""
    value: NotRequired[Any]
    """With `answer`: the value, as the question's schema wants it."""
    comment: NotRequired[str | None]
    """Words to the agent."""


class ApprovalWithdraw(TypedDict):
    """Takes a question back: the run goes on as if it was rejected. One that waits no more: `conflict`, `state`, with the row."""

    id: str
    """Which question."""


class ApprovalRequest(TypedDict):
    """Puts a question before people, for a run that the worker holds. The run goes on; `run.park` puts it away until there is an answer, which the run's stream tells."""

    run_id: str
    """Which run."""
    lease_epoch: int
    """The epoch of the worker's lease."""
    task: NotRequired[str | None]
    """The task that waits for it, as the run's events name it."""
    call: NotRequired[str | None]
    """The tool's call that waits for it, with `tool`."""
    kind: ApprovalKind
    """What is asked for."""
    title: str
    """The question in a line."""
    body: str
    """The question."""
    tool: NotRequired[str | None]
    """The tool that is to be called: with `kind` `tool` alone, and then it must be there."""
    arguments: NotRequired[Any]
    """Its arguments, an object."""
    schema: NotRequired[Any]
    """The JSON Schema of the value that is asked for, with `kind` `input`."""
    roles: NotRequired[list[Role]]
    """Who may answer: each of these, and those above; absent or empty: a member."""
    expires_at: NotRequired[int | None]
    """Until when it may be answered; absent: for ever."""
    on_expire: NotRequired[OnExpire | None]
    """What becomes of the run then; absent: `reject`."""


class WorkerGet(TypedDict):
    """Reads one worker."""

    id: str
    """Which one."""


class Worker(TypedDict):
    """A process that executes runs. The same key and name is the same worker."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it first registered."""
    updated_at: int
    """When the row last changed."""
    name: str
    """Its name."""
    api_key_id: str
    """The key that it signs in with."""
    crews: list[str]
    """The crews that it serves."""
    labels: list[str]
    """What it has that crews may ask for."""
    capacity: int
    """How many runs it holds at most."""
    held: int
    """How many it holds, as of a moment ago."""
    state: WorkerState
    """Where it stands."""
    drained: bool
    """Whether an admin asked it to take no more."""
    last_seen_at: int
    """When it last said something, as of the row's last reading: it moves no revision."""


WorkerState: TypeAlias = 'Literal["online", "draining", "offline"]'
"""Where a worker stands."""

class WorkerList(TypedDict):
    """Lists workers, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class WorkerPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Worker]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class WorkerAggregate(TypedDict):
    """Tells measures over groups of workers."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class WorkerRegister(TypedDict):
    """Says that a worker is there, what it serves, and which runs it goes on with. Crews that nobody described before are there for everyone from then on. What the worker held before and does not name in `held` is lost to it. The connection acts as this worker from then on; an older one of it gets `ended: server` on its subscriptions. A worker that stays must say something, `lease.renew` or this, within `lease_ms`."""

    name: str
    """Its name; the same key and name is the same worker."""
    crews: list[WorkerCrew]
    """The crews that it serves."""
    capacity: int
    """How many runs it holds at most; 0: it takes no more."""
    labels: NotRequired[list[str]]
    """What it has that crews may ask for, as `gpu`: a run is given to a worker that has all `labels` of its crew's `crew.yaml`."""
    held: NotRequired[list[LeaseHeld]]
    """The runs that it goes on with."""


class WorkerCrew(TypedDict):
    """A crew that a worker serves."""

    name: str
    """Its name, as `run.start` takes it: that of one in the app or imported whose `crew.yaml` says `executor: worker`, or a new one."""
    version: NotRequired[str]
    """Which version of it."""
    description: NotRequired[str]
    """What it does."""
    input_schema: NotRequired[dict[str, Any]]
    """The JSON Schema of a run's inputs, of type `object`; absent: any. Of a crew that `crew.yaml` describes, its own holds."""


class LeaseHeld(TypedDict):
    """A run that a worker holds, as the worker names it."""

    run_id: str
    """The run."""
    lease_epoch: int
    """The epoch of its lease."""


class WorkerRegistered(TypedDict):
    """A worker that is registered."""

    worker: Worker
    """The row."""
    lease_ms: int
    """How long a lease holds without being renewed: `lease.renew` comes every third of it."""
    held: list[LeaseHeldSince]
    """The runs among those named that it still holds."""


class LeaseHeldSince(TypedDict):
    """A run that a worker goes on with."""

    run_id: str
    """The run."""
    lease_epoch: int
    """The epoch of its lease."""
    seq: int
    """The last `seq` that is stored; 0: nothing is."""


class WorkerDrain(TypedDict):
    """Asks a worker to take no more runs, or to take some again. What it holds it goes on with."""

    id: str
    """Which one."""
    drained: NotRequired[bool | None]
    """Whether it takes no more; absent: so."""


class LeaseGet(TypedDict):
    """Reads one lease."""

    id: str
    """Which one."""


class Lease(TypedDict):
    """A worker's hold on one run: it is there as long as the run is the worker's."""

    id: str
    """Its id: the same run, assigned again, is another lease."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When the run was assigned."""
    updated_at: int
    """When the row last changed."""
    run_id: str
    """The run."""
    worker_id: str
    """Who holds it."""
    epoch: int
    """Its epoch, as what is written under it names it: raised with every new hold on the run."""
    attempt: int
    """Which attempt at the run it is; the same as before for a run that was put away or given back."""
    session_id: str
    """The session of the run."""
    crew: str
    """The crew's name."""
    inputs: dict[str, Any]
    """What the run was started with."""
    history_head: int
    """The last offset of the run's stream when it was assigned, `run.started` of this attempt among what is before it."""


class LeaseList(TypedDict):
    """Lists leases, by `id` unless `sort` says otherwise, which is about the order in which they were assigned. A worker sees its own alone."""

    mine: NotRequired[bool | None]
    """Those of the worker that the connection acts as; where none has registered: `conflict`, `state`."""
    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50, with `mine` 500."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class LeasePage(TypedDict):
    """A part of a noun's rows."""

    items: list[Lease]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class LeaseAggregate(TypedDict):
    """Tells measures over groups of leases."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class LeaseRenew(TypedDict):
    """Moves the ends of leases on. What is not named is not renewed. With none it says that the worker is there."""

    held: list[LeaseHeld]
    """The runs that are held."""


class LeaseRenewed(TypedDict):
    """What became of the leases."""

    lost: list[str]
    """Those among the runs that are the worker's no more: it stops them, for nothing that it writes is stored."""


class CrewGet(TypedDict):
    """Reads one crew."""

    id: str
    """Which one."""


class Crew(TypedDict):
    """Agents and their tasks."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change; 0 for one of the app."""
    created_at: int
    """When the app, or the workspace, first had it."""
    updated_at: int
    """When it last changed."""
    name: str
    """What operations call it."""
    title: str
    """What people call it."""
    description: str
    """What it does."""
    process: CrewProcess
    """Who works on its tasks."""
    executor: CrewExecutor
    """Who executes its runs."""
    input_schema: dict[str, Any]
    """The JSON Schema of a run's inputs."""
    placeholders: list[str]
    """Every input that its texts name."""
    agents: list[str]
    """Its agents' names."""
    tasks: list[CrewTask]
    """Its tasks in their order."""
    takes_messages: bool
    """Whether it answers what people say in a session."""
    version: str
    """The version of the app with it, which runs that begin now keep."""
    imported_by: NotRequired[str | None]
    """Who imported it, or changed it last; absent: it is the app's own."""


CrewProcess: TypeAlias = 'Literal["sequential", "hierarchical"]'
"""Who works on a crew's tasks."""

CrewExecutor: TypeAlias = 'Literal["engine", "worker"]'
"""Who executes a crew's runs."""

class CrewTask(TypedDict):
    """A task of a crew."""

    name: str
    """As the crew names it."""
    agent: NotRequired[str | None]
    """Who does it; absent: whom the manager gives it to."""
    description: str
    """What to do, with placeholders."""


class CrewList(TypedDict):
    """Lists crews, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class CrewPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Crew]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class CrewAggregate(TypedDict):
    """Tells measures over groups of crews."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class CrewImport(TypedDict):
    """Imports a crew into the workspace, as CrewAI's files have it. What is wrong in them, and what only Python could carry out, is `invalid`, with the file, the line and the column. A name that a crew has already: `conflict`, `taken`."""

    id: NotRequired[str | None]
    """An id of the client's own; absent: the server makes one."""
    name: str
    """What operations are to call it: lower-case letters, digits, `-` and `_`."""
    files: dict[str, str]
    """Its files by their names."""


class CrewUpdate(TypedDict):
    """Changes an imported crew: all its files at once. Runs that go on keep those that they began with."""

    id: str
    """Which one."""
    revision: NotRequired[int | None]
    """The row's revision as the client has it: another one is a `conflict`; absent: whatever it is."""
    files: dict[str, str]
    """Its files by their names."""


class CrewDelete(TypedDict):
    """Deletes an imported crew. Runs that go on are not touched."""

    id: str
    """Which one."""
    revision: NotRequired[int | None]
    """The row's revision as the client has it: another one is a `conflict`; absent: whatever it is."""


class CrewExport(TypedDict):
    """Reads a crew's files as they were written."""

    id: str
    """Which one."""


class CrewExported(TypedDict):
    """A crew's files."""

    name: str
    """What operations call it."""
    files: dict[str, str]
    """Its files by their names."""


class AgentGet(TypedDict):
    """Reads one agent."""

    id: str
    """Which one."""


class Agent(TypedDict):
    """Who works on a crew's tasks."""

    id: str
    """Its id."""
    revision: int
    """Its crew's."""
    created_at: int
    """When its crew was first there."""
    updated_at: int
    """When its crew last changed."""
    crew: str
    """Its crew's name."""
    name: str
    """As the crew names it."""
    role: str
    """What it is, with placeholders."""
    goal: str
    """What it is after, with placeholders."""
    model: NotRequired[str | None]
    """The model that it asks for; absent: the one that is used where none is named."""
    tools: list[str]
    """The tools that it may use."""


class AgentList(TypedDict):
    """Lists agents, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class AgentPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Agent]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class AgentAggregate(TypedDict):
    """Tells measures over groups of agents."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class ArtifactGet(TypedDict):
    """Reads one artifact."""

    id: str
    """Which one."""


class ArtifactList(TypedDict):
    """Lists artifacts, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class ArtifactPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Artifact]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class ArtifactAggregate(TypedDict):
    """Tells measures over groups of artifacts."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class ArtifactRead(TypedDict):
    """Reads a part of an artifact's bytes."""

    id: str
    """Which one."""
    offset: NotRequired[int | None]
    """The first byte's place, from 0; absent: 0. At or behind the end: no bytes."""
    limit: NotRequired[int | None]
    """How many bytes at most; absent: as many as one read gives."""


class ArtifactPart(TypedDict):
    """A part of an artifact's bytes."""

    bytes: builtins.bytes
    """The bytes."""


class ArtifactCreate(TypedDict):
    """Makes a file of a run that the worker holds. What is longer than one request may be is appended to it."""

    run_id: str
    """Which run."""
    lease_epoch: int
    """The epoch of the worker's lease."""
    name: str
    """What it is called, as `report.md`."""
    media_type: NotRequired[str | None]
    """What it holds, as `text/markdown`; absent: what the ending of its name says."""
    bytes: builtins.bytes
    """Its bytes, or the first of them."""


class ArtifactAppend(TypedDict):
    """Adds bytes to the end of a file that a run made, which the worker holds."""

    run_id: str
    """Which run."""
    lease_epoch: int
    """The epoch of the worker's lease."""
    id: str
    """Which artifact."""
    bytes: builtins.bytes
    """The bytes."""


class BudgetGet(TypedDict):
    """Reads one budget."""

    id: str
    """Which one."""


class Budget(TypedDict):
    """What all runs of a workspace, or of one of its crews, may take in a day or a month. When any of it is used up, runs end with `over_quota` before their next model call, and none is started."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was first set."""
    updated_at: int
    """When it was last set."""
    crew: NotRequired[str | None]
    """Whose runs; absent: all of the workspace."""
    period: BudgetPeriod
    """How long it lasts."""
    cost_microusd: NotRequired[int | None]
    """What models may cost; absent: anything."""
    tokens: NotRequired[int | None]
    """Tokens that may go into models and come out, together; absent: any number."""
    duration_ms: NotRequired[int | None]
    """How long runs may be executed, together; absent: any time."""
    set_by: str
    """Who set it last."""


BudgetPeriod: TypeAlias = 'Literal["day", "month"]'
"""How long a budget lasts, in UTC: then it begins anew."""

class BudgetList(TypedDict):
    """Lists budgets, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class BudgetPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Budget]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class BudgetAggregate(TypedDict):
    """Tells measures over groups of budgets."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class BudgetSet(TypedDict):
    """Sets what runs may take: the whole budget of this crew and period. With no figure nothing is bounded any more."""

    crew: NotRequired[str | None]
    """Whose runs; absent: all of the workspace."""
    period: BudgetPeriod
    """How long it lasts."""
    cost_microusd: NotRequired[int | None]
    """What models may cost."""
    tokens: NotRequired[int | None]
    """Tokens that may go into models and come out, together."""
    duration_ms: NotRequired[int | None]
    """How long runs may be executed, together."""


class CollectionGet(TypedDict):
    """Reads one collection."""

    id: str
    """Which one."""


class Collection(TypedDict):
    """A type of record that an app declares."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When the app first had it."""
    updated_at: int
    """When the app last changed it."""
    name: str
    """What operations call it."""
    title: str
    """What people call it."""
    description: str
    """What its records are."""
    title_field: NotRequired[str | None]
    """The field of `data` that people know a record by."""
    schema: dict[str, Any]
    """The JSON Schema of its records' `data`."""
    indexes: list[list[Sort]]
    """What its records are kept in order by, for quick lists."""
    access: CollectionAccess
    """Who may do what with its records."""
    references: NotRequired[dict[str, str]]
    """Fields of `data` that hold other records' ids, and of which collection."""
    transitions: NotRequired[Transitions | None]
    """From which value of a field to which others, and who may."""
    singleton: NotRequired[Singleton | None]
    """Whether there is one record alone, and for whom."""


class CollectionAccess(TypedDict):
    """Who may do what with a collection's records."""

    read: list[CollectionWho]
    """Who sees them."""
    create: list[CollectionWho]
    """Who makes them."""
    update: list[CollectionWho]
    """Who changes them."""
    delete: list[CollectionWho]
    """Who deletes them."""


CollectionWho: TypeAlias = 'Literal["viewer", "member", "admin", "owner", "own"]'
"""One of those who may do something with a record; nobody may where there are none."""

class Transitions(TypedDict):
    """How a field of a record may change."""

    field: str
    """Which field."""
    initial: list[str]
    """What it may be in a new record; empty: whatever the schema allows."""
    moves: list[CollectionMove]
    """Each change that it may make."""


CollectionMove = TypedDict("CollectionMove", {"from": 'str', "to": 'str', "roles": 'NotRequired[list[CollectionWho] | None]'})
"""A change that a field may make."""

Singleton: TypeAlias = 'Literal["user", "workspace"]'
"""For whom a collection has its one record."""

class CollectionList(TypedDict):
    """Lists collections, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class CollectionPage(TypedDict):
    """A part of a noun's rows."""

    items: list[Collection]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class CollectionAggregate(TypedDict):
    """Tells measures over groups of collections."""

    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class RecordCreate(TypedDict):
    """Makes a record. What its collection's schema refuses is `invalid`, with the path in `data`."""

    id: NotRequired[str | None]
    """An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`."""
    collection: str
    """The collection's name."""
    data: dict[str, Any]
    """Its own fields."""


class RecordRow(TypedDict):
    """A row of a collection."""

    id: str
    """Its id."""
    revision: int
    """The workspace's revision at its last change."""
    created_at: int
    """When it was made."""
    updated_at: int
    """When it last changed."""
    collection: str
    """Its collection's name."""
    data: dict[str, Any]
    """Its own fields."""
    created_by: str
    """Who made it."""


class RecordGet(TypedDict):
    """Reads one record."""

    collection: str
    """Where it is."""
    id: str
    """Which one."""


class RecordList(TypedDict):
    """Lists records, by `id` unless `sort` says otherwise, which is about the order in which they were made."""

    collection: str
    """Where they are."""
    filter: NotRequired[Filter | None]
    """Which; absent: all."""
    sort: NotRequired[list[Sort]]
    """By what; equals come by `id`."""
    limit: NotRequired[int | None]
    """How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50."""
    cursor: NotRequired[str | None]
    """`next` of the list before."""
    count: NotRequired[bool]
    """Whether to tell how many match in all."""


class RecordRowPage(TypedDict):
    """A part of a noun's rows."""

    items: list[RecordRow]
    """The rows, in order."""
    next: NotRequired[str | None]
    """Where the rest begins; absent: there is no more."""
    total: NotRequired[int | None]
    """How many rows the filter matches, where `count` asked for it."""


class RecordAggregate(TypedDict):
    """Tells measures over groups of records."""

    collection: str
    """Where they are."""
    groups: NotRequired[list[Group]]
    """What a group's rows have in common; absent: all are one group."""
    measures: list[Measure]
    """What is told of each group."""
    filter: NotRequired[Filter | None]
    """Which rows; absent: all."""


class RecordUpdate(TypedDict):
    """Changes a record: `data` is merged into it by its keys, and `nil` removes one."""

    collection: str
    """The collection's name."""
    id: str
    """Which one."""
    revision: NotRequired[int | None]
    """The row's revision as the client has it: another one is a `conflict`; absent: whatever it is."""
    data: dict[str, Any]
    """What changes."""


class RecordDelete(TypedDict):
    """Deletes a record."""

    collection: str
    """The collection's name."""
    id: str
    """Which one."""
    revision: NotRequired[int | None]
    """The row's revision as the client has it: another one is a `conflict`; absent: whatever it is."""


class RecordBatch(TypedDict):
    """Carries out several writes, in order, in one transaction: all or none, unless `atomic` is `false`."""

    operations: list[RecordWrite]
    """The writes: 1 to 100."""
    atomic: NotRequired[bool | None]
    """Whether one that is refused refuses all; absent: it does."""


class RecordWriteCreate(TypedDict):
    """As `record.create`."""

    create: RecordCreate


class RecordWriteUpdate(TypedDict):
    """As `record.update`."""

    update: RecordUpdate


class RecordWriteDelete(TypedDict):
    """As `record.delete`."""

    delete: RecordDelete


RecordWrite: TypeAlias = 'RecordWriteCreate | RecordWriteUpdate | RecordWriteDelete'
"""One write of a batch, with the single operation's input."""

class RecordBatched(TypedDict):
    """What a batch did."""

    results: list[RecordWritten]
    """The outputs, in the order of the writes."""


class RecordWrittenFault(TypedDict):
    """Why it was refused, with `atomic: false`."""

    fault: Fault
    """Why."""


RecordWritten: TypeAlias = 'RecordRow | RecordWrittenFault | Done'
"""What one write of a batch did."""

class Hello(TypedDict):
    """The client's first frame, within 5 s of the upgrade."""

    client: ClientInfo
    """Which client."""
    access_token: NotRequired[str | None]
    """An access token or an API key; absent: nobody is signed in yet."""
    workspace_id: NotRequired[str | None]
    """The workspace to act in; absent: the principal's latest."""
    features: NotRequired[list[str]]
    """Features that the client knows."""
    last_close: NotRequired[LastClose | None]
    """How its last connection ended."""


class ClientInfo(TypedDict):
    """A client program."""

    name: str
    """Its name."""
    version: str
    """Its version."""


class LastClose(TypedDict):
    """How the client's last connection ended."""

    code: int
    """The close code."""
    at: int
    """When, by the client's clock."""


class Welcome(TypedDict):
    """The server's answer to `hello`."""

    connection_id: str
    """The connection's id; the server's log names it."""
    server: ServerInfo
    """Which server."""
    now_at: int
    """The server's clock."""
    epoch: str
    """The database's incarnation. A client that knew another forgets every position."""
    principal: NotRequired[Principal | None]
    """Who is signed in."""
    limits: Limits
    """What the connection may hold."""
    heartbeat_ms: int
    """How often the server pings; two without a byte end the connection."""
    features: list[str]
    """Features that both know."""
    reconnect: Reconnect
    """How to connect anew."""


class ServerInfo(TypedDict):
    """The server program."""

    name: str
    """Its name."""
    version: str
    """Its version."""
    build: str
    """Which build."""


class Limits(TypedDict):
    """What a connection may hold at once."""

    message_bytes: int
    """Bytes of a message."""
    row_bytes: int
    """Bytes of a row."""
    requests: int
    """Requests open at once."""
    subscriptions: int
    """Subscriptions open at once."""
    credit_bytes: int
    """Credit that the connection starts with, in bytes."""


class Reconnect(TypedDict):
    """How long a client waits before it connects anew: a random time up to the bound, which doubles from `base_ms` to `max_ms`."""

    base_ms: int
    """The first bound."""
    max_ms: int
    """The last bound."""


class RequestOptions(TypedDict):
    """Options of a request."""

    key: NotRequired[str | None]
    """The key of a mutation: a UUIDv7, made once and kept through retries."""
    timeout_ms: NotRequired[int | None]
    """After this the server answers `timeout`."""
    trace: NotRequired[str | None]
    """A W3C traceparent."""


class ReplyOptions(TypedDict):
    """Options of a reply."""

    as_of: NotRequired[int | None]
    """The revision at which the output is true."""


class TargetRun(TypedDict):
    """A run's stream."""

    run: str
    """Which run."""
    only: NotRequired[list[str] | None]
    """Only events of these types; absent: all."""


class TargetQuery2(TypedDict):
    """A read that stays true."""

    query: TargetQuery
    """Which read."""


class TargetPresence2(TypedDict):
    """Who is in a session."""

    presence: TargetPresence
    """Which session."""


Target: TypeAlias = 'TargetRun | TargetQuery2 | TargetPresence2'
"""What is followed."""

class TargetQuery(TypedDict):
    """A read that is followed."""

    op: str
    """The operation's name; the table of operations marks it live."""
    input: dict[str, Any]
    """Its input, without `cursor`."""


class TargetPresence(TypedDict):
    """Where someone is present."""

    session_id: str
    """The session."""


SubscribeOptions = TypedDict("SubscribeOptions", {"from": 'NotRequired[int | None]', "credit": 'NotRequired[int | None]'})
"""Options of a subscription. Presence has none."""

SubscribedRun = TypedDict("SubscribedRun", {"from": 'int', "head": 'int', "complete": 'bool'})
"""A subscription to a run has begun."""

class SubscribedQuery(TypedDict):
    """A subscription to a query has begun."""

    revision: int
    """The revision at which the query stands."""
    snapshot: bool
    """Whether a snapshot follows; else changes since `from` do."""


class LiveChangePut(TypedDict):
    """A row was added or changed, or has another place."""

    put: Any
    """The row."""
    before: NotRequired[str | None]
    """The id of the row that it stands before, which is there at this moment; `nil`: it is the last."""


class LiveChangeRemove(TypedDict):
    """A row is gone: deleted, out of the window, or no longer visible."""

    remove: str
    """Its id."""


class LiveChangeValue(TypedDict):
    """The whole output, where it is no list."""

    value: Any
    """The output."""


class LiveChange4(TypedDict):
    """Where the rest of the list begins now; `nil`: there is no more."""

    next: NotRequired[str | None]
    """The cursor."""


class LiveChangeTotal(TypedDict):
    """How many rows match now."""

    total: int
    """The count."""


LiveChange: TypeAlias = 'LiveChangePut | LiveChangeRemove | LiveChangeValue | LiveChange4 | LiveChangeTotal'
"""One change of a read's output. Those of one frame are applied in order and at once."""

class Ended(TypedDict):
    """A subscription's end."""

    why: EndedWhy
    """Why."""
    fault: NotRequired[Fault | None]
    """What was wrong, with `refused`."""


EndedWhy: TypeAlias = 'Literal["complete", "forbidden", "deleted", "server", "refused"]'
"""Why a subscription ended."""

class Member(TypedDict):
    """One connection that is here."""

    connection_id: str
    """Which connection: a person may be here more than once."""
    principal: MemberPrincipal
    """Whose it is."""


class MemberPrincipal(TypedDict):
    """Who is here, as far as other members may know."""

    kind: PrincipalKind
    """What it is."""
    id: str
    """Its id."""
    name: str
    """Its name."""


class NoticeTokenExpiring(TypedDict):
    """The access token ends in 60 s: `auth.refresh` on the same socket."""

    type: Literal["token_expiring"]
    expires_at: int
    """When it ends."""


class NoticePrincipalChanged(TypedDict):
    """The principal's role or name changed."""

    type: Literal["principal_changed"]
    principal: Principal
    """As it is now."""


Notice: TypeAlias = 'NoticeTokenExpiring | NoticePrincipalChanged'
"""Something that the server tells about the connection, without being asked."""

class Goaway(TypedDict):
    """The server leaves: finish, and connect anew at a random moment within the window."""

    why: GoawayWhy
    """Why."""
    reconnect_within_ms: int
    """The window in which to connect anew."""
    drain_ms: int
    """After this the connection is closed with 4001."""


GoawayWhy: TypeAlias = 'Literal["shutdown", "upgrade", "rebalance"]'
"""Why the server asks its clients to leave."""

class Health(TypedDict):
    """The answer of `/health`, `/health/live` and `/health/ready`."""

    status: HealthStatus
    """How the server is."""
    version: str
    """The server's version."""


HealthStatus: TypeAlias = 'Literal["ok", "draining", "unavailable"]'
"""How a server is."""

class TokenRequestPassword(TypedDict):
    """A person signs in."""

    grant_type: Literal["password"]
    username: str
    """The e-mail address."""
    password: str
    """The password."""
    workspace_id: NotRequired[str | None]
    """The workspace to act in; absent: the latest."""


class TokenRequestRefreshToken(TypedDict):
    """The next tokens of a sign-in."""

    grant_type: Literal["refresh_token"]
    refresh_token: NotRequired[str | None]
    """The refresh token; absent where a browser sends it as an HttpOnly cookie."""


class TokenRequestClientCredentials(TypedDict):
    """A program signs in with an API key. Id and secret may also come by HTTP Basic authentication."""

    grant_type: Literal["client_credentials"]
    client_id: NotRequired[str | None]
    """The key's id."""
    client_secret: NotRequired[str | None]
    """The key's secret."""


TokenRequest: TypeAlias = 'TokenRequestPassword | TokenRequestRefreshToken | TokenRequestClientCredentials'
"""The form that `POST /token` takes, as `application/x-www-form-urlencoded` (RFC 6749, sections 4.3, 4.4 and 6)."""

class TokenResponse(TypedDict):
    """The answer of `POST /token` (RFC 6749, section 5.1)."""

    access_token: str
    """Proves who one is, until it ends."""
    token_type: TokenType
    """`Bearer`."""
    expires_in: int
    """Seconds until the access token ends."""
    refresh_token: NotRequired[str | None]
    """Gets the next tokens; absent where it was set as a cookie, and for API keys."""


TokenType: TypeAlias = 'Literal["Bearer"]'
"""How an access token is used: in `hello` and in `auth.authenticate`."""

class TokenError(TypedDict):
    """The answer of `POST /token` where no token is given."""

    error: TokenErrorCode
    """The stable code."""
    error_description: NotRequired[str | None]
    """For people."""


TokenErrorCode: TypeAlias = 'Literal["invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "temporarily_unavailable", "server_error"]'
"""Why no token was given (RFC 6749, section 5.2; the last two as its section 4.1.2.1 names them)."""


KINDS: dict[str, Literal["read", "mutation", "idempotent"]] = {
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
}
"""Which operations need a key: mutations do."""


class Calls:
    """Asking for operations, with their types."""

    async def request(self, op: str, input: dict[str, Any], *, key: str | None = None, timeout: float | None = None) -> Any:
        """Asks for an operation."""
        raise NotImplementedError

    @overload
    async def call(self, op: Literal["auth.register"], input: AuthRegister, *, key: str | None = None, timeout: float | None = None) -> SignedIn: ...

    @overload
    async def call(self, op: Literal["auth.login"], input: AuthLogin, *, key: str | None = None, timeout: float | None = None) -> SignedIn: ...

    @overload
    async def call(self, op: Literal["auth.refresh"], input: AuthRefresh, *, key: str | None = None, timeout: float | None = None) -> SignedIn: ...

    @overload
    async def call(self, op: Literal["auth.authenticate"], input: AuthAuthenticate, *, key: str | None = None, timeout: float | None = None) -> Authenticated: ...

    @overload
    async def call(self, op: Literal["auth.logout"], input: AuthLogout, *, key: str | None = None, timeout: float | None = None) -> Done: ...

    @overload
    async def call(self, op: Literal["auth.me"], input: AuthMe, *, key: str | None = None, timeout: float | None = None) -> Principal: ...

    @overload
    async def call(self, op: Literal["workspace.get"], input: WorkspaceGet, *, key: str | None = None, timeout: float | None = None) -> Workspace: ...

    @overload
    async def call(self, op: Literal["workspace.list"], input: WorkspaceList, *, key: str | None = None, timeout: float | None = None) -> WorkspacePage: ...

    @overload
    async def call(self, op: Literal["workspace.update"], input: WorkspaceUpdate, *, key: str | None = None, timeout: float | None = None) -> Workspace: ...

    @overload
    async def call(self, op: Literal["member.get"], input: MemberGet, *, key: str | None = None, timeout: float | None = None) -> WorkspaceMember: ...

    @overload
    async def call(self, op: Literal["member.list"], input: MemberList, *, key: str | None = None, timeout: float | None = None) -> WorkspaceMemberPage: ...

    @overload
    async def call(self, op: Literal["member.aggregate"], input: MemberAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["member.update"], input: MemberUpdate, *, key: str | None = None, timeout: float | None = None) -> WorkspaceMember: ...

    @overload
    async def call(self, op: Literal["member.remove"], input: MemberRemove, *, key: str | None = None, timeout: float | None = None) -> Done: ...

    @overload
    async def call(self, op: Literal["invitation.get"], input: InvitationGet, *, key: str | None = None, timeout: float | None = None) -> Invitation: ...

    @overload
    async def call(self, op: Literal["invitation.list"], input: InvitationList, *, key: str | None = None, timeout: float | None = None) -> InvitationPage: ...

    @overload
    async def call(self, op: Literal["invitation.aggregate"], input: InvitationAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["invitation.create"], input: InvitationCreate, *, key: str | None = None, timeout: float | None = None) -> Invited: ...

    @overload
    async def call(self, op: Literal["invitation.revoke"], input: InvitationRevoke, *, key: str | None = None, timeout: float | None = None) -> Invitation: ...

    @overload
    async def call(self, op: Literal["invitation.accept"], input: InvitationAccept, *, key: str | None = None, timeout: float | None = None) -> SignedIn: ...

    @overload
    async def call(self, op: Literal["api_key.get"], input: ApiKeyGet, *, key: str | None = None, timeout: float | None = None) -> ApiKey: ...

    @overload
    async def call(self, op: Literal["api_key.list"], input: ApiKeyList, *, key: str | None = None, timeout: float | None = None) -> ApiKeyPage: ...

    @overload
    async def call(self, op: Literal["api_key.aggregate"], input: ApiKeyAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["api_key.create"], input: ApiKeyCreate, *, key: str | None = None, timeout: float | None = None) -> ApiKeyCreated: ...

    @overload
    async def call(self, op: Literal["api_key.revoke"], input: ApiKeyRevoke, *, key: str | None = None, timeout: float | None = None) -> ApiKey: ...

    @overload
    async def call(self, op: Literal["session.create"], input: SessionCreate, *, key: str | None = None, timeout: float | None = None) -> Session: ...

    @overload
    async def call(self, op: Literal["session.get"], input: SessionGet, *, key: str | None = None, timeout: float | None = None) -> Session: ...

    @overload
    async def call(self, op: Literal["session.list"], input: SessionList, *, key: str | None = None, timeout: float | None = None) -> SessionPage: ...

    @overload
    async def call(self, op: Literal["session.aggregate"], input: SessionAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["session.update"], input: SessionUpdate, *, key: str | None = None, timeout: float | None = None) -> Session: ...

    @overload
    async def call(self, op: Literal["session.archive"], input: SessionArchive, *, key: str | None = None, timeout: float | None = None) -> Session: ...

    @overload
    async def call(self, op: Literal["session.delete"], input: SessionDelete, *, key: str | None = None, timeout: float | None = None) -> Done: ...

    @overload
    async def call(self, op: Literal["message.get"], input: MessageGet, *, key: str | None = None, timeout: float | None = None) -> Message: ...

    @overload
    async def call(self, op: Literal["message.list"], input: MessageList, *, key: str | None = None, timeout: float | None = None) -> MessagePage: ...

    @overload
    async def call(self, op: Literal["message.aggregate"], input: MessageAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["message.post"], input: MessagePost, *, key: str | None = None, timeout: float | None = None) -> Message: ...

    @overload
    async def call(self, op: Literal["run.start"], input: RunStart, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["run.get"], input: RunGet, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["run.list"], input: RunList, *, key: str | None = None, timeout: float | None = None) -> RunPage: ...

    @overload
    async def call(self, op: Literal["run.aggregate"], input: RunAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["run.cancel"], input: RunCancel, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["run.steer"], input: RunSteer, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["run.pause"], input: RunPause, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["run.resume"], input: RunResume, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["run.retry"], input: RunRetry, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["run.append"], input: RunAppend, *, key: str | None = None, timeout: float | None = None) -> RunAppended: ...

    @overload
    async def call(self, op: Literal["run.park"], input: RunPark, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["run.finish"], input: RunFinish, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["run.release"], input: RunRelease, *, key: str | None = None, timeout: float | None = None) -> Run: ...

    @overload
    async def call(self, op: Literal["approval.get"], input: ApprovalGet, *, key: str | None = None, timeout: float | None = None) -> Approval: ...

    @overload
    async def call(self, op: Literal["approval.list"], input: ApprovalList, *, key: str | None = None, timeout: float | None = None) -> ApprovalPage: ...

    @overload
    async def call(self, op: Literal["approval.aggregate"], input: ApprovalAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["approval.answer"], input: ApprovalAnswer, *, key: str | None = None, timeout: float | None = None) -> Approval: ...

    @overload
    async def call(self, op: Literal["approval.withdraw"], input: ApprovalWithdraw, *, key: str | None = None, timeout: float | None = None) -> Approval: ...

    @overload
    async def call(self, op: Literal["approval.request"], input: ApprovalRequest, *, key: str | None = None, timeout: float | None = None) -> Approval: ...

    @overload
    async def call(self, op: Literal["worker.get"], input: WorkerGet, *, key: str | None = None, timeout: float | None = None) -> Worker: ...

    @overload
    async def call(self, op: Literal["worker.list"], input: WorkerList, *, key: str | None = None, timeout: float | None = None) -> WorkerPage: ...

    @overload
    async def call(self, op: Literal["worker.aggregate"], input: WorkerAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["worker.register"], input: WorkerRegister, *, key: str | None = None, timeout: float | None = None) -> WorkerRegistered: ...

    @overload
    async def call(self, op: Literal["worker.drain"], input: WorkerDrain, *, key: str | None = None, timeout: float | None = None) -> Worker: ...

    @overload
    async def call(self, op: Literal["lease.get"], input: LeaseGet, *, key: str | None = None, timeout: float | None = None) -> Lease: ...

    @overload
    async def call(self, op: Literal["lease.list"], input: LeaseList, *, key: str | None = None, timeout: float | None = None) -> LeasePage: ...

    @overload
    async def call(self, op: Literal["lease.aggregate"], input: LeaseAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["lease.renew"], input: LeaseRenew, *, key: str | None = None, timeout: float | None = None) -> LeaseRenewed: ...

    @overload
    async def call(self, op: Literal["crew.get"], input: CrewGet, *, key: str | None = None, timeout: float | None = None) -> Crew: ...

    @overload
    async def call(self, op: Literal["crew.list"], input: CrewList, *, key: str | None = None, timeout: float | None = None) -> CrewPage: ...

    @overload
    async def call(self, op: Literal["crew.aggregate"], input: CrewAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["crew.import"], input: CrewImport, *, key: str | None = None, timeout: float | None = None) -> Crew: ...

    @overload
    async def call(self, op: Literal["crew.update"], input: CrewUpdate, *, key: str | None = None, timeout: float | None = None) -> Crew: ...

    @overload
    async def call(self, op: Literal["crew.delete"], input: CrewDelete, *, key: str | None = None, timeout: float | None = None) -> Done: ...

    @overload
    async def call(self, op: Literal["crew.export"], input: CrewExport, *, key: str | None = None, timeout: float | None = None) -> CrewExported: ...

    @overload
    async def call(self, op: Literal["agent.get"], input: AgentGet, *, key: str | None = None, timeout: float | None = None) -> Agent: ...

    @overload
    async def call(self, op: Literal["agent.list"], input: AgentList, *, key: str | None = None, timeout: float | None = None) -> AgentPage: ...

    @overload
    async def call(self, op: Literal["agent.aggregate"], input: AgentAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["artifact.get"], input: ArtifactGet, *, key: str | None = None, timeout: float | None = None) -> Artifact: ...

    @overload
    async def call(self, op: Literal["artifact.list"], input: ArtifactList, *, key: str | None = None, timeout: float | None = None) -> ArtifactPage: ...

    @overload
    async def call(self, op: Literal["artifact.aggregate"], input: ArtifactAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["artifact.read"], input: ArtifactRead, *, key: str | None = None, timeout: float | None = None) -> ArtifactPart: ...

    @overload
    async def call(self, op: Literal["artifact.create"], input: ArtifactCreate, *, key: str | None = None, timeout: float | None = None) -> Artifact: ...

    @overload
    async def call(self, op: Literal["artifact.append"], input: ArtifactAppend, *, key: str | None = None, timeout: float | None = None) -> Artifact: ...

    @overload
    async def call(self, op: Literal["budget.get"], input: BudgetGet, *, key: str | None = None, timeout: float | None = None) -> Budget: ...

    @overload
    async def call(self, op: Literal["budget.list"], input: BudgetList, *, key: str | None = None, timeout: float | None = None) -> BudgetPage: ...

    @overload
    async def call(self, op: Literal["budget.aggregate"], input: BudgetAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["budget.set"], input: BudgetSet, *, key: str | None = None, timeout: float | None = None) -> Budget: ...

    @overload
    async def call(self, op: Literal["collection.get"], input: CollectionGet, *, key: str | None = None, timeout: float | None = None) -> Collection: ...

    @overload
    async def call(self, op: Literal["collection.list"], input: CollectionList, *, key: str | None = None, timeout: float | None = None) -> CollectionPage: ...

    @overload
    async def call(self, op: Literal["collection.aggregate"], input: CollectionAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["record.create"], input: RecordCreate, *, key: str | None = None, timeout: float | None = None) -> RecordRow: ...

    @overload
    async def call(self, op: Literal["record.get"], input: RecordGet, *, key: str | None = None, timeout: float | None = None) -> RecordRow: ...

    @overload
    async def call(self, op: Literal["record.list"], input: RecordList, *, key: str | None = None, timeout: float | None = None) -> RecordRowPage: ...

    @overload
    async def call(self, op: Literal["record.aggregate"], input: RecordAggregate, *, key: str | None = None, timeout: float | None = None) -> Aggregated: ...

    @overload
    async def call(self, op: Literal["record.update"], input: RecordUpdate, *, key: str | None = None, timeout: float | None = None) -> RecordRow: ...

    @overload
    async def call(self, op: Literal["record.delete"], input: RecordDelete, *, key: str | None = None, timeout: float | None = None) -> Done: ...

    @overload
    async def call(self, op: Literal["record.batch"], input: RecordBatch, *, key: str | None = None, timeout: float | None = None) -> RecordBatched: ...

    async def call(self, op: str, input: Any, *, key: str | None = None, timeout: float | None = None) -> Any:
        """Asks for an operation. A mutation happens once, however often it is sent; `timeout` is in seconds. Raises `Refused` and `Gone`."""
        return await self.request(op, input, key=key, timeout=timeout)
