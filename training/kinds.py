"""All kinds of pictures the demo model learns, behind one interface.

A kind has `make(seed)`, `draw`, `caption`, `facts` and `ask`; `scenes.py` (shapes and words) came first and has a few more tasks.

    python kinds.py --kind clock --seed 900000000 --count 400 --out heldout-clock
"""
from __future__ import annotations

import argparse
import json
import os
import random

import numpy as np
from PIL import Image

import charts
import clocks
import photographs
import scenes
import signs
from scenes import Drawing, Scene

KINDS = {"clock": clocks, "chart": charts, "sign": signs, "photo": photographs}
SHARES = {"shapes": 0.37, "clock": 0.28, "chart": 0.11, "sign": 0.17, "photo": 0.07}
THINGS = {"clock": "a clock", "chart": "a bar chart", "sign": "a sign"}


def make(seed: int, kind: str = "") -> Scene | Drawing:
    """The picture number `seed` of a kind, which the seed chooses if none is named."""
    kind = kind or random.Random(seed * 31 + 5).choices(list(SHARES), list(SHARES.values()))[0]
    return scenes.make_scene(seed) if kind == "shapes" else KINDS[kind].make(seed)


def draw(s: Scene | Drawing, masks: list | None = None, scale: int = 1) -> np.ndarray:
    """The picture, `scale` times as large."""
    return KINDS[s.kind].draw(s, scale) if s.kind in KINDS else scenes.draw(scenes.scaled(s, scale), masks, scale)


def cell_labels(s: Scene | Drawing, masks: list) -> dict[str, np.ndarray]:
    """The labels of `scenes.cell_labels`, for all kinds."""
    if s.kind not in KINDS:
        return scenes.cell_labels(s, masks)
    out = scenes.no_labels(s)
    KINDS[s.kind].labels(s, out)
    return out


def caption(s: Scene | Drawing) -> str:
    return KINDS[s.kind].caption(s) if s.kind in KINDS else scenes.caption(s)


def ask(s: Scene | Drawing, rng: random.Random) -> tuple[str, str, str]:
    """(task, question, answer)."""
    u = rng.random()
    if u < 0.04 and s.kind != "photo":
        thing = rng.choice(list(THINGS)) if rng.random() < 0.5 or s.kind not in THINGS else s.kind
        t = rng.choice(["Is there {}?", "Is this {}?", "Do you see {}?"])
        return "yesno", scenes.styled(rng, t.format(THINGS[thing])), "Yes." if thing == s.kind else "No."
    if s.kind not in KINDS:
        return scenes.ask(s, rng)
    kind = KINDS[s.kind]
    if u < 0.3:
        t, p, a = "caption", rng.choice(scenes.CAPTION), kind.caption(s)
    elif u < 0.37 and s.kind != "photo":
        t, p, a = "json", rng.choice(scenes.JSON), as_json(s)
    elif u < 0.44 and s.kind != "photo":
        t, p, a = "color", rng.choice(scenes.BACKGROUND), f"The background is {s.background}."
    elif u < 0.45:
        t, p, a = "offtopic", rng.choice(scenes.OFF[:-1]), scenes.OFF_ANSWER
    else:
        t, p, a = kind.ask(s, rng)
    return t, scenes.styled(rng, p), a


def as_json(s: Scene | Drawing) -> str:
    return json.dumps(KINDS[s.kind].facts(s), separators=(",", ":")) if s.kind in KINDS else scenes.as_json(s)


def conversations(s: Scene | Drawing, rng: random.Random, n: int) -> list[list[tuple[str, str, str]]]:
    """n separate conversations about a picture, each a list of turns."""
    if s.kind not in KINDS:
        return [scenes.follow_up(s, rng) if rng.random() < 0.13 else [ask(s, rng)] for _ in range(n)]
    return [[ask(s, rng) for _ in range(2 if rng.random() < 0.13 else 1)] for _ in range(n)]


def questions(s: Scene | Drawing, rng: random.Random) -> list[tuple[str, str, str]]:
    """The questions of an evaluation: the caption and two others; of shapes also a box."""
    rows = [("caption", "Describe this image.", caption(s))]
    if s.kind in KINDS:
        while len(rows) < 3:
            row = KINDS[s.kind].ask(s, rng)
            rows += [row] if all(row[1] != r[1] for r in rows) else []
        return rows
    return [("box", *row[1:]) for row in [scenes.ask(s, rng, "box")] if row[0]]


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--kind", required=True, choices=["shapes", *KINDS], help="shapes: only their boxes; scenes.py asks the rest")
    ap.add_argument("--seed", type=int, default=900_000_000)
    ap.add_argument("--count", type=int, default=400)
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    with open(os.path.join(a.out, "questions.jsonl"), "w") as out:
        for i in range(a.count):
            s = make(a.seed + i, a.kind)
            name = f"{i:04d}.png"
            Image.fromarray(draw(s)).save(os.path.join(a.out, name))
            for t, p, answer in questions(s, random.Random(s.seed)):
                out.write(json.dumps(dict(image=name, task=t, prompt=p, answer=answer)) + "\n")


if __name__ == "__main__":
    main()
