"""Scenes for the demo model: facts, drawing, questions with answers, cell labels.

A scene is a pure function of its seed.  `make_scene(seed)` gives the facts, `draw(scene)` the
picture (PIL/numpy, antialiased), `questions(scene, rng, n)` prompts with their exact answers and
`cell_labels(scene, masks)` what each 14x14 patch and each 28x28 cell shows (used while training
only).  Run as a script it writes PNG files and a JSONL of questions:

    python scenes.py --seed 900000000 --count 500 --out heldout

Fonts needed (Debian names): fonts-dejavu-core, fonts-liberation, fonts-freefont-ttf.
"""
from __future__ import annotations

import argparse
import colorsys
import functools
import json
import math
import os
import random
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

CELL = 28                    # pixels per merged image token
SHAPES = ["circle", "square", "triangle", "star", "cross", "ring"]
PLURAL = {s: s + "s" for s in SHAPES} | {"cross": "crosses"}
NUMBERS = ["no", "one", "two", "three", "four", "five"]

# name -> hue (degrees), saturation, value ranges.  Ranges are kept apart so that a person agrees.
COLORS = {
    "red": ((-6, 5), (0.78, 0.95), (0.78, 0.95)),
    "orange": ((24, 32), (0.85, 1.0), (0.93, 1.0)),
    "yellow": ((50, 57), (0.78, 0.95), (0.92, 1.0)),
    "green": ((115, 145), (0.6, 0.85), (0.5, 0.74)),
    "cyan": ((179, 189), (0.65, 0.9), (0.8, 0.95)),
    "blue": ((218, 233), (0.75, 0.95), (0.7, 0.95)),
    "purple": ((270, 284), (0.58, 0.78), (0.58, 0.8)),
    "pink": ((324, 338), (0.38, 0.52), (0.95, 1.0)),
}
BACKGROUNDS = {
    "white": ((0, 360), (0.0, 0.02), (0.95, 1.0)),
    "black": ((0, 360), (0.0, 0.1), (0.03, 0.11)),
    "gray": ((0, 360), (0.0, 0.04), (0.46, 0.6)),
    "beige": ((36, 42), (0.18, 0.27), (0.88, 0.94)),
    "brown": ((20, 27), (0.5, 0.6), (0.27, 0.37)),
}
WORDS = (
    "SUN MOON SKY RAIN SNOW WIND FIRE LAKE SEA HILL TREE LEAF ROSE CAT DOG BIRD FISH FOX BEAR CAR BUS "
    "BOAT BIKE HOUSE DOOR BOOK PEN CUP BREAD CAKE APPLE LEMON MILK TEA GOLD KING STOP OPEN HELLO LOVE"
).split()
LETTERS = sorted(set("".join(WORDS)))
# Characters that patches can show: letters of words, and digits and a mark of signs.
CHARACTERS = LETTERS + list("0123456789!")

_T = "/usr/share/fonts/truetype/"
FONTS = [
    _T + "dejavu/DejaVuSans-Bold.ttf", _T + "dejavu/DejaVuSans.ttf", _T + "dejavu/DejaVuSerif-Bold.ttf",
    _T + "dejavu/DejaVuSansMono-Bold.ttf", _T + "liberation/LiberationSans-Bold.ttf",
    _T + "liberation/LiberationSans-Regular.ttf", _T + "liberation/LiberationSerif-Bold.ttf",
    _T + "liberation/LiberationMono-Bold.ttf", _T + "freefont/FreeSansBold.ttf",
    _T + "freefont/FreeSerifBold.ttf",
]


@dataclass
class Obj:
    """One thing in a picture: a shape, or a word (then `word` is set and `shape` is "word")."""
    shape: str
    color: str
    cx: float                 # centre and half extents, pixels
    cy: float
    rx: float
    ry: float
    word: str = ""
    font: str = ""
    size: int = 0             # font size
    angle: float = 0.0
    rgb: tuple[float, float, float] = (0, 0, 0)

    @property
    def noun(self) -> str:
        """`red circle`, `red word "SUN"`."""
        return f'{self.color} word "{self.word}"' if self.word else f"{self.color} {self.shape}"

    @property
    def a(self) -> str:
        """With the article a caption uses."""
        if self.word:
            return "the " + self.noun
        return ("an " if self.color[0] == "o" else "a ") + self.noun


@dataclass
class Picture:
    """A drawn picture before it is drawn."""
    seed: int
    kind: str
    w: int
    h: int
    background: str
    bg_rgb: tuple[float, float, float]

    @property
    def grid(self) -> tuple[int, int]:
        """Merged tokens (rows, columns) after preprocessing."""
        return (self.h - 1) // CELL + 1, (self.w - 1) // CELL + 1


@dataclass
class Scene(Picture):
    """Shapes and words; the kind is empty, single, pair, triple, group, word or wordshape."""
    objects: list[Obj] = field(default_factory=list)
    axis: str = ""            # "x": objects are read left to right, "y": top to bottom
    style: dict = field(default_factory=dict)


@dataclass
class Drawing(Picture):
    """A picture of one of the other kinds (`kinds.py`), with the facts and the style that its module reads."""
    facts: dict
    style: dict


