"""Greedy text of GGUF files that lorac wrote: by llama.cpp and by lorac, which must be the same.

    python3 gguf_text.py CONFIG FILE.gguf... [--tokens 24] [--prompt TEXT...]

Needs xllamacpp from PyPI, whose server is asked on the loopback address, and lorac (LORAC names
the binary). CONFIG is a config of the model. llama.cpp keeps keys and values in f32, without
flash attention; it rounds the inputs of products with blocks to eight bits, lorac does not, so
that long texts of quantised files may part where two tokens are almost as likely.
"""
import argparse
import ast
import http.client
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse

import xllamacpp

PROMPTS = ["Once upon a time, there was a", "The dog was a big, red", "Tom and Lily were playing in the"]


def llama(path, prompts, tokens):
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.warmup, params.cpuparams.n_threads = 256, False, 2
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(params)
    address = urllib.parse.urlparse(server.listening_address)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
    out = []
    for prompt in prompts:
        body = json.dumps({"prompt": prompt, "n_predict": tokens, "temperature": 0, "top_k": 1, "cache_prompt": False})
        connection.request("POST", "/completion", body, {"Content-Type": "application/json"})
        out.append(json.loads(connection.getresponse().read())["content"])
    return out


def lorac(config, path, prompts, tokens, more):
    with tempfile.TemporaryDirectory() as work:
        arguments = [os.environ.get("LORAC", "lorac"), "finetune", os.path.abspath(config), "--run_mode", "predict", "--load_checkpoint", os.path.abspath(path),
                     "--output_dir", work, "--do_sample", "False", "--repetition_penalty", "1", "--max_new_tokens", str(tokens), *more]
        for prompt in prompts:
            arguments += ["--predict_data", prompt]
        done = subprocess.run(arguments, cwd=work, capture_output=True, text=True)
        result = os.path.join(work, "text_generation_result.txt")
        if done.returncode != 0 or not os.path.exists(result):
            sys.exit(done.stdout + done.stderr)
        with open(result) as f:
            texts = [x["text_generation_text"][0] for x in ast.literal_eval(f.read())]
    return [text[text.index(prompt) + len(prompt):] for prompt, text in zip(prompts, texts)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--prompt", action="append")
    parser.add_argument("--lorac", action="append", default=[], help="a flag of lorac's with its value, as in --lorac=--processor.tokenizer.add_bos_token=False")
    given = parser.parse_args()
    prompts, differ = given.prompt or PROMPTS, 0
    for path in given.files:
        for prompt, a, b in zip(prompts, llama(path, prompts, given.tokens), lorac(given.config, path, prompts, given.tokens, given.lorac)):
            same = a.strip() == b.strip()
            differ += not same
            print("same" if same else "DIFFER", os.path.basename(path), repr(prompt), repr(a), "" if same else repr(b))
    sys.exit(differ > 0)


main()
