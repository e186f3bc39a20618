"""Train the demo model on pictures drawn on the fly.  Resumable; the schedule follows the number of steps.

    python train.py --work DIR --steps 6000

Writes DIR/last.pt (weights, EMA, optimiser), DIR/train.log and, every --export-every minutes, the
Hugging Face directory DIR/hf from the EMA weights.
"""
from __future__ import annotations

import argparse
import collections
import json
import os
import random
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn

import kinds
import photographs
import scenes
from build_tokenizer import BOS, END_INST, END_SYS, EOS, IMG, IMG_BREAK, IMG_END, INST, PAD, SYS
from model import TEXT, VISION, Mistral3, export, normalise

SYSTEM = ["Be brief.", "You are a helpful assistant.", "You describe pictures.", "Answer shortly.", "You are a vision assistant. Answer in one sentence.",
          "You are Ocelli, a small model that runs in the browser.", "Answer in English.", "Be honest and precise about what you see.",
          "You are a helpful assistant that looks at pictures and answers questions about them."]
IMAGE_SEG, START_SEG, PAD_SEG, ALONE = 0, -1, -2, 1000


class Text:
    """Cached tokenisation of whole strings."""

    def __init__(self, path: str):
        self.t, self.cache = Tokenizer.from_file(path), {}

    def __call__(self, s: str) -> list[int]:
        if s not in self.cache:
            if len(self.cache) > 200_000:
                self.cache.clear()
            self.cache[s] = self.t.encode(s, add_special_tokens=False).ids
        return self.cache[s]


def image_ids(gh: int, gw: int) -> list[int]:
    ids = ([IMG] * gw + [IMG_BREAK]) * gh
    ids[-1] = IMG_END
    return ids


class Row:
    """One sequence: a prefix and conversations that see the prefix and themselves only."""

    def __init__(self):
        self.ids, self.pos, self.seg, self.out, self.task = [], [], [], [], []

    def add(self, ids: list[int], seg: int, start: int, task: int = -1) -> int:
        """Append ids; task >= 0 marks them as an answer (to be predicted).  Returns the next position."""
        self.ids += ids
        self.pos += range(start, start + len(ids))
        self.seg += [seg] * len(ids)
        self.task += [task] * len(ids)
        return start + len(ids)


TASKS = ["caption", "color", "shape", "count", "position", "yesno", "read", "json", "offtopic", "nopic", "box", "clock", "chart", "sign", "photo"]