def rgb_of(rng: random.Random, ranges) -> tuple[float, float, float]:
    h, s, v = (rng.uniform(*r) for r in ranges)
    return tuple(255 * c for c in colorsys.hsv_to_rgb((h % 360) / 360, s, v))


@functools.lru_cache(maxsize=2000)
def font_of(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


def _cells(rng: random.Random, low: int) -> int:
    """Cells along one side; the pixel size is any that rounds up to it."""
    return rng.choices([3, 4, 5, 6], [0.08, 0.3, 0.32, 0.3])[0] if low <= 3 else rng.randint(low, 6)


def side(rng: random.Random, cells: int) -> int:
    return CELL * cells if rng.random() < 0.25 else rng.randint(CELL * (cells - 1) + 1, CELL * cells)


KINDS = ["empty", "single", "pair", "triple", "group", "word", "wordshape"]
MIX = [0.03, 0.17, 0.23, 0.20, 0.12, 0.14, 0.11]


def make_scene(seed: int, mix: list[float] | None = None) -> Scene:
    """Facts of scene number `seed`."""
    rng = random.Random(seed * 7919 + 13)
    kind = rng.choices(KINDS, mix or MIX)[0]
    for _ in range(20_000):
        s = _try_scene(rng, seed, kind)
        if s:
            return s
    raise RuntimeError(f"no room for a {kind} scene, seed {seed}")


def _line_up(rng: random.Random, objs: list[Obj], axis: str, w: int, h: int) -> None:
    """Spread shapes along one axis, each not far off its neighbour across it."""
    long, wide = (w, h) if axis == "x" else (h, w)
    free = max(long - 4 - sum(2 * o.rx for o in objs) - 3 * (len(objs) - 1), 0)
    cuts = sorted(rng.uniform(0, free) for _ in objs)
    at, used, last = 2.0, 0.0, None
    for o, c in zip(objs, cuts):
        at += c - used + o.rx
        used = c
        lo, hi = o.rx + 2, wide - o.rx - 2
        if last:
            reach = (at - last[0]) / 1.42
            lo, hi = max(lo, last[1] - reach), min(hi, last[1] + reach)
        across = rng.uniform(lo, max(lo, hi))
        o.cx, o.cy = (at, across) if axis == "x" else (across, at)
        last = at, across
        at += o.rx + 3


def _try_scene(rng: random.Random, seed: int, kind: str) -> Scene | None:
    axis = rng.choice("xy")
    cw = ch = 3
    if kind == "pair":
        cw, ch = (4, 3) if axis == "x" else (3, 4)
    elif kind == "triple":
        cw, ch = (5, 3) if axis == "x" else (3, 5)
    elif kind == "group":
        cw = ch = 4
    elif kind == "word":
        cw = 4
    elif kind == "wordshape":
        cw, ch, axis = 4, 4, "y"
    cw, ch = _cells(rng, cw), _cells(rng, ch)
    w, h = side(rng, cw), side(rng, ch)
    bg = rng.choice(list(BACKGROUNDS))
    s = Scene(seed, kind, w, h, bg, rgb_of(rng, BACKGROUNDS[bg]), axis=axis, style=dict(
        gradient=rng.uniform(-0.1, 0.1) if rng.random() < 0.6 else 0.0,
        shadow=rng.random() < 0.5, shade=rng.uniform(0, 0.18)))
    if kind == "empty":
        return s
    n = {"single": 1, "pair": 2, "triple": 3, "word": 1, "wordshape": 2}.get(kind) or rng.randint(2, 5)
    m = min(w, h)

    def shape(lo: float, hi: float) -> Obj:
        r = rng.uniform(lo, max(lo, hi)) / 2
        c = rng.choice(list(COLORS))
        sh = rng.choice(SHAPES)
        ang = 0.0 if rng.random() < 0.4 else rng.uniform(-14, 14)
        return Obj(sh, c, rng.uniform(r + 2, w - r - 2), rng.uniform(r + 2, h - r - 2), r, r,
                   angle=ang, rgb=rgb_of(rng, COLORS[c]))

    if kind in ("word", "wordshape"):
        word = rng.choice(WORDS)
        c = rng.choice(list(COLORS))
        path = rng.choice(FONTS)
        want = rng.uniform(0.62, 0.93) * w
        size = int(want / font_of(path, 100).getlength(word) * 100)
        size = max(min(size, int(0.5 * h), 58), 22)
        box = font_of(path, size).getbbox(word)
        rx, ry = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
        if rx * 2 > w - 4 or ry * 2 > h - 4 or ry < 8:
            return None
        s.objects.append(Obj("word", c, rng.uniform(rx + 2, w - rx - 2), rng.uniform(ry + 2, h - ry - 2), rx, ry,
                             word=word, font=path, size=size, rgb=rgb_of(rng, COLORS[c])))
        if kind == "wordshape":
            o = shape(30, 0.42 * h)
            if o.color == c:
                return None
            s.objects.append(o)
    elif kind == "single":
        s.objects = [shape(34, min(0.72 * m, 92))]
    elif kind == "group":
        first = shape(29, min(0.3 * m, 46))
        for _ in range(n):
            o = shape(first.rx * 2, first.rx * 2)
            o.shape, o.color, o.rgb = first.shape, first.color, first.rgb
            s.objects.append(o)
    else:
        long = w if axis == "x" else h
        hi = min(0.75 * m, (0.46 if n == 2 else 0.31) * long, 66)
        if hi < 28:
            return None
        s.objects = [shape(28, hi) for _ in range(n)]
        _line_up(rng, s.objects, axis, w, h)

    objs = s.objects
    for i, p in enumerate(objs):
        for q in objs[:i]:
            dx, dy = abs(p.cx - q.cx), abs(p.cy - q.cy)
            gap_x, gap_y = dx - p.rx - q.rx, dy - p.ry - q.ry
            if kind == "group":
                if max(gap_x, gap_y) < 4:
                    return None
                continue
            if (p.shape, p.color) == (q.shape, q.color):
                return None
            # one clear direction between any two things
            if axis == "x" and (gap_x < 3 or dx < 1.4 * dy):
                return None
            if axis == "y" and (gap_y < 3 or (dy < 1.4 * dx and not (p.word or q.word))):
                return None
    objs.sort(key=lambda o: o.cx if axis == "x" else o.cy)
    return s


# ------------------------------------------------------------------------------------- drawing
SS = 4                       # supersampling of shape masks


def _polygon(shape: str, r: float, c: float, angle: float) -> list[tuple[float, float]]:
    """Corner points of a shape of half width r around (c, c)."""
    t = math.radians(angle)
    if shape == "square":
        k = r / (abs(math.cos(t)) + abs(math.sin(t)))
        pts = [(-k, -k), (k, -k), (k, k), (-k, k)]
    elif shape == "triangle":
        pts = [(0, -r), (0.95 * r, 0.8 * r), (-0.95 * r, 0.8 * r)]
    elif shape == "star":
        pts = [((r if i % 2 == 0 else 0.43 * r) * math.sin(math.pi * i / 5),
                -(r if i % 2 == 0 else 0.43 * r) * math.cos(math.pi * i / 5)) for i in range(10)]
    else:                    # cross
        a, b = 0.94 * r, 0.31 * r
        pts = [(-b, -a), (b, -a), (b, -b), (a, -b), (a, b), (b, b), (b, a), (-b, a), (-b, b), (-a, b), (-a, -b), (-b, -b)]
    cs, sn = math.cos(t), math.sin(t)
    return [(c + x * cs - y * sn, c + x * sn + y * cs) for x, y in pts]


def _mask(o: Obj) -> tuple[np.ndarray, int, int]:
    """Coverage 0..255 of an object and where its top left corner goes."""
    if o.word:
        f = font_of(o.font, o.size)
        box = f.getbbox(o.word)
        im = Image.new("L", (box[2] - box[0] + 2, box[3] - box[1] + 2), 0)
        ImageDraw.Draw(im).text((1 - box[0], 1 - box[1]), o.word, fill=255, font=f)
        return np.asarray(im), round(o.cx - o.rx) - 1, round(o.cy - o.ry) - 1
    x0, y0 = math.floor(o.cx - o.rx) - 1, math.floor(o.cy - o.ry) - 1
    n = math.ceil(2 * o.rx) + 4
    im = Image.new("L", (n * SS, n * SS), 0)
    d = ImageDraw.Draw(im)
    cx, cy, r = (o.cx - x0) * SS, (o.cy - y0) * SS, o.rx * SS
    if o.shape in ("circle", "ring"):
        d.ellipse((cx - r, cy - r, cx + r, cy + r), fill=255)
        if o.shape == "ring":
            q = 0.55 * r
            d.ellipse((cx - q, cy - q, cx + q, cy + q), fill=0)
    else:
        d.polygon([(x + cx, y + cy) for x, y in _polygon(o.shape, r, 0, o.angle)], fill=255)
    return np.asarray(im.reduce(SS)), x0, y0


def _paste(canvas: np.ndarray, mask: np.ndarray, x0: int, y0: int, rgb: np.ndarray, strength: float = 1.0) -> None:
    """Blend a colour (broadcast over the mask) into the canvas, clipped at its borders."""
    h, w = canvas.shape[:2]
    ya, yb, xa, xb = max(y0, 0), min(y0 + mask.shape[0], h), max(x0, 0), min(x0 + mask.shape[1], w)
    if ya >= yb or xa >= xb:
        return
    a = (mask[ya - y0:yb - y0, xa - x0:xb - x0, None].astype(np.float32)) * (strength / 255)
    if rgb.ndim == 3:
        rgb = rgb[ya - y0:yb - y0]
    view = canvas[ya:yb, xa:xb]
    view += a * (rgb - view)


def scaled(s: Scene, k: int) -> Scene:
    """The same scene k times as large."""
    objs = [replace(o, cx=o.cx * k, cy=o.cy * k, rx=o.rx * k, ry=o.ry * k, size=o.size * k) for o in s.objects]
    return replace(s, w=s.w * k, h=s.h * k, objects=objs)


def draw(s: Scene, masks: list | None = None, k: int = 1) -> np.ndarray:
    """The picture, uint8 (h, w, 3).  `masks`, if given, receives (mask, x0, y0) of every object.

    k is the factor the scene was `scaled` by; shadows grow with it.
    """
    ramp = np.linspace(1 - s.style["gradient"], 1 + s.style["gradient"], s.h, dtype=np.float32)[:, None, None]
    canvas = np.broadcast_to(np.float32(s.bg_rgb), (s.h, s.w, 3)) * ramp
    for o in s.objects:
        mask, x0, y0 = _mask(o)
        if masks is not None:
            masks.append((mask, x0, y0))
        if s.style["shadow"] and s.background != "black":
            soft = np.asarray(Image.fromarray(np.pad(mask, 4 * k)).filter(ImageFilter.BoxBlur(2 * k)))
            _paste(canvas, soft, x0 - 2 * k, y0 - k, np.zeros(3, np.float32), 0.28)
        t = np.linspace(1 + s.style["shade"] / 2, 1 - s.style["shade"], mask.shape[0], dtype=np.float32)
        _paste(canvas, mask, x0, y0, np.clip(np.float32(o.rgb) * t[:, None, None], 0, 255))
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)


