"""Pictures with the statistics of photographs, of which the model learns that it does not know them.

No photograph is used.  Layers of colored noise with a falling spectrum, occluding textured leaves, landscapes, rooms, faces, lights at night
and blurred ground give edges, texture, light and grain as photographs have them.  The interface is that of `kinds.py`.
"""
from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import scenes
from scenes import Drawing

ANSWER = "I only know drawn scenes."


def make(seed: int) -> Drawing:
    """The photograph number `seed`; its content is decided while it is drawn."""
    rng = random.Random(seed * 9941 + 41)
    wide, high = rng.choice([(6, 6), (6, 4), (6, 5), (4, 6), (5, 6), (6, 3), (3, 6), (6, 4), (6, 4), (4, 6)])
    return Drawing(seed, "photo", scenes.side(rng, wide), scenes.side(rng, high), "", (0, 0, 0), {}, {})


def _noise(g: np.random.Generator, h: int, w: int, slope: float) -> np.ndarray:
    """Noise in [0, 1] whose amplitude falls with frequency ** -slope."""
    fy, fx = np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None]
    f = np.sqrt(fy * fy + fx * fx)
    f[0, 0] = 1
    stretch = g.uniform(0.5, 2)
    f = np.sqrt((fy * stretch) ** 2 + fx ** 2) if g.random() < 0.4 else f
    f[0, 0] = 1
    spectrum = (g.standard_normal(f.shape) + 1j * g.standard_normal(f.shape)) / f ** slope
    spectrum[0, 0] = 0
    x = np.fft.irfft2(spectrum, (h, w))
    lo, hi = np.percentile(x, [1, 99])
    return np.clip((x - lo) / (hi - lo + 1e-9), 0, 1).astype(np.float32)


def _palette(g: np.random.Generator) -> np.ndarray:
    """Two to four colors in which one hue leads, as in most photographs."""
    base = g.uniform(20, 235, 3)
    spread = g.uniform(15, 110)
    n = g.integers(2, 5)
    grey = g.uniform(-spread, spread, (n, 1))
    return np.clip(base + grey + g.normal(0, g.uniform(5, 45), (n, 3)), 0, 255).astype(np.float32)


