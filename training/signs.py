"""Road signs.  The interface is that of `kinds.py`."""
from __future__ import annotations

import math
import random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

import scenes
from scenes import BACKGROUNDS, Drawing

SS = 4
RED, BLUE, WHITE, BLACK, YELLOW = (200, 24, 32), (24, 84, 180), (250, 250, 250), (18, 18, 20), (248, 206, 40)
LIMITS = [20, 30, 40, 50, 60, 70, 80, 90, 100, 120]
# name, what it means, color, form
SIGNS = {
    "stop": ("stop", "red", "an octagon"), "no entry": ("no entry", "red", "round"), "yield": ("give way", "white", "a triangle"),
    "warning": ("danger", "white", "a triangle"), "parking": ("parking", "blue", "a square"), "turn left": ("turn left", "blue", "round"),
    "turn right": ("turn right", "blue", "round"), "straight ahead": ("go straight ahead", "blue", "round"),
    "priority road": ("you have priority", "yellow", "a diamond"), "no stopping": ("no stopping", "blue", "round"),
} | {f"speed limit {n}": (f"at most {n}", "white", "round") for n in LIMITS}
NAMES = list(SIGNS)


def make(seed: int) -> Drawing:
    """The sign number `seed`."""
    rng = random.Random(seed * 9949 + 37)
    w, h = scenes.side(rng, rng.choice([3, 4, 5, 6])), scenes.side(rng, rng.choice([3, 4, 5, 6]))
    background = rng.choice(list(BACKGROUNDS))
    name = rng.choice(NAMES) if rng.random() < 0.7 else f"speed limit {rng.choice(LIMITS)}"
    r = min(w, h) / 2 * rng.uniform(0.68, 0.95)
    pole = rng.random() < 0.4 and h > w * 0.9
    style = dict(r=r, cx=rng.uniform(r + 1, w - r - 1), cy=r + 2 if pole else rng.uniform(r + 1, h - r - 1), pole=pole, font=rng.choice(scenes.FONTS[:1] + scenes.FONTS[4:6]),
                 tilt=rng.uniform(-4, 4), light=rng.uniform(0.88, 1.06), gradient=rng.uniform(-0.1, 0.1))
    return Drawing(seed, "sign", w, h, background, scenes.rgb_of(rng, BACKGROUNDS[background]), dict(sign=name), style)


class Text(NamedTuple):
    """The characters in the middle of a sign, and the font's size as a share of the sign's radius."""
    said: str
    size: float


def _text(name: str) -> Text | None:
    if name.startswith("speed"):
        said = name.split()[-1]
        return Text(said, 0.95 if len(said) == 2 else 0.72)
    return {"stop": Text("STOP", 0.58), "warning": Text("!", 0.75), "parking": Text("P", 1.1)}.get(name)


def draw(s: Drawing, scale: int = 1) -> np.ndarray:
    t, k, name = s.style, SS * scale, s.facts["sign"]
    im = Image.new("RGB", (s.w * k, s.h * k), tuple(round(v) for v in s.bg_rgb))
    d = ImageDraw.Draw(im)
    cx, cy, r = t["cx"] * k, t["cy"] * k, t["r"] * k

    def tone(rgb):
        return tuple(round(min(v * t["light"], 255)) for v in rgb)

    def ring(sides: int, q: float, turn: float):
        a0 = math.radians(t["tilt"] + turn)
        return [(cx + q * math.sin(a0 + 2 * math.pi * i / sides), cy - q * math.cos(a0 + 2 * math.pi * i / sides)) for i in range(sides)]

    def disc(q: float, rgb) -> None:
        d.ellipse((cx - q, cy - q, cx + q, cy + q), fill=tone(rgb))

    def turned(points):
        a = math.radians(t["tilt"])
        return [(cx + r * (x * math.cos(a) - y * math.sin(a)), cy + r * (x * math.sin(a) + y * math.cos(a))) for x, y in points]
    if t["pole"]:
        d.rectangle((cx - 0.06 * r, cy, cx + 0.06 * r, s.h * k), fill=(128, 130, 134))
    if name == "stop":
        d.polygon(ring(8, r, 22.5), fill=tone(WHITE))
        d.polygon(ring(8, 0.93 * r, 22.5), fill=tone(RED))
    elif name == "no entry":
        disc(r, RED)
        d.polygon(turned([(-0.68, -0.17), (0.68, -0.17), (0.68, 0.17), (-0.68, 0.17)]), fill=tone(WHITE))
    elif name.startswith("speed"):
        disc(r, RED)
        disc(0.78 * r, WHITE)
    elif name in ("yield", "warning"):
        turn = 180 if name == "yield" else 0
        d.polygon(ring(3, r, turn), fill=tone(RED))
        d.polygon(ring(3, 0.66 * r, turn), fill=tone(WHITE))
    elif name == "parking":
        d.polygon(ring(4, r, 45), fill=tone(BLUE))
    elif name == "priority road":
        d.polygon(ring(4, r, 0), fill=tone(WHITE))
        d.polygon(ring(4, 0.9 * r, 0), outline=tone(BLACK), width=max(round(0.03 * r), 1))
        d.polygon(ring(4, 0.68 * r, 0), fill=tone(YELLOW))
    elif name == "no stopping":
        disc(r, RED)
        disc(0.8 * r, BLUE)
        for a in (1, -1):
            d.polygon(turned([(-0.62, -0.5 * a), (-0.5, -0.62 * a), (0.62, 0.5 * a), (0.5, 0.62 * a)]), fill=tone(RED))
    else:
        disc(r, WHITE)
        disc(0.94 * r, BLUE)
        arrow = [(-0.62, 0.0), (-0.12, -0.42), (-0.12, -0.15), (0.6, -0.15), (0.6, 0.15), (-0.12, 0.15), (-0.12, 0.42)]
        if name == "turn right":
            arrow = [(-x, y) for x, y in arrow]
        elif name == "straight ahead":
            arrow = [(y, x) for x, y in arrow]
        d.polygon(turned(arrow), fill=tone(WHITE))
    if text := _text(name):
        font, down = scenes.font_of(t["font"], max(round(text.size * r), 8)), 0.02 * r if name == "warning" else 0
        d.text((cx, cy + down), text.said, fill=tone(WHITE if name in ("stop", "parking") else BLACK), font=font, anchor="mm")
    return scenes.ramped(np.asarray(im.reduce(SS)), t["gradient"])


