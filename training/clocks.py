"""Analog clocks: a face with two hands, minutes in steps of five.  The interface is that of `kinds.py`."""
from __future__ import annotations

import math
import random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

import scenes
from scenes import BACKGROUNDS, COLORS, Drawing, rgb_of

SS = 4
# Coverage of a patch, of 255, from which a hand counts as there.
LEAST_COVERED = 10
TIME = ["What time is it?", "What time is it?", "What time does the clock show?", "Read the clock.", "What's the time?", "What is the time?",
        "Which time does it show?", "Tell me the time.", "What does the clock say?", "What time does it show?", "Can you read the clock?"]


def make(seed: int) -> Drawing:
    """The clock number `seed`: where it is, its colors and its time."""
    rng = random.Random(seed * 9973 + 29)
    cw, ch = rng.choice([4, 5, 5, 6, 6]), rng.choice([4, 5, 5, 6, 6])
    w, h = scenes.side(rng, cw), scenes.side(rng, ch)
    background, color = rng.choice(list(BACKGROUNDS)), rng.choice(list(COLORS))
    r = min(w, h) / 2 * rng.uniform(0.74, 0.96)
    dark = background == "black" or rng.random() < 0.15
    face = (30, 30, 36) if dark and background != "black" else rng.choice([(255, 255, 255), (250, 246, 232), (236, 240, 244)])
    ink = (238, 238, 238) if sum(face) < 300 else rng.choice([(20, 20, 24), (40, 40, 60), (60, 30, 20)])
    style = dict(cx=rng.uniform(r + 2, w - r - 2) if w > 2 * r + 4 else w / 2, cy=rng.uniform(r + 2, h - r - 2) if h > 2 * r + 4 else h / 2, r=r,
                 face=face, ink=ink, rim=rng.uniform(0.09, 0.2), rim_rgb=rgb_of(rng, COLORS[color]), ticks=rng.choice([0, 4, 12, 12, 12]),
                 numbers=rng.random() < 0.45, font=rng.choice(scenes.FONTS), hour_width=rng.uniform(0.075, 0.12), minute_width=rng.uniform(0.04, 0.07),
                 hour_length=rng.uniform(0.42, 0.52), minute_length=rng.uniform(0.76, 0.9), back=rng.choice([0.0, 0.08, 0.14]),
                 second=rng.randrange(60) if rng.random() < 0.15 else None, gradient=rng.uniform(-0.1, 0.1))
    return Drawing(seed, "clock", w, h, background, rgb_of(rng, BACKGROUNDS[background]),
                   dict(color=color, hour=rng.randrange(12), minute=5 * rng.randrange(12)), style)


def time_of(s: Drawing) -> str:
    return f"{s.facts['hour'] or 12}:{s.facts['minute']:02d}"


class Hand(NamedTuple):
    """A hand: its turn from 12 o'clock as a share of the circle, and its length and width as shares of the face's radius."""
    turn: float
    length: float
    width: float


def _hands(s: Drawing) -> list[Hand]:
    """The hand of the hours and the one of the minutes."""
    t, hour, minute = s.style, s.facts["hour"], s.facts["minute"]
    return [Hand((hour + minute / 60) / 12, t["hour_length"], t["hour_width"]), Hand(minute / 60, t["minute_length"], t["minute_width"])]


def _corners(s: Drawing, hand: Hand, k: float) -> list[tuple[float, float]]:
    """The corners of a hand in a picture k times as large."""
    t = s.style
    cx, cy, inner = t["cx"] * k, t["cy"] * k, t["r"] * k * (1 - t["rim"])
    x, y = math.sin(2 * math.pi * hand.turn), -math.cos(2 * math.pi * hand.turn)
    a, b, half = -t["back"] * inner, hand.length * inner, hand.width * inner / 2
    return [(cx + along * x - side * y, cy + along * y + side * x) for along, side in ((a, half), (b, half), (b, -half), (a, -half))]


