package config

import (
	"path/filepath"
	"slices"
	"strings"
)

// Formats and prompts of data sets, lorac's own keys: see Dataset.
var (
	formats = map[string]string{"auto": "auto", "alpaca": "alpaca", "completion": "completion", "sharegpt": "sharegpt", "messages": "messages", "tokens": "tokens", "text": "text"}
	prompts = map[string]string{"auto": "", "vicuna": "vicuna", "alpaca": "alpaca", "plain": "plain", "llama2": "llama2", "llama3": "llama3", "chatml": "chatml", "tokenizer": "tokenizer"}
	parts   = map[string]string{"turns": "", "last": "last", "all": "all"}
	splits  = map[string]string{"": "", "train": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "eval": "valid", "test": "test"}
	packs   = map[string]string{"": "", "pack": "pack", "truncate": "truncate"}
)

// dataFile are the endings of data files.
var dataFile = []string{".json", ".jsonl", ".ndjson", ".txt", ".csv", ".tsv", ".parquet", ".gz"}

// dataset reads train_dataset or eval_dataset.
func (l *loader) dataset(name string, train bool) Dataset {
	p := name + "."
	d := Dataset{
		Dir:     l.str(p+"data_loader.dataset_dir", ""),
		Shuffle: l.bool(p+"data_loader.shuffle", train), DropRemainder: l.bool(p+"drop_remainder", train),
		Repeat: l.int(p+"repeat", 1),
		Format: l.meaning(p+"data_loader.format", "auto", formats), Prompt: l.meaning(p+"data_loader.prompt", "auto", prompts),
		TrainOn:  l.meaning(p+"data_loader.train_on", "turns", parts),
		Split:    l.meaning(p+"data_loader.split", "", splits),
		Samples:  l.int(p+"data_loader.num_samples", 0),
		Pack:     l.meaning(p+"data_loader.packing", "", packs),
		EODReset: l.bool(p+"eod_reset", false), EOD: l.int(p+"eod_token_id", -1),
	}
	if l.given(p + "data_loader.type") {
		d.Order = l.str(p+"data_loader.type", "")
		d.Order.V = map[string]string{"CommonDataLoader": "generator"}[d.Order.V]
	}
	if columns := l.strs(p + "input_columns"); len(columns.V) > 0 {
		d.NoLabels = Val[bool]{!slices.Contains(columns.V, "labels"), columns.At, columns.Origin}
	}
	l.dataFiles(p+"data_loader.", &d)
	l.handlers(p+"data_loader.handler", &d)
	if d.EODReset.V && d.EOD.V < 0 {
		l.errorf(d.EODReset.At, "value", "`%seod_reset` needs the id that ends a document", p).WithHelp("set `%seod_token_id`", p)
	}
	return d
}

// dataFiles finds the data without dataset_dir: in dataset_files, or in path and
// data_files, the keys of the loaders of Hugging Face data sets.
func (l *loader) dataFiles(p string, d *Dataset) {
	path, at := l.str(p+"path", ""), l.root.get(p+"path")
	for _, key := range []string{"dataset_files", "data_files"} {
		if !l.given(p + key) {
			continue
		}
		if files := l.strs(p + key); d.Dir.V == "" {
			d.Dir = Val[string]{strings.Join(files.V, ","), files.At, files.Origin}
		}
	}
	builders := []string{"json", "text", "csv", "parquet"}
	if d.Dir.V != "" || path.V == "" || at == nil {
		return
	}
	local := strings.HasPrefix(path.V, ".") || filepath.IsAbs(path.V) || slices.Contains(dataFile, strings.ToLower(filepath.Ext(path.V)))
	switch {
	case slices.Contains(builders, path.V):
		l.warnf(path.At, "no-data", "`%spath` is `%s` and `data_files` is missing", p, path.V).WithHelp("set `%sdata_files`, or give --%s_dir FILE", p, strings.Split(p, ".")[0])
	case local:
		d.Dir = path
	default:
		l.warnf(path.At, "not-fetched", "the data set `%s` is not downloaded here", path.V).
			WithHelp("fetch it, and give the file as `%sdata_files` or --%s_dir", p, strings.Split(p, ".")[0])
	}
}

// handlers reads the transformations of rows.
func (l *loader) handlers(p string, d *Dataset) {
	list := l.seen(p)
	at := l.place(p + ".type")
	d.Take, d.Cut = Val[int]{0, at, "default"}, Val[int]{0, at, "default"}
	d.InstructionKey = Val[string]{"", at, "default"}
	d.InputKey, d.OutputKey = d.InstructionKey, d.InstructionKey
	if list == nil {
		return
	}
	kinds := map[string]string{"take": "take", "AlpacaInstructDataHandler": "alpaca", "PackingHandler": "pack"}
	for _, item := range list.items {
		sub := &loader{c: l.c, root: item, unread: l.unread, bad: l.bad, prefix: p + "[].", home: item.pos}
		switch _, kind := sub.choice("type", "", kinds); kind {
		case "take":
			d.Take = sub.int("n", 0)
		case "alpaca":
			d.Cut = sub.int("seq_length", 0)
			d.InstructionKey, d.InputKey, d.OutputKey = sub.str("instruction_key", ""), sub.str("input_key", ""), sub.str("output_key", "")
		case "pack":
			d.Pack = sub.meaning("pack_strategy", "pack", map[string]string{"pack": "pack", "truncate": "truncate"})
			d.Cut = sub.int("seq_length", 0)
		}
		l.diags = append(l.diags, sub.diags...)
	}
}

// dataRules checks data sets against the model.
func (l *loader) dataRules() {
	if s := &l.c.Devices.Shard; s.V != "" && l.c.Train.Order.V != "" {
		*s = Val[string]{"stride", l.c.Train.Order.At, "derived"}
	}
	for _, d := range []Dataset{l.c.Train, l.c.Eval} {
		if d.Cut.V > l.c.Model.SeqLength.V {
			l.errorf(d.Cut.At, "mismatch", "rows of %d tokens do not fit the model's seq_length %d", d.Cut.V, l.c.Model.SeqLength.V).
				At(l.c.Model.SeqLength.At, "the model's").WithHelp("give both the same length")
		}
	}
}
