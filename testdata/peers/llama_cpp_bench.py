"""Decoding and prompts of GGUF files, by llama.cpp and by lorac, in turns.

    python3 llama_cpp_bench.py CONFIG FILE.gguf... [--turns 3] [--prompt 512] [--ids 48] [--threads 2]

Needs lorac (LORAC names the binary) and llama-bench and llama-completion of llama.cpp, built for
this machine (LLAMA_CPP names their directory). PyPI's llama-cpp-python carries the sources:

    pip download --no-deps --no-binary :all: llama-cpp-python && tar xzf llama_cpp_python-*.tar.gz
    cmake -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF llama_cpp_python-*/vendor/llama.cpp
    cmake --build build -j2 --target llama-bench llama-completion llama-quantize

CONFIG is a config of the model. First both write the same greedy text, which is compared: a file
of f32, f16 or bf16 must agree; of blocks both texts are shown, since llama.cpp rounds inputs to
eight bits. Then each turn measures both; medians and their ratios are printed.
"""
import argparse
import ast
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

SAID = re.compile(r"prompts of [\d,]+ ids? at ([\d.]+) tokens/s(?:, [\d,]+ more ids? generated at ([\d.]+) tokens/s)?")


def llama(program):
    return os.path.join(os.environ["LLAMA_CPP"], program)


def run(command, stderr=subprocess.PIPE, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, errors="replace", timeout=1800, **more)
    if done.returncode != 0:
        sys.exit(" ".join(command) + "\n" + done.stdout + (done.stderr or ""))
    return done.stdout + (done.stderr or "")


def lorac(given, path, work, prompts, ids, more=()):
    file = os.path.join(work, "prompts.txt")
    with open(file, "w") as f:
        f.write("".join(p + "\n" for p in prompts))
    return run([os.environ.get("LORAC", "lorac"), "finetune", os.path.abspath(given.config), "--run_mode", "predict", "--load_checkpoint", os.path.abspath(path),
                "--output_dir", work, "--save_file", os.path.join(work, "texts.txt"), "--do_sample", "False", "--repetition_penalty", "1", "--threads", str(given.threads),
                "--predict_data", file, "--max_new_tokens", str(ids), "--model.model_config.min_new_tokens", str(ids), *more], cwd=work)


def texts(given, path, prompt="one two", ids=8):
    """The greedy texts of both."""
    theirs = run([llama("llama-completion"), "-m", path, "-p", prompt, "-n", str(ids), "--temp", "0", "-no-cnv", "-t", str(given.threads), "--no-warmup", "--simple-io",
                  "-ctk", "f32", "-ctv", "f32", "-fa", "off"], stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as work:
        lorac(given, path, work, [prompt], ids)
        with open(os.path.join(work, "texts.txt")) as f:
            ours = ast.literal_eval(f.read())[0]["text_generation_text"][0]
    return ours.strip(), theirs.strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--ids", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    words = " ".join(["one"] * (given.prompt - 2))
    for path in given.files:
        ours, theirs = texts(given, path)
        if ours != theirs:
            print(f"{os.path.basename(path)}: other texts: lorac {ours!r}, llama.cpp {theirs!r}")
            if re.search(r"f16|f32", os.path.basename(path), re.I):
                sys.exit("a file that is not of blocks must give the same text")
        figures = {"llama.cpp": ([], []), "lorac": ([], [])}
        with tempfile.TemporaryDirectory() as work:
            for _ in range(given.turns):
                rows = json.loads(subprocess.run([llama("llama-bench"), "-m", path, "-t", str(given.threads), "-p", str(given.prompt), "-n", str(given.ids), "-r", "1", "-o", "json"],
                                                 check=True, capture_output=True, text=True, timeout=1800).stdout)
                figures["llama.cpp"][0].append(next(r["avg_ts"] for r in rows if r["n_prompt"]))
                figures["llama.cpp"][1].append(next(r["avg_ts"] for r in rows if r["n_gen"]))
                figures["lorac"][0].append(float(SAID.search(lorac(given, path, work, [words], 1))[1]))
                figures["lorac"][1].append(float(SAID.search(lorac(given, path, work, ["one"], given.ids))[2]))
        print(os.path.basename(path))
        for i, what in enumerate(("prompt", "decode")):
            ours, theirs = figures["lorac"][i], figures["llama.cpp"][i]
            ratios = [a / b for a, b in zip(ours, theirs)]
            print(f"  {what}: lorac {statistics.median(ours):.2f} tokens/s, llama.cpp {statistics.median(theirs):.2f}, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


main()