def labels(s: Drawing, out: dict[str, np.ndarray]) -> None:
    """The sign in all its cells, and its characters in their patches."""
    t = s.style
    on = scenes.cells_in(s, t["cx"] - t["r"], t["cy"] - t["r"], t["cx"] + t["r"], t["cy"] + t["r"])
    out["mark2"][on] = 21 + NAMES.index(s.facts["sign"])
    out["color2"][on], out["color"][:] = -100, -100
    if text := _text(s.facts["sign"]):
        font, (rows, cols) = scenes.font_of(t["font"], max(round(text.size * t["r"] * SS), 8)), out["letter"].shape
        left, height = t["cx"] - font.getlength(text.said) / SS / 2, text.size * t["r"] * 0.36
        y, x = (np.arange(rows)[:, None] + 0.5) * s.h / rows, (np.arange(cols)[None] + 0.5) * s.w / cols
        for i, character in enumerate(text.said):
            a, b = (left + font.getlength(text.said[:n]) / SS for n in (i, i + 1))
            out["letter"][(abs(y - t["cy"]) < height) & (x >= a) & (x < b)] = 1 + scenes.CHARACTERS.index(character)


def _a(name: str) -> str:
    return f"a speed limit sign of {name.split()[-1]}" if name.startswith("speed") else f"a {name} sign"


def caption(s: Drawing) -> str:
    said = _a(s.facts["sign"])
    return f"{said[0].upper()}{said[1:]} on a {s.background} background."


def facts(s: Drawing) -> dict:
    return {"background": s.background, "sign": s.facts["sign"]}


def ask(s: Drawing, rng: random.Random) -> tuple[str, str, str]:
    """One question that only a sign is asked."""
    u, name = rng.random(), s.facts["sign"]
    meaning, color, form = SIGNS[name]
    if u < 0.36:
        t = rng.choice(["What sign is this?", "Which sign is this?", "What sign is it?", "What kind of sign is this?", "What is the sign?", "What traffic sign is this?",
                        "Which sign do you see?", "Read the sign."])
        return "sign", t, f"It is {_a(name)}."
    if u < 0.6:
        t = rng.choice(["What does the sign mean?", "What does it mean?", "What does this sign mean?", "What does the sign say?", "What is the meaning of the sign?", "What does it say?"])
        return "sign", t, f"It means: {meaning}."
    if u < 0.74:
        t = rng.choice(["What color is the sign?", "Which color is the sign?", "What colour is the sign?", "What is the color of the sign?", "What color is it?"])
        return "color", t, f"The sign is {color}."
    if u < 0.86:
        t = rng.choice(["What shape is the sign?", "Which shape has the sign?", "What is the shape of the sign?", "What shape is it?"])
        return "shape", t, f"The sign is {form}."
    yes = rng.random() < 0.5
    other = name if yes else rng.choice([n for n in NAMES if n != name])
    return "yesno", rng.choice([f"Is this {_a(other)}?", f"Is it {_a(other)}?"]), "Yes." if yes else f"No, it is {_a(name)}."
