"""The tables of docs/clients.md, which a run writes with `--write`, and otherwise compares."""

import sys
from datetime import date

from servers import ROOT

DOCUMENT = ROOT / "docs/clients.md"


def is_current(mark: str, command: str, tables: str) -> bool:
    """Returns whether the section between `mark` and its end has these tables, after a line with the date of the run that wrote it."""
    text = DOCUMENT.read_text()
    before, rest = text.split(f"<!-- {mark} -->\n", 1)
    old, after = rest.split("<!-- end -->", 1)
    if "--write" in sys.argv:
        said = f"Run on {date.today():%Y-%m-%d} by `{command}`."
        DOCUMENT.write_text(f"{before}<!-- {mark} -->\n{said}\n\n{tables}\n<!-- end -->{after}")
        return True
    if old.partition("\n\n")[2].strip() == tables:
        return True
    print(f"docs/clients.md has other tables than this run; `{command} --write` writes them:\n\n{tables}")
    return False
