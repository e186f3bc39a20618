"""Measure a Hugging Face directory with transformers alone: PixtralImageProcessor, greedy generate.

    python scenes.py --out heldout                               # or kinds.py
    python evaluate.py --model hf --data heldout --out heldout/evaluation.json [--limit 100]

--limit takes the first N pictures.  Answers count only if they equal the expected text exactly; an answer with boxes also counts if its
labels are equal and every box overlaps the expected one by 0.7 (intersection over union).
"""
from __future__ import annotations

import argparse
import collections
import json
import os
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from PIL import Image
from transformers import AutoTokenizer, Mistral3ForConditionalGeneration
from transformers.models.pixtral.image_processing_pixtral import PixtralImageProcessor

LEAST_OVERLAP = 0.7


class Runner:
    """One picture, one conversation, greedy."""

    def __init__(self, directory: str):
        self.model = Mistral3ForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval()
        self.tok = AutoTokenizer.from_pretrained(directory)
        c = self.model.config
        self.step = c.vision_config.patch_size * c.spatial_merge_size
        self.pre = PixtralImageProcessor(size={"longest_edge": c.vision_config.image_size},
                                         patch_size={"height": self.step, "width": self.step})
        self.id = {t: self.tok.convert_tokens_to_ids(t) for t in ("<s>", "</s>", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]")}

    def text(self, s: str) -> list[int]:
        return self.tok.encode(s, add_special_tokens=False, split_special_tokens=True)

    def prompt(self, turns: list[tuple[str, str | None]], size: tuple[int, int] | None) -> list[int]:
        """Layout <s>[INST]picture text[/INST]answer</s>[INST]text[/INST], built from segments."""
        i = self.id
        ids = [i["<s>"]]
        for n, (p, a) in enumerate(turns):
            ids.append(i["[INST]"])
            if n == 0 and size:
                rows, cols = size[0] // self.step, size[1] // self.step
                img = ([i["[IMG]"]] * cols + [i["[IMG_BREAK]"]]) * rows
                img[-1] = i["[IMG_END]"]
                ids += img
            ids += self.text(p) + [i["[/INST]"]]
            if a is not None:
                ids += self.text(a) + [i["</s>"]]
        return ids

    @torch.no_grad()
    def answer(self, image: Image.Image | None, turns: list[tuple[str, str | None]]) -> tuple[list[int], list[int], str]:
        """(prompt ids, new ids, text)."""
        kw, size = {}, None
        if image is not None:
            f = self.pre(images=[image], return_tensors="pt")
            size = tuple(int(v) for v in f["image_sizes"][0])
            kw = dict(pixel_values=f["pixel_values"], image_sizes=f["image_sizes"])
        ids = self.prompt(turns, size)
        t = torch.tensor([ids])
        out = self.model.generate(input_ids=t, attention_mask=torch.ones_like(t), do_sample=False, max_new_tokens=120, **kw)
        new = out[0, len(ids):].tolist()
        return ids, new, self.tok.decode(new, skip_special_tokens=True)


def overlap(p: list[int], q: list[int]) -> float:
    """Intersection over union of two boxes [left, top, right, bottom]."""
    width, height = min(p[2], q[2]) - max(p[0], q[0]), min(p[3], q[3]) - max(p[1], q[1])
    both = max(width, 0) * max(height, 0)
    area = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (p, q))
    return both / (area - both) if area > both else 0.0


def is_right(task: str, expected: str, answer: str) -> bool:
    if task != "box" or answer == expected:
        return answer == expected
    try:
        got = [(row["label"], [int(v) for v in row["bbox_2d"]]) for row in json.loads(answer)]
    except (ValueError, TypeError, KeyError):
        return False
    want = [(row["label"], row["bbox_2d"]) for row in json.loads(expected)]
    return len(got) == len(want) and all(
        a == b and len(p) == 4 and overlap(p, q) >= LEAST_OVERLAP for (a, p), (b, q) in zip(got, want))


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", required=True)
    ap.add_argument("--data", required=True)
    ap.add_argument("--out", default="")
    ap.add_argument("--limit", type=int, default=0)
    ap.add_argument("--tasks", default="", help="comma separated; all if empty")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--part", default="0/1", help="i/n: every n-th picture from i, to share the work between processes")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    r = Runner(a.model)
    with open(os.path.join(a.data, "questions.jsonl")) as f:
        rows = [json.loads(line) for line in f]
    names = sorted({q["image"] for q in rows})[:a.limit or None]
    i, n = map(int, a.part.split("/"))
    names = set(names[i::n])
    rows = [q for q in rows if q["image"] in names and (not a.tasks or q["task"] in a.tasks.split(","))]
    good, results, t0 = collections.defaultdict(list), [], time.time()
    cache: dict[str, Image.Image] = {}
    for q in rows:
        if q["image"] not in cache:
            cache = {q["image"]: Image.open(os.path.join(a.data, q["image"])).convert("RGB")}
        turns = [tuple(t) for t in q.get("history", [])] + [(q["prompt"], None)]
        ids, new, text = r.answer(cache[q["image"]], turns)
        ok = is_right(q["task"], q["answer"], text)
        good[q["task"]].append(ok)
        results.append(dict(image=q["image"], task=q["task"], prompt=q["prompt"], history=q.get("history", []),
                            expected=q["answer"], answer=text, right=ok, prompt_ids=ids, answer_ids=new))
    summary = {t: dict(right=sum(v), of=len(v), percent=round(100 * sum(v) / len(v), 2)) for t, v in good.items()}
    for t, v in summary.items():
        print(f"{t:10s} {v['right']:4d} / {v['of']:4d}  {v['percent']:6.2f} %")
    print(f"{len(rows)} questions on {len(names)} pictures, transformers {transformers.__version__}, torch {torch.__version__}, "
          f"{time.time() - t0:.0f} s")
    if a.out:
        with open(a.out, "w") as f:
            json.dump(dict(transformers=transformers.__version__, torch=torch.__version__, pictures=len(names), tasks=summary,
                           results=results), f, indent=0)


if __name__ == "__main__":
    main()
