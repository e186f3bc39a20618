"""Draw the gallery pictures at three times the trained size and check the model's answers on them.

    python gallery.py --model hf --out gallery
"""
from __future__ import annotations

import argparse
import json
import os
import random

from PIL import Image

import kinds
import scenes
from evaluate import Runner
from scenes import Drawing, Scene

FACTOR = 3
# Held-out pictures picked by eye.
PICTURES = [("shapes", 900_000_000 + n) for n in (2, 8, 116, 111, 55, 83, 37, 72, 120, 26, 103, 90)]
PICTURES += [("clock", 900_000_000), ("chart", 900_000_000), ("sign", 900_000_000), ("clock", 900_000_001), ("chart", 900_000_001), ("sign", 900_000_001)]


def asked(s: Scene | Drawing) -> list[tuple[str, str]]:
    """Eight different questions with their answers: caption, JSON and six others, but no boxes, which are right only nearly."""
    rng = random.Random(s.seed)
    rows = {"Describe this image.": kinds.caption(s), "Describe the scene as JSON.": kinds.as_json(s)}
    while len(rows) < 8:
        task, prompt, answer = kinds.KINDS[s.kind].ask(s, rng) if s.kind in kinds.KINDS else scenes.ask(s, rng)
        if task != "box":
            rows.setdefault(prompt, answer)
    return list(rows.items())


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", required=True)
    ap.add_argument("--out", default="gallery")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    r, entries, right, total = Runner(a.model), [], 0, 0
    for n, (kind, seed) in enumerate(PICTURES):
        s = kinds.make(seed, kind)
        name = f"scene-{n + 1:02d}.png"
        Image.fromarray(kinds.draw(s, scale=FACTOR)).save(os.path.join(a.out, name), optimize=True)
        picture = Image.open(os.path.join(a.out, name)).convert("RGB")
        answers = []
        for prompt, want in asked(s):
            got = r.answer(picture, [(prompt, None)])[2]
            answers.append(dict(prompt=prompt, answer=got, expected=want))
            right += got == want
            total += 1
            if got != want:
                print(f"{name} seed {seed}: {prompt!r} -> {got!r}, expected {want!r}")
        entries.append(dict(file=name, width=s.w * FACTOR, height=s.h * FACTOR, seed=seed, alt=kinds.caption(s), answers=answers))
    with open(os.path.join(a.out, "gallery.json"), "w") as f:
        json.dump(entries, f, indent=1)
    print(f"{right} of {total} answers right on {len(entries)} pictures")


if __name__ == "__main__":
    main()
