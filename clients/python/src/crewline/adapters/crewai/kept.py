"""Going on with a flow that was put away: what its methods gave is kept in the run's log, and handed in again instead of executing them.

The flow itself begins anew, and comes to where it was through CrewAI's own machinery: branches, joins, loops and routes are as they were.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from pydantic import BaseModel, ValidationError

from ...worker import events, values
from ...worker.past import CHECKPOINT
from ...worker.run import Parked, RunBase

#: The most that a run's log keeps of a flow.
KEPT_BYTES = 160 << 10
#: Marks what was an object of a model.
MODEL = "__model__"


class KeptFlow:
    """A run's flow, whose methods are executed once over all attempts."""

    def __init__(self, run: RunBase, flow: Any) -> None:
        self._run, self._flow = run, flow
        self._lock = threading.Lock()
        kept = json.loads(run.past.checkpoint) if run.past.checkpoint else {}
        self._state: dict[str, Any] = kept.get("state", {})
        self._before: dict[str, list[Any]] = kept.get("given", {})
        self._outcomes: dict[str, str] = kept.get("outcomes", {})
        self._given: dict[str, list[Any]] = {name: [restored(one) for one in given] for name, given in self._before.items()}
        self._begun: Counter[str] = Counter()
        self._executing = 0
        self._torn = self._resting = False
        # The log is the checkpoint.
        flow.persistence = None
        for name, method in list(flow._methods.items()):
            flow._methods[name] = self._kept(str(name), method)
        self._keep_outcomes()

    def kickoff(self) -> Any:
        """Executes the flow, from where it was."""
        try:
            return self._flow.kickoff(inputs={**self._run.inputs, **self._state})
        except Parked:
            if self.may_rest() and not self._torn:
                self._write()
            raise

    def replays(self, flow: Any, method: str) -> bool:
        """Whether the method, which begins, was executed before."""
        return flow is self._flow and self._begun[method] < len(self._before.get(method, []))

    def may_rest(self) -> bool:
        """Whether no method is in the middle of something, so that the flow may be put away; none begins after that."""
        with self._lock:
            self._resting = self._resting or not self._executing
            return self._resting

    def is_of(self, flow: Any) -> bool:
        """Whether this is the run's own flow, and not one that a method of it has begun."""
        return flow is self._flow

    # What the methods give.

    def _kept(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def finished(place: int, given: Any) -> Any:
            with self._executes():
                self._given[name][place] = made = await given
            return made

        @functools.wraps(method)
        def execute(*args: Any, **more: Any) -> Any:
            place, replayed = self._begin(name)
            if replayed:
                return self._given[name][place]
            with self._executes():
                given = method(*args, **more)
                if not inspect.isawaitable(given):
                    self._given[name][place] = given
                    return given
            return finished(place, given)

        @functools.wraps(method)
        async def execute_async(*args: Any, **more: Any) -> Any:
            given = execute(*args, **more)
            return await given if inspect.isawaitable(given) else given

        return execute_async if asyncio.iscoroutinefunction(method) else execute

    def _begin(self, name: str) -> tuple[int, bool]:
        with self._lock:
            place = self._begun[name]
            self._begun[name] += 1
            given = self._given.setdefault(name, [])
            if place < len(given):
                return place, True
            if self._resting:
                raise Parked
            given.append(None)
            return place, False

    @contextmanager
    def _executes(self) -> Iterator[None]:
        with self._lock:
            self._executing += 1
        try:
            yield
        except BaseException as error:
            # The state has half of what the method does to it.
            self._torn = True
            if isinstance(error, Parked):
                self._run.put_away()
            raise
        finally:
            with self._lock:
                self._executing -= 1
            self._run.stir()

    def _keep_outcomes(self) -> None:
        collapse = self._flow._collapse_to_outcome

        def collapsed(feedback: str, outcomes: Any, llm: Any) -> str:
            # No model is asked again what words meant, and none changes its mind.
            asked = json.dumps([feedback, list(outcomes)])
            if asked not in self._outcomes:
                self._outcomes[asked] = collapse(feedback=feedback, outcomes=outcomes, llm=llm)
            return self._outcomes[asked]

        self._flow._collapse_to_outcome = collapsed

    # Where it stands.

    def _write(self) -> None:
        state = self._flow._state
        kept = {
            "state": state.model_dump(mode="json") if isinstance(state, BaseModel) else values.json_value(state, whole=True),
            "given": {name: [plain(one) for one in given] for name, given in self._given.items()},
            "outcomes": self._outcomes,
        }
        data = json.dumps(kept)
        if len(data) > KEPT_BYTES:
            self._run.log("the flow's state and results are too large to be kept: after the answer it begins anew", "warn", bytes=len(data))
            return
        # As it is: the log's own cut would tear it apart.
        self._run.emit({**events.log("debug", CHECKPOINT), "fields": {"data": data}})


def plain(value: Any) -> Any:
    """What a method gave, as JSON."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, BaseModel):
        return {MODEL: f"{type(value).__module__}:{type(value).__qualname__}", "value": value.model_dump(mode="json")}
    return values.json_value(value, whole=True)


def restored(value: Any) -> Any:
    """The same back. Nothing is imported for it: a model that the crew does not have stays a dict."""
    if not isinstance(value, dict) or MODEL not in value:
        return value
    module, _, name = value[MODEL].partition(":")
    model: Any = sys.modules.get(module)
    for part in name.split("."):
        model = getattr(model, part, None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return value["value"]
    try:
        return model.model_validate(value["value"])
    except ValidationError:
        return value["value"]
