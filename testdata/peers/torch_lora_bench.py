#!/usr/bin/env python3
"""The training step of a lorac config in PyTorch on the CPU, side by side with lorac.

    pip install torch numpy
    go build -o lorac ./cmd/lorac
    python testdata/peers/torch_lora_bench.py --lorac ./lorac --config configs/tinyllama/lora_tinyllama_1b.yaml --layers 4
    python testdata/peers/torch_lora_bench.py ... --data rows.jsonl --pad 1024     # rows padded as MindFormers pads them

Both train the same adapters on the same synthetic base (`lorac convert synthesize`) and the same rows, in f32
arithmetic, taking turns in rounds: the FMA peak, some steps of the trainer, as many of PyTorch, the peak again. The
medians of the rounds are printed as one line of JSON; "speedup" is the median of the ratios within a round. Without
dropout both start at the same loss, which is checked, so that both did the same work.

What PyTorch is given: one thread pool of all threads; fused causal attention; the head and its loss in chunks of rows,
never whole; adapters by addmm; malloc without returning memory and transparent huge pages; the matrix products of MKL,
or of oneDNN on weights packed beforehand for both directions, whichever is faster here (--gemm); --compile adds
torch.compile for what is element-wise. Without --pad every token row is live and supervised on both sides. With --pad
N PyTorch computes N rows a sequence, as a framework that pads to a fixed length does, and lorac the rows that are there:
that ratio is mostly less work, and is reported as such ("live_share").

It is no part of the tests and needs nothing of the repository but the binary.
"""
import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ENV = {
    "THP_MEM_ALLOC_ENABLE": "1",  # PyTorch's allocator asks for huge pages
    "MALLOC_MMAP_MAX_": "0",  # and malloc keeps what it has
    "MALLOC_TRIM_THRESHOLD_": "1000000000000",
    "MALLOC_TOP_PAD_": "1073741824",
    "OMP_WAIT_POLICY": "PASSIVE",  # its threads leave the processor to the other side's turn
}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lorac", required=True, help="the lorac binary")
    p.add_argument("--config", required=True)
    p.add_argument("--layers", type=int, help="fewer layers than the config")
    p.add_argument("--tokens", type=int, default=1024, help="live tokens of a step, without --data")
    p.add_argument("--data", help="JSONL of {input_ids, labels}, one row a step")
    p.add_argument("--pad", type=int, help="length PyTorch pads every row to")
    p.add_argument("--dropout", type=float, default=0.0, help="of the adapters")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--steps", type=int, default=2, help="measured steps of a round")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--dtype", default="bf16", help="stored type of the base on lorac's side; PyTorch holds it as f32")
    p.add_argument("--gemm", choices=["mkl", "onednn", "best"], default="best")
    p.add_argument("--compile", action="store_true")
    return p.parse_args()


def call(*args):
    r = subprocess.run(args, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"{' '.join(args)}\n{r.stderr}{r.stdout}")
    return r.stdout


def shortened(a, directory):
    """The config with fewer layers and the wanted dropout, as a file."""
    text = open(a.config).read()
    if a.layers:
        text = re.sub(r"(\n\s*num_layers:).*", rf"\1 {a.layers}", text)
    text = re.sub(r"(\n\s*lora_dropout:).*", rf"\1 {a.dropout}", text)
    path = os.path.join(directory, "config.yaml")
    open(path, "w").write(text)
    return path


def shapes(a, config):
    """The sizes the compiler derived from the config, off the text of its IR."""
    text = call(a.lorac, "inspect", config)
    get = lambda key: re.search(rf"^setting {re.escape(key)} = (\S+)", text, re.M).group(1)
    size = lambda key: re.search(rf"^size {key} = (\d+)", text, re.M).group(1)
    s = {k: int(size(k)) for k in ("hidden", "layers", "heads", "kv_heads", "head_dim", "ffn", "vocab", "rank")}
    s["scale"] = float(get("lora.alpha")) / s["rank"]
    s["targets"] = re.search(r"^setting lora.targets = \[(.*)\]", text, re.M).group(1).split(", ")
    s["eps"] = float(re.search(r"rmsnorm .*\{eps=([^},]+)", text).group(1))
    s["theta"] = float(re.search(r"fn=rope.*theta=([^},]+)", text).group(1))
    s["ignore"] = int(get("ignore_id"))
    return s


