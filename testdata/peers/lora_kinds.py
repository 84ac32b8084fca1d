#!/usr/bin/env python3
"""Adapters that start as parts of the base and those of DoRA, in PEFT and in lorac:
losses of the same steps, and the exported adapter over the base as it is, merged by PEFT
and by lorac, against PEFT's merged weights. Those of DoRA start where PEFT starts. With
dropout, whose masks differ, PEFT's layer is held against lorac's formula.

Needs torch, transformers and peft (0.21.2 was used).

    lora_kinds.py LORAC     compares, in a directory of its own; the last losses of PEFT
                            stand in testdata/script/finetune_lora_kinds.txtar
"""

import json
import os
import subprocess
import sys
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

ROWS = [
    ([1, 5, 9, 13, 17, 21], [1, 5, 9, 13, 17, 21]),
    ([1, 6, 11, 16, 21, 26, 31], [-100, -100, -100, 16, 21, 26, 31]),
    ([1, 8, 15, 22], [1, 8, 15, 22]),
    ([1, 7, 13, 19, 25, 31, 37, 2], [-100, 7, 13, 19, 25, 31, 37, 2]),
]

CONFIG = """
seed: 5
run_mode: finetune
runner_config: {epochs: 4, batch_size: 2}
optimizer: {type: AdamW, weight_decay: 0.0, eps: 1.e-8}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-2, warmup_steps: 0}
train_dataset: {data_loader: {shuffle: False}}
model:
  arch: {type: LlamaForCausalLM}
  model_config: {type: LlamaConfig, seq_length: 9, hidden_size: 16, intermediate_size: 24, num_layers: 3, num_heads: 2, vocab_size: 41, param_init_type: float32,
    pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.0, target_modules: '.*wq|.*wv|.*w2', %s}}
"""

KINDS = {
    "pissa": ("init_lora_weights: pissa", {"init_lora_weights": "pissa"}),
    "olora": ("init_lora_weights: olora", {"init_lora_weights": "olora"}),
    "dora": ("use_dora: True", {"use_dora": True}),
    "dora_rslora": ("use_dora: True, use_rslora: True", {"use_dora": True, "use_rslora": True}),
    "modules": ("modules_to_save: [embed_tokens, lm_head]", {"modules_to_save": ["embed_tokens", "lm_head"]}),
    "modules_norm": ("modules_to_save: [lm_head, norm]", {"modules_to_save": ["lm_head", "norm"]}),
    "modules_dora": ("modules_to_save: [tok_embeddings], use_dora: True", {"modules_to_save": ["embed_tokens"], "use_dora": True}),
    "modules_tied": ("modules_to_save: [lm_head], ensure_weight_tying: True", {"modules_to_save": ["lm_head"], "ensure_weight_tying": True}),
    "pissa_rslora": ("init_lora_weights: pissa, use_rslora: True", {"init_lora_weights": "pissa", "use_rslora": True}),
}


def base(path, tied=False):
    model = LlamaForCausalLM(LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=41, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=tied, max_position_embeddings=64, attn_implementation="eager"))
    missing, unexpected = model.load_state_dict(load_file(path + "/model.safetensors"), strict=False)
    assert not [m for m in missing if "inv_freq" not in m and not (tied and m == "lm_head.weight")] and not unexpected, (missing, unexpected)
    return model.float()


def batch(rows):
    n = max(len(ids) for ids, _ in rows)
    pad = lambda x, v: x + [v] * (n - len(x))
    return dict(input_ids=torch.tensor([pad(i, 0) for i, _ in rows]), labels=torch.tensor([pad(l, -100) for _, l in rows]),
        attention_mask=torch.tensor([pad([1] * len(i), 0) for i, _ in rows]))


def train(model):
    params = [p for p in model.parameters() if p.requires_grad]
    rule, losses = torch.optim.AdamW(params, lr=1e-2, eps=1e-8, weight_decay=0.0), []
    for step in range(8):
        loss = model(**batch(ROWS[step % 2 * 2:][:2])).loss
        losses.append(loss.item())
        rule.zero_grad()
        loss.backward()
        rule.step()
    return losses


