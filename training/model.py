"""The network of `Mistral3ForConditionalGeneration` (Pixtral tower + Ministral3 decoder), for training.

Same arithmetic and the same parameter names as transformers, but batched: pictures of one size share
a [batch, patches, width] tensor and several conversations share one picture behind a block mask.
`export` writes the Hugging Face directory; `check_against_hf` compares logits.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import shutil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from build_tokenizer import BOS, END_INST, EOS, IMG, IMG_BREAK, IMG_END, INST, PAD, VOCAB

IMAGE_SIZE = 168
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
TEXT = dict(vocab_size=VOCAB, hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=8,
            num_key_value_heads=2, head_dim=32)
VISION = dict(hidden_size=160, intermediate_size=416, num_hidden_layers=4, num_attention_heads=5, head_dim=32)
ROPE = dict(rope_type="yarn", type="yarn", rope_theta=10000.0, factor=16.0, original_max_position_embeddings=64,
            beta_fast=4.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1)
EPS = 1e-5


def hf_config():
    """The transformers configuration of this model."""
    from transformers import Mistral3Config
    return Mistral3Config(
        text_config=dict(model_type="ministral3", hidden_act="silu", max_position_embeddings=1024, rms_norm_eps=EPS,
                         sliding_window=None, tie_word_embeddings=True, bos_token_id=BOS, eos_token_id=EOS,
                         pad_token_id=PAD, rope_parameters=dict(ROPE), **TEXT),
        vision_config=dict(model_type="pixtral", num_channels=3, patch_size=14, image_size=IMAGE_SIZE, hidden_act="silu",
                           rope_parameters=dict(rope_type="axial", rope_theta=10000.0), **VISION),
        image_token_index=IMG, spatial_merge_size=2, vision_feature_layer=-1, projector_hidden_act="gelu",
        multimodal_projector_bias=False, tie_word_embeddings=True)


def text_inv_freq() -> Tensor:
    """YaRN frequencies (attention factor is 1 because mscale = mscale_all_dim)."""
    d, theta, length = TEXT["head_dim"], ROPE["rope_theta"], ROPE["original_max_position_embeddings"]

    def dim(r: float) -> float:
        return d * math.log(length / (r * 2 * math.pi)) / (2 * math.log(theta))
    lo, hi = max(math.floor(dim(ROPE["beta_fast"])), 0), min(math.ceil(dim(ROPE["beta_slow"])), d - 1)
    i = torch.arange(d // 2, dtype=torch.float32)
    ramp = ((i - lo) / max(hi - lo, 0.001)).clamp(0, 1)
    return theta ** (-2 * i / d) * ((1 - ramp) + ramp / ROPE["factor"])


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Half-rotate RoPE; cos and sin are [..., head_dim / 2]."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class RMSNorm(nn.Module):
    def __init__(self, n: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight, EPS)


def lin(i: int, o: int) -> nn.Linear:
    return nn.Linear(i, o, bias=False)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, kv: int, head_dim: int):
        super().__init__()
        self.h, self.kv, self.d = heads, kv, head_dim
        self.q_proj, self.k_proj, self.v_proj = lin(width, heads * head_dim), lin(width, kv * head_dim), lin(width, kv * head_dim)
        self.o_proj = lin(heads * head_dim, width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, q_scale: Tensor | None) -> Tensor:
        b, t, _ = x.shape
        h, kv, d = self.h, self.kv, self.d
        y = F.linear(x, torch.cat((self.q_proj.weight, self.k_proj.weight, self.v_proj.weight)))
        y = y.view(b, t, h + 2 * kv, d).transpose(1, 2)
        qk = rotate(y[:, :h + kv], cos, sin)
        q, k, v = qk[:, :h], qk[:, h:], y[:, h + kv:]
        if q_scale is not None:
            q = q * q_scale
        # Written out: with short sequences this trains several times faster on a CPU than the fused kernel.
        q = (q * d ** -0.5).to(v.dtype).reshape(b, kv, h // kv * t, d)
        s = (q @ k.to(v.dtype).transpose(-1, -2)).float().view(b, kv, h // kv, t, t)
        if mask is not None:
            s = s + mask[:, :, None]
        p = s.softmax(-1).to(v.dtype).view(b, kv, h // kv * t, t)
        o = (p @ v).view(b, h, t, d)
        return self.o_proj(o.transpose(1, 2).reshape(b, t, h * d))


class MLP(nn.Module):
    def __init__(self, width: int, inner: int):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = lin(width, inner), lin(width, inner), lin(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        g, u = F.linear(x, torch.cat((self.gate_proj.weight, self.up_proj.weight))).chunk(2, -1)
        return self.down_proj(F.silu(g) * u)


class VisionLayer(nn.Module):
    def __init__(self):
        super().__init__()
        w, h = VISION["hidden_size"], VISION["num_attention_heads"]
        self.attention_norm, self.ffn_norm = RMSNorm(w), RMSNorm(w)
        self.attention = Attention(w, h, h, VISION["head_dim"])
        self.feed_forward = MLP(w, VISION["intermediate_size"])

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin, None, None)
        return x + self.feed_forward(self.ffn_norm(x))


class VisionTower(nn.Module):
    def __init__(self):
        super().__init__()
        w = VISION["hidden_size"]
        self.patch_conv = nn.Conv2d(3, w, 14, 14, bias=False)
        self.ln_pre = RMSNorm(w)
        self.transformer = nn.Module()
        self.transformer.layers = nn.ModuleList(VisionLayer() for _ in range(VISION["num_hidden_layers"]))
        f = 10000.0 ** (-torch.arange(0, VISION["head_dim"], 2).float() / VISION["head_dim"])
        self.register_buffer("freq", f, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        b, _, h, w = pixels.shape
        gh, gw = h // 14, w // 14
        p = pixels.view(b, 3, gh, 14, gw, 14).permute(0, 2, 4, 1, 3, 5).reshape(b, gh * gw, 588)
        x = self.ln_pre(F.linear(p, self.patch_conv.weight.flatten(1)))
        y, z = torch.arange(gh).float(), torch.arange(gw).float()
        ang = torch.cat((y[:, None, None] * self.freq[0::2] + 0 * z[None, :, None],
                         z[None, :, None] * self.freq[1::2] + 0 * y[:, None, None]), -1).view(gh * gw, -1)
        cos, sin = ang.cos(), ang.sin()
        for layer in self.transformer.layers:
            x = layer(x, cos, sin)
        return x


class Projector(nn.Module):
    def __init__(self):
        super().__init__()
        w, t = VISION["hidden_size"], TEXT["hidden_size"]
        self.norm = RMSNorm(w)
        self.patch_merger = nn.Module()
        self.patch_merger.merging_layer = lin(4 * w, w)
        self.linear_1, self.linear_2 = lin(w, t), lin(t, t)

    def forward(self, x: Tensor, gh: int, gw: int) -> Tensor:
        """gh, gw: merged grid.  Channel-major unfold of each 2x2 block."""
        b, _, c = x.shape
        u = self.norm(x).view(b, gh, 2, gw, 2, c).permute(0, 1, 3, 5, 2, 4).reshape(b, gh * gw, 4 * c)
        return self.linear_2(F.gelu(self.linear_1(self.patch_merger.merging_layer(u))))


class DecoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        w = TEXT["hidden_size"]
        self.self_attn = Attention(w, TEXT["num_attention_heads"], TEXT["num_key_value_heads"], TEXT["head_dim"])
        self.mlp = MLP(w, TEXT["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(w), RMSNorm(w)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, q_scale: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, q_scale)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(TEXT["vocab_size"], TEXT["hidden_size"])
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(TEXT["num_hidden_layers"]))
        self.norm = RMSNorm(TEXT["hidden_size"])
        self.register_buffer("inv_freq", text_inv_freq(), persistent=False)

    def forward(self, x: Tensor, pos: Tensor, mask: Tensor) -> Tensor:
        ang = pos[:, None, :, None].float() * self.inv_freq
        scale = 1 + ROPE["llama_4_scaling_beta"] * torch.log1p(
            torch.floor(pos[:, None, :, None] / ROPE["original_max_position_embeddings"]))
        cos, sin = ang.cos(), ang.sin()
        for layer in self.layers:
            x = layer(x, cos, sin, mask, scale)
        return self.norm(x)


class Mistral3(nn.Module):
    """Parameter names equal those of transformers' Mistral3ForConditionalGeneration."""

    def __init__(self):
        super().__init__()
        self.model = nn.Module()
        self.model.vision_tower = VisionTower()
        self.model.multi_modal_projector = Projector()
        self.model.language_model = Decoder()
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        for name, p in self.named_parameters():
            if p.ndim < 2:
                continue
            if "embed_tokens" in name:
                p.normal_(0, 0.3)
            else:
                p.normal_(0, p[0].numel() ** -0.5)
                if "o_proj" in name or "down_proj" in name:
                    p.mul_(0.35)

    def see(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised pixels of one size -> (patch states, image features)."""
        x = self.model.vision_tower(pixels)
        return x, self.model.multi_modal_projector(x, pixels.shape[2] // 28, pixels.shape[3] // 28)

    def read(self, ids: Tensor, feats: Tensor | None, img_at: Tensor | None, pos: Tensor, mask: Tensor) -> Tensor:
        """Final states.  img_at: flat positions (in ids) of the image tokens, in order of feats."""
        x = self.model.language_model.embed_tokens(ids)
        if feats is not None:
            x = x.reshape(-1, x.shape[-1]).index_copy(0, img_at, feats.reshape(-1, feats.shape[-1]).to(x.dtype)).view(x.shape)
        return self.model.language_model(x, pos, mask)

    def logits(self, states: Tensor) -> Tensor:
        return F.linear(states, self.model.language_model.embed_tokens.weight)


def normalise(pixels: Tensor) -> Tensor:
    """uint8 [b, h, w, 3] -> float [b, 3, h, w]."""
    x = pixels.permute(0, 3, 1, 2).float() / 255
    return ((x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]).contiguous()


CHAT_TEMPLATE = """{{- bos_token }}
{%- for m in messages %}
{%- if m.content is string %}{%- set parts = [{'type': 'text', 'text': m.content}] %}{%- else %}{%- set parts = m.content %}{%- endif %}
{%- if m.role == 'system' %}{{- '[SYSTEM_PROMPT]' }}{%- for p in parts %}{{- p.text }}{%- endfor %}{{- '[/SYSTEM_PROMPT]' }}
{%- elif m.role == 'user' %}{{- '[INST]' }}
{%- if parts | length == 2 %}{%- set parts = parts | sort(attribute='type') %}{%- endif %}
{%- for p in parts %}{%- if p.type == 'text' %}{{- p.text }}{%- else %}{{- '[IMG]' }}{%- endif %}{%- endfor %}{{- '[/INST]' }}
{%- elif m.role == 'assistant' %}{%- for p in parts %}{{- p.text }}{%- endfor %}{{- eos_token }}
{%- else %}{{- raise_exception('Only system, user and assistant roles are supported.') }}
{%- endif %}
{%- endfor %}
"""


def export(state: dict[str, Tensor], out: str, tokenizer: str, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the Hugging Face directory; an existing one is replaced in one rename."""
    from transformers import Mistral3ForConditionalGeneration
    m = Mistral3ForConditionalGeneration(hf_config())
    state = {k: v.float() for k, v in state.items()}
    state["lm_head.weight"] = state["model.language_model.embed_tokens.weight"]
    m.load_state_dict(state, strict=True)
    m.tie_weights()
    m.generation_config.update(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, do_sample=False, max_new_tokens=128)
    tmp = out.rstrip("/") + ".tmp"
    shutil.rmtree(tmp, ignore_errors=True)
    m.to(dtype).save_pretrained(tmp)
    shutil.copy(tokenizer, os.path.join(tmp, "tokenizer.json"))
    with open(os.path.join(tmp, "chat_template.jinja"), "w") as f:
        f.write(CHAT_TEMPLATE)
    with open(os.path.join(tmp, "tokenizer_config.json"), "w") as f:
        json.dump(dict(tokenizer_class="PreTrainedTokenizerFast", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                       pad_token="<pad>", add_bos_token=False, clean_up_tokenization_spaces=False, model_max_length=1024), f, indent=1)
    with open(os.path.join(tmp, "preprocessor_config.json"), "w") as f:
        json.dump(dict(image_processor_type="PixtralImageProcessor", do_convert_rgb=True, do_normalize=True, do_rescale=True,
                       do_resize=True, image_mean=MEAN, image_std=STD, patch_size=dict(height=28, width=28), resample=3,
                       rescale_factor=1 / 255, size=dict(longest_edge=IMAGE_SIZE)), f, indent=1)
    for name in os.listdir(tmp):
        os.chmod(os.path.join(tmp, name), 0o644)
    old = out.rstrip("/") + ".old"
    shutil.rmtree(old, ignore_errors=True)
    if os.path.exists(out):
        os.rename(out, old)
    os.rename(tmp, out)
    shutil.rmtree(old, ignore_errors=True)


@torch.no_grad()
def check_against_hf(directory: str) -> float:
    """Largest difference of logits between this module and transformers, both in f32."""
    from transformers import Mistral3ForConditionalGeneration
    hf = Mistral3ForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval()
    me = Mistral3()
    me.load_state_dict({k: v for k, v in hf.state_dict().items() if k != "lm_head.weight"})
    me.eval()
    g = torch.Generator().manual_seed(0)
    worst = 0.0
    for gh, gw in [(4, 5), (6, 3), (3, 6)]:
        px = torch.randn(1, 3, gh * 28, gw * 28, generator=g)
        img = ([IMG] * gw + [IMG_BREAK]) * gh
        img[-1] = IMG_END
        ids = [BOS, INST, *img, *torch.randint(40, VOCAB, (60,), generator=g).tolist(), END_INST,
               *torch.randint(40, VOCAB, (40,), generator=g).tolist()]
        t = torch.tensor([ids])
        a = hf(input_ids=t, pixel_values=px, image_sizes=torch.tensor([[gh * 28, gw * 28]])).logits
        at = (t.view(-1) == IMG).nonzero().view(-1)
        mask = torch.full((len(ids), len(ids)), -1e9).triu(1)[None, None]
        b = me.logits(me.read(t, me.see(px)[1], at, torch.arange(len(ids))[None], mask))
        worst = max(worst, float((a - b).abs().max()))
    return worst


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--check", metavar="DIR", help="compare logits with transformers on this Hugging Face directory")
    ap.add_argument("--export", nargs=2, metavar=("CHECKPOINT", "DIR"), help="write the averaged weights of a training checkpoint")
    ap.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    a = ap.parse_args()
    tokenizer = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer.json")
    if a.export:
        export(torch.load(a.export[0], weights_only=False)["ema"], a.export[1], tokenizer, getattr(torch, a.dtype))
    if a.check:
        print("largest logit difference to transformers:", check_against_hf(a.check))
    print("parameters", sum(p.numel() for p in Mistral3().parameters()))


if __name__ == "__main__":
    main()
