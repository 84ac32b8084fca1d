#!/usr/bin/env python3
"""A step of two processes over links of some rates, against the forecast of `lorac plan`.

    apt-get install mpich iproute2
    go build -o lorac ./cmd/lorac
    sudo python3 testdata/peers/link_forecast.py --lorac ./lorac --config configs/stories15M/lora_stories15M.yaml

Two network namespaces on this machine are two hosts, joined by a link that `tc` gives a rate (tbf), and, with --delay
and a kernel that has netem, a delay. `lorac` is started in both by msrun's line, a process of --threads threads in each;
MPICH talks TCP. What a process computes in a second is taken from a run over the link without a rate, as the forecast
takes it from --rate: the forecast is then of the wire. Printed are, for each rate, the median step, the forecast, and
their ratio. It needs root for the namespaces, and is no part of the tests.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

import torch_lora_bench as one

SPACES = ("loracA", "loracB")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lorac", required=True)
    p.add_argument("--config", required=True)
    p.add_argument("--layers", type=int)
    p.add_argument("--tokens", type=int, default=256, help="of a row; each process has --rows of them a step")
    p.add_argument("--rows", type=int, default=1)
    p.add_argument("--rates", default="10,30,100,1000", help="of the link, in Mbit/s")
    p.add_argument("--delay", help="of each direction, as 5ms: needs netem")
    p.add_argument("--steps", type=int, default=6)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--port", type=int, default=8340)
    a = p.parse_args()
    a.dropout = 0.0
    return a


def run(*args):
    r = subprocess.run(args, capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(f"{' '.join(args)}: {r.stderr}{r.stdout}")
    return r.stdout


def link():
    for s in SPACES:
        run("ip", "netns", "add", s)
    run("ip", "link", "add", "loracvA", "type", "veth", "peer", "name", "loracvB")
    for i, s in enumerate(SPACES):
        dev = "loracv" + s[-1]
        run("ip", "link", "set", dev, "netns", s)
        run("ip", "netns", "exec", s, "ip", "addr", "add", f"10.9.0.{i + 1}/24", "dev", dev)
        for d in (dev, "lo"):
            run("ip", "netns", "exec", s, "ip", "link", "set", d, "up")


def limit(rate, delay):
    for s in SPACES:
        dev = "loracv" + s[-1]
        subprocess.run(["ip", "netns", "exec", s, "tc", "qdisc", "del", "dev", dev, "root"], capture_output=True)
        if rate and delay:
            run("ip", "netns", "exec", s, "tc", "qdisc", "add", "dev", dev, "root", "netem", "rate", f"{rate}mbit", "delay", delay)
        elif rate: # a small burst: one of 10 ms would hide a part of what is sent
            burst = max(int(rate * 1e6 / 8 / 250), 3200)
            run("ip", "netns", "exec", s, "tc", "qdisc", "add", "dev", dev, "root", "tbf", "rate", f"{rate}mbit", "burst", str(burst), "latency", "200ms")


def unlink():
    for s in SPACES:
        subprocess.run(["ip", "netns", "del", s], capture_output=True)


def main():
    a = arguments()
    unlink()
    with tempfile.TemporaryDirectory() as directory:
        config = one.shortened(a, directory)
        shapes = one.shapes(a, config)
        one.call(a.lorac, "convert", "synthesize", config, "-o", directory, "--dtype", "bf16")
        data = os.path.join(directory, "rows.jsonl")
        r = random.Random(7)
        with open(data, "w") as f:
            for _ in range(2 * a.rows * (a.steps + 1)):
                ids = [r.randrange(3, shapes["vocab"]) for _ in range(a.tokens + 1)]
                f.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")
        job = ["--train_dataset_dir", data, "--load_checkpoint", directory, "--batch_size", str(a.rows), "--devices", "2",
               "--gradient_accumulation_steps", "1", "--epochs", "1", "--sink_mode", "False"]

        def plan(rate, network):
            text = one.call(a.lorac, "plan", config, *job, "--workers", "2", "--json", "--rate", str(rate), "--network", network)
            return json.loads(text)["workers"]

        def step():
            """The median step of a run in both namespaces."""
            out = os.path.join(directory, "out")
            subprocess.run(["rm", "-rf", out])
            env = {**os.environ, "UCX_TLS": "tcp", "MPIR_CVAR_NOLOCAL": "1"}
            list_ = []
            for i, s in enumerate(SPACES):
                line = ["ip", "netns", "exec", s, a.lorac, "finetune", "msrun", "--worker_num=2", "--local_worker_num=1", "--master_addr=10.9.0.1",
                        f"--master_port={a.port}", f"--node_rank={i}", "--cluster_time_out=60", "run_mindformer.py", "--config", config, *job,
                        "--use_parallel", "True", "--parallel_config.data_parallel", "2", "--output_dir", out, "--threads", str(a.threads), "--shuffle", "False",
                        "--save_checkpoint_steps", "0", "--no_progress"]
                list_.append(subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
            said = [p.communicate(timeout=600)[0] for p in list_]
            if any(p.returncode for p in list_):
                raise RuntimeError("\n".join(said))
            lines = [json.loads(x) for x in open(os.path.join(out, "metrics.jsonl"))]
            times = [x["tokens"] / x["tokens_per_second"] for x in lines if "tokens" in x][1:]
            return statistics.median(times)

        try:
            link()
            rates = [float(x) for x in a.rates.split(",")]
            result = {x: [] for x in rates}
            for n in range(a.rounds):
                limit(None, None)
                free = step()
                flops = plan(1, "1GbE")["flops_largest"]
                for rate in rates:
                    limit(rate, a.delay)
                    took = step()
                    network = f"{rate:g}Mbit/s:{a.delay or '50us'}"
                    f = plan(flops / free / 1e9, network)["forecasts"][0]
                    result[rate].append((took, f["step_seconds"], f["wire_seconds"]))
                    print(f"round {n + 1}: {network}: {took:.4f} s, forecast {f['step_seconds']:.4f} s (of it the wire {f['wire_seconds']:.4f}), ratio {took / f['step_seconds']:.3f}; without a rate {free:.4f} s",
                          file=sys.stderr)
            print(json.dumps({"config": os.path.basename(a.config), "layers": shapes["layers"], "tokens": 2 * a.rows * a.tokens, "links": {
                f"{k:g} Mbit/s": {"step": round(statistics.median(x for x, _, _ in v), 4), "forecast": round(statistics.median(y for _, y, _ in v), 4),
                                  "ratio": round(statistics.median(x / y for x, y, _ in v), 3)} for k, v in result.items()}}))
        finally:
            unlink()


if __name__ == "__main__":
    main()
