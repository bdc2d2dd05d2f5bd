"""Finding what a worker serves: `module:attribute`, in the process that executes it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from .run import RunFailed

#: The name under which a worker's own script is imported again in a run's process.
MAIN = "__crewline_main__"
#: Whether this is a run's process, or what such are forked from: a worker's script that is imported here makes no worker.
in_run = False


def reference(function: Callable[..., Any]) -> str:
    """How a run's process finds a function: by its module and name."""
    module, name = function.__module__, function.__qualname__
    if "<" in name:
        raise ValueError(f"`{name}` can't be found from another process: define it at the top level of a module")
    if module != "__main__":
        return f"{module}:{name}"
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        # Started as `python -m module`.
        return f"{spec.name}:{name}"
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None:
        raise ValueError(f"`{name}` was typed at a prompt: put it into a file, which a run's process can import")
    return f"{os.path.abspath(file)}:{name}"


def load(target: str) -> Any:
    """The attribute that a target names; a fault that says what is wrong with it."""
    module_name, _, attribute = target.rpartition(":")
    try:
        module = _script(module_name) if os.path.isabs(module_name) else importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module_name}.".startswith(f"{error.name}."):
            why += ". Install the project where the worker runs (pip install -e .), or start the worker in the folder that holds it"
        raise RunFailed("internal", f"`{module_name}` could not be imported by the worker: {why}") from error
    found: Any = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise RunFailed("internal", f"`{module_name}` has no `{attribute}`: the worker was given `{target}`") from None
    return found


def _script(path: str) -> Any:
    if MAIN in sys.modules:
        return sys.modules[MAIN]
    spec = importlib.util.spec_from_file_location(MAIN, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MAIN] = module
    spec.loader.exec_module(module)
    return module


def is_async(function: Any) -> bool:
    """Whether a function wants the async run."""
    called = function if inspect.isroutine(function) else type(function).__call__
    return inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)
