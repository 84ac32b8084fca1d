#!/usr/bin/env python3
"""Two processes of one thread against one process of two threads: lorac over MPI, and PyTorch with DDP over gloo.

    pip install torch numpy          # and an MPI: apt-get install openmpi-bin, or mpich
    go build -o lorac ./cmd/lorac
    python testdata/peers/torch_processes_bench.py --lorac ./lorac --config configs/stories15M/lora_stories15M.yaml --tokens 256
    python testdata/peers/torch_processes_bench.py --lorac ./lorac --config configs/tinyllama/lora_tinyllama_1b.yaml --layers 4

All four train the same adapters on the same synthetic base and the same rows: a step has two rows of --tokens live
tokens, all supervised. One process computes both, one after the other; of two processes each computes one, and the
gradients are summed. They take turns in rounds. "ratio" is tokens/s of two processes over those of one, the median of
the rounds; the same for PyTorch is beside it. The losses of the first step are compared, so that all do the same work.

Where other programs run beside it, seconds say little: --cpu compares the processor time of steps instead, lorac's
alone, that of waiting included (what a run of few steps takes is subtracted).

--processes and --threads-each ask for other shapes than 2 x 1. See torch_lora_bench.py for what PyTorch is given; without
torch, or with --alone, lorac is measured by itself. It is no part of the tests.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch_lora_bench as one


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lorac", required=True, help="the lorac binary")
    p.add_argument("--config", required=True)
    p.add_argument("--layers", type=int, help="fewer layers than the config")
    p.add_argument("--tokens", type=int, default=1024, help="live tokens of a row; a step has one row a process")
    p.add_argument("--processes", type=int, default=2)
    p.add_argument("--threads-each", type=int, default=1)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--steps", type=int, default=4, help="measured steps of a round")
    p.add_argument("--dtype", default="bf16", help="stored type of the base on lorac's side; PyTorch holds it as f32")
    p.add_argument("--gemm", choices=["mkl", "onednn", "best"], default="mkl")
    p.add_argument("--alone", action="store_true", help="lorac only")
    p.add_argument("--cpu", action="store_true", help="processor time of lorac's steps")
    p.add_argument("--worker", nargs=2, metavar=("DIR", "THREADS"), help=argparse.SUPPRESS)
    a = p.parse_args()
    a.dropout, a.compile, a.pad, a.data = 0.0, False, None, None
    return a


def worker(a):
    """A process of PyTorch: for each line of its input, that many steps; their seconds and first loss as JSON."""
    import numpy as np
    import torch
    import torch.distributed as dist

    directory, a.threads = a.worker[0], int(a.worker[1])
    ranks = int(os.environ["WORLD_SIZE"])
    rank = int(os.environ["RANK"])
    peer = one.Peer(a, json.load(open(os.path.join(directory, "shapes.json"))), one.safetensors(os.path.join(directory, "model.safetensors")))
    rows = [json.loads(line)["input_ids"] for line in open(os.path.join(directory, "rows.jsonl"))]

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.adapters = torch.nn.ParameterList(peer.adapters)

        def forward(self, ids, labels):
            return peer.forward(ids, labels)

    model = Model()
    if ranks > 1:
        dist.init_process_group("gloo")
        model = torch.nn.parallel.DistributedDataParallel(model)
    share = a.processes // ranks

    def step(n):
        first, total = n * a.processes % len(rows) + rank * share, 0.0
        peer.optimizer.zero_grad(set_to_none=True)
        for ids in rows[first : first + share]:
            ids = torch.from_numpy(np.array(ids))
            loss = model(ids[:-1], ids[1:]) / share
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(peer.adapters, 1.0)
        peer.optimizer.step()
        if ranks > 1:
            mean = torch.tensor([total / ranks])
            dist.all_reduce(mean)
            total = mean.item()
        return total

    first = step(0)
    print(json.dumps({"loss": first}), flush=True)
    n = 1
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            if ranks > 1:
                dist.barrier()
            t = time.perf_counter()
            step(n)
            seconds.append(time.perf_counter() - t)
            n += 1
        print(json.dumps(seconds), flush=True)
    if ranks > 1:
        dist.destroy_process_group()


class Torch:
    """PyTorch in some processes, which wait for their turn."""

    def __init__(self, a, directory, ranks, threads, port):
        self.list = []
        for rank in range(ranks):
            env = {**os.environ, **one.ENV, "OMP_NUM_THREADS": str(threads), "RANK": str(rank), "WORLD_SIZE": str(ranks),
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            self.list.append(subprocess.Popen([sys.executable] + sys.argv + ["--worker", directory, str(threads)],
                                              env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        self.loss = [json.loads(p.stdout.readline())["loss"] for p in self.list][0]

    def steps(self, n):
        for p in self.list:
            p.stdin.write(f"{n}\n")
            p.stdin.flush()
        return [json.loads(p.stdout.readline()) for p in self.list][0]

    def end(self):
        for p in self.list:
            p.stdin.close()
        for p in self.list:
            p.wait(60)


def main():
    a = arguments()
    if a.worker:
        worker(a)
        return
    torch = None
    if not a.alone:
        try:
            import torch
        except ImportError:
            print("no torch: lorac alone is measured", file=sys.stderr)
    together = a.processes * a.threads_each
    with tempfile.TemporaryDirectory() as directory:
        config = one.shortened(a, directory)
        shapes = one.shapes(a, config)
        json.dump(shapes, open(os.path.join(directory, "shapes.json"), "w"))
        one.call(a.lorac, "convert", "synthesize", config, "-o", directory, "--dtype", a.dtype)
        import random

        r = random.Random(7)
        data, out = os.path.join(directory, "rows.jsonl"), os.path.join(directory, "out")
        with open(data, "w") as f:
            for _ in range((a.steps + 1) * a.processes):
                ids = [r.randrange(3, shapes["vocab"]) for _ in range(a.tokens + 1)]
                f.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")

        def trainer(processes, threads, steps=0):
            subprocess.run(["rm", "-rf", out])
            more = ["--workers", str(processes)] if processes > 1 else []
            one.call(a.lorac, "finetune", config, "--load_checkpoint", directory, "--train_dataset_dir", data, "--output_dir", out, "--threads", str(threads),
                     "--devices", str(a.processes), "--parallel_config.data_parallel", str(a.processes), "--batch_size", "1", "--gradient_accumulation_steps", "1",
                     "--epochs", "1", "--sink_mode", "False", "--save_checkpoint_steps", "0", "--shuffle", "False", "--no_progress", *more,
                     *(["--steps", str(steps)] if steps else []))
            lines = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
            lines = [line for line in lines if "tokens" in line]
            return lines[0]["loss"], [line["tokens"] / line["tokens_per_second"] for line in lines[1:]]

        def cpu(processes, threads):
            """Seconds of processor time of a step."""
            used = []
            for steps in (1, a.steps + 1):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                trainer(processes, threads, steps)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            return (used[1] - used[0]) / a.steps

        if a.cpu:
            trainer(1, together), trainer(a.processes, a.threads_each)  # compiled
            list_ = []
            for i in range(a.rounds):
                turn = [(1, together), (a.processes, a.threads_each)]
                used = {n: cpu(n, t) for n, t in (turn if i % 2 == 0 else turn[::-1])}
                list_.append((used[1], used[a.processes]))
                print("round %d: %.3f and %.3f s of processor time a step, ratio %.3f" % (i + 1, *list_[-1], list_[-1][0] / list_[-1][1]), file=sys.stderr)
            print(json.dumps({"config": os.path.basename(a.config), "layers": shapes["layers"], "tokens": a.tokens * a.processes, "one_process_threads": together,
                              "processes": a.processes, "threads_each": a.threads_each, "cpu_seconds_one": round(statistics.median(x for x, _ in list_), 3),
                              "cpu_seconds_several": round(statistics.median(y for _, y in list_), 3), "ratio": round(statistics.median(x / y for x, y in list_), 3)}))
            return
        losses = [trainer(1, together)[0], trainer(a.processes, a.threads_each)[0]]
        peers = []
        if torch:
            peers = [Torch(a, directory, 1, together, 29481), Torch(a, directory, a.processes, a.threads_each, 29482)]
            losses += [p.loss for p in peers]
        apart = max(abs(x - losses[0]) / losses[0] for x in losses)
        if apart > 1e-4:
            sys.exit(f"the losses of the first step differ: {losses}")
        median, tokens = statistics.median, a.tokens * a.processes
        rounds = {"lorac": [], "torch": []}
        for i in range(a.rounds):
            turn = [(1, together), (a.processes, a.threads_each)]
            if i % 2:
                turn.reverse()
            times = {n: median(trainer(n, t)[1]) for n, t in turn}
            rounds["lorac"].append((tokens / times[1], tokens / times[a.processes]))
            text = "round %d: lorac %.1f and %.1f tokens/s, ratio %.3f" % (i + 1, *rounds["lorac"][-1], times[1] / times[a.processes])
            if peers:
                order = peers[::-1] if i % 2 else peers
                took = {p: median(p.steps(a.steps)) for p in order}
                x, y = took[peers[0]], took[peers[1]]
                rounds["torch"].append((tokens / x, tokens / y))
                text += "; PyTorch %.1f and %.1f, ratio %.3f" % (tokens / x, tokens / y, x / y)
            print(text, file=sys.stderr)
        for p in peers:
            p.end()
        result = {"config": os.path.basename(a.config), "layers": shapes["layers"], "tokens": tokens, "one_process_threads": together,
                  "processes": a.processes, "threads_each": a.threads_each, "first_losses_differ_by": apart}
        for name, list_ in rounds.items():
            if list_:
                result[name] = {"one": round(median(x for x, _ in list_), 1), "several": round(median(y for _, y in list_), 1),
                                "ratio": round(median(y / x for x, y in list_), 3), "ratios": [round(y / x, 3) for x, y in list_]}
        print(json.dumps(result))


if __name__ == "__main__":
    main()