def peft(path, keys, start, tied):
    torch.manual_seed(3)
    model = get_peft_model(base(path, tied), LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=["q_proj", "v_proj", "down_proj"], **keys))
    model.save_pretrained(start)
    losses = train(model)
    return losses, model.merge_and_unload().state_dict()


def dropout():
    """The greatest difference of PEFT's layer from y = (x - xd) W' + z m/n + b, and of their gradients."""
    torch.manual_seed(1)
    linear = torch.nn.Linear(12, 10)
    layer = get_peft_model(torch.nn.Sequential(linear), LoraConfig(r=3, lora_alpha=6, lora_dropout=0.3, target_modules=["0"], use_dora=True)).base_model.model[0]
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    w, b, m = layer.weight, layer.bias, layer.lora_magnitude_vector["default"].weight
    A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    m.data += torch.randn(10)
    x, d = torch.randn(5, 12, requires_grad=True), torch.randn(5, 10)
    layer.train()

    def grads(y):
        return [y, *torch.autograd.grad((y * d).sum(), [x, A, B, m])]

    torch.manual_seed(2)
    theirs = grads(layer(x))
    torch.manual_seed(2)
    xd = torch.nn.functional.dropout(x, 0.3)
    n = (w + 2 * B @ A).norm(dim=1).detach()
    ours = grads((x - xd) @ w.T + (xd @ w.T + 2 * xd @ A.T @ B.T) * (m / n) + b)
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs))


def config_of(keys, tied):
    text = CONFIG % keys
    return text.replace("vocab_size: 41,", "vocab_size: 41, tie_word_embeddings: True,") if tied else text


def synthesize(program, path, tied):
    with open("job.yaml", "w") as f:
        f.write(config_of("use_rslora: False", tied))
    subprocess.run([program, "convert", "synthesize", "job.yaml", "-o", path, "--dtype", "f32"], check=True, capture_output=True)


def lorac(program, path, config, out, start, tied):
    with open("job.yaml", "w") as f:
        f.write(config_of(config, tied))
    with open("rows.jsonl", "w") as f:
        for ids, labels in ROWS:
            f.write(json.dumps({"input_ids": ids, "labels": labels}) + "\n")
    more = ["--load_adapter", start] if start else []
    subprocess.run([program, "finetune", "job.yaml", "--load_checkpoint", path, "--train_dataset_dir", "rows.jsonl", "--output_dir", out, *more], check=True, capture_output=True)
    subprocess.run([program, "convert", "merge", "--base", path, "--adapter", out + "/adapter", "-o", out + "/merged"], check=True, capture_output=True)
    with open(out + "/metrics.jsonl") as f:
        return [m["loss"] for m in map(json.loads, f) if "loss" in m]


def main():
    program = os.path.abspath(sys.argv[1])
    os.chdir(tempfile.mkdtemp())
    for path, tied in (("base", False), ("tied", True)):
        synthesize(program, path, tied)
    worst = dropout()
    print("%-14s a layer and its gradients differ by %.1e" % ("dora, dropped", worst))
    for name, (config, keys) in KINDS.items():
        tied = keys.get("ensure_weight_tying", False)
        path = "tied" if tied else "base"
        theirs, merged = peft(path, keys, name + ".start", tied)
        ours = lorac(program, path, config, name, name + ".start" if "use_dora" in keys or "modules_to_save" in keys else "", tied)
        model = PeftModel.from_pretrained(base(path, tied), name + "/adapter").merge_and_unload().state_dict()
        mine = load_file(name + "/merged/model.safetensors")
        if "modules_to_save" in keys:
            assert set(load_file(name + "/adapter/adapter_model.safetensors")) == set(load_file(name + ".start/adapter_model.safetensors"))
        weights = max((of[k] - merged[k]).abs().max().item() for of in (model, mine) for k in merged if not (tied and k == "lm_head.weight" and k not in of))
        moved = max((base(path, tied).state_dict()[k] - merged[k]).abs().max().item() for k in merged)
        losses = max(abs(a - b) for a, b in zip(ours, theirs))
        assert len(ours) == len(theirs)
        print("%-14s the last loss is %.4f; losses differ by %.1e, merged weights by %.1e; training moved these by %.1e" % (name, theirs[-1], losses, weights, moved))
        worst = max(worst, losses, weights)
    sys.exit(worst > 2e-5)


main()
