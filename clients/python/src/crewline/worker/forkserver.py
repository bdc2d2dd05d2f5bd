"""The process that run's processes are forked from: it has imported what they need, so that one starts in milliseconds.

Not `multiprocessing`'s: its forkserver does not hand on `sys.path` before it preloads, and tells nobody how a process ended. This one is small:
it is given three file descriptors, forks, and tells the process's id; later it tells how the process ended, after the whole process group was
killed and before the id can belong to anyone else. What a run has started outside of that group becomes this process's own, which ends it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from typing import NoReturn

from . import orphans, target

TOLD = struct.Struct(">ciI")
#: What it tells: that it loads a module, by its place; that it has loaded all; a process's id; and how one ended.
LOADING, LOADED, FORKED, ENDED = b"L", b"R", b"F", b"E"
#: How long what is killed may take to be gone, when the supervisor has hung up.
KILLED_SECONDS = 5.0


def main() -> NoReturn:
    """Serves until its supervisor hangs up; given a socket's descriptor, what `sys.path` is, and modules."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    target.in_run = True
    for place, module in enumerate(sys.argv[3:]):
        control.sendall(TOLD.pack(LOADING, place, 0))
        try:
            importlib.import_module(module)
        except BaseException as error:
            # Whoever needs it will hear of it in the run.
            print(f"crewline: {module} could not be loaded beforehand: {type(error).__name__}: {error}", file=sys.stderr)
    if threading.active_count() > 1:
        others = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
        print(f"crewline: importing has started threads ({others}), which run's processes will not have", file=sys.stderr)
    gc.collect()
    gc.freeze()
    control.sendall(TOLD.pack(LOADED, 0, 0))
    _serve(control)


def _serve(control: socket.socket) -> NoReturn:
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    orphans.adopt()
    living: set[int] = set()
    others = orphans.children()
    while True:
        for key, _ in selector.select():
            if key.fileobj is control:
                data, given, _, _ = socket.recv_fds(control, 1, 3)
                if not data:
                    for pid in living:
                        _kill_group(pid)
                    _end_all(others)
                    os._exit(0)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    selector.close()
                    control.close()
                    os.close(woken)
                    os.close(wake)
                    from .child import main as child

                    child(socket.socket(fileno=given[0]), given[1], given[2])
                    os._exit(70)
                for descriptor in given:
                    os.close(descriptor)
                living.add(pid)
                control.sendall(TOLD.pack(FORKED, pid, 0))
            else:
                while _read(woken):
                    pass
                _reap(control, living)
                _end_orphans(living | others)


def _reap(control: socket.socket, living: set[int]) -> None:
    for pid in list(living):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            # While it is not waited for, its id, and so its group's, is its own.
            _kill_group(pid)
            _, status = os.waitpid(pid, 0)
            living.discard(pid)
            control.sendall(TOLD.pack(ENDED, pid, status))


def _end_orphans(but: set[int]) -> bool:
    """Ends what runs have left behind that are over; whether there was any. What such a process leaves behind comes here when it is gone."""
    left = orphans.children() - but
    for pid in left:
        with contextlib.suppress(ProcessLookupError, PermissionError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
    return bool(left)


def _end_all(but: set[int]) -> None:
    until = time.monotonic() + KILLED_SECONDS
    while _end_orphans(but) and time.monotonic() < until:
        time.sleep(0.01)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except BlockingIOError:
        return b""
