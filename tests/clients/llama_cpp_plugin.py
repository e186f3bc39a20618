"""`conftest.py` of llama.cpp's tests: `ocelli serve` in place of llama-server, with the options that it has too."""

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

# A module for downloads of models, which these tests do without.
sys.modules["wget"] = types.ModuleType("wget")

import utils

# Patterns of these texts are facts of the format; all others are words of llama.cpp's model.
FORMATS = ['"42"', "[ -3000 ]", '"foooooo"', "(\\{|John)+", "a{5,5}"]
# llama.cpp has most addresses without the prefix, too.
PREFIXED = ("/chat/", "/completions", "/embeddings", "/responses", "/models", "/tokenize")
outcomes = {}
servers = []


def start(self, timeout_seconds=None):
    options = ["serve", os.environ["OCELLI_TOOLS"], "--port", "0", "--alias", "*", "--log", "off"]
    if self.n_ctx:
        # There, slots share the context.
        options += ["--context", str(min(4096, self.n_ctx // (self.n_slots or 1)))]
    if self.api_key:
        options += ["--api-key", self.api_key]
    if self.media_path:
        options += ["--media-path", os.environ["OCELLI_MEDIA"]]
    if self.server_embeddings:
        options += ["--embeddings"]
    self.process = subprocess.Popen([os.environ["OCELLI_COMMAND"], *options], stderr=subprocess.PIPE, text=True)
    servers.append(self.process)
    for line in self.process.stderr:
        if found := re.search(r"http://[^:]+:(\d+)/v1", line):
            self.server_port = int(found[1])
            return
    raise RuntimeError("it is not served")


def make_url(self, path, host=None):
    return f"http://{self.server_host}:{self.server_port}{'/v1' if path.startswith(PREFIXED) else ''}{path}"


def picture(url):
    """A picture of the demo model's gallery in place of one of llama.cpp's."""
    file = Path(os.environ["OCELLI_PICTURES"]) / ("scene-01.png" if "truck" in url else "scene-02.png")
    return types.SimpleNamespace(content=file.read_bytes(), raise_for_status=lambda: None)


matches = utils.match_regex
utils.ServerProcess.start = start
utils.ServerProcess.make_url = make_url
utils.match_regex = lambda regex, text: matches(regex, text) if regex in FORMATS else bool(text)
utils.picture = picture


@pytest.fixture(autouse=True)
def stop_servers():
    yield
    while servers:
        process = servers.pop()
        process.kill()
        process.wait()


def pytest_runtest_logreport(report):
    if report.when == "call" or report.failed:
        outcomes[report.nodeid] = report.passed


def pytest_sessionfinish():
    Path(os.environ["OCELLI_RESULTS"]).write_text(json.dumps(outcomes, indent=1))
