#!/usr/bin/env python3
"""Loads what lorac wrote in the programs it is for: Hugging Face directories in transformers, GGUF in gguf-py, MindFormers'
checkpoints in MindSpore.

    pip install torch transformers sentencepiece gguf        # mindspore in an environment of its own
    python testdata/peers/load_exports.py output/model merged/ model.gguf run.safetensors run.ckpt

A directory must load without missing or unexpected weights, and its tokenizer must begin a text with BOS where the base's
does. It is no part of the tests.
"""
import os
import sys


def directory(path):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    model, info = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True)
    wrong = {key: value for key, value in info.items() if value}
    tokenizer = AutoTokenizer.from_pretrained(path)
    ids = tokenizer("Once upon a time", return_tensors="pt").input_ids
    text = tokenizer.decode(model.generate(ids, max_new_tokens=8, do_sample=False)[0])
    print(path, model.dtype, "template" if tokenizer.chat_template else "no template", ids[0].tolist(), repr(text))
    return wrong


def gguf(path):
    from gguf import GGUFReader
    reader = GGUFReader(path)
    print(path, len(reader.tensors), "tensors;", ", ".join(key for key in reader.fields if key.startswith("tokenizer.")))
    return None


def checkpoint(path):
    import mindspore
    tensors = mindspore.load_checkpoint(path, crc_check=True, format="safetensors" if path.endswith(".safetensors") else "ckpt")
    print(path, len(tensors), "tensors")
    return None


failed = False
for path in sys.argv[1:]:
    load = directory if os.path.isdir(path) else gguf if path.endswith(".gguf") else checkpoint
    wrong = load(path)
    if wrong:
        print(path, "does not load as it is:", wrong)
        failed = True
sys.exit(failed)