def ramped(pixels: np.ndarray, gradient: float) -> np.ndarray:
    """The picture a little brighter at one end than at the other."""
    ramp = np.linspace(1 - gradient, 1 + gradient, len(pixels), dtype=np.float32)[:, None, None]
    return np.clip(pixels * ramp + 0.5, 0, 255).astype(np.uint8)


PLACE_EDGES = [0.22, 0.39, 0.5, 0.61, 0.78]


# Classes of a cell: nothing, 12 hours of clocks, 8 values of bars, 20 signs, a photograph.
MARKS = 1 + 12 + 8 + 20 + 1
# Classes of a patch of a clock: its direction from the center, and none, one or both of the hands.
SECTORS, HANDS = 24, 4


def cells_in(s: Drawing, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The 28-pixel cells whose centre lies in a box."""
    gh, gw = s.grid
    y, x = (np.arange(gh)[:, None] + 0.5) * s.h / gh, (np.arange(gw)[None] + 0.5) * s.w / gw
    return (x >= left) & (x < right) & (y >= top) & (y < bottom)


def no_labels(s: Scene | Drawing) -> dict[str, np.ndarray]:
    """The labels of a picture without shapes and letters."""
    gh, gw = s.grid

    def every(value: int, k: int = 1) -> np.ndarray:
        return np.full((k * gh, k * gw), value, np.int64)
    background = list(BACKGROUNDS).index(s.background) if s.background else -100
    return dict(shape=every(0, 2), color=every(-100, 2), letter=every(0, 2), shape2=every(0), color2=every(0), centre=np.zeros((gh, gw), np.float32),
                turn2=every(-100), bin_x2=every(-100), bin_y2=every(-100), mark2=every(0), minute2=every(-100), hand=every(-100, 2), sector=every(-100, 2), background=np.int64(background))


def cell_labels(s: Scene, masks: list) -> dict[str, np.ndarray]:
    """Class per 14-pixel patch and per 28-pixel cell: shape (0 none, 7 letter), colour, letter, centre."""
    gh, gw = s.grid
    cov = np.zeros((max(len(s.objects), 1), 2 * gh, 2 * gw), np.float32)
    letter = np.zeros((2 * gh, 2 * gw), np.int64)
    centre = np.zeros((gh, gw), np.float32)
    shape_id = np.zeros(max(len(s.objects), 1), np.int64)
    color_id = np.zeros(max(len(s.objects), 1), np.int64)
    sx, sy = gw * CELL / s.w, gh * CELL / s.h
    for i, (o, (mask, x0, y0)) in enumerate(zip(s.objects, masks)):
        full = Image.new("L", (s.w, s.h), 0)
        full.paste(Image.fromarray(mask), (x0, y0))
        cov[i] = np.asarray(full.resize((2 * gw, 2 * gh), Image.Resampling.BOX), np.float32) / 255
        shape_id[i] = 1 + (SHAPES.index(o.shape) if not o.word else len(SHAPES))
        color_id[i] = 1 + list(COLORS).index(o.color)
        centre[min(int(o.cy * sy / CELL), gh - 1), min(int(o.cx * sx / CELL), gw - 1)] = 1
        if o.word:
            f, left = font_of(o.font, o.size), (o.cx - o.rx)
            off = f.getbbox(o.word)[0]
            ys = (np.arange(2 * gh) + 0.5) * 14 / sy
            xs = (np.arange(2 * gw) + 0.5) * 14 / sx
            rows = (ys > o.cy - o.ry - 3) & (ys < o.cy + o.ry + 3)
            for k, c in enumerate(o.word):
                a = left - off + f.getlength(o.word[:k])
                cols = (xs >= a) & (xs < a + f.getlength(c))
                letter[np.ix_(rows, cols)] = 1 + LETTERS.index(c)
    # where the whole object of a cell lies: bins of its centre, and its turn in reading order
    n = len(shape_id)
    bin_x, bin_y, turn = (np.full(n, -100, np.int64) for _ in range(3))
    for i, o in enumerate(s.objects):
        bin_x[i], bin_y[i] = np.digitize([o.cx / s.w, o.cy / s.h], PLACE_EDGES)
        if s.kind in ("pair", "triple", "wordshape"):
            turn[i] = i + (0 if s.axis == "x" else 3)
    best = cov.argmax(0)
    on = cov.max(0) > 0.12
    big = cov.reshape(len(cov), gh, 2, gw, 2).mean((2, 4))
    best2, on2 = big.argmax(0), big.max(0) > 0.08
    zero = np.zeros((), np.int64)
    return no_labels(s) | dict(shape=np.where(on, shape_id[best], zero), color=np.where(on, color_id[best], zero), letter=letter,
                shape2=np.where(on2, shape_id[best2], zero), color2=np.where(on2, color_id[best2], zero), centre=centre,
                turn2=np.where(on2, turn[best2], -100), bin_x2=np.where(on2, bin_x[best2], -100), bin_y2=np.where(on2, bin_y[best2], -100))


# ----------------------------------------------------------------------------------- questions
def caption(s: Scene) -> str:
    """The one caption that counts as right."""
    tail = f" on a {s.background} background."
    o = s.objects
    if s.kind == "empty":
        return f"An empty {s.background} background."
    if s.kind == "group":
        return f"{NUMBERS[len(o)].capitalize()} {o[0].color} {PLURAL[o[0].shape]}{tail}"
    if len(o) == 1:
        text = o[0].a
    elif len(o) == 2:
        text = f"{o[0].a} {'left of' if s.axis == 'x' else 'above'} {o[1].a}"
    else:
        way = "from left to right: " if s.axis == "x" else "from top to bottom: "
        text = f"{way}{o[0].a}, {o[1].a} and {o[2].a}"
    return text[0].upper() + text[1:] + tail


def as_json(s: Scene) -> str:
    """Compact JSON, objects in the order of the caption."""
    def one(o: Obj, n: int) -> dict:
        return {"word": o.word, "color": o.color} if o.word else {"shape": o.shape, "color": o.color, "count": n}
    objs = [one(s.objects[0], len(s.objects))] if s.kind == "group" else [one(o, 1) for o in s.objects]
    return json.dumps({"background": s.background, "objects": objs}, separators=(",", ":"))


CAPTION = ["Describe this image.", "Describe this image.", "Describe this image.", "Describe the image.", "Describe this picture.",
           "Describe the picture.", "Describe the scene.", "What is in this image?", "What is in this picture?",
           "What's in the picture?", "What's in this image?", "What do you see?", "What can you see in this image?",
           "Caption this image.", "What is shown here?", "What does this picture show?", "Tell me what is in the picture.",
           "Can you describe this image?", "What is this?", "Give me a short description.", "Write a caption.", "What objects do you see?",
           "List the objects.", "What objects are there?", "Tell me about this image.", "Describe it.", "Describe this image in one sentence.",
           "Describe the image in detail.", "What does the image show?", "What's this?", "Explain this picture.", "Look at this picture. What do you see?",
           "What is in the image?", "What is on this picture?", "Describe this.", "Describe the picture in one sentence."]
READ = ["What does it say?", "Read the word.", "What word is written here?", "What is written in the image?", "Read the text.",
        "What does the text say?", "Which word do you see?", "What is the word?", "What does the picture say?", "What word is this?", "What is written here?",
        "What does the image say?", "What word is in the image?", "Can you read the text?", "Which word is written?", "Read it.", "What's the word?"]
JSON = ["Describe the scene as JSON.", "Describe this image as JSON.", "Give me the scene as JSON.", "JSON please.", "Answer in JSON.",
        "Describe the image in JSON.", "Return JSON.", "Output the objects as JSON."]
COLOR = ["What color {is} {x}?", "What color {is} {x}?", "What colour {is} {x}?", "Which color {is} {x}?", "What is the color of {x}?",
         "Tell me the color of {x}.", "Color of {x}?"]
BACKGROUND = ["What color is the background?", "What is the background color?", "Which color is the background?", "Background color?",
              "What colour is the background?", "What is the color of the background?", "Tell me the background color."]
WHERE = ["Where is {x}?", "Where is {x}?", "Where is {x} in the image?", "What is the position of {x}?", "Where can I find {x}?",
         "In which part of the picture is {x}?"]
RELATIVE = ["Where is {x} relative to {y}?", "Where is {x} compared to {y}?", "How is {x} placed relative to {y}?",
            "Is {x} left of, right of, above or below {y}?"]
COUNT = ["How many {x} are there?", "How many {x} are there?", "How many {x} do you see?", "How many {x} are in the image?",
         "Count the {x}.", "How many {x} can you see?", "Number of {x}?"]
GREET = ["Hello!", "Hi", "Hello", "Hi there!", "hey", "Good morning!"]
NOPIC = ["Describe this image.", "What do you see?", "What is in the picture?", "What color is the circle?", "How many shapes are there?",
         "What does it say?", "Who are you?", "What can you do?", "Help", "Tell me a joke.", "Write a poem.", "What is the weather?",
         "What is the capital of France?", "How are you?", "What time is it?", "Translate this text.", "Where is the star?",
         "Describe the scene as JSON.", "Is there a red circle?"]
HELLO_ANSWER = "Hello! Please show me a picture."
NOPIC_ANSWER = "Please show me a picture."
OFF = ["Tell me a joke.", "Who are you?", "What can you do?", "Write a poem.", "What is the weather?", "Who painted this?", "Help",
       "What is the capital of France?", "How are you?", "Hello!", "Hi", "What time is it?"]
THANKS = ["Thanks!", "Thank you!", "thank you", "thanks", "Thank you very much.", "Great, thanks!"]
THANKS_ANSWER = "You are welcome."
OFF_ANSWER = "I can describe shapes, colors, positions and short words."


def styled(rng: random.Random, p: str) -> str:
    """Spelling as people type: no capitals, no final mark, all capitals, please."""
    u = rng.random()
    if u < 0.12:
        return p.lower().rstrip("?.")
    if u < 0.18:
        return p.rstrip("?.")
    if u < 0.22:
        return p.lower()
    if u < 0.27:
        return p.upper()
    if u < 0.31 and p[-1] == ".":
        return "Please " + p[0].lower() + p[1:]
    return p


def _refer(s: Scene, o: Obj, rng: random.Random) -> str:
    """A phrase that means just this object."""
    if o.word:
        return "the word"
    same = sum(q.shape == o.shape for q in s.objects)
    return f"the {o.shape}" if same == 1 and rng.random() < 0.65 else f"the {o.noun}"


def relation(p: Obj, q: Obj) -> str:
    """Where p is seen from q, or "" if the direction is not clear."""
    dx, dy = p.cx - q.cx, p.cy - q.cy
    if p.word or q.word:
        return "above" if dy < 0 else "below"
    if abs(dx) > 1.3 * abs(dy):
        return "left of" if dx < 0 else "right of"
    if abs(dy) > 1.3 * abs(dx):
        return "above" if dy < 0 else "below"
    return ""


def place(s: Scene, o: Obj) -> str:
    """Absolute position in words, or "" when too near a border between two answers."""
    fx, fy = o.cx / s.w, o.cy / s.h
    if any(abs(f - b) < 0.05 for f in (fx, fy) for b in (0.39, 0.61)):
        return ""
    x = "left" if fx < 0.39 else "right" if fx > 0.61 else ""
    y = "top" if fy < 0.39 else "bottom" if fy > 0.61 else ""
    if not x and not y:
        return "in the center"
    return "at the " + (y + " " + x).strip() if y else "on the " + x


def _cap(t: str) -> str:
    return t[0].upper() + t[1:]


def _there(n: int, one: str, many: str) -> str:
    return f"There is one {one}." if n == 1 else f"There are {NUMBERS[n]} {many}."


def ask_color(s: Scene, rng: random.Random):
    u = rng.random()
    t = rng.choice(COLOR)
    if u < 0.12 or not s.objects:
        return rng.choice(BACKGROUND), f"The background is {s.background}."
    if u < 0.2:
        gone = [x for x in SHAPES if all(o.shape != x for o in s.objects)]
        x = rng.choice(gone)
        return t.format(x="the " + x, **{"is": "is"}), f"There is no {x}."
    o = rng.choice(s.objects)
    if s.kind == "group":
        x = rng.choice([f"the {PLURAL[o.shape]}", f"the {PLURAL[o.shape]}", "the shapes"])
        return t.format(x=x, **{"is": "are"}), f"The {PLURAL[o.shape]} are {o.color}."
    if len(s.objects) == 1 and rng.random() < 0.25:
        return rng.choice(["What color is it?", "Which color is it?", "What color is this?", "What color do you see?"]), f"The {o.shape} is {o.color}."
    if sum(q.shape == o.shape for q in s.objects) > 1:
        return None
    return t.format(x=f"the {o.shape}", **{"is": "is"}), f"The {o.shape} is {o.color}."


def ask_shape(s: Scene, rng: random.Random):
    shapes = [o for o in s.objects if not o.word]
    if not shapes:
        return None
    o = rng.choice(shapes)
    if s.kind == "group":
        return (rng.choice(["What shapes are these?", "What shape do you see?", "Which shapes do you see?", f"What are the {o.color} shapes?"]),
                f"The {o.color} shapes are {PLURAL[o.shape]}.")
    answer = f"The {o.color} shape is a {o.shape}."
    if len(shapes) == 1 and rng.random() < 0.5:
        return rng.choice(["What shape is it?", "What shape is this?", "Which shape do you see?", "What shape do you see?",
                           "What shape is in the image?"]), answer
    side = ""
    if s.kind in ("pair", "triple") and rng.random() < 0.5:
        k = s.objects.index(o)
        last = len(s.objects) - 1
        side = ("in the middle" if 0 < k < last else "on the left" if s.axis == "x" and k == 0 else
                "on the right" if s.axis == "x" else "at the top" if k == 0 else "at the bottom")
        return rng.choice(["What shape is {0}?", "Which shape is {0}?", "What is {0}?"]).format(side), answer
    if sum(q.color == o.color for q in shapes) > 1:
        return None
    return rng.choice(["What shape is {c}?", "Which shape is {c}?", "What is the {c} shape?", "What is the {c} object?",
                       "What shape is the {c} object?", "What shape is the {c} one?"]).format(c=o.color), answer


def ask_count(s: Scene, rng: random.Random):
    t = rng.choice(COUNT)
    shapes = [o for o in s.objects if not o.word]
    u = rng.random()
    if u < 0.04 and len(shapes) == len(s.objects):
        return rng.choice(["How many?", "How many are there?", "How many things are there?", "Count."]), _there(len(shapes), "shape", "shapes")
    if u < 0.4:
        return t.format(x="shapes" if len(shapes) < len(s.objects) else rng.choice(["shapes", "shapes", "objects"])), _there(len(shapes), "shape", "shapes")
    if u < 0.8 or not shapes:
        x = rng.choice(shapes).shape if shapes and rng.random() < 0.8 else rng.choice(SHAPES)
        return t.format(x=PLURAL[x]), _there(sum(o.shape == x for o in shapes), x, PLURAL[x])
    c = rng.choice(shapes).color if rng.random() < 0.8 else rng.choice(list(COLORS))
    return t.format(x=f"{c} shapes"), _there(sum(o.color == c for o in shapes), f"{c} shape", f"{c} shapes")


def ask_position(s: Scene, rng: random.Random):
    if not s.objects or s.kind == "group":
        return None
    o = rng.choice(s.objects)
    if len(s.objects) > 1 and rng.random() < 0.6:
        q = rng.choice([x for x in s.objects if x is not o])
        r = relation(o, q)
        if not r:
            return None
        x, y = _refer(s, o, rng), _refer(s, q, rng)
        if rng.random() < 0.3 and sum(relation(z, q) == r for z in s.objects if z is not q) == 1:
            head = rng.choice(["What is {0} {1}?", "What is {0} {1}?", "Which object is {0} {1}?"])
            return head.format(r, y), f"{_cap(o.a)} is {r} {y}."
        return rng.choice(RELATIVE).format(x=x, y=y), f"{_cap(x)} is {r} {y}."
    p = place(s, o)
    if not p:
        return None
    x = _refer(s, o, rng)
    if len(s.objects) == 1 and rng.random() < 0.15:
        return rng.choice(["Where is it?", "Where is the object?"]), f"The {o.shape} is {p}."
    return rng.choice(WHERE).format(x=x), f"{_cap(x)} is {p}."


def ask_yesno(s: Scene, rng: random.Random):
    yes = rng.random() < 0.5
    shapes = [o for o in s.objects if not o.word]
    u = rng.random()
    if u < 0.45:              # existence
        if yes:
            if not shapes:
                return None
            o = rng.choice(shapes)
            c, x = o.color, o.shape
        else:
            c, x = rng.choice(list(COLORS)), rng.choice(SHAPES)
            if shapes and rng.random() < 0.7:      # near misses
                o = rng.choice(shapes)
                c, x = (o.color, x) if rng.random() < 0.5 else (c, o.shape)
        plain = rng.random() < 0.35
        ok = any(o.shape == x and (plain or o.color == c) for o in shapes)
        if ok != yes:
            return None
        name = x if plain else f"{c} {x}"
        art = "an" if name[0] == "o" else "a"
        t = rng.choice(["Is there {a} {x}?", "Is there {a} {x}?", "Is there {a} {x} in the image?", "Do you see {a} {x}?",
                        "Can you see {a} {x}?", "Does the picture show {a} {x}?"])
        return t.format(a=art, x=name), "Yes." if yes else "No."
    if u < 0.6:
        b = s.background if yes else rng.choice([x for x in BACKGROUNDS if x != s.background])
        return f"Is the background {b}?", "Yes." if yes else f"No, it is {s.background}."
    if u < 0.8:
        if not s.objects:
            return None
        o = rng.choice(s.objects)
        if s.kind == "group" or sum(q.shape == o.shape for q in s.objects) > 1:
            return None
        c = o.color if yes else rng.choice([x for x in COLORS if x != o.color])
        return f"Is the {o.shape} {c}?", "Yes." if yes else f"No, it is {o.color}."
    if u < 0.85:
        word = [o.word for o in s.objects if o.word]
        if not word:
            return None
        w = word[0] if yes else rng.choice([x for x in WORDS if x != word[0]])
        t = rng.choice(['Is the word "{}"?', 'Does it say "{}"?', "Does it say {}?", "Is the word {}?"])
        return t.format(w), "Yes." if yes else f'No, it says "{word[0]}".'
    if u < 0.89:
        if yes != any(o.word for o in s.objects):
            return None
        return rng.choice(["Is there a word?", "Is there any text?", "Is there a word in the image?", "Do you see a word?"]), \
            "Yes." if yes else "No."
    if s.kind not in ("pair", "triple", "wordshape"):
        return None
    p, q = rng.sample(s.objects, 2)
    r = relation(p, q)
    if not r:
        return None
    said = r if yes else rng.choice([x for x in ("left of", "right of", "above", "below") if x != r])
    return f"Is {_refer(s, p, rng)} {said} {_refer(s, q, rng)}?", "Yes." if yes else "No."


def ask_read(s: Scene, rng: random.Random):
    word = [o.word for o in s.objects if o.word]
    if not word and rng.random() < 0.8:
        return None
    return rng.choice(READ), f'It says "{word[0]}".' if word else "There is no word."


BOX = ["Give the box of {x}.", "Give the box of {x}.", "Give the bounding box of {x}.", "Where is {x}? Give its box.", "Find {x}.", "Locate {x}.",
       'Locate every instance that belongs to the following categories: "{n}". Report bbox coordinates in JSON format.']


def box(s: Scene, o: Obj) -> list[int]:
    """Left, top, right and bottom of what is drawn, in thousandths of the picture, to tens."""
    mask, x0, y0 = _mask(o)
    ys, xs = np.nonzero(mask > 127)
    ends = (x0 + xs.min()) / s.w, (y0 + ys.min()) / s.h, (x0 + xs.max() + 1) / s.w, (y0 + ys.max() + 1) / s.h
    return [min(max(10 * round(100 * float(e)), 0), 1000) for e in ends]


def ask_box(s: Scene, rng: random.Random):
    shapes = [o for o in s.objects if not o.word]
    if not shapes or s.kind == "group":
        return None
    o = rng.choice(shapes)
    x = _refer(s, o, rng)
    return rng.choice(BOX).format(x=x, n=x[4:]), json.dumps([{"bbox_2d": box(s, o), "label": o.noun}])


ASK = {
    "caption": lambda s, r: (r.choice(CAPTION), caption(s)), "color": ask_color, "shape": ask_shape, "count": ask_count,
    "position": ask_position, "yesno": ask_yesno, "read": ask_read,
    "json": lambda s, r: (r.choice(JSON), as_json(s)), "offtopic": lambda s, r: (r.choice(OFF), OFF_ANSWER),
    "box": ask_box,
}
WEIGHTS = dict(caption=0.14, color=0.16, shape=0.07, count=0.2, position=0.25, yesno=0.24, read=0.12, json=0.06, box=0.13, offtopic=0.01)


def ask(s: Scene, rng: random.Random, task: str = "") -> tuple[str, str, str]:
    """One (task, prompt, answer); tasks that do not fit the scene are drawn again."""
    while True:
        t = task or rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        qa = ASK[t](s, rng)
        if qa:
            return t, styled(rng, qa[0]), qa[1]
        if task and not any(ASK[t](s, rng) for _ in range(40)):
            return "", "", ""


def follow_up(s: Scene, rng: random.Random) -> list[tuple[str, str, str]]:
    """Two or three turns; the second may lean on the first ("Where is it?")."""
    single = [o for o in s.objects if not o.word]
    if len(single) == 1 and rng.random() < 0.45:
        o = single[0]
        first = ask(s, rng, rng.choice(["shape", "caption"]) if len(s.objects) == 1 else "shape")
        nxt = [("color", rng.choice(["What color is it?", "And the color?", "Which color is it?"]), f"The {o.shape} is {o.color}.")]
        if place(s, o):
            nxt.append(("position", rng.choice(["Where is it?", "And where is it?", "And where?"]), f"The {o.shape} is {place(s, o)}."))
        t, p, a = rng.choice(nxt)
        return [first, (t, styled(rng, p), a)]
    turns = [ask(s, rng)]
    for _ in range(1 if rng.random() < 0.8 else 2):
        t, p, a = ask(s, rng)
        if rng.random() < 0.2 and p[0].isupper() and not p.isupper():
            p = "And " + p[0].lower() + p[1:]
        turns.append((t, p, a))
    if rng.random() < 0.06:
        turns[-1] = ("offtopic", rng.choice(THANKS), THANKS_ANSWER)
    return turns


def no_picture(rng: random.Random) -> tuple[str, str, str]:
    """A turn without a picture."""
    if rng.random() < 0.3:
        return "nopic", styled(rng, rng.choice(GREET)), HELLO_ANSWER
    return "nopic", styled(rng, rng.choice(NOPIC)), NOPIC_ANSWER


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seed", type=int, default=900_000_000)
    ap.add_argument("--count", type=int, default=500)
    ap.add_argument("--out", default="heldout")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    with open(os.path.join(a.out, "questions.jsonl"), "w") as out, open(os.path.join(a.out, "scenes.jsonl"), "w") as facts:
        for i in range(a.count):
            s = make_scene(a.seed + i)
            name = f"{i:04d}.png"
            Image.fromarray(draw(s)).save(os.path.join(a.out, name))
            facts.write(json.dumps(dict(image=name, seed=s.seed, kind=s.kind, size=[s.w, s.h], caption=caption(s), scene=json.loads(as_json(s)))) + "\n")
            rng = random.Random(s.seed)
            rows = [("caption", "Describe this image.", caption(s))]
            rows += [ask(s, rng, t) for t in ("color", "shape", "count", "position", "yesno", "json")]
            if any(o.word for o in s.objects):
                rows.append(ask(s, rng, "read"))
            elif s.seed % 5 == 0:          # asked apart, so that easy answers do not lift the reading figure
                rows.append(("noword", *ask(s, rng, "read")[1:]))
            for t, p, ans in rows:
                if t:
                    out.write(json.dumps(dict(image=name, task=t, prompt=p, answer=ans)) + "\n")
            turns = follow_up(s, rng)
            out.write(json.dumps(dict(image=name, task="followup", prompt=turns[-1][1], answer=turns[-1][2],
                                      history=[[p, x] for _, p, x in turns[:-1]])) + "\n")


if __name__ == "__main__":
    main()
