"""Bar charts: three to five bars of different colors, whole values from 1 to 8, a line for each value.  The interface is that of `kinds.py`."""
from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw

import scenes
from scenes import BACKGROUNDS, COLORS, NUMBERS, Drawing, rgb_of

SS = 4
MOST = 8
ORDER = ["first", "second", "third", "fourth", "fifth"]


def make(seed: int) -> Drawing:
    """The chart number `seed`.  One bar is the tallest and one the shortest."""
    rng = random.Random(seed * 9967 + 31)
    n = rng.randint(3, 5)
    w, h = scenes.side(rng, rng.choice([4, 5, 6, 6]) if n < 5 else rng.choice([5, 6, 6])), scenes.side(rng, rng.choice([4, 5, 6, 6]))
    background = rng.choice(list(BACKGROUNDS))
    colors = rng.sample(list(COLORS), n)
    while True:
        values = [rng.randint(1, MOST) for _ in range(n)]
        if values.count(max(values)) == 1 and values.count(min(values)) == 1:
            break
    dark = background in ("black", "brown")
    style = dict(left=rng.uniform(0.05, 0.12) * w, right=rng.uniform(0.92, 0.97) * w, top=rng.uniform(0.05, 0.12) * h, bottom=rng.uniform(0.88, 0.96) * h,
                 share=rng.uniform(0.55, 0.85), rgb=[rgb_of(rng, COLORS[c]) for c in colors], axis=(225, 225, 225) if dark else (30, 30, 34),
                 line=rng.uniform(0.18, 0.45) * (1 if dark else -1), grid=rng.random() < 0.9, border=rng.random() < 0.3, gradient=rng.uniform(-0.06, 0.06))
    return Drawing(seed, "chart", w, h, background, rgb_of(rng, BACKGROUNDS[background]), dict(colors=colors, values=values), style)


def _bars(s: Drawing) -> list[tuple[float, float, float]]:
    """Left and right side and upper end of each bar."""
    t, n = s.style, len(s.facts["values"])
    step, unit = (t["right"] - t["left"]) / n, (t["bottom"] - t["top"]) / MOST
    half = step * t["share"] / 2
    return [(t["left"] + (i + 0.5) * step - half, t["left"] + (i + 0.5) * step + half, t["bottom"] - v * unit) for i, v in enumerate(s.facts["values"])]


def draw(s: Drawing, scale: int = 1) -> np.ndarray:
    t, k = s.style, SS * scale
    im = Image.new("RGB", (s.w * k, s.h * k), tuple(round(v) for v in s.bg_rgb))
    d = ImageDraw.Draw(im)
    unit = (t["bottom"] - t["top"]) / MOST
    shade = tuple(round(min(max(v + 255 * t["line"], 0), 255)) for v in s.bg_rgb)
    for i in range(1, MOST + 1) if t["grid"] else []:
        y = (t["bottom"] - i * unit) * k
        d.line((t["left"] * k, y, t["right"] * k, y), fill=shade, width=k)
    for (a, b, y), rgb in zip(_bars(s), t["rgb"]):
        box = (a * k, y * k, b * k, t["bottom"] * k)
        d.rectangle(box, fill=tuple(round(v) for v in rgb), outline=t["axis"] if t["border"] else None, width=k if t["border"] else 1)
    d.line((t["left"] * k, t["top"] * k, t["left"] * k, t["bottom"] * k, t["right"] * k, t["bottom"] * k), fill=t["axis"], width=round(1.5 * k))
    return scenes.ramped(np.asarray(im.reduce(SS)), t["gradient"])


def labels(s: Drawing, out: dict[str, np.ndarray]) -> None:
    """Value and color in all cells of a bar's column."""
    for (a, b, _), value, color in zip(_bars(s), s.facts["values"], s.facts["colors"]):
        on = scenes.cells_in(s, a, s.style["top"], b, s.style["bottom"])
        out["mark2"][on], out["color2"][on] = 12 + value, 1 + list(COLORS).index(color)


def _listed(s: Drawing) -> str:
    said = [f"{c} {v}" for c, v in zip(s.facts["colors"], s.facts["values"])]
    return ", ".join(said[:-1]) + " and " + said[-1]


def caption(s: Drawing) -> str:
    return f"A bar chart with {NUMBERS[len(s.facts['values'])]} bars on a {s.background} background: {_listed(s)}."


def facts(s: Drawing) -> dict:
    return {"background": s.background, "bars": [{"color": c, "value": v} for c, v in zip(s.facts["colors"], s.facts["values"])]}


def ask(s: Drawing, rng: random.Random) -> tuple[str, str, str]:
    """One question that only a chart is asked."""
    u, colors, values = rng.random(), s.facts["colors"], s.facts["values"]
    i = rng.randrange(len(values))
    if u < 0.34:
        t = rng.choice(["How high is the {} bar?", "What is the value of the {} bar?", "How tall is the {} bar?", "What value does the {} bar have?",
                        "What does the {} bar show?", "Which value has the {} bar?"])
        return "chart", t.format(colors[i]), f"The {colors[i]} bar is {values[i]}."
    if u < 0.54:
        t = rng.choice(["Which bar is the tallest?", "Which bar is the highest?", "Which bar is the largest?", "What is the tallest bar?", "What color is the tallest bar?",
                        "Which color has the highest bar?"])
        return "chart", t, f"The {colors[values.index(max(values))]} bar is the tallest."
    if u < 0.7:
        t = rng.choice(["Which bar is the shortest?", "Which bar is the lowest?", "Which bar is the smallest?", "What is the shortest bar?", "What color is the shortest bar?"])
        return "chart", t, f"The {colors[values.index(min(values))]} bar is the shortest."
    if u < 0.82:
        return "count", rng.choice(["How many bars are there?", "How many bars do you see?", "Count the bars.", "How many bars does the chart have?"]), \
            f"There are {NUMBERS[len(values)]} bars."
    if u < 0.91:
        return "color", rng.choice(["What color is the {} bar?", "Which color is the {} bar?"]).format(ORDER[i]), f"The {ORDER[i]} bar is {colors[i]}."
    a, b = rng.sample(range(len(values)), 2)
    t = rng.choice(["Is the {} bar taller than the {} bar?", "Is the {} bar higher than the {} bar?"])
    return "yesno", t.format(colors[a], colors[b]), "Yes." if values[a] > values[b] else "No."
