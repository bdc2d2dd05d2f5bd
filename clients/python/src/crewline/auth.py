"""Who a connection is: what it says first, and how it goes on being somebody when a token ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from .faults import Refused

#: Why a token is wanted: to connect at all, because the one in use is about to end, or because the server refused it.
Reason = Literal["initial", "expiring", "rejected"]
#: Asks for an operation on the connection that is to be signed in.
Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]


class Auth(Protocol):
    """Signs a connection in, and in again."""

    renewable: bool
    """Whether there may be another token when one is refused."""

    async def token(self, reason: Reason) -> str | None:
        """What the connection opens with; none where it signs in once it is open."""
        ...

    async def renew(self, ask: Ask) -> None:
        """Signs an open connection in, for the first time or before its token ends."""
        ...


class Key:
    """An API key (`crk_…`), or an access token that nobody can renew."""

    renewable = False

    def __init__(self, key: str) -> None:
        self._key = key

    async def token(self, reason: Reason) -> str | None:
        """The key."""
        return self._key

    async def renew(self, ask: Ask) -> None:
        """A key does not end."""


class Tokens:
    """Access tokens from elsewhere: `get` is asked for one with the reason why."""

    renewable = True

    def __init__(self, get: Callable[[Reason], Awaitable[str]]) -> None:
        self._get = get

    async def token(self, reason: Reason) -> str | None:
        """A token."""
        return await self._get(reason)

    async def renew(self, ask: Ask) -> None:
        """Puts a newer token in the place of the one that ends."""
        await ask("auth.authenticate", {"access_token": await self._get("expiring")})


class Password:
    """A user's e-mail address and password. Tokens are kept in memory and refreshed; the password is sent when there is none that is good."""

    renewable = True

    def __init__(self, email: str, password: str, workspace_id: str | None = None) -> None:
        self._login = {"email": email, "password": password, **({"workspace_id": workspace_id} if workspace_id else {})}
        self._access: str | None = None
        self._refresh: str | None = None

    async def token(self, reason: Reason) -> str | None:
        """The last access token, unless that is refused."""
        if reason == "rejected":
            self._access = None
        return self._access

    async def renew(self, ask: Ask) -> None:
        """Refreshes, or signs in with the password."""
        if self._refresh is not None:
            refresh, self._refresh = self._refresh, None
            try:
                self._take(await ask("auth.refresh", {"refresh_token": refresh}))
                return
            except Refused:
                # It was used up or revoked: the password says who this is.
                pass
        self._take(await ask("auth.login", self._login))

    def _take(self, signed_in: dict[str, Any]) -> None:
        self._access, self._refresh = signed_in["access_token"], signed_in["refresh_token"]
