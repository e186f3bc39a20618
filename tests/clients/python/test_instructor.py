from collections.abc import Iterable

import instructor
import pytest
from anthropic import Anthropic
from instructor import Mode
from openai import OpenAI

from common import *

CLIENT, PACKAGE = "instructor (Python)", "instructor"
ABSENT = {"chat": "its answers are objects", "result_picture": "it sends no results of tools", "abort": "its parts come after the whole answer"}
OPENAI = [Mode.TOOLS, Mode.TOOLS_STRICT, Mode.FUNCTIONS, Mode.PARALLEL_TOOLS, Mode.JSON, Mode.JSON_O1, Mode.JSON_SCHEMA, Mode.MD_JSON, Mode.RESPONSES_TOOLS]
ANTHROPIC = [Mode.ANTHROPIC_TOOLS, Mode.ANTHROPIC_REASONING_TOOLS, Mode.ANTHROPIC_PARALLEL_TOOLS, Mode.ANTHROPIC_JSON]
# These modes tell the model a schema that nothing enforces. The demo model does not understand it, so the tests give the format, too.
TOLD = {
    Mode.JSON: {"response_format": {"type": "json_object", "schema": PARAMETERS}},
    Mode.MD_JSON: {"response_format": {"type": "regex", "regex": '```json\\n\\{"shape": "star", "count": [123]\\}\\n```'}},
    Mode.ANTHROPIC_JSON: {"output_config": {"format": {"type": "json_schema", "schema": PARAMETERS}}},
}

# In these modes the client leaves the call to the model.
ANY = {Mode.PARALLEL_TOOLS: "required", Mode.ANTHROPIC_PARALLEL_TOOLS: {"type": "any"}}



def client(mode: Mode, server: str = DEMO):
    if mode in ANTHROPIC:
        return instructor.from_anthropic(Anthropic(base_url=server, api_key="none", max_retries=0), mode=mode)
    return instructor.from_openai(OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0), mode=mode)


def ask(mode: Mode, **more):
    body = {"tool_choice": ANY[mode]} if mode in ANY else TOLD.get(mode)
    options = {"response_model": Scene, "max_tokens": 200, "max_retries": 0, **more}
    return client(mode).create(model="x", messages=asked(), extra_body=body, **options)


@pytest.mark.parametrize("mode", OPENAI + ANTHROPIC, ids=lambda mode: mode.name)
def test_mode(mode):
    if mode in ANY:
        scenes = list(ask(mode, response_model=Iterable[Scene]))
        assert scenes and all(isinstance(scene, Scene) for scene in scenes)
    else:
        assert isinstance(ask(mode), Scene)


def test_stream():
    parts = list(client(Mode.JSON_SCHEMA).create_partial(model="x", messages=asked(), response_model=Scene, temperature=0))
    assert len(parts) > 1 and Scene.model_validate(parts[-1].model_dump())


def test_picture():
    turns = [{"role": "user", "content": [instructor.Image.from_path(PICTURE_FILE), DESCRIBE]}]
    _, answer = client(Mode.JSON_SCHEMA).create_with_completion(model="x", messages=turns, response_model=Scene, max_retries=0)
    assert answer.usage.prompt_tokens_details.image_tokens > 8


def test_tools():
    assert isinstance(ask(Mode.TOOLS, temperature=1.5), Scene)


def test_schema():
    assert isinstance(ask(Mode.JSON_SCHEMA, temperature=1.5), Scene)


def test_tokens():
    _, answer = client(Mode.JSON_SCHEMA).create_with_completion(model="x", messages=asked(), response_model=Scene, max_retries=0)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 12