def make_batch(items: list, text: Text, rng: random.Random, convs: int, plain: bool = False) -> dict[str, Tensor]:
    """items: (scene, pixels, labels) of one grid size."""
    gh, gw = items[0][0].grid
    img = image_ids(gh, gw)
    u = 1.0 if plain else rng.random()
    double = 0.06 > u
    rows, order, qid = [], [], 0
    step = 2 if double else 1
    for i in range(0, len(items) - step + 1, step):
        r = Row()
        n = r.add([BOS], START_SEG, 0)
        if double:           # an earlier picture and a turn about it
            s0 = items[i][0]
            _, p, a = kinds.ask(s0, rng)
            n = r.add([INST] + img + text(p) + [END_INST] + text(a) + [EOS], IMAGE_SEG, n)
            order.append(i)
        elif u < 0.11:
            n = r.add([SYS] + text(rng.choice(SYSTEM)) + [END_SYS], START_SEG, n)
        elif u < 0.15:
            _, p, a = scenes.no_picture(rng)
            n = r.add([INST] + text(p) + [END_INST] + text(a) + [EOS], START_SEG, n)
        n0 = r.add([INST], START_SEG, n)
        s = items[i + step - 1][0]
        order.append(i + step - 1)
        n = r.add(img, IMAGE_SEG, n0)
        for k, turns in enumerate(kinds.conversations(s, rng, convs)):
            at = n
            for j, (t, p, a) in enumerate(turns):
                qid += 1
                at = r.add(([INST] if j else []) + text(p) + [END_INST], k + 1, at)
                at = r.add(text(a) + [EOS], k + 1, at, TASKS.index(t) + 100 * qid)
        if not double and rng.random() < 0.04:
            _, p, a = scenes.no_picture(rng)
            qid += 1
            at = r.add(text(p) + [END_INST], ALONE, n0)
            r.add(text(a) + [EOS], ALONE, at, TASKS.index("nopic") + 100 * qid)
        rows.append(r)
    width = -(-max(len(r.ids) for r in rows) // 16) * 16
    ids = np.full((len(rows), width), PAD, np.int64)
    pos, seg, task = np.zeros_like(ids), np.full_like(ids, PAD_SEG), np.full_like(ids, -1)
    for i, r in enumerate(rows):
        n = len(r.ids)
        ids[i, :n], pos[i, :n], seg[i, :n], task[i, :n] = r.ids, r.pos, r.seg, r.task
    flat_task = task.reshape(-1)
    target_at = np.nonzero(flat_task >= 0)[0]
    out = dict(pixels=np.stack([items[i][1] for i in order]), ids=ids, pos=pos, seg=seg,
               img_at=np.nonzero(ids.reshape(-1) == IMG)[0], at=target_at - 1, want=ids.reshape(-1)[target_at],
               task=flat_task[target_at] % 100, qid=flat_task[target_at] // 100)
    # an answer's first token follows [/INST] of the same conversation, so `at` is always the token before
    for key in items[0][2]:
        out["y_" + key] = np.stack([items[i][2][key] for i in order])
    return {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in out.items()}


def attention_mask(seg: Tensor) -> Tensor:
    """0 where a query may look, else -1e9: causal, own conversation, the start, and the picture unless alone."""
    q, k = seg[:, :, None], seg[:, None, :]
    ok = (q == k) | (k == START_SEG) | ((k == IMAGE_SEG) & (q != ALONE))
    ok = ok & torch.ones(seg.shape[1], seg.shape[1], dtype=torch.bool).tril()
    return torch.where(ok, 0.0, -1e9)[:, None]


def prepare(seed: int, plain: bool = False) -> tuple:
    """Scene, picture at the size the tower sees, labels.  Unless `plain`, some pictures were stored as JPEG or have grain: drawings, too."""
    s = kinds.make(seed)
    masks: list = []
    px = kinds.draw(s, masks)
    rng = random.Random(seed)
    if not plain and rng.random() < 0.1:
        grain = np.random.default_rng(seed).normal(0, rng.uniform(1, 6), px.shape)
        px = np.clip(px + grain, 0, 255).astype(np.uint8)
    if not plain and rng.random() < 0.15:
        px = photographs.compressed(px, rng.randint(60, 95))
    gh, gw = s.grid
    if (s.h, s.w) != (gh * 28, gw * 28):
        px = np.asarray(Image.fromarray(px).resize((gw * 28, gh * 28), Image.Resampling.BICUBIC))
    return s, px, kinds.cell_labels(s, masks)


class Stream:
    """Endless batches; scenes of one grid size are collected until a batch is full."""

    def __init__(self, seed: int, tokens: int, convs: int, tokenizer: str):
        self.seed, self.tokens, self.convs, self.tokenizer = seed, tokens, convs, tokenizer

    def __iter__(self):
        text, rng, buckets = Text(self.tokenizer), random.Random(self.seed), collections.defaultdict(list)
        seed = self.seed
        while True:
            item = prepare(seed)
            seed += 1
            grid = item[0].grid
            b = buckets[grid]
            b.append(item)
            # batches of about equal cost: picture tokens plus conversations
            if len(b) >= self.tokens // (grid[0] * (grid[1] + 1) * 2 + 24 * self.convs) // 2 * 2:
                yield make_batch(b, text, rng, self.convs)
                buckets[grid] = []


class Aux(nn.Module):
    """Linear read-outs of what every patch and cell shows; only there while training."""

    def __init__(self):
        super().__init__()
        self.n_letter = len(scenes.CHARACTERS) + 1
        self.patch = nn.Linear(VISION["hidden_size"], 8 + 9 + self.n_letter)
        self.clock = nn.Linear(VISION["hidden_size"], scenes.HANDS + scenes.SECTORS)
        self.cell = nn.Linear(TEXT["hidden_size"], 8 + 9 + 1 + 4 * self.n_letter)
        self.bg = nn.Linear(TEXT["hidden_size"], len(scenes.BACKGROUNDS))
        self.place = nn.Linear(TEXT["hidden_size"], 6 + 2 * (len(scenes.PLACE_EDGES) + 1))
        self.mark = nn.Linear(TEXT["hidden_size"], scenes.MARKS + 12)

    def forward(self, x: Tensor, f: Tensor, b: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(what is there, where the object it belongs to lies)."""
        n, l = len(x), self.n_letter
        x, f = (F.rms_norm(t.float(), (t.shape[-1],)) for t in (x, f))
        s, c, k = self.patch(x).float().split((8, 9, l), -1)
        has_word = b["y_letter"].view(n, -1).amax(1) > 0
        s2, c2, ctr, k2 = self.cell(f).float().split((8, 9, 1, 4 * l), -1)
        loss = (ce(s, b["y_shape"]) + ce(c, b["y_color"]) + ce(s2, b["y_shape2"]) + ce(c2, b["y_color2"])
                + F.binary_cross_entropy_with_logits(ctr.squeeze(-1), b["y_centre"].view(n, -1))
                + ce(self.bg(f.mean(1)).float(), b["y_background"]))
        mark, minute = self.mark(f).float().split((scenes.MARKS, 12), -1)
        hand, sector = self.clock(x).float().split((scenes.HANDS, scenes.SECTORS), -1)
        loss = loss + 2 * ce(hand, b["y_hand"]) + ce(sector, b["y_sector"])
        loss = loss + 2 * ce(mark, b["y_mark2"]) + 2 * ce(minute, b["y_minute2"])
        if has_word.any():
            y = b["y_letter"]
            gh, gw = y.shape[1] // 2, y.shape[2] // 2
            y4 = y.view(n, gh, 2, gw, 2).permute(0, 1, 3, 2, 4)[has_word]
            loss = loss + 2 * ce(k[has_word], y[has_word]) + 2 * ce(k2[has_word].reshape(-1, l), y4)
        turn, bx, by = self.place(f).float().split((6, len(scenes.PLACE_EDGES) + 1, len(scenes.PLACE_EDGES) + 1), -1)
        return loss, ce(turn, b["y_turn2"]) + ce(bx, b["y_bin_x2"]) + ce(by, b["y_bin_y2"])


def ce(logits: Tensor, y: Tensor) -> Tensor:
    """Mean cross entropy; labels of -100 do not count."""
    y = y.reshape(-1)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y, reduction="sum") / (y >= 0).sum().clamp(min=1)


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised by Newton-Schulz steps, equal shapes batched; update size as AdamW's."""

    def __init__(self, params: list, lr: float, momentum: float = 0.95, decay: float = 0.02):
        super().__init__(params, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            shapes = collections.defaultdict(list)
            for p in g["params"]:
                if p.grad is not None:
                    shapes[p.shape[0], p.numel() // p.shape[0]].append(p)
            for (o, i), ps in shapes.items():
                us = []
                for p in ps:
                    m = self.state[p].setdefault("m", torch.zeros_like(p))
                    m.lerp_(p.grad, 1 - g["momentum"])
                    us.append(p.grad.lerp(m, g["momentum"]).view(o, i))
                x = torch.stack(us)
                x = orthogonal(x.mT if o > i else x)
                x = (x.mT if o > i else x) * (0.2 * max(o, i) ** 0.5 * g["lr"])
                for p, u in zip(ps, x):
                    p.mul_(1 - g["lr"] * g["decay"]).sub_(u.view_as(p))


def orthogonal(x: Tensor) -> Tensor:
    """Nearest orthogonal matrices, roughly; rows <= columns."""
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x


def step_loss(model: Mistral3, b: dict[str, Tensor], bf16: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(patch states, features, logits at answers, token losses)."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        x, f = model.see(normalise(b["pixels"]))
        h = model.read(b["ids"], f, b["img_at"], b["pos"], attention_mask(b["seg"]))
        logits = model.logits(h.reshape(-1, h.shape[-1])[b["at"]]).float()
    return x, f, logits, F.cross_entropy(logits, b["want"], reduction="none")


@torch.no_grad()
def evaluate(model: Mistral3, text: Text, count: int, seed: int = 700_000_000) -> dict[str, float]:
    """Share of answers right in every token (equals greedy exact match), by task."""
    rng, buckets, good = random.Random(5), collections.defaultdict(list), collections.defaultdict(list)
    for i in range(count):
        item = prepare(seed + i, plain=True)
        buckets[item[0].grid].append(item)
    for items in buckets.values():
        for i in range(0, len(items), 24):
            b = make_batch(items[i:i + 24], text, rng, 8, plain=True)
            _, _, logits, _ = step_loss(model, b)
            ok = collections.defaultdict(lambda: True)
            for q, t, r in zip(b["qid"].tolist(), b["task"].tolist(), (logits.argmax(-1) == b["want"]).tolist()):
                ok[q, t] &= r
            for (_, t), r in ok.items():
                good[TASKS[t]].append(r)
    return {t: round(100 * sum(good[t]) / len(good[t]), 1) for t in TASKS if good[t]}


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", required=True)
    ap.add_argument("--steps", type=int, required=True, help="the schedule is stretched over this many")
    ap.add_argument("--start", metavar="DIR", help="begin with the weights of this Hugging Face directory")
    ap.add_argument("--tokens", type=int, default=4400, help="about this many tokens in a batch of one process")
    ap.add_argument("--convs", type=int, default=6, help="conversations per picture")
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--hold", type=float, default=0.6, help="share of the time at full learning rate")
    ap.add_argument("--procs", type=int, default=2)
    ap.add_argument("--export-every", type=float, default=10)
    ap.add_argument("--log-every", type=int, default=50, help="steps")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--aux-floor", type=float, default=0.08)
    ap.add_argument("--compile", action="store_true")
    ap.add_argument("--bf16", action="store_true", help="products in BF16, for processors that have them")
    a = ap.parse_args()
    os.makedirs(a.work, exist_ok=True)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(20000 + os.getpid() % 20000))
    torch.multiprocessing.spawn(worker, (a,), nprocs=a.procs)


def worker(rank: int, a: argparse.Namespace) -> None:
    """One of a.procs single-threaded processes; gradients are averaged after every step.

    Several processes of one thread beat one process of several threads when other programs share the
    machine: they wait for each other once a step and not in every operation.
    """
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    dist.init_process_group("gloo", rank=rank, world_size=a.procs)
    tok = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer.json")
    text = Text(tok)
    model, aux = Mistral3(), Aux()
    matrices = [p for n, p in model.named_parameters() if p.ndim >= 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embed" in n] + list(aux.parameters())
    muon = Muon(matrices, a.lr)
    adam = torch.optim.AdamW(others, a.lr, betas=(0.9, 0.98), weight_decay=0.0)
    ema = {k: v.clone() for k, v in model.state_dict().items()}
    step, spent, seen = 0, 0.0, 0
    last = os.path.join(a.work, "last.pt")
    if os.path.exists(last):
        c = torch.load(last, weights_only=False)
        model.load_state_dict(c["model"])
        aux.load_state_dict(c["aux"], strict=False)
        muon.load_state_dict(c["muon"])
        c["adam"]["param_groups"][0]["params"] = list(range(len(others)))    # read-outs added since start afresh
        adam.load_state_dict(c["adam"])
        ema, step, spent, seen = c["ema"], c["step"], c["spent"], c["seen"]
    elif a.start:
        from transformers import Mistral3ForConditionalGeneration
        held = Mistral3ForConditionalGeneration.from_pretrained(a.start, dtype=torch.float32).state_dict()
        model.load_state_dict({k: v for k, v in held.items() if k != "lm_head.weight"})
        ema = {k: v.clone() for k, v in model.state_dict().items()}
    first_seed = 1_000_000 * a.seed + 100_000_000 * rank + seen    # never meets the evaluation seeds
    assert first_seed < 600_000_000
    stream = Stream(first_seed, a.tokens, a.convs, tok)
    if a.compile:
        for part in [*model.model.vision_tower.transformer.layers, *model.model.language_model.layers, model.model.multi_modal_projector]:
            part.compile(dynamic=True)
    weights = list(model.parameters()) + list(aux.parameters())
    log = open(os.path.join(a.work, "train.log"), "a")

    def say(**kw) -> None:
        line = json.dumps(kw)
        print(line, flush=True)
        log.write(line + "\n")
        log.flush()

    def save(final: bool = False) -> None:
        torch.save(dict(model=model.state_dict(), aux=aux.state_dict(), muon=muon.state_dict(), adam=adam.state_dict(),
                        ema=ema, step=step, spent=spent, seen=seen), last + ".tmp")
        os.replace(last + ".tmp", last)
        live = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(ema)
        with torch.compiler.set_stance("force_eager"):
            exact = evaluate(model, text, 1000 if final else 250)
        say(step=step, minutes=round(spent / 60, 1), pictures=seen * a.procs, exact=exact)
        export(ema, os.path.join(a.work, "hf"), tok)
        model.load_state_dict(live)

    next_save, mean, t_log, n_log = spent + 60 * a.export_every, {}, time.time(), 0
    t0 = time.time()
    for b in stream:
        frac = step / a.steps
        lr = a.lr * min(1.0, (step + 1) / 100) * (1 if frac < a.hold else max(0.02, (1 - frac) / (1 - a.hold)))
        aux_w = max(a.aux_floor, 0.4 * (1 - frac / 0.6))
        for o in (muon, adam):
            for g in o.param_groups:
                g["lr"] = lr
        x, f, logits, loss = step_loss(model, b, a.bf16)
        lm = loss.mean()
        side, place = aux(x, f, b)
        (lm + aux_w * side + (0.3 if frac < 0.7 else 0.1) * place).backward()
        flat = torch.cat([p.grad.reshape(-1) if p.grad is not None else torch.zeros(p.numel()) for p in weights]
                         + [torch.tensor([float(spent >= next_save)])])
        dist.all_reduce(flat)
        *parts, flags = (flat / a.procs).split([p.numel() for p in weights] + [1])
        for p, g in zip(weights, parts):
            p.grad = g.view_as(p)
        want_save, done = flags[0] > 0, step + 1 >= a.steps
        norm = nn.utils.clip_grad_norm_(others, 1.0)
        muon.step()
        adam.step()
        model.zero_grad(set_to_none=True)
        aux.zero_grad(set_to_none=True)
        d = min(0.998, (step + 1) / (step + 20))
        with torch.no_grad():
            sd = model.state_dict()
            torch._foreach_lerp_(list(ema.values()), [sd[k] for k in ema], 1 - d)
        step += 1
        seen += len(b["pixels"])            # of this process
        n_log += len(b["pixels"]) * a.procs
        cur = dict(lm=lm.item(), aux=side.item(), place=place.item(), tok_acc=(logits.argmax(-1) == b["want"]).float().mean().item(), norm=norm.item())
        for k, v in cur.items():
            mean[k] = mean.get(k, v) * 0.95 + v * 0.05
        now = time.time()
        spent += now - t0
        t0 = now
        if step % a.log_every == 0 and rank == 0:
            per = collections.defaultdict(list)
            for t, l in zip(b["task"].tolist(), loss.tolist()):
                per[TASKS[t]].append(l)
            say(step=step, minutes=round(spent / 60, 1), s_step=round((now - t_log) / a.log_every, 3), pic_s=round(n_log / (now - t_log), 1), lr=round(lr, 5),
                aux_w=round(aux_w, 3), **{k: round(v, 4) for k, v in mean.items()}, loss={k: round(sum(v) / len(v), 3) for k, v in per.items()})
            t_log, n_log = now, 0
        if want_save or done:
            if rank == 0:
                save(bool(done))
            dist.barrier()
            next_save = spent + 60 * a.export_every
            t0 = t_log = time.time()
            if done:
                break


if __name__ == "__main__":
    main()
