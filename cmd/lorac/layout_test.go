package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/lorac/build"
	"lorac/cmd/test/testkit"
	"lorac/compiler/cost"
	"lorac/runtime/sys/protowire"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/sharded"
)

// baseEntries are the tensors of the base of a tiny job under MindFormers' names.
// The base stays open to the end of the test.
func (x *tiny) baseEntries() []mindspore.Entry {
	x.t.Helper()
	set, err := safetensors.OpenSet(filepath.Join(x.dir, "base"))
	x.must(err)
	x.t.Cleanup(func() { set.Close() })
	var entries []mindspore.Entry
	for _, n := range set.Names() {
		s, _ := set.Tensor(n)
		entries = append(entries, mindspore.Entry{Name: naming.MindFormers(n), DType: s.DType, Shape: s.Shape, Write: mindspore.Bytes(s.Data)})
	}
	return entries
}

// baseCkpt writes the base of a tiny job as a MindSpore checkpoint.
func (x *tiny) baseCkpt(path string) {
	x.t.Helper()
	x.must(mindspore.Write(path, x.baseEntries(), false))
}

func (x *tiny) adapter(out string) []byte {
	x.t.Helper()
	b, err := os.ReadFile(filepath.Join(out, "adapter", "adapter_model.safetensors"))
	x.must(err)
	return b
}

// TestTrainsFromRanks: a job that starts from a tree of eight ranks, by
// auto_trans_ckpt and the strategy of the job that saved it, ends with the
// same bits as from one file; a second run takes what the first transformed.
func TestTrainsFromRanks(t *testing.T) {
	t.Parallel()
	x := newTiny(t, nil)
	want := filepath.Join(x.dir, "one")
	x.run(want)
	file := filepath.Join(x.dir, "base.ckpt")
	x.baseCkpt(file)
	degrees := sharded.Degrees{Data: 2, Model: 2, Pipeline: 2, Offset: []int{1, 0}} // of three layers
	spread, err := sharded.Of(degrees)
	x.must(err)
	tree, err := sharded.Open(file, "", sharded.One())
	x.must(err)
	defer tree.Close()
	job := filepath.Join(x.dir, "job")
	x.must(tree.WriteTree(spread, sharded.RankPath(job+"/checkpoint", "llama_")))
	for rank := range 8 {
		f, err := tree.StrategyFile(spread, rank)
		x.must(err)
		x.must(f.Write(fmt.Sprintf("%s/strategy/ckpt_strategy_rank_%d.ckpt", job, rank)))
	}
	out := filepath.Join(x.dir, "ranks")
	for i, args := range [][]string{
		{"--src_strategy_path_or_dir", job + "/strategy"},
		{}, // outside the tree
	} {
		text := x.run(out, append(args, "--load_checkpoint", job+"/checkpoint", "--auto_trans_ckpt", "True")...)
		if !bytes.Equal(x.adapter(want), x.adapter(out)) {
			t.Errorf("%v: the adapter is another", args)
		}
		if again := strings.Contains(text, "transformed by an earlier run"); again != (i == 1) {
			t.Errorf("run %d: transformed again? %s", i, text)
		}
	}
	whole, err := os.ReadFile(filepath.Join(out, "transformed_checkpoint", "checkpoint", "rank_0", "checkpoint_0.ckpt"))
	x.must(err)
	back, err := mindspore.Parse(whole)
	x.must(err)
	if got := len(back.Names()); got != len(tree.Names()) {
		t.Errorf("%d tensors are transformed, there are %d", got, len(tree.Names()))
	}
	for want, args := range map[string][]string{
		"--auto_trans_ckpt True": {"--load_checkpoint", job + "/checkpoint"},
		"is missing":             {"--load_checkpoint", job + "/checkpoint", "--auto_trans_ckpt", "True", "--src_strategy_path_or_dir", job + "/strategy"},
	} {
		if want == "is missing" {
			for _, rank := range []int{1, 3} { // both replicas
				x.must(os.Rename(fmt.Sprintf("%s/checkpoint/rank_%d", job, rank), fmt.Sprintf("%s/gone_%d", job, rank)))
			}
		}
		text, err := x.command(filepath.Join(x.dir, "fails"), args...).CombinedOutput()
		if err == nil || !strings.Contains(string(text), want) {
			t.Errorf("%v: %v\n%s", args, err, text)
		}
		if want == "is missing" {
			for _, rank := range []int{1, 3} {
				x.must(os.Rename(fmt.Sprintf("%s/gone_%d", job, rank), fmt.Sprintf("%s/checkpoint/rank_%d", job, rank)))
			}
		}
	}
}