def safetensors(path):
    """The tensors of a file, as f32."""
    import numpy as np

    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        head = json.loads(f.read(n))
    raw, out = np.memmap(path, np.uint8, "r", 8 + n), {}
    for name, t in head.items():
        if name == "__metadata__":
            continue
        b = raw[t["data_offsets"][0] : t["data_offsets"][1]]
        if t["dtype"] == "BF16":
            x = (b.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            x = b.view({"F32": np.float32, "F16": np.float16}[t["dtype"]]).astype(np.float32)
        out[name] = x.reshape(t["shape"])
    return out


class Peer:
    """The step in PyTorch."""

    def __init__(self, a, s, weights):
        import torch

        self.torch, self.a, self.s = torch, a, s
        torch.set_num_threads(a.threads)
        torch.manual_seed(1)
        w = {k: torch.from_numpy(v) for k, v in weights.items()}
        self.embed, self.norm = w["model.embed_tokens.weight"], w["model.norm.weight"]
        self.head = w.get("lm_head.weight", self.embed)
        self.linear = self.choose(a.gemm, w["model.layers.0.mlp.gate_proj.weight"])
        self.adapters, self.layers = [], []
        names = {"wq": "self_attn.q_proj", "wk": "self_attn.k_proj", "wv": "self_attn.v_proj", "wo": "self_attn.o_proj",
                 "w1": "mlp.gate_proj", "w2": "mlp.down_proj", "w3": "mlp.up_proj"}
        for i in range(s["layers"]):
            layer = {"n1": w[f"model.layers.{i}.input_layernorm.weight"], "n2": w[f"model.layers.{i}.post_attention_layernorm.weight"]}
            for short, name in names.items():
                t = w[f"model.layers.{i}.{name}.weight"]
                layer[short] = self.linear(t)
                if any(re.search(p, short) for p in s["targets"]):
                    f = torch.nn.Parameter((torch.rand(s["rank"], t.shape[1]) * 2 - 1) / math.sqrt(t.shape[1]))
                    g = torch.nn.Parameter(torch.zeros(t.shape[0], s["rank"]))
                    layer[short + "ab"] = (f, g)
                    self.adapters += [f, g]
            self.layers.append(layer)
        self.packed_head = self.linear(self.head)
        self.optimizer = torch.optim.AdamW(self.adapters, lr=5e-5, weight_decay=0, fused=True)
        self.rope, self.mlp, self.rms = self._rope, self._mlp, self._rms
        if a.compile:
            self.rope, self.mlp, self.rms = (torch.compile(f, dynamic=False) for f in (self._rope, self._mlp, self._rms))

    def choose(self, kind, sample):
        """What makes a frozen linear of a weight: x·Wᵀ with dx = dy·W."""
        torch = self.torch

        class Packed(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, forward, backward):
                ctx.backward_weight = backward
                return torch.ops.mkldnn._linear_pointwise(x, forward, None, "none", [], "")

            @staticmethod
            def backward(ctx, dy):
                return torch.ops.mkldnn._linear_pointwise(dy.contiguous(), ctx.backward_weight, None, "none", [], ""), None, None

        def onednn(w):
            rows = self.a.pad or self.a.tokens
            f = torch.ops.mkldnn._reorder_linear_weight(w, rows)
            b = torch.ops.mkldnn._reorder_linear_weight(w.t().contiguous(), rows)
            return lambda x: Packed.apply(x, f, b)

        def mkl(w):
            return lambda x: torch.nn.functional.linear(x, w)

        kinds = {"mkl": mkl, "onednn": onednn}
        if kind == "best":
            best = {}
            x = torch.randn(512, sample.shape[1])
            for name, make in kinds.items():
                f, times = make(sample), []
                for _ in range(6):
                    t = time.perf_counter()
                    f(x)
                    times.append(time.perf_counter() - t)
                best[name] = min(times)
            kind = min(best, key=best.get)
        self.gemm = kind
        return kinds[kind]

    def tables(self, n):
        torch, d = self.torch, self.s["head_dim"]
        angle = torch.outer(torch.arange(n).float(), self.s["theta"] ** (-torch.arange(0, d, 2).float() / d))
        return torch.cat([angle.cos()] * 2, 1), torch.cat([angle.sin()] * 2, 1)

    def _rms(self, x, w):
        return self.torch.nn.functional.rms_norm(x, w.shape, w, self.s["eps"])

    def _rope(self, x, cos, sin):  # [heads, n, head_dim]
        h = x.shape[-1] // 2
        return x * cos + self.torch.cat([-x[..., h:], x[..., :h]], -1) * sin

    def _mlp(self, gate, up):
        return self.torch.nn.functional.silu(gate) * up

    def lin(self, x, layer, name):
        torch = self.torch
        y = layer[name](x)
        if name + "ab" in layer:
            f, g = layer[name + "ab"]
            h = torch.nn.functional.dropout(x, self.a.dropout) if self.a.dropout else x
            y = torch.addmm(y, (h @ f.t()) * self.s["scale"], g.t())
        return y

    def block(self, x, layer, cos, sin):
        torch, s, n = self.torch, self.s, x.shape[0]
        split = lambda y, heads: y.view(n, heads, s["head_dim"]).transpose(0, 1)
        h = self.rms(x, layer["n1"])
        q = self.rope(split(self.lin(h, layer, "wq"), s["heads"]), cos, sin)
        k = self.rope(split(self.lin(h, layer, "wk"), s["kv_heads"]), cos, sin)
        v = split(self.lin(h, layer, "wv"), s["kv_heads"])
        o = torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=s["heads"] != s["kv_heads"])[0]
        x = x + self.lin(o.transpose(0, 1).reshape(n, -1), layer, "wo")
        h = self.rms(x, layer["n2"])
        return x + self.lin(self.mlp(self.lin(h, layer, "w1"), self.lin(h, layer, "w3")), layer, "w2")

    def loss(self, x, labels, chunk=256):
        """Head, loss and the gradient of x, some rows at a time; the head is frozen."""
        torch, peer = self.torch, self

        class Head(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                live, dx, total = max(int((labels != peer.s["ignore"]).sum()), 1), torch.empty_like(x), 0.0
                for i in range(0, x.shape[0], chunk):
                    with torch.enable_grad():
                        part = x[i : i + chunk].detach().requires_grad_()
                        z = peer.packed_head(part)
                        l = torch.nn.functional.cross_entropy(z, labels[i : i + chunk], ignore_index=peer.s["ignore"], reduction="sum") / live
                    dx[i : i + chunk] = torch.autograd.grad(l, part)[0]
                    total += float(l)
                ctx.save_for_backward(dx)
                return torch.tensor(total)

            @staticmethod
            def backward(ctx, d):
                return ctx.saved_tensors[0] * d

        return Head.apply(x)

    def forward(self, ids, labels):
        torch = self.torch
        x, (cos, sin) = torch.nn.functional.embedding(ids, self.embed), self.tables(len(ids))
        for layer in self.layers:
            x = self.block(x, layer, cos, sin)
        return self.loss(self.rms(x, self.norm), labels)

    def step(self, ids, labels):
        torch = self.torch
        loss = self.forward(ids, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.adapters, 1.0)
        self.optimizer.step()
        return loss.item()


def rows_of(a, s):
    """(input_ids, labels) a step; a row of n+1 ids is n token rows."""
    if a.data:
        rows = []
        for line in open(a.data):
            r = json.loads(line)
            rows.append((r["input_ids"], r.get("labels", r["input_ids"])))
        return rows
    import numpy as np

    r = np.random.default_rng(7)
    rows = [r.integers(3, s["vocab"], a.tokens + 1).tolist() for _ in range(a.steps + 1)]
    return [(x, x) for x in rows]


def main():
    a = arguments()
    if os.environ.get("MALLOC_MMAP_MAX_") != "0":
        os.execve(sys.executable, [sys.executable] + sys.argv, {**os.environ, **ENV, "OMP_NUM_THREADS": str(a.threads)})
    import torch

    with tempfile.TemporaryDirectory() as directory:
        config = shortened(a, directory)
        s = shapes(a, config)
        call(a.lorac, "convert", "synthesize", config, "-o", directory, "--dtype", a.dtype)
        call(a.lorac, "compile", config, "-o", os.path.join(directory, "build"), "--set", f"load_checkpoint={directory}")
        binary = next(p.path for p in os.scandir(os.path.join(directory, "build")) if p.is_file() and os.access(p.path, os.X_OK))
        rows = rows_of(a, s)[: a.steps * max(a.rounds if a.data else 1, 1) + 1]
        per_round = a.steps
        peer = Peer(a, s, safetensors(os.path.join(directory, "model.safetensors")))

        def trainer(some):
            data, out = os.path.join(directory, "rows.jsonl"), os.path.join(directory, "out")
            with open(data, "w") as f:
                for ids, labels in some:
                    f.write(json.dumps({"input_ids": ids, "labels": labels}) + "\n")
            subprocess.run(["rm", "-rf", out])
            call(binary, "--load_checkpoint", directory, "--train_dataset_dir", data, "--output_dir", out, "--threads", str(a.threads),
                 "--batch_size", "1", "--gradient_accumulation_steps", "1", "--epochs", "1", "--sink_mode", "False", "--save_checkpoint_steps", "0",
                 "--shuffle", "False", "--no_progress")
            lines = [json.loads(l) for l in open(os.path.join(out, "metrics.jsonl"))]
            return lines[0]["loss"], [l["tokens"] / l["tokens_per_second"] for l in lines[1:]], [l["tokens"] for l in lines[1:]]

        def padded(ids, labels):
            x, y = list(ids[:-1]), list(labels[1:])
            if a.pad:
                x, y = (x + [0] * a.pad)[: a.pad], (y + [s["ignore"]] * a.pad)[: a.pad]
            return torch.tensor(x), torch.tensor(y)

        def peak():
            return json.loads(call(a.lorac, "bench", config, "--only", "machine", "--threads", str(a.threads), "--json"))["machine"][-1]["fma_gflops"]

        ours, theirs, ratios, peaks, live, checked = [], [], [], [], [], None
        for i in range(a.rounds):
            first = 1 + i * per_round if a.data else 1
            some = [rows[0]] + rows[first : first + per_round]
            if len(some) < 2:
                break
            before = peak()
            loss, seconds, tokens = trainer(some)
            mine = []
            for n, row in enumerate(some):
                x, y = padded(*row)
                t = time.perf_counter()
                l = peer.step(x, y)
                if i == 0 and n == 0 and not a.dropout:
                    checked = abs(l - loss) / loss
                    if checked > 1e-4:
                        sys.exit(f"the losses of the first step differ: lorac {loss}, PyTorch {l}")
                if n > 0:
                    mine.append(time.perf_counter() - t)
            peaks.append((before + peak()) / 2)
            ours.append(sum(tokens) / sum(seconds))
            theirs.append(sum(tokens) / sum(mine))
            ratios.append(sum(mine) / sum(seconds))
            live.append(sum(tokens) / (len(mine) * a.pad) if a.pad else 1)
            print(f"round {i + 1}: lorac {ours[-1]:.1f} tokens/s, PyTorch {theirs[-1]:.1f}, ratio {ratios[-1]:.2f}, peak {peaks[-1]:.0f} GFLOP/s", file=sys.stderr)
        median = statistics.median
        print(json.dumps({
            "config": os.path.basename(a.config), "layers": s["layers"], "torch": torch.__version__, "gemm": peer.gemm, "compiled": a.compile,
            "threads": a.threads, "dropout": a.dropout, "padded_to": a.pad, "live_share": round(median(live), 3),
            "lorac_tokens_per_second": round(median(ours), 1), "torch_tokens_per_second": round(median(theirs), 1),
            "speedup": round(median(ratios), 3), "fma_gflops": round(median(peaks), 1), "first_loss_differs_by": checked}))


if __name__ == "__main__":
    main()
