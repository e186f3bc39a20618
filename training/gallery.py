"""Draw the gallery pictures at three times the trained size and check the model's answers on them.

    python gallery.py --model hf --out gallery
"""
from __future__ import annotations

import argparse
import json
import os
import random

from PIL import Image

import scenes
from evaluate import Runner

FACTOR = 3
SEEDS = [900_000_000 + n for n in (2, 8, 116, 111, 55, 83, 37, 72, 120, 26, 103, 90)]    # held-out scenes picked by eye


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", required=True)
    ap.add_argument("--out", default="gallery")
    ap.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    r, entries, right, asked = Runner(a.model), [], 0, 0
    for n, seed in enumerate(a.seeds):
        s = scenes.make_scene(seed)
        name = f"scene-{n + 1:02d}.png"
        Image.fromarray(scenes.draw(scenes.scaled(s, FACTOR), k=FACTOR)).save(os.path.join(a.out, name), optimize=True)
        picture = Image.open(os.path.join(a.out, name)).convert("RGB")
        rng = random.Random(seed)
        rows = [("Describe this image.", scenes.caption(s)), ("Describe the scene as JSON.", scenes.as_json(s))]
        rows += [scenes.ask(s, rng)[1:] for _ in range(6)]
        answers = []
        for p, want in rows:
            got = r.answer(picture, [(p, None)])[2]
            answers.append(dict(prompt=p, answer=got, expected=want))
            right += got == want
            asked += 1
            if got != want:
                print(f"{name} seed {seed}: {p!r} -> {got!r}, expected {want!r}")
        entries.append(dict(file=name, width=s.w * FACTOR, height=s.h * FACTOR, seed=seed, alt=scenes.caption(s), answers=answers))
    with open(os.path.join(a.out, "gallery.json"), "w") as f:
        json.dump(entries, f, indent=1)
    print(f"{right} of {asked} answers right on {len(entries)} pictures")


if __name__ == "__main__":
    main()