// TestCkptCheckpoints: with checkpoint_format ckpt or safetensors a run leaves
// MindFormers' files, resumes from them with the same bits as without a stop, and
// is started from by what they hold.
func TestCkptCheckpoints(t *testing.T) {
	t.Parallel()
	t.Run("ckpt", func(t *testing.T) { t.Parallel(); testMindFormersFiles(t, "ckpt") })
	t.Run("safetensors", func(t *testing.T) {
		testkit.Slow(t, "crash")
		t.Parallel()
		testMindFormersFiles(t, "safetensors")
	})
}

func testMindFormersFiles(t *testing.T, format string) {
	x := newTiny(t, map[string]string{"runner_config.epochs": "2", // 12 steps, 6 an epoch; the scale doubles every five
		"runner_wrapper.scale_sense": "{type: DynamicLossScaleUpdateCell, loss_scale_value: 256, scale_factor: 2, scale_window: 5}"})
	want := filepath.Join(x.dir, "want")
	x.run(want)
	out := filepath.Join(x.dir, "out")
	save, ext := []string{"--checkpoint_format", format}, "."+format
	x.run(out, append(save, "--steps", "8")...)
	rank := filepath.Join(out, "checkpoint", "rank_0")
	names := func() (list []string) {
		files, _ := os.ReadDir(rank)
		for _, f := range files {
			list = append(list, f.Name())
		}
		return list
	}
	// Steps 2, 4, 6 and 8 were saved, three are kept; epochs have six steps.
	if got := names(); !slices.Equal(got, []string{"meta.json", "tiny_rank_0-1_4" + ext, "tiny_rank_0-1_6" + ext, "tiny_rank_0-2_2" + ext}) {
		t.Errorf("files: %v", got)
	}
	var m map[string]any
	text, err := os.ReadFile(filepath.Join(rank, "meta.json"))
	x.must(err)
	x.must(json.Unmarshal(text, &m))
	if fmt.Sprint(m) != "map[last_ckpt_file:tiny_rank_0-2_2"+ext+" last_epoch:2 last_step:2]" {
		t.Errorf("meta.json: %v", m)
	}
	f, err := mindspore.Open(filepath.Join(rank, "tiny_rank_0-2_2"+ext))
	x.must(err)
	defer f.Close()
	for name, value := range map[string]float64{"epoch_num": 2, "step_num": 8, "global_step": 8, "global_batch_size": 2, "loss_scale": 512, "scale_sense": 512} {
		if got, err := f.Scalar(name); got != value || err != nil {
			t.Errorf("%s is %v, %v", name, got, err)
		}
	}
	for name, shape := range map[string][]int{
		"model.layers.1.attention.wq.weight": {16, 16}, "model.norm_out.weight": {16}, "model.layers.2.attention.wv.mindpet_delta_lora_a": {4, 16},
		"adam_m.model.layers.0.attention.wq.mindpet_delta_lora_b": {16, 4}, "adam_v.model.layers.0.attention.wq.mindpet_delta_lora_b": {16, 4},
	} {
		if s, ok := f.Tensor(name); !ok || !slices.Equal(s.Shape, shape) {
			t.Errorf("%s: %v, %v", name, s.Shape, ok)
		}
	}

	// Going on: by output_dir, by a copy of the run as load_checkpoint, by a name.
	loose := filepath.Join(x.dir, "copy")
	x.must(os.CopyFS(loose, os.DirFS(out)))
	x.run(out, append(save, "--resume_training", "True")...)
	other := filepath.Join(x.dir, "other")
	x.run(other, append(save, "--resume_training", "True", "--load_checkpoint", filepath.Join(loose, "checkpoint"))...)
	third := filepath.Join(x.dir, "third")
	x.run(third, append(save, "--resume_training", "tiny_rank_0-1_4"+ext, "--load_checkpoint", filepath.Join(loose, "checkpoint"))...)
	for _, dir := range []string{out, other, third} {
		if !bytes.Equal(x.adapter(want), x.adapter(dir)) {
			t.Errorf("%s: the resumed run ends with another adapter", dir)
		}
	}
	if got := metricsOf(t, out); !slices.Equal(got, metricsOf(t, want)) {
		t.Errorf("the losses are others: %v", got)
	}
	if got := metricsOf(t, third); len(got) != 8 { // steps 5 to 12
		t.Errorf("from step 4 there are %d steps", len(got))
	}
	// The second run's files are numbered, the first one's stay.
	if got := names(); !slices.Equal(got, []string{"meta.json", "tiny_rank_0-1_4" + ext, "tiny_rank_0-1_6" + ext, "tiny_rank_0-2_2" + ext,
		"tiny_rank_0_1-2_4" + ext, "tiny_rank_0_1-2_6" + ext}) {
		t.Errorf("files after resuming: %v", got)
	}

	// The run as a cluster would have left it: four ranks, state and all.
	file := filepath.Join(loose, "checkpoint", "rank_0", "tiny_rank_0-2_2"+ext)
	spread, err := sharded.Of(sharded.Degrees{Data: 2, Model: 2})
	x.must(err)
	tree, err := sharded.Open(file, "", sharded.One())
	x.must(err)
	defer tree.Close()
	job := filepath.Join(x.dir, "job")
	x.must(tree.WriteTree(spread, func(rank int) string {
		return fmt.Sprintf("%s/checkpoint/rank_%d/tiny_rank_%d-2_2%s", job, rank, rank, ext)
	}))
	layout, err := tree.StrategyFile(spread, 0)
	x.must(err)
	x.must(layout.Write(job + "/strategy/ckpt_strategy_rank_0.ckpt"))
	fourth := filepath.Join(x.dir, "fourth")
	x.run(fourth, "--resume_training", "True", "--auto_trans_ckpt", "True", "--load_checkpoint", job+"/checkpoint")
	if !bytes.Equal(x.adapter(want), x.adapter(fourth)) || len(metricsOf(t, fourth)) != 4 {
		t.Error("resuming from four ranks ends with another adapter")
	}

	// A damaged file is said, and another may be named.
	changeFile(t, filepath.Join(loose, "checkpoint", "rank_0", "tiny_rank_0-2_2"+ext), func(b []byte) []byte { return b[:len(b)-7] })
	text, err = x.command(filepath.Join(x.dir, "damaged"), append(save, "--resume_training", "True", "--load_checkpoint", filepath.Join(loose, "checkpoint"))...).CombinedOutput()
	if err == nil || !strings.Contains(string(text), "cut short") && !strings.Contains(string(text), "truncated") {
		t.Errorf("a damaged checkpoint: %v\n%s", err, text)
	}

	// The weights alone hold base and adapter: evaluated, they are what was trained.
	network := filepath.Join(out, "checkpoint_network", "rank_0", "tiny_rank_0_1-network"+ext)
	n, err := mindspore.Open(network)
	x.must(err)
	defer n.Close()
	for _, name := range n.Names() {
		if _, state := naming.StateOf(name); state || !strings.Contains(name, ".") {
			t.Errorf("%s is no weight", name)
		}
	}
	eval := func(args ...string) string {
		text := x.run(filepath.Join(x.dir, "eval"), append(args, "--run_mode", "eval", "--eval_dataset_dir", filepath.Join(x.dir, "rows.jsonl"))...)
		if strings.Contains(text, "the base model alone") {
			t.Errorf("%v: the adapter is said to be missing", args)
		}
		_, loss, _ := strings.Cut(text, "evaluation: loss ")
		loss, _, _ = strings.Cut(loss, "\n")
		return loss
	}
	x.cfg.LoRA = nil // do not give the start of the adapter
	a, b := eval("--load_adapter", filepath.Join(want, "adapter")), eval("--load_checkpoint", network)
	if a != b || a == "" {
		t.Errorf("by adapter: %s, by network: %s", a, b)
	}
}

