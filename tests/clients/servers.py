"""Two servers for the clients: the demo model, and a random model of Qwen3.5's kind, whose tools may return pictures."""

import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "tests/fixtures/checkpoints/qwen3_5"
WORK = ROOT / "target/clients"
DEMO = ROOT / "www/models/demo"
COMMAND = os.environ.get("OCELLI_COMMAND") or str(ROOT / "target/debug/ocelli")


class Server:
    """`ocelli serve` on a free port, ended with the block of a `with`."""

    def __init__(self, package: Path, *options: str):
        command = [COMMAND, "serve", str(package), "--port", "0", "--log", "off", "--alias", "*", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"(http://\S+)/v1", line):
                self.url = found[1]
                break
        else:
            raise RuntimeError(f"{package} is not served")
        # A full pipe would block the server.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def tools_package() -> Path:
    """The package of the tiny checkpoint of Qwen3.5 with the tokens of tool calls and a longer context, both of which it lacks."""
    checkpoint, package = WORK / "checkpoint", WORK / "tools"
    for folder in checkpoint, package:
        shutil.rmtree(folder, ignore_errors=True)
    checkpoint.mkdir(parents=True)
    for name in "model.safetensors", "generation_config.json", "preprocessor_config.json", "chat_template.jinja":
        shutil.copy(CHECKPOINT / name, checkpoint)
    config = json.loads((CHECKPOINT / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 4096
    tokenizer = json.loads((CHECKPOINT / "tokenizer.json").read_text())
    marks = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
    tokenizer["added_tokens"] += [{"id": 710 + i, "content": mark, "special": False} for i, mark in enumerate(marks)]
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "tokenizer.json").write_text(json.dumps(tokenizer))
    pack = [COMMAND, "pack", str(checkpoint), "--quant", "f32", "--out", str(package)]
    subprocess.run(pack, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Requests that set no temperature have the same answer each time.
    model = json.loads((package / "model.json").read_text())
    model["chat"]["sampling"]["temperature"] = 0
    (package / "model.json").write_text(json.dumps(model))
    return package
