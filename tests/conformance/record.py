"""Records what a model sees of each crew in this folder when CrewAI itself runs it, as a shape without CrewAI's words.

Each folder holds `agents.yaml` and `tasks.yaml` as CrewAI reads them, our `crew.yaml`, and `script.json`: the inputs, and a fake model's
answers. The fake model is an OpenAI-compatible server on loopback. It knows a conversation by the first `[[NAME]]` in what it is asked, and
gives that name's answers in turn; the last stands for all after it. `recorded.json` is what is written:

    calls     for each conversation, call by call: the tools offered, which words of others (capitals) are told and in which order, which
              words the results of tools hold, whether a form is asked for
    order     the conversations in the order of their calls; those of tasks side by side are sorted
    outputs   what each task handed in
    ended     `succeeded`, `failed`, or `missing input`
"""

import json
import os
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

os.environ.update(
    CREWAI_DISABLE_TELEMETRY="true",
    CREWAI_TRACING_ENABLED="false",
    OTEL_SDK_DISABLED="true",
    CREWAI_STORAGE_DIR=tempfile.mkdtemp(),
    OPENAI_API_KEY="none",
)

import yaml  # noqa: E402
from crewai import LLM, Agent, Crew, Process, Task  # noqa: E402
from crewai.tools import BaseTool  # noqa: E402
from pydantic import BaseModel, create_model  # noqa: E402

HERE = Path(__file__).parent
# As the engine calls them, by what CrewAI does.
NAMES = {
    "delegate_work_to_coworker": "coworker.delegate",
    "ask_question_to_coworker": "coworker.ask",
    "content_analyze": "content.analyze",
    "web_search": "web.search",
}
THEIRS = {ours: theirs for theirs, ours in NAMES.items()}


class FakeModel:
    """The server, with the answers of the crew that runs now and what it was asked."""

    def __init__(self):
        self.lock = threading.Lock()
        self.begin({})
        handler = type("Handler", (Handler,), {"model": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def begin(self, answers):
        self.answers, self.words, self.asked, self.counts = answers, words_of(answers), [], {}

    def answer(self, body):
        text = "\n".join(text_of(message) for message in body["messages"])
        name = (re.search(r"\[\[(\w+)\]\]", text) or ["", "?"])[1]
        with self.lock:
            count = self.counts.get(name, 0)
            self.counts[name] = count + 1
            self.asked.append((name, self.shape(body)))
        answers = self.answers.get(name, [{"text": f"nothing is written down for {name}"}])
        return answers[min(count, len(answers) - 1)], count

    def shape(self, body):
        told = "\n".join(text_of(m) for m in body["messages"] if m["role"] in ("system", "user"))
        results = [text_of(m) for m in body["messages"] if m["role"] == "tool"]
        tools = sorted(NAMES.get(tool["function"]["name"], tool["function"]["name"]) for tool in body.get("tools") or [])
        return {
            "tools": tools,
            "told": seen(self.words, told),
            "results": [seen(self.words, result) for result in results],
            "form": "response_format" in body,
        }


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer, count = self.model.answer(body)
        message = {"role": "assistant", "content": answer.get("text")}
        if calls := answer.get("calls"):
            message["tool_calls"] = [
                {
                    "id": f"call_{count}_{place}",
                    "type": "function",
                    "function": {"name": THEIRS.get(call["tool"], call["tool"]), "arguments": json.dumps(call["arguments"])},
                }
                for place, call in enumerate(calls)
            ]
        reply = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def text_of(message):
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def words_of(script):
    """Every word in capitals of three letters or more: what can be told of it from one conversation to another."""
    return sorted(set(re.findall(r"\b[A-Z]{3,}\b", json.dumps(script))))


def seen(words, text):
    return [word for _, word in sorted((text.find(word), word) for word in words if re.search(rf"\b{word}\b", text))]


class Echo(BaseTool):
    class Arguments(BaseModel):
        say: str = ""
        fail: str = ""

    name: str
    description: str = "Says it again."
    args_schema: type[BaseModel] = Arguments

    def _run(self, say: str = "", fail: str = "") -> str:
        if fail:
            raise RuntimeError(fail)
        return say


def crew_of(folder, llm):
    ours = yaml.safe_load((folder / "crew.yaml").read_text())
    agents_yaml = yaml.safe_load((folder / "agents.yaml").read_text())
    tasks_yaml = yaml.safe_load((folder / "tasks.yaml").read_text())
    agents = {}
    for name, fields in agents_yaml.items():
        tools = [Echo(name=THEIRS.get(tool, tool)) for tool in ours.get("tools", {}).get(name, [])]
        agents[name] = Agent(llm=llm, tools=tools, verbose=False, **fields)
    tasks = {}
    for name in ours["tasks"]:
        fields = dict(tasks_yaml[name])
        if "agent" in fields:
            fields["agent"] = agents[fields["agent"]]
        if "context" in fields:
            fields["context"] = [tasks[other] for other in fields["context"]]
        if schema := fields.get("output_json"):
            kinds = {"string": str, "integer": int}
            properties = {key: (kinds[value["type"]], ...) for key, value in schema["properties"].items()}
            fields["output_json"] = create_model("Output", **properties)
        tasks[name] = Task(name=name, **fields)
    manager = agents.pop(ours["manager_agent"]) if "manager_agent" in ours else None
    process = Process.hierarchical if manager else Process.sequential
    return Crew(agents=list(agents.values()), tasks=list(tasks.values()), process=process, manager_agent=manager, memory=False, tracing=False)


def record(folder, model):
    script = json.loads((folder / "script.json").read_text())
    model.begin(script["answers"])
    model.words = words_of(script)
    llm = LLM(model="openai/fake", base_url=model.url, api_key="none")
    crew = crew_of(folder, llm)
    outputs, ended = {}, "succeeded"
    try:
        crew.kickoff(inputs=dict(script["inputs"]))
    except Exception as error:  # what it is called is CrewAI's; that it ended so is what counts
        missing = "template" in str(error).lower() or "variable" in str(error).lower()
        ended = "missing input" if missing else "failed"
        print(f"  {folder.name} ended: {type(error).__name__}: {str(error)[:160]}", file=sys.stderr)
    for task in crew.tasks:
        if task.output is not None:
            outputs[task.name] = json.loads(task.output.raw) if task.output.raw.startswith("{") else task.output.raw
    side_by_side = {task.name for task in crew.tasks if task.async_execution}
    order, run = [], []
    for name, _ in model.asked:
        if name in side_by_side:
            run.append(name)
            continue
        order += [*sorted(run), name]
        run = []
    calls = {}
    for name, shape in model.asked:
        calls.setdefault(name, []).append(shape)
    return {"order": order + sorted(run), "calls": dict(sorted(calls.items())), "outputs": outputs, "ended": ended}


def main():
    model = FakeModel()
    for folder in sorted(path for path in HERE.iterdir() if (path / "script.json").exists()):
        recorded = record(folder, model)
        (folder / "recorded.json").write_text(json.dumps(recorded, indent=2) + "\n")
        print(f"{folder.name}: {len(recorded['order'])} calls, {recorded['ended']}")


if __name__ == "__main__":
    main()