// TestResumesMindFormers: a checkpoint without our identity is resumed by the
// original's rules: steps count by rows when the batch size changed.
func TestResumesMindFormers(t *testing.T) {
	t.Parallel()
	x := newTiny(t, map[string]string{"runner_config.epochs": "2"})
	want := filepath.Join(x.dir, "want")
	x.run(want, "--checkpoint_format", "ckpt", "--steps", "4")
	strip := func(to string, batch int, drop string) {
		f, err := mindspore.Open(filepath.Join(want, "checkpoint", "rank_0", "tiny_rank_0-1_4.ckpt"))
		x.must(err)
		defer f.Close()
		var entries []mindspore.Entry
		for _, n := range f.Names() {
			s, _ := f.Tensor(n)
			if strings.HasPrefix(n, "lorac_") || n == "global_batch_size" || drop != "" && strings.HasPrefix(n, drop) {
				continue
			}
			entries = append(entries, mindspore.Entry{Name: n, DType: s.DType, Shape: s.Shape, Write: func(w io.Writer) error { _, err := w.Write(s.Data); return err }})
		}
		if batch > 0 {
			entries = append(entries, mindspore.Int("global_batch_size", batch))
		}
		x.must(mindspore.Write(filepath.Join(to, "rank_0", "CKP_rank_0-1_4.ckpt"), entries, true))
	}
	for _, c := range []struct {
		batch int
		drop  string
		want  string
	}{
		{0, "", "resumed after step 4,"}, {2, "", "resumed after step 4,"},
		{3, "", "step 4 is step 6"}, // 4 steps of 3 rows are 6 of 2
		{2, "adam_v.", "it lacks adam_v.model.layers.0.attention.wq.mindpet_delta_lora_a"},
	} {
		dir := filepath.Join(x.dir, fmt.Sprint("from", c.batch, c.drop))
		strip(dir, c.batch, c.drop)
		text, err := x.command(filepath.Join(dir, "out"), "--load_checkpoint", dir, "--resume_training", "True").CombinedOutput()
		if (err != nil) != (c.drop != "") || !strings.Contains(string(text), c.want) {
			t.Errorf("%+v: %v\n%s", c, err, text)
		}
	}
}