def _texture(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    """[h, w, 3]: noise through a palette."""
    p = _palette(g)
    x = _noise(g, h, w, g.uniform(0.4, 2.2)) * (len(p) - 1)
    i = np.minimum(x.astype(np.int64), len(p) - 2)
    return p[i] + (x - i)[..., None] * (p[i + 1] - p[i])


def _light(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    """[h, w, 1]: a smooth change of brightness."""
    a, b = g.uniform(-0.35, 0.35, 2)
    y, x = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None]
    return (1 + a * x + b * y)[..., None].astype(np.float32)


def _blob(g: np.random.Generator, h: int, w: int, size: float) -> Image.Image:
    """Mask of a leaf: an ellipse, a polygon or a curved outline."""
    m = Image.new("L", (w * 2, h * 2), 0)
    d = ImageDraw.Draw(m)
    cx, cy = g.uniform(-0.1, 1.1) * w * 2, g.uniform(-0.1, 1.1) * h * 2
    r, n = size * 2, int(g.choice([4, 5, 6, 8, 24, 24]))
    turn, squash = g.uniform(0, 6.3), g.uniform(0.3, 1)
    a = np.sort(g.uniform(0, 2 * np.pi, n)) if n < 24 else np.linspace(0, 2 * np.pi, n, endpoint=False)
    q = r * (1 + (0.25 * np.sin(a * g.integers(2, 5) + turn) if n == 24 else g.uniform(-0.3, 0.3, n)))
    x, y = q * np.cos(a), squash * q * np.sin(a)
    d.polygon([(float(cx + u * np.cos(turn) - v * np.sin(turn)), float(cy + u * np.sin(turn) + v * np.cos(turn))) for u, v in zip(x, y)], fill=255)
    return m.resize((w, h), Image.Resampling.BOX)


def _over(under: np.ndarray, over: np.ndarray, mask: Image.Image, blur: float) -> np.ndarray:
    if blur > 0.3:
        mask = mask.filter(ImageFilter.GaussianBlur(float(blur)))
    a = np.asarray(mask, np.float32)[..., None] / 255
    return under + a * (over - under)


def _leaves(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    x = _texture(g, h, w) * _light(g, h, w)
    blur = g.choice([0, 0.5, 1, 3])
    held = [_texture(g, h, w) for _ in range(6)]
    for size in np.sort(np.exp(g.uniform(np.log(4), np.log(70), g.integers(4, 40))))[::-1]:
        leaf = held[g.integers(6)][::g.choice([-1, 1]), ::g.choice([-1, 1])] * np.float32(g.uniform(0.5, 1.3) * g.uniform(0.85, 1.15, 3))
        x = _over(x, leaf * _light(g, h, w), _blob(g, h, w, size), blur * g.uniform(0, 1))
    return x


def _landscape(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    top = np.float32([g.uniform(40, 150), g.uniform(110, 190), g.uniform(150, 250)]) if g.random() < 0.7 else g.uniform(60, 240, 3).astype(np.float32)
    x = np.broadcast_to(top + y * g.uniform(-40, 110), (h, w, 3)) + 0
    if g.random() < 0.7:
        cloud = np.clip(_noise(g, h, w, 1.6) * 2 - g.uniform(0.5, 1.2), 0, 1)[..., None]
        x = x + cloud * (245 - x)
    horizon = g.uniform(0.25, 0.75)
    for i in range(g.integers(1, 5)):
        edge = (horizon + 0.12 * i + g.uniform(0.02, 0.25) * (_noise(g, 2, w, 1.3)[0] - 0.5)) * h
        mask = Image.fromarray((np.arange(h)[:, None] > edge[None]).astype(np.uint8) * 255)
        tone = np.float32([g.uniform(30, 130), g.uniform(50, 140), g.uniform(20, 110)])
        land = tone + (_noise(g, h, w, g.uniform(0.3, 1.3))[..., None] - 0.5) * g.uniform(30, 130)
        x = _over(x, land, mask, g.uniform(0, 1))
    for _ in range(g.integers(0, 5)):
        x = _over(x, _texture(g, h, w) * 0.7, _blob(g, h, w, g.uniform(5, 35)), 0.6)
    return x


def _room(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    x = np.broadcast_to(g.uniform(120, 235, 3).astype(np.float32), (h, w, 3)) * _light(g, h, w)
    floor = g.uniform(0.5, 0.85) * h
    x = _over(x, _texture(g, h, w) * 0.8, Image.fromarray((np.arange(h)[:, None] + 0 * np.arange(w) > floor + g.uniform(-0.2, 0.2) * (np.arange(w) - w / 2)).astype(np.uint8) * 255), 0.6)
    for _ in range(g.integers(2, 9)):
        m = Image.new("L", (w, h), 0)
        cx, cy, rx, ry = g.uniform(0, w), g.uniform(0.2, 0.95) * h, g.uniform(5, 60), g.uniform(5, 50)
        lean = g.uniform(-12, 12)
        corners = [(cx - rx, cy - ry + lean), (cx + rx, cy - ry - lean), (cx + rx * g.uniform(0.7, 1.1), cy + ry), (cx - rx, cy + ry * g.uniform(0.8, 1.1))]
        ImageDraw.Draw(m).polygon([(float(a), float(b)) for a, b in corners], fill=255)
        x = _over(x, x * g.uniform(0.4, 0.8), m.filter(ImageFilter.GaussianBlur(6)), 0)
        x = _over(x, _texture(g, h, w) * _light(g, h, w), m, g.uniform(0, 1.2))
    return x


def _face(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    x = np.asarray(Image.fromarray(np.clip(_leaves(g, h, w), 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(float(g.uniform(0, 7)))), np.float32)
    skin = np.float32([1, g.uniform(0.68, 0.8), g.uniform(0.5, 0.68)]) * g.uniform(80, 240)
    cx, cy, r = g.uniform(0.35, 0.65) * w, g.uniform(0.35, 0.55) * h, g.uniform(0.14, 0.34) * min(w, h)

    def part(dx: float, dy: float, rx: float, ry: float, rgb: np.ndarray, blur: float) -> None:
        nonlocal x
        m = Image.new("L", (w, h), 0)
        ImageDraw.Draw(m).ellipse((cx + (dx - rx) * r, cy + (dy - ry) * r, cx + (dx + rx) * r, cy + (dy + ry) * r), fill=255)
        x = _over(x, (rgb + (_noise(g, h, w, 1.2)[..., None] - 0.5) * g.uniform(8, 50)) * _light(g, h, w), m, blur)
    part(0, 2.6, g.uniform(1.4, 2.2), 1.5, g.uniform(20, 230, 3).astype(np.float32), 1.5)
    part(0, -0.25, 1.05, 1.25, np.float32([60, 40, 30]) * g.uniform(0.3, 3), 2)
    part(0, 0.1, 0.82, 1.1, skin, 1.2)
    for side in (-0.33, 0.33):
        part(side, -0.1, 0.13, 0.08, skin * 0.3, 0.7)
    part(0, 0.55, 0.3, 0.09, skin * np.float32([0.8, 0.5, 0.5]), 0.8)
    return x


def _night(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    x = np.float32(g.uniform(3, 40, 3)) + 18 * _noise(g, h, w, 1.2)[..., None]
    for _ in range(g.integers(5, 60)):
        m = _blob(g, h, w, g.uniform(1, g.choice([3, 9])))
        x = _over(x, np.broadcast_to(g.uniform(90, 255, 3).astype(np.float32), (h, w, 3)), m, g.uniform(0.5, 4))
    return x


def _object(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    """One or a few things with a soft shadow before an even ground."""
    x = np.broadcast_to(np.float32(g.uniform(90, 250) + g.uniform(-20, 20, 3)), (h, w, 3)) * _light(g, h, w)
    for _ in range(g.integers(1, 4)):
        part = g.integers(2 ** 31)
        size = g.uniform(15, 60)
        under, mask = (_blob(np.random.default_rng(part), h, w, size) for _ in range(2))
        x = _over(x, x * g.uniform(0.3, 0.8), under.filter(ImageFilter.GaussianBlur(float(g.uniform(3, 9)))), 0)
        x = _over(x, _texture(g, h, w) * _light(g, h, w) ** 2, mask, g.uniform(0.3, 1.5))
    return x


def _noisy(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    return _texture(g, h, w) * _light(g, h, w)


def _mixed(g: np.random.Generator, h: int, w: int) -> np.ndarray:
    """One kind in a region of another: things before a background out of focus."""
    a, b = (g.choice(MAKERS)(g, h, w) for _ in range(2))
    a = np.asarray(Image.fromarray(np.clip(a, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(float(g.uniform(0, 9)))), np.float32)
    return _over(a, b, _blob(g, h, w, g.uniform(25, 80)), g.uniform(0, 2))


MAKERS = [_leaves, _landscape, _room, _face, _night, _object, _noisy]


def draw(s: Drawing, scale: int = 1) -> np.ndarray:
    """The picture; at another scale its content is another one."""
    g = np.random.default_rng(s.seed * 7 + 3)
    h, w = s.h * scale, s.w * scale
    maker = [*MAKERS, _mixed, _leaves, _landscape, _landscape][g.integers(0, 11)]
    x = np.clip(maker(g, h, w), 0, 255)
    gray = x.mean(-1, keepdims=True)
    x = gray + (x - gray) * (0 if g.random() < 0.1 else g.uniform(0.25, 1))
    y, z = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None]
    x = x * (1 - g.uniform(0, 0.35) * (y * y + z * z)[..., None] / 2)
    x = np.clip((x / 255) ** g.uniform(0.7, 1.4) * 255 + g.normal(0, g.uniform(0, 7), (h, w, 1 if g.random() < 0.5 else 3)), 0, 255)
    return compressed(x.astype(np.uint8), int(g.integers(55, 96)))


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """The picture after it was stored as JPEG."""
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=quality)
    return np.asarray(Image.open(held))


def labels(_: Drawing, out: dict[str, np.ndarray]) -> None:
    for name in ("shape", "color", "shape2", "color2"):
        out[name][:] = -100
    out["mark2"][:] = scenes.MARKS - 1


def caption(_: Drawing) -> str:
    return ANSWER


def ask(_: Drawing, rng: random.Random) -> tuple[str, str, str]:
    """Any question, also those for drawn scenes: the answer stays the same."""
    other = scenes.make_scene(rng.randrange(10 ** 6))
    return "photo", scenes.ask(other, rng)[1] if rng.random() < 0.5 else rng.choice(QUESTIONS), ANSWER


QUESTIONS = ["Who is this?", "What animal is this?", "Where was this taken?", "What is in the photo?", "Describe this photo.", "What is the person doing?",
             "What is happening here?", "How many people are there?", "Is there a person?", "Is there a dog in the picture?", "What kind of food is this?",
             "What is the weather like?", "What can you see in this photo?", "Is this indoors or outdoors?", "What is in the background?", "What color is the car?",
             "What is the mood of this picture?", "What brand is it?", "What is the man wearing?", "Is it day or night?", "What time is it?", "Read the text."]
