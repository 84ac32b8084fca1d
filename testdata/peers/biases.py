#!/usr/bin/env python3
"""Losses of models with biases in transformers, and in PEFT of one with DoRA and some with modules_to_save, in float64: the golden of
TestBiasesAsTransformers.

    pip install torch transformers peft numpy
    python testdata/peers/biases.py > testdata/peers/biases.json

Weights, adapters and rows are made of their names by `number`, which the test has, too. Each model takes some steps of
AdamW, all of its parameters or adapters alone (by PEFT 0.21.2 those of DoRA); the losses are those before each step.
"""
import json
import sys
import zlib

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

STEPS, BATCH, RANK, ALPHA = 6, 2, 2, 6
SIZES = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=32, rms_norm_eps=1e-6, attention_dropout=0.0)
# What training takes without an argument: theta is nested since transformers 5.
ROPE = dict(rope_theta=1e6, rope_parameters={"rope_type": "default", "rope_theta": 1e6})

MODELS = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES, **ROPE, tie_word_embeddings=False, use_sliding_window=False)),
    "qwen2_tied": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES, **ROPE, tie_word_embeddings=True, use_sliding_window=False)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, **ROPE, tie_word_embeddings=False, attention_bias=True, mlp_bias=True)),
}


def number(name, i):
    """A number of [-1/2, 1/2), the same for a name and an index everywhere."""
    x = (zlib.crc32(name.encode()) + i * 2654435761) & 0xFFFFFFFF
    for _ in range(2):
        x ^= x >> 16
        x = x * 0x45D9F3B & 0xFFFFFFFF
    x ^= x >> 16
    return x / 2**32 - 0.5


def numbers(name, shape, scale, add=0.0):
    n = int(np.prod(shape))
    return torch.tensor(np.array([add + scale * number(name, i) for i in range(n)], np.float32).astype(np.float64)).reshape(shape)


class Adapted(torch.nn.Module):
    def __init__(self, base, name):
        super().__init__()
        self.base = base
        self.a = torch.nn.Parameter(numbers(name + ".lora_a", (RANK, base.in_features), 0.5))
        self.b = torch.nn.Parameter(numbers(name + ".lora_b", (base.out_features, RANK), 0.5))

    def forward(self, x):
        return self.base(x) + ALPHA / RANK * (x @ self.a.T) @ self.b.T


def rows():
    out = []
    for r in range(STEPS * BATCH):
        n = 4 + int((number("length", r) + 0.5) * 8)
        out.append([int((number(f"row {r}", i) + 0.5) * 40) for i in range(n)])
    return out


def turned(model):
    """PEFT's layers of DoRA, with factors and magnitudes of their names."""
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=["q_proj", "v_proj", "o_proj"], use_dora=True)).double()
    for name, layer in model.named_modules():
        if hasattr(layer, "lora_magnitude_vector") and layer.lora_magnitude_vector:
            name = name.removeprefix("base_model.model.")
            for p, part, scale, add in ((layer.lora_A["default"].weight, "lora_a", 0.5, 0), (layer.lora_B["default"].weight, "lora_b", 0.5, 0),
                                        (layer.lora_magnitude_vector["default"].weight, "lora_magnitude_vector", 0.4, 1)):
                p.data = numbers(f"{name}.{part}", tuple(p.shape), scale, add)
    return model


def whole(model):
    """PEFT's layers, with factors of their names, and embedding and head that train whole."""
    tied = model.config.tie_word_embeddings
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=["q_proj", "v_proj", "o_proj"],
                                             modules_to_save=["embed_tokens"] if tied else ["embed_tokens", "lm_head"], ensure_weight_tying=tied)).double()
    for name, layer in model.named_modules():
        if hasattr(layer, "lora_A") and layer.lora_A:
            name = name.removeprefix("base_model.model.")
            for p, part in ((layer.lora_A["default"].weight, "lora_a"), (layer.lora_B["default"].weight, "lora_b")):
                p.data = numbers(f"{name}.{part}", tuple(p.shape), 0.5)
    return model


def train(kind, how):
    model = MODELS[kind]().double()
    for name, p in model.named_parameters():
        norm = name.endswith("norm.weight")
        p.data = numbers(name, tuple(p.shape), 0.4 if norm else 0.6, 1.0 if norm else 0.0)
    if how == "dora":
        model = turned(model)
    if how == "modules":
        model = whole(model)
    if how == "lora":
        model.requires_grad_(False)
        for i, layer in enumerate(model.model.layers):
            for leaf in ("q_proj", "v_proj", "o_proj"):
                setattr(layer.self_attn, leaf, Adapted(getattr(layer.self_attn, leaf), f"model.layers.{i}.self_attn.{leaf}"))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW([{"params": [p for p in trained if p.ndim != 1], "weight_decay": 0.1},
                                   {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0}], lr=1e-2, betas=(0.9, 0.95), eps=1e-8)
    losses, data = [], rows()
    for step in range(STEPS):
        batch = data[step * BATCH:(step + 1) * BATCH]
        n = max(len(r) for r in batch)
        ids = torch.tensor([r + [0] * (n - len(r)) for r in batch])
        mask = torch.tensor([[1] * len(r) + [0] * (n - len(r)) for r in batch])
        loss = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


json.dump({f"{kind} {how}": train(kind, how) for kind in MODELS for how in ("full", "lora", "dora", "modules")
           if how in ("full", "lora") or kind == "llama" or how == "modules" and kind == "qwen2_tied"}, sys.stdout, indent=1)
print()
