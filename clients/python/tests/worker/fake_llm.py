"""A deterministic stand-in for an OpenAI-compatible server: its reply is a pure function of the request.

- `@@tool NAME {json}@@` in a message, where NAME is offered and was not called yet: that call.
- `User feedback: X` or CrewAI's feedback message in a message: `revised(X)`.
- `@@say TEXT@@` in a message: TEXT.
- anything else: `answer[<8 digits of the conversation's hash>]`.

The model's name sets the pace: `fake-slow` waits between tokens, `fake-stuck` accepts the request and never answers.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SLOW_SECONDS = 0.05
#: A text, or tool calls.
Reply = tuple[str | None, list[dict[str, Any]] | None]


def words(message: dict[str, Any]) -> str:
    """A message's text."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def decide(body: dict[str, Any]) -> Reply:
    """The reply to a request: a text, or tool calls."""
    messages = body["messages"]
    offered = {tool["function"]["name"] for tool in body.get("tools") or []}
    called = {call["function"]["name"] for message in messages for call in (message.get("tool_calls") or [])}
    heard = [words(message) for message in messages if message["role"] in ("user", "system")]
    for text in heard:
        for name, arguments in re.findall(r"@@tool (\w+) (\{.*?\})@@", text, re.DOTALL):
            if name in offered and name not in called:
                call = "call_" + hashlib.sha256((name + arguments).encode()).hexdigest()[:8]
                return None, [{"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}]
    feedback = [text for text in heard if "feedback:" in text.lower()[:80]]
    if feedback:
        return f"revised({feedback[-1].split(':', 1)[1].strip().splitlines()[0]})", None
    said = re.findall(r"@@say (.*?)@@", "\n".join(heard), re.DOTALL)
    if said:
        return said[0], None
    digest = hashlib.sha256(json.dumps([[message["role"], words(message)] for message in messages]).encode())
    return f"answer[{digest.hexdigest()[:8]}]", None


class Handler(BaseHTTPRequestHandler):
    """Answers `POST …/chat/completions`."""

    protocol_version = "HTTP/1.1"
    server: FakeLLM

    def log_message(self, *_: object) -> None:
        """Says nothing on the terminal."""

    def do_POST(self) -> None:
        """Replies, whole or as a stream."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        number = self.server.took(body)
        if "stuck" in body["model"]:
            self.server.stopped.wait()
            return
        text, calls = self.server.decide(body)
        sent = sum(len(words(message).split()) for message in body["messages"])
        made = len((text or json.dumps(calls)).split())
        usage = {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}
        head = {"id": f"chatcmpl-{number}", "created": 1, "model": body["model"]}
        try:
            if body.get("stream"):
                self.stream(body, head, text, calls, usage)
            else:
                self.whole(head, text, calls, usage)
        except OSError:
            pass

    def whole(self, head: dict[str, Any], text: str | None, calls: list[dict[str, Any]] | None, usage: dict[str, int]) -> None:
        """The reply at once."""
        message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
        choice = {"index": 0, "finish_reason": "tool_calls" if calls else "stop", "message": message}
        data = json.dumps({**head, "object": "chat.completion", "usage": usage, "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, body: dict[str, Any], head: dict[str, Any], text: str | None, calls: list[dict[str, Any]] | None, usage: dict[str, int]) -> None:
        """The reply word by word, as server-sent events."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

        def send(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> None:
            choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
            chunk = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self.wfile.flush()

        send({"role": "assistant", "content": "" if text else None})
        for place, call in enumerate(calls or []):
            function = {"name": call["function"]["name"], "arguments": ""}
            send({"tool_calls": [{"index": place, "id": call["id"], "type": "function", "function": function}]})
            for piece in re.findall(r".{1,12}", call["function"]["arguments"], re.DOTALL):
                send({"tool_calls": [{"index": place, "function": {"arguments": piece}}]})
        for piece in re.findall(r"\s*\S+", text or ""):
            if "slow" in body["model"]:
                self.server.stopped.wait(SLOW_SECONDS)
            send({"content": piece})
        send({}, "tool_calls" if calls else "stop")
        if (body.get("stream_options") or {}).get("include_usage"):
            send(None, usage=usage)
        self.wfile.write(b"data: [DONE]\n\n")


class FakeLLM(ThreadingHTTPServer):
    """The server, on a free port of loopback."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, decide: Callable[[dict[str, Any]], Reply] = decide) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.decide = decide
        self.stopped = threading.Event()
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL, as `OPENAI_BASE_URL` wants it."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def took(self, body: dict[str, Any]) -> int:
        """Keeps a request; gives its number."""
        with self._lock:
            self.requests.append(body)
            return len(self.requests)

    def close(self) -> None:
        """Stops, and lets go of who waits."""
        self.stopped.set()
        self.shutdown()
        self.server_close()
