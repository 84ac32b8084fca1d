"""Event files of a run, read by TensorBoard's own reader, against its metrics.jsonl.

Needs Python 3.9 and, from PyPI, tensorboard.

    python3 tensorboard_events.py OUTPUT_DIR

A run that resumed has several files: TensorBoard drops what a later one replaces.
"""
import json
import os
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TAGS = {"loss": "train/loss", "lr": "train/learning_rate", "grad_norm": "train/grad_norm", "tokens_per_second": "train/tokens_per_second"}


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def expected(out):
    want = {}
    with open(os.path.join(out, "metrics.jsonl")) as lines:
        for line in lines:
            m = json.loads(line)
            for key, x in m.items():
                tag = TAGS.get(key) or (key.replace("_", "/", 1) if key.startswith("eval_") else None)
                if tag:
                    want.setdefault(tag, {})[m["step"]] = float("nan") if x is None else f32(x)
    return want


def main(out):
    events = EventAccumulator(os.path.join(out, "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    want = expected(out)
    found = sorted(events.Tags()["scalars"])
    if found != sorted(want):
        sys.exit(f"tags {found}, want {sorted(want)}")
    for tag, steps in want.items():
        got = {e.step: e.value for e in events.Scalars(tag)}
        if got.keys() != steps.keys():
            sys.exit(f"{tag}: steps {sorted(got)}, want {sorted(steps)}")
        for step, x in steps.items():
            if got[step] != x and x == x:
                sys.exit(f"{tag}, step {step}: {got[step]}, want {x}")
    print(f"{len(want)} scalars over {max(map(max, want.values()))} steps are those of metrics.jsonl")


main(sys.argv[1])
