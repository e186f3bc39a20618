"""Byte-level BPE tokenizer in the shape of Mistral's tekken `tokenizer.json`.

Ids 0..39 are control tokens at their real ids, 40..295 the single bytes, then learnt merges.
The printed words of the scenes are left out of the training text on purpose: the model spells them.

    python build_tokenizer.py --out tokenizer.json
"""
from __future__ import annotations

import argparse
import collections
import json
import random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import scenes

N_CONTROL, VOCAB = 40, 960
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
NAMED = {
    0: "<unk>", 1: "<s>", 2: "</s>", 3: "[INST]", 4: "[/INST]", 5: "[AVAILABLE_TOOLS]", 6: "[/AVAILABLE_TOOLS]",
    7: "[TOOL_RESULTS]", 8: "[/TOOL_RESULTS]", 9: "[TOOL_CALLS]", 10: "[IMG]", 11: "<pad>", 12: "[IMG_BREAK]",
    13: "[IMG_END]", 14: "[PREFIX]", 15: "[MIDDLE]", 16: "[SUFFIX]", 17: "[SYSTEM_PROMPT]", 18: "[/SYSTEM_PROMPT]",
    19: "[TOOL_CONTENT]", 24: "[AUDIO]", 25: "[BEGIN_AUDIO]", 32: "[ARGS]", 33: "[CALL_ID]", 34: "[THINK]", 35: "[/THINK]",
}
BOS, EOS, INST, END_INST, IMG, PAD, IMG_BREAK, IMG_END, SYS, END_SYS = 1, 2, 3, 4, 10, 11, 12, 13, 17, 18

# Common English, once each: fills the vocabulary with general pieces after the scene words.
COMMON = (
    "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not what all "
    "were we when your can said there use an each which she do how their if will up other about out many then them these so some "
    "her would make like him into time has look two more write go see number no way could people my than first water been call who "
    "oil its now find long down day did get come made may part over new sound take only little work know place year live me back "
    "give most very after thing our just name good sentence man think say great where help through much before line right too mean "
    "old any same tell boy follow came want show also around form three small set put end does another well large must big even such "
    "because turn here why ask went men read need land different home us move try kind hand picture again change off play spell air "
    "away animal house point page letter mother answer found study still learn should world computer between nature question image"
).split()


def byte_symbols() -> list[str]:
    """The printable stand-in of every byte, in byte order (the GPT-2 table)."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, n = {}, 0
    for b in range(256):
        table[b] = chr(b) if b in keep else chr(256 + n)
        n += b not in keep
    return [table[b] for b in range(256)]


def corpus(count: int = 6000) -> list[str]:
    """Prompts and answers of generated scenes without the printed words, plus common English."""
    rng = random.Random(1)
    words = sorted(scenes.WORDS, key=len, reverse=True)
    seen = collections.Counter()
    for i in range(count):
        s = scenes.make_scene(i)
        turns = [t for c in scenes.conversations(s, rng, 8) for t in c] + [scenes.no_picture(rng)]
        for _, p, a in turns:
            seen[p] += 1
            seen[a] += 1
    lines = []
    for text, n in seen.items():
        if text.isupper():
            continue
        for w in words:
            text = text.replace(f'"{w}"', '"X"')
        lines += [text] * min(n, 50)
    for text in scenes.NOPIC + scenes.OFF + scenes.GREET:
        lines += [text, text.lower()] * 20
    return lines + [" " + w for w in COMMON] * 2


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", default="tokenizer.json")
    a = ap.parse_args()
    pre = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(TEKKEN), "isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False)])
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre
    t.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=VOCAB - N_CONTROL, initial_alphabet=byte_symbols(), show_progress=False, min_frequency=1))
    learnt = json.loads(t.to_str())["model"]
    merges = [tuple(m) for m in learnt["merges"]]
    control = [NAMED.get(i, f"<SPECIAL_{i}>") for i in range(N_CONTROL)]
    tokens = control + byte_symbols()
    for x, y in merges:
        if x + y not in tokens:
            tokens.append(x + y)
    assert len(tokens) == VOCAB, len(tokens)
    spec = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [dict(id=i, content=c, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
                         for i, c in enumerate(control)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": TEKKEN}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                  "vocab": {c: i for i, c in enumerate(tokens)}, "merges": [list(m) for m in merges]},
    }
    with open(a.out, "w", encoding="utf-8") as f:
        json.dump(spec, f, ensure_ascii=False, indent=1)
    t = Tokenizer.from_file(a.out)
    assert t.get_vocab_size() == VOCAB
    for text in ["Describe this image.", "naïve 漢字 🙂 \r\n\t x  y", "[INST is text", 'It says "SUN".']:
        assert t.decode(t.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text, text
    for text in ['A red circle left of the cyan word "HOUSE" on a white background.', "Describe this image.", "How many triangles are there?",
                 '{"background":"brown","objects":[{"shape":"circle","color":"orange","count":1}]}']:
        print(t.encode(text).tokens)
    single = {x for c in [*scenes.COLORS, *scenes.BACKGROUNDS, *scenes.SHAPES, *scenes.PLURAL.values(), *scenes.NUMBERS] for x in [" " + c]
              if len(t.encode(x).ids) > 1}
    print("vocab", VOCAB, "merges", len(merges), "split words:", single)


if __name__ == "__main__":
    main()
