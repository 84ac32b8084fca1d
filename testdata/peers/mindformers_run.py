"""What the real MindFormers does with a config, on a CPU.

    python3 mindformers_run.py CONFIG finetune|eval|predict [KEY=VALUE...] [--out FILE]

writes a line of JSON for each step (loss, lr, grad_norm, overflow, loss_scale), evaluation or
text to FILE (default: standard output). KEY=VALUE sets a key of the config, by its dotted path.

Needs, in an environment of its own (Python 3.11, Linux, x86-64): mindspore 2.7.0 and mindformers
1.3.2 without its dependencies (--no-deps), then numpy below 2, mindpet 1.0.4, sentencepiece,
ftfy, regex, tqdm, pyyaml, jieba, rouge_chinese, nltk, requests, tiktoken, tokenizers 0.15.0,
jinja2, setproctitle, safetensors, datasets 2.18.0, pyarrow below 17, opencv-python-headless,
astunparse and setuptools below 80.

MindFormers 1.2.0 runs too, if it comes before 1.3.2 in PYTHONPATH (pip install --no-deps --target).
It reports no grad_norm.

What is changed of the two, none of which changes a number in float32: cells get the `cast` that
MindSpore 2.3 gave them, the rotary embedding is by slices (use_rope_slice), overflow is that of
the 910B (a gradient is not finite), and mint.argmax, which a CPU lacks, is ops.argmax. For 1.2,
names it imports and MindSpore has dropped are None, and RMSNorm is by its formula, not the fused
operator, which a CPU lacks.
"""
import json
import sys

from mindspore import mint, nn, ops
from mindspore.nn.wrap.loss_scale import TrainOneStepWithLossScaleCell
from mindspore.ops.operations import _inner_ops
from mindspore.parallel import _utils
from mindspore.train import Callback

before = nn.Cell.__init__


def cell(self, *given, **named):
    before(self, *given, **named)
    self.cast = ops.operations.Cast()


nn.Cell.__init__ = cell
wrapped = TrainOneStepWithLossScaleCell.__init__


def wrapper(self, *given, **named):
    wrapped(self, *given, **named)
    self.ascend_910b_target, self.enable_allfinite, self._ascend_check_overflow_mode = True, False, "INFNAN_MODE"


TrainOneStepWithLossScaleCell.__init__ = wrapper

mint.argmax = ops.argmax
# Names that 1.2 imports and MindSpore has dropped. One process uses none of them.
for module, name in ((_utils, "_is_pynative_parallel"), (_inner_ops, "Send"), (_inner_ops, "Receive")):
    if not hasattr(module, name):
        setattr(module, name, None)
from mindformers.core.context import build_context  # noqa: E402
from mindformers.models.llama import llama_layer  # noqa: E402
from mindformers.tools.register import MindFormerConfig, MindFormerModuleType, MindFormerRegister  # noqa: E402
from mindformers.trainer import Trainer, base_trainer  # noqa: E402

# 1.2 does not read fused_rms_norm.
llama_layer.check_rmsnorm_big_kernel_valid = lambda: False


def number(x):
    return None if x is None else float(x.asnumpy().reshape(-1)[0]) if hasattr(x, "asnumpy") else float(x)


@MindFormerRegister.register(MindFormerModuleType.CALLBACK)
class Record(Callback):
    def step_end(self, run_context):
        p = run_context.original_args()
        out = p.net_outputs
        write({"step": p.cur_step_num, "loss": number(out[0]), "overflow": bool(number(out[1])), "loss_scale": number(out[2]), "lr": number(out[3]), "grad_norm": number(out[4]) if len(out) > 4 else None})


stream = sys.stdout


def write(row):
    stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    stream.flush()


def metrics(message, *given):
    text = str(message) % given if given else str(message)
    if "Metric'" in text and "=" in text or "Eval result" in text or "F1 score" in text:
        write({"evaluation": text})


def main():
    global stream
    arguments = sys.argv[1:]
    if "--out" in arguments:
        at = arguments.index("--out")
        stream = open(arguments[at + 1], "w", encoding="utf-8")
        del arguments[at:at + 2]
    config = MindFormerConfig(arguments[0])
    mode = config.run_mode = arguments[1]
    config.model.model_config.use_rope_slice = True
    for item in arguments[2:]:
        path, value = item.split("=", 1)
        *sections, key = path.split(".")
        part = config
        for s in sections:
            part = part[s]
        try:
            value = json.loads({"True": "true", "False": "false"}.get(value, value))
        except ValueError:
            pass
        part[key] = value
    said = base_trainer.logger.info

    def info(message, *given, **named):
        metrics(message, *given)
        said(message, *given, **named)
    for module in list(sys.modules.values()):
        if getattr(module, "logger", None) is base_trainer.logger:
            module.logger.info = info
            break
    if mode in ("train", "finetune"):
        config.callbacks.append(MindFormerConfig(type="Record"))
    build_context(config)
    trainer = Trainer(config)
    if mode == "eval":
        trainer.evaluate(eval_checkpoint=config.load_checkpoint)
    elif mode == "predict":
        prompts = config.input_data if isinstance(config.input_data, list) else [config.input_data]
        for answer in trainer.predict(predict_checkpoint=config.load_checkpoint, input_data=prompts):
            write({"text": answer["text_generation_text"][0]})
    else:
        trainer.finetune(finetune_checkpoint=config.load_checkpoint or None)


main()