// TestCkptStates: what other optimizers remember goes by the names MindFormers
// gives it, and a run resumes from it bit for bit.
func TestCkptStates(t *testing.T) {
	t.Parallel()
	for optimizer, states := range map[string][]string{
		"{type: Momentum, learning_rate: 1.e-3, momentum: 0.9}":                                 {"moments."},
		"{type: Came, learning_rate: 1.e-3, relative_step: False, eps: [1.e-12, 1.e-3, 1.e-8]}": {"exp_avg.", "exp_avg_sq_row.", "exp_avg_sq_col.", "exp_avg_insta_row.", "exp_avg_insta_col."},
	} {
		x := newTiny(t, map[string]string{"optimizer": optimizer})
		want, out := filepath.Join(x.dir, "want"), filepath.Join(x.dir, "out")
		x.run(want)
		x.run(out, "--checkpoint_format", "ckpt", "--steps", "3")
		f, err := mindspore.Open(filepath.Join(out, "checkpoint", "rank_0", "tiny_rank_0-1_3.ckpt"))
		x.must(err)
		defer f.Close()
		for _, s := range states {
			if _, ok := f.Tensor(s + "model.layers.2.attention.wv.mindpet_delta_lora_b"); !ok {
				t.Errorf("%s: there is no %s among %v", optimizer, s, f.Names())
			}
		}
		x.run(out, "--checkpoint_format", "ckpt", "--resume_training", "True")
		if !bytes.Equal(x.adapter(want), x.adapter(out)) {
			t.Errorf("%s: the resumed run ends with another adapter", optimizer)
		}
	}
}

// TestTensorInPieces: a tensor that several entries of a .ckpt hold is joined;
// plan counts the memory, and training is the same. A checkpoint that holds
// an adapter and the base is a base, too.
func TestTensorInPieces(t *testing.T) {
	t.Parallel()
	x := newTiny(t, nil)
	want := filepath.Join(x.dir, "want")
	x.run(want)
	whole, cut := filepath.Join(x.dir, "whole.ckpt"), filepath.Join(x.dir, "cut.ckpt")
	x.baseCkpt(whole)
	f, err := mindspore.Open(whole)
	x.must(err)
	defer f.Close()
	const name = "model.tok_embeddings.embedding_weight" // [40, 16] of f32: 2560 bytes
	var entries []mindspore.Entry
	var pieces []byte
	for _, n := range f.Names() {
		s, _ := f.Tensor(n)
		if n != name {
			entries = append(entries, mindspore.Entry{Name: n, DType: s.DType, Shape: s.Shape, Write: mindspore.Bytes(s.Data)})
			continue
		}
		for _, piece := range [][]byte{s.Data[:1000], s.Data[1000:1001], s.Data[1001:]} {
			var dims []byte
			for _, d := range s.Shape {
				dims = protowire.AppendVarint(dims, 1, uint64(d))
			}
			tensor := protowire.AppendBytes(protowire.AppendBytes(dims, 2, []byte("Float32")), 3, piece)
			pieces = protowire.AppendBytes(pieces, 1, protowire.AppendBytes(protowire.AppendBytes(nil, 1, []byte(n)), 2, tensor))
		}
	}
	entries = append(entries, mindspore.Entry{Name: "model.layers.0.attention.wq.mindpet_delta_lora_a", DType: "F32", Shape: []int{4, 16}, Write: mindspore.Bytes(make([]byte, 256))})
	x.must(mindspore.Write(cut, entries, false))
	rest, err := os.ReadFile(cut)
	x.must(err)
	x.must(os.WriteFile(cut, append(pieces, rest...), 0o666))
	out := filepath.Join(x.dir, "out")
	x.run(out, "--load_checkpoint", cut)
	if !bytes.Equal(x.adapter(want), x.adapter(out)) {
		t.Error("the adapter is another")
	}
	r, err := build.Compile(x.cfg, build.Target{Weights: cut}, build.Options{})
	x.must(err)
	if i := slices.IndexFunc(r.Process.Parts, func(p cost.Part) bool { return strings.Contains(p.Name, "joined") }); i < 0 || r.Process.Parts[i].Bytes != 2560 {
		t.Errorf("plan counts %v", r.Process.Parts)
	}
}
