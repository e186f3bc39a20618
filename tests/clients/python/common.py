"""Requests without any client, whose answers the clients must show, and the pictures, tools and schemas of the tests."""

import base64
import json
import os
import time
import urllib.request
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).parents[3]
PICTURE_FILE = ROOT / "www/models/demo/gallery/scene-01.png"
PICTURE_BASE64 = base64.b64encode(PICTURE_FILE.read_bytes()).decode()
PICTURE = f"data:image/png;base64,{PICTURE_BASE64}"
DESCRIBE = "Describe this image."

# Greedy answers of the demo model.
GREETING = "Hello! Please show me a picture."
WANTED = 'An orange circle above the purple word "SEA" on a gray background.'

# Greedy decoding without drafts takes seconds for these tokens, so an answer that ends earlier was aborted.
ENDLESS = 3000
# Models of both servers: the demo model, and the one whose tools may return pictures.
DEMO, TOOLS = os.environ["OCELLI_DEMO"], os.environ["OCELLI_TOOLS"]


class Scene(BaseModel):
    """Shapes in a picture."""

    model_config = ConfigDict(extra="forbid")
    shape: Literal["circle", "star"]
    # Anthropic's clients drop `minimum` and `maximum`.
    count: Literal[1, 2, 3]


PARAMETERS = {
    "type": "object",
    "properties": {"shape": {"enum": ["circle", "star"]}, "count": {"enum": [1, 2, 3]}},
    "required": ["shape", "count"],
    "additionalProperties": False,
}
PAINT = {"name": "paint", "description": "Paints shapes.", "parameters": PARAMETERS}
LOOK = {"name": "look", "description": "Takes a picture.", "parameters": {"additionalProperties": False, "properties": {}, "type": "object"}}


def function(of: dict) -> dict:
    """A tool as chats have it."""
    return {"type": "function", "function": of}


def asked(text: str = "Hello") -> list[dict]:
    return [{"role": "user", "content": text}]


def about_the_picture() -> list[dict]:
    parts = [{"type": "image_url", "image_url": {"url": PICTURE}}, {"type": "text", "text": DESCRIBE}]
    return [{"role": "user", "content": parts}]


def called(tool: str, arguments: str, result: object, call: str = "call_1") -> list[dict]:
    """A call of a tool and its result."""
    calls = [{"id": call, "type": "function", "function": {"name": tool, "arguments": arguments}}]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, {"role": "tool", "tool_call_id": call, "content": result}]


def post(server: str, path: str, **body) -> dict:
    request = urllib.request.Request(server + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def chat(server: str, **body) -> tuple[str, int]:
    """The text of a greedy answer, and the number of tokens of its prompt."""
    answer = post(server, "/v1/chat/completions", temperature=0, **body)
    return answer["choices"][0]["message"]["content"], answer["usage"]["prompt_tokens"]


def seen_in_a_result(max_tokens: int = 12) -> tuple[str, int]:
    """The answer to a tool's result that is a picture, which differs from the answer to a text."""
    picture = [{"type": "image_url", "image_url": {"url": PICTURE}}]
    told = []
    for result in picture, "Nothing.":
        messages = asked("Look.") + called("look", "{}", result)
        told.append(chat(TOOLS, messages=messages, tools=[function(LOOK)], max_tokens=max_tokens))
    assert told[0][0] != told[1][0] and told[0][1] > told[1][1], told
    return told[0]


def metric(server: str, name: str) -> int:
    with urllib.request.urlopen(server + "/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name} "))


class Aborted:
    """Checks that an answer of `length` tokens or more, which the block begins and aborts, is computed no further."""

    def __init__(self, length: int = ENDLESS):
        self.length = length

    def __enter__(self):
        self.tokens = metric(TOOLS, "ocelli_completion_tokens_total")
        return self

    def begun(self):
        assert metric(TOOLS, "ocelli_requests_active") == 1, "the answer is being computed"

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        until = time.monotonic() + 2
        while metric(TOOLS, "ocelli_requests_active"):
            assert time.monotonic() < until, "the answer is still computed two seconds after the abort"
            time.sleep(0.02)
        assert metric(TOOLS, "ocelli_completion_tokens_total") - self.tokens < self.length, "the answer was completed"
