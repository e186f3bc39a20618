"""Records which features of which client work, for the table in docs/clients.md.

A file holds the tests of one client: `CLIENT` is its name, `PACKAGE` the one whose version is told. `test_FEATURE` is a cell of the table;
`test_mode[NAME]` a row of the table of instructor's modes. `ABSENT` has the features that the client itself lacks, and why.
"""

import json
import os
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(os.environ["OCELLI_RESULTS"]) / "python.json"
rows = {}


def pytest_collection_modifyitems(items):
    for item in items:
        module = item.module
        row = rows.setdefault(module.CLIENT, {"client": module.CLIENT, "version": version(module.PACKAGE), "features": {}})
        row["absent"] = getattr(module, "ABSENT", {})


def pytest_runtest_logreport(report):
    if report.when == "teardown" or (report.when == "setup" and report.passed):
        return
    row = rows[next(value for key, value in report.user_properties if key == "client")]
    row["features"][report.location[2].removeprefix("test_")] = report.passed


def pytest_runtest_setup(item):
    item.user_properties.append(("client", item.module.CLIENT))


def pytest_sessionfinish():
    RESULTS.write_text(json.dumps(list(rows.values()), indent=1))
