"""Runs all clients against two servers, and compares the tables of docs/clients.md with the result; `--write` writes them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from document import is_current
from servers import COMMAND, DEMO, WORK, Server, tools_package

FOLDER = Path(__file__).parent
RESULTS = WORK / "results"
COLUMNS = {
    "chat": "chat",
    "stream": "stream",
    "picture": "picture",
    "tools": "tools",
    "result_picture": "picture in a result",
    "schema": "JSON by schema",
    "abort": "abort",
    "tokens": "token counts",
}
# Features of the clients of MCP, where a tool describes a picture.
TOOL_COLUMNS = {"tools": "list", "picture": "describe", "schema": "extract", "progress": "progress", "refusal": "refusal", "abort": "cancel"}


def run_clients() -> bool:
    """Runs the tests of both languages; their outcomes by feature are in RESULTS."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    # One file at a time: the tests of aborts watch what a server computes.
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "--tb=short", str(FOLDER / "python")]
    node = ["node", "--test", "--test-concurrency=1", "--test-reporter=spec", *sorted(map(str, (FOLDER / "node").glob("*.test.mjs")))]
    # Without drafts a long answer takes seconds.
    with Server(DEMO) as demo, Server(tools_package(), "--speculation", "off") as tools:
        addresses = {"OCELLI_DEMO": demo.url, "OCELLI_TOOLS": tools.url, "OCELLI_COMMAND": COMMAND, "OCELLI_RESULTS": str(RESULTS)}
        # LiteLLM would fetch a list of prices.
        environment = {**os.environ, **addresses, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        return all([subprocess.run(command, env=environment).returncode == 0 for command in (pytest, node)])


def outcomes(row: dict, prefix: str) -> list[bool]:
    """Outcomes of the tests of a feature, which has one for each kind of connection or mode."""
    return [passed for name, passed in row["features"].items() if re.fullmatch(rf"{prefix}(\[.*\])?", name)]


def table(rows: list[dict], columns: dict[str, str]) -> str:
    notes: list[str] = []

    def cell(row: dict, feature: str) -> str:
        if reason := row["absent"].get(feature):
            if reason not in notes:
                notes.append(reason)
            return f"- ({notes.index(reason) + 1})"
        found = outcomes(row, feature)
        return "" if not found else "yes" if all(found) else "**no**"

    lines = [f"| client | version | {' | '.join(columns.values())} |", "|---" * (len(columns) + 2) + "|"]
    for row in rows:
        cells = [cell(row, feature) for feature in columns]
        lines.append(f"| {row['client']} | {row['version']} | {' | '.join(cells)} |")
    return "\n".join(lines + [""] + [f"({i + 1}) The client: {note}." for i, note in enumerate(notes)]).strip()


def modes(rows: list[dict]) -> str:
    """A line with the modes of instructor."""
    told = {name[5:-1]: passed for row in rows for name, passed in row["features"].items() if name.startswith("mode[")}
    return "Modes of instructor: " + ", ".join(f"`{name}` {'yes' if passed else '**no**'}" for name, passed in told.items()) + "."


def tables() -> str:
    rows = [row for file in sorted(RESULTS.glob("*.json")) for row in json.loads(file.read_text())]
    rows.sort(key=lambda row: row["client"].lower())
    agents = [row for row in rows if "mcp" in row["client"] or "modelcontextprotocol" in row["client"]]
    others = [row for row in rows if row not in agents]
    return "\n\n".join([table(others, COLUMNS), modes(others), table(agents, TOOL_COLUMNS)])


if __name__ == "__main__":
    passed = run_clients()
    sys.exit(0 if is_current("clients", "./build.sh clients", tables()) and passed else 1)
