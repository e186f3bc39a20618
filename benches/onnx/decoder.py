"""The decoder of a shape as onnxruntime's own model builder makes it: random weights, 4 bits in blocks of 32, 32-bit floats between.

decoder.py SHAPE.json OUT, where SHAPE.json is the configuration that `ocelli synth --shape` takes. Writes OUT/model.onnx, which lets
onnxruntime round activations to 8 bits in products with the weights, as published models do; OUT/model-f32.onnx, which does not; and
the data of both.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def checkpoint(text: dict, folder: Path) -> None:
    """A checkpoint that the builder reads: the mathematics of a Mistral decoder without extended rope are Llama's."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=text["vocab_size"],
        hidden_size=text["hidden_size"],
        intermediate_size=text["intermediate_size"],
        num_hidden_layers=len(text["layers"]),
        num_attention_heads=text["num_attention_heads"],
        num_key_value_heads=text["num_key_value_heads"],
        head_dim=text["head_dim"],
        rms_norm_eps=text["rms_norm_eps"],
        tie_word_embeddings=text["tie_word_embeddings"],
        max_position_embeddings=text["max_position_embeddings"],
        rope_theta=text["rope"]["theta"],
        bos_token_id=1,
        eos_token_id=2,
        dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words = {f"t{i}": i for i in range(text["vocab_size"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="t0"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="t0", bos_token="t1", eos_token="t2").save_pretrained(folder)


def main(shape: str, out: str) -> None:
    text = json.loads(Path(shape).read_text())["text"]
    with tempfile.TemporaryDirectory() as scratch:
        source, cache, built = (Path(scratch, name) for name in ("checkpoint", "cache", "built"))
        for folder in (source, cache):
            folder.mkdir()
        checkpoint(text, source)
        # The head only for the last token of a prompt: as quick as the builder can make it.
        options = ["int4_accuracy_level=4", "int4_block_size=32", "use_webgpu_fp32=true", "prune_lm_head=true"]
        builder = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-p", "int4", "-e", "webgpu", "-c", str(cache)]
        subprocess.run([*builder, "-i", str(source), "-o", str(built), "--extra_options", *options], check=True)
        Path(out).mkdir(parents=True, exist_ok=True)
        for name in ("model.onnx", "model.onnx.data"):
            shutil.move(built / name, Path(out, name))
    model = onnx.load(Path(out, "model.onnx"), load_external_data=False)
    for product in model.graph.node:
        for attribute in product.attribute:
            if product.op_type == "MatMulNBits" and attribute.name == "accuracy_level":
                attribute.i = 1
    onnx.save(model, Path(out, "model-f32.onnx"))


if __name__ == "__main__":
    main(*sys.argv[1:])
