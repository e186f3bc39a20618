import signal
import subprocess
import sys

import pytest

from common import *

CLIENT, PACKAGE = "llm (command)", "llm"
ABSENT = {"result_picture": "it has attachments of tools only for models of its own plugins"}
LLM = str(Path(sys.executable).with_name("llm"))


@pytest.fixture
def home(tmp_path):
    """A folder with its list of models."""
    models = []
    for name, server in ("demo", DEMO), ("tools", TOOLS):
        able = "vision: true\n  supports_tools: true\n  supports_schema: true"
        models.append(f"- model_id: {name}\n  model_name: {name}\n  api_base: {server}/v1\n  {able}\n")
    (tmp_path / "extra-openai-models.yaml").write_text("".join(models))
    return tmp_path


def command(home, *arguments: str, model: str = "demo"):
    line = [LLM, "-m", model, "-o", "temperature", "0", *arguments]
    environment = {**os.environ, "LLM_USER_PATH": str(home), "OPENAI_API_KEY": "none"}
    return {"args": line, "env": environment, "text": True, "stdin": subprocess.DEVNULL}


def told(home, *arguments: str) -> subprocess.CompletedProcess:
    done = subprocess.run(**command(home, *arguments), capture_output=True)
    assert done.returncode == 0, done.stderr
    return done


def test_chat(home):
    assert told(home, "--no-stream", "Hello").stdout == f"{GREETING}\n"


def test_stream(home):
    assert told(home, "Hello").stdout == f"{GREETING}\n"


def test_picture(home):
    assert told(home, DESCRIBE, "-a", str(PICTURE_FILE)).stdout == f"{WANTED}\n"


def test_tools(home):
    code = 'def paint(shape: str) -> str:\n    "Paints a shape."\n    return "Thanks!"\n'
    # The demo model calls no tool of its own accord; its prompt has the definition.
    done = told(home, "-u", "Hello", "--functions", code)
    assert int(done.stderr.split()[2].replace(",", "")) > 60, done.stderr


def test_schema(home):
    Scene.model_validate_json(told(home, "Hello", "--schema", json.dumps(PARAMETERS)).stdout)


def test_abort(home):
    with Aborted() as aborted:
        process = subprocess.Popen(**command(home, "-o", "max_tokens", str(ENDLESS), "Hello", model="tools"), stdout=subprocess.PIPE)
        assert process.stdout.read(3)
        aborted.begun()
        process.send_signal(signal.SIGINT)
        process.wait(10)
        process.stdout.close()


def test_tokens(home):
    usage = told(home, "-u", "Hello").stderr
    count = post(DEMO, "/v1/tokenize", messages=asked())["count"]
    assert f"{count} input, 8 output" in usage, usage