def draw(s: Drawing, scale: int = 1) -> np.ndarray:
    t, k = s.style, SS * scale
    im = Image.new("RGB", (s.w * k, s.h * k), tuple(round(v) for v in s.bg_rgb))
    d = ImageDraw.Draw(im)
    cx, cy, r = t["cx"] * k, t["cy"] * k, t["r"] * k

    def disc(q: float, fill) -> None:
        d.ellipse((cx - q, cy - q, cx + q, cy + q), fill=fill)

    inner = r * (1 - t["rim"])
    disc(r, tuple(round(v) for v in t["rim_rgb"]))
    disc(inner, t["face"])
    if t["numbers"]:
        font = scenes.font_of(t["font"], max(round(inner * 0.22), 8))
        for n in (3, 6, 9, 12) if t["r"] < 55 else range(1, 13):
            a = 2 * math.pi * n / 12
            d.text((cx + 0.8 * inner * math.sin(a), cy - 0.8 * inner * math.cos(a)), str(n), fill=t["ink"], font=font, anchor="mm")
    elif t["ticks"]:
        for n in range(t["ticks"]):
            a = 2 * math.pi * n / t["ticks"]
            x, y = math.sin(a), -math.cos(a)
            d.line((cx + 0.86 * inner * x, cy + 0.86 * inner * y, cx + 0.97 * inner * x, cy + 0.97 * inner * y), fill=t["ink"], width=max(round(0.045 * inner), k))
    for hand in _hands(s):
        d.polygon(_corners(s, hand, k), fill=t["ink"])
    if t["second"] is not None:
        d.polygon(_corners(s, Hand(t["second"] / 60, 0.85, 0.02), k), fill=(210, 40, 40))
    disc(0.07 * inner, t["ink"])
    return scenes.ramped(np.asarray(im.reduce(SS)), t["gradient"])


def labels(s: Drawing, out: dict[str, np.ndarray]) -> None:
    """Hour and minute in every cell of the clock; in every patch the hands there, and its direction from the clock's center."""
    t, (rows, cols) = s.style, out["hand"].shape
    out["hand"][:] = 0
    for bit, hand in enumerate(_hands(s)):
        m = Image.new("L", (s.w * SS, s.h * SS), 0)
        ImageDraw.Draw(m).polygon(_corners(s, hand, SS), fill=255)
        out["hand"] |= (np.asarray(m.resize((cols, rows), Image.Resampling.BOX)) > LEAST_COVERED) << bit
    y, x = (np.arange(rows)[:, None] + 0.5) * s.h / rows - t["cy"], (np.arange(cols)[None] + 0.5) * s.w / cols - t["cx"]
    inside = x * x + y * y < t["r"] ** 2
    out["sector"][inside] = (np.arctan2(x, -y) / (2 * math.pi) * scenes.SECTORS % scenes.SECTORS).astype(np.int64)[inside]
    on = scenes.cells_in(s, s.style["cx"] - s.style["r"], s.style["cy"] - s.style["r"], s.style["cx"] + s.style["r"], s.style["cy"] + s.style["r"])
    out["mark2"][on], out["minute2"][on] = 1 + s.facts["hour"], s.facts["minute"] // 5
    out["color2"][on] = 1 + list(COLORS).index(s.facts["color"])


def caption(s: Drawing) -> str:
    a = "An" if s.facts["color"][0] == "o" else "A"
    return f"{a} {s.facts['color']} clock on a {s.background} background shows {time_of(s)}."


def facts(s: Drawing) -> dict:
    return {"background": s.background, "clock": {"color": s.facts["color"], "time": time_of(s)}}


def ask(s: Drawing, rng: random.Random) -> tuple[str, str, str]:
    """One question that only a clock is asked."""
    u, color = rng.random(), s.facts["color"]
    if u < 0.62:
        return "clock", rng.choice(TIME), f"It is {time_of(s)}."
    if u < 0.82:
        return "color", rng.choice(["What color is the clock?", "Which color is the clock?", "What colour is the clock?", "What is the color of the clock?",
                                    "What color is it?"]), f"The clock is {color}."
    if u < 0.92:
        yes = rng.random() < 0.5
        other = color if yes else rng.choice([c for c in COLORS if c != color])
        return "yesno", f"Is the clock {other}?", "Yes." if yes else f"No, it is {color}."
    yes = rng.random() < 0.5
    hour = s.facts["hour"] if yes else rng.choice([n for n in range(12) if n != s.facts["hour"]])
    said = f"{hour or 12}:{s.facts['minute']:02d}"
    return "yesno", rng.choice([f"Is it {said}?", f"Does the clock show {said}?"]), "Yes." if yes else f"No, it is {time_of(s)}."
