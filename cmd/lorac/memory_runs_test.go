package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/convert"
	"lorac/cmd/test/testkit"
	"lorac/compiler/config"
	"lorac/runtime/data/mindrecord"
)

// promised checks the promise of a plan: no run takes more, and the plan is at
// most 3 % and 2 MiB above what is measured, where the run uses all it may.
func promised(t *testing.T, what string, planned, measured int) {
	t.Helper()
	t.Logf("%s: planned %d, measured %d (%.3f)", what, planned, measured, float64(measured)/float64(planned))
	if measured > planned || measured > 0 && planned > measured*103/100+2<<20 {
		t.Errorf("%s: planned %d bytes, measured %d", what, planned, measured)
	}
}

// lorac runs the command in a process of its own.
func (j *limitedJob) lorac(args ...string) (stdout, stderr string, err error) {
	j.t.Helper()
	cmd := selfCommand(j.t, args...)
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	err = cmd.Run()
	return out.String(), fault.String(), err
}

// planned is what `lorac plan` says under some flags.
func (j *limitedJob) planned(flags ...string) *build.Plan {
	j.t.Helper()
	args := append([]string{"plan", j.file, "--json", "--load_checkpoint", j.base, "--train_dataset_dir", j.rows}, flags...)
	out, fault, err := j.lorac(args...)
	p := &build.Plan{}
	if err == nil {
		err = json.Unmarshal([]byte(out), p)
	}
	if err != nil {
		j.t.Fatalf("%q: %v\n%s", args, err, fault)
	}
	return p
}

// finetune runs under the same flags and returns the peak in bytes; 0 where
// the system does not say.
func (j *limitedJob) finetune(out string, flags ...string) int {
	j.t.Helper()
	args := append([]string{"finetune", j.file, "--load_checkpoint", j.base, "--train_dataset_dir", j.rows, "--output_dir", out}, flags...)
	text, fault, err := j.lorac(args...)
	if err != nil {
		j.t.Fatalf("%q: %v\n%s%s", args, err, text, fault)
	}
	return peakOf(j.t, text)
}

// peakOf reads the peak in bytes that a run says; 0 where the system does not know it.
func peakOf(t *testing.T, text string) int {
	t.Helper()
	m := peakLine.FindStringSubmatch(text)
	if m == nil {
		if runtime.GOOS == "linux" {
			t.Fatalf("no peak memory is said:\n%s", text)
		}
		return 0
	}
	x, _ := strconv.ParseFloat(m[1], 64)
	return int(x * (1 << 20))
}

// TestRunsOfPlans: whatever flags change the memory of a run, plan knows it
// under the same flags, and a limit that the plan keeps is kept.
func TestRunsOfPlans(t *testing.T) {
	testkit.Slow(t, "memory")
	j := newLimitedJob(t, "vocab_size: 40", "vocab_size: 16000") // of its embedding, few rows are read
	full := j.planned().Total
	for name, flags := range map[string][]string{
		"plain":         {},
		"batch":         {"--batch_size", "1"},
		"key of batch":  {"--runner_config.batch_size", "1", "--gradient_accumulation_steps", "2"},
		"threads":       {"--threads", "7"},
		"one thread":    {"--threads", "1"},
		"int4":          {"--quant", "int4"},
		"int8, short":   {"--quant", "int8", "--batch_size", "1", "--model.model_config.seq_length", "64"},
		"limit":         {"--mem_limit", fmt.Sprint(full * 4 / 5)},
		"limit, more":   {"--mem_limit", fmt.Sprint(full * 5 / 6), "--threads", "5"},
		"limit, blocks": {"--mem_limit", fmt.Sprint(full * 2 / 3), "--quant", "int4"},
		"one step":      {"--batch_size", "1", "--steps", "1"},
		"limit, loose":  {"--mem_limit", fmt.Sprint(full + 1)},
	} {
		p := j.planned(flags...)
		measured := j.finetune(filepath.Join(j.dir, name), flags...)
		if name == "threads" { // without a core of its own, one may do nothing
			if measured > p.Total || measured > 0 && measured < p.Total*8/10 {
				t.Errorf("%s: planned %d bytes, measured %d", name, p.Total, measured)
			}
		} else {
			promised(t, name, p.Total, measured)
		}
		if p.Limit > 0 && p.Total > p.Limit {
			t.Errorf("%s: planned %d bytes, more than the limit", name, p.Total)
		}
	}

	// More memory never costs more work.
	last := 0.0
	for i := range 6 {
		limit := full*3/4 + full*i/12
		p := j.planned("--mem_limit", fmt.Sprint(limit), "--threads", "4")
		if last > 0 && p.FLOPs > last {
			t.Errorf("%d bytes take %v FLOP, fewer take %v", limit, p.FLOPs, last)
		}
		last = p.FLOPs
	}
}

// TestNarrowModelWithinLimit: a model whose tiles are mostly edges takes what is
// planned, on each instruction set that is here.
func TestNarrowModelWithinLimit(t *testing.T) {
	testkit.Slow(t, "memory")
	j := &limitedJob{t: t, dir: t.TempDir(), file: root + "/configs/stories260K/lora_stories260K.yaml"}
	vocab := config.Override{Path: "model.model_config.vocab_size", Value: "16000", Origin: "test"}
	j.base, j.rows = filepath.Join(j.dir, "base"), filepath.Join(j.dir, "rows.jsonl")
	if _, _, err := convert.SynthesizeBase(j.file, []config.Override{vocab}, j.base, "f16", 1); err != nil {
		t.Fatal(err)
	}
	var lines []byte
	for row := range 48 {
		ids := make([]int, 150+row*37%101)
		for i := range ids {
			ids[i] = 3 + (7919*i+row*row)%15997
		}
		line, _ := json.Marshal(map[string]any{"input_ids": ids, "labels": ids})
		lines = append(append(lines, line...), '\n')
	}
	if err := os.WriteFile(j.rows, lines, 0o666); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--batch_size", "16", "--" + vocab.Path, vocab.Value}
	for _, cpu := range []string{"", "avx2"} {
		t.Setenv("LORAC_CPU", cpu)
		full := j.planned(flags...).Total
		limited := append(flags, "--mem_limit", fmt.Sprint(full*4/5))
		for what, flags := range map[string][]string{"no limit": flags, "limit": limited} {
			p := j.planned(flags...)
			promised(t, cpu+" "+what, p.Total, j.finetune(filepath.Join(j.dir, cpu+what), flags...))
			if p.Limit > 0 && p.Total > p.Limit {
				t.Errorf("%d bytes are planned, more than the limit of %d", p.Total, p.Limit)
			}
		}
	}
}

// TestReadingBelowPlan: neither a tokenizer of many pieces nor the reading of
// data that are larger than all else takes a run above its plan.
func TestReadingBelowPlan(t *testing.T) {
	testkit.Slow(t, "memory")
	t.Parallel()
	j := newLimitedJob(t, "vocab_size: 40", "vocab_size: 24000", "hidden_size: 256", "hidden_size: 16", "intermediate_size: 704", "intermediate_size: 24", "seq_length: 512", "seq_length: 40")
	file := j.tokenizer(24000)
	words := strings.Repeat("what a long text this is ", 80000) // 2 MB
	row := `{"prompt": "ask ", "completion": "` + strings.Repeat("tell ", 20) + `"}` + "\n"
	for name, rows := range map[string]string{"rows.txt": words, "rows.jsonl": strings.Repeat(row, 12000), "rows.mindrecord": ""} {
		j.rows = filepath.Join(j.dir, name)
		if rows == "" {
			padded(t, j.rows, 60000, 41) // 20 MB, of which little is live
		} else if err := os.WriteFile(j.rows, []byte(rows), 0o666); err != nil {
			t.Fatal(err)
		}
		flags := []string{"--steps", "3"}
		if rows != "" {
			flags = append(flags, "--tokenizer", file)
		}
		p := j.planned(flags...)
		measured := j.finetune(filepath.Join(j.dir, "out"+name), flags...)
		t.Logf("%s: planned %d, measured %d (%.3f)", name, p.Total, measured, float64(measured)/float64(p.Total))
		if measured > p.Total || measured > 0 && measured < p.Total-4<<20 { // how late the collector is, chance says
			t.Errorf("%s: planned %d bytes, measured %d", name, p.Total, measured)
		}
	}
}

// tokenizer writes one of n pieces: controls, characters, and numbers after a blank.
func (j *limitedJob) tokenizer(n int) string {
	j.t.Helper()
	vocab := map[string]int{"<unk>": 0, "<s>": 1, "</s>": 2}
	add := func(piece string) {
		if len(vocab) < n {
			vocab[piece] = len(vocab)
		}
	}
	for c := 'a'; c <= 'z'; c++ {
		add(string(c))
	}
	add("▁")
	for c := '一'; c < '一'+99; c++ {
		add(string(c))
	}
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b))
	}
	for i := 0; len(vocab) < n; i++ {
		add(fmt.Sprintf("▁%d", i))
	}
	pieces, err := json.Marshal(vocab)
	if err != nil {
		j.t.Fatal(err)
	}
	file := filepath.Join(j.dir, "tokenizer.json")
	text := `{"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}, ` +
		`"added_tokens": [], "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "merges": [], "vocab": ` + string(pieces) + `}}`
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		j.t.Fatal(err)
	}
	return file
}

// questions writes rows of ids, each a prompt and an answer that is supervised.
func (j *limitedJob) questions(name string, prompt, answer int) string {
	j.t.Helper()
	var lines []byte
	for row := range 4 {
		ids, labels := []int{}, []int{}
		for i := range prompt + row + answer {
			id := 3 + (7*i*i+5*row)%37
			ids, labels = append(ids, id), append(labels, id)
			if i < prompt+row {
				labels[i] = -100
			}
		}
		line, _ := json.Marshal(map[string]any{"input_ids": ids, "labels": labels})
		lines = append(append(lines, line...), '\n')
	}
	file := filepath.Join(j.dir, name)
	if err := os.WriteFile(file, lines, 0o666); err != nil {
		j.t.Fatal(err)
	}
	return file
}

// TestGeneratingAsPlanned: texts that an evaluation generates take what their
// length asks for, not what seq_length or the rows of training would, and are
// the same where a prompt is longer than a pass.
func TestGeneratingAsPlanned(t *testing.T) {
	testkit.Slow(t, "memory")
	t.Parallel()
	metric := []string{"run_mode: finetune", "run_mode: finetune\nmetric: {type: EmF1Metric}", "seq_length: 512", "seq_length: 2048"}
	j := newLimitedJob(t, append(metric, "vocab_size: 40", "vocab_size: 16000")...)
	long := j.rows
	tokens := j.tokenizer(16000)
	for name, x := range map[string]struct {
		rows    string
		prompt  int
		longest string
	}{
		"short texts":                  {long, 20, "8"},
		"long texts":                   {long, 20, "300"},
		"prompts longer than the rows": {j.questions("few.jsonl", 10, 50), 500, "8"},
	} {
		j.rows = x.rows
		flags := []string{"--tokenizer", tokens, "--eval_dataset_dir", j.questions("eval.jsonl", x.prompt, 5), "--max_new_tokens", x.longest}
		p := j.planned(flags...)
		measured := j.finetune(filepath.Join(j.dir, name), flags...)
		t.Logf("%s: planned %d, measured %d (%.3f)", name, p.Total, measured, float64(measured)/float64(p.Total))
		if measured > p.Total || measured > 0 && measured < p.Total*94/100 {
			t.Errorf("%s: planned %d bytes, measured %d", name, p.Total, measured)
		}
	}
	j.rows = long
	samples := []string{"--tokenizer", tokens, "--predict_data", "abc", "--predict_data", "bc", "--max_new_tokens", "300"}
	if p, measured := j.planned(samples...), j.finetune(filepath.Join(j.dir, "samples"), samples...); measured > p.Total || measured > 0 && measured < p.Total*90/100 {
		t.Errorf("samples: planned %d bytes, measured %d", p.Total, measured)
	}
	for _, past := range []string{"True", "False"} { // how long a prompt will be, a plan does not know
		flags := []string{"--tokenizer", tokens, "--run_mode", "predict", "--predict_data", "abc", "--max_new_tokens", "60", "--use_past", past}
		if p, measured := j.planned(flags...), j.finetune(filepath.Join(j.dir, "predict"), append(flags, "--save_file=")...); measured > p.Total {
			t.Errorf("prediction, caches %s: planned %d bytes, measured %d", past, p.Total, measured)
		}
	}

	j = newLimitedJob(t, append(metric, "vocab_size: 40", "vocab_size: 400", "hidden_size: 256", "hidden_size: 16")...)
	j.rows = j.questions("few.jsonl", 3, 4)
	scores := map[string]string{}
	for _, past := range []string{"True", "False"} {
		args := []string{"finetune", j.file, "--load_checkpoint", j.base, "--tokenizer", j.tokenizer(400), "--train_dataset_dir", j.rows, "--batch_size", "1",
			"--eval_dataset_dir", j.questions("eval.jsonl", 40, 30), "--max_new_tokens", "30", "--output_dir", filepath.Join(j.dir, past), "--use_past", past}
		text, fault, err := j.lorac(args...)
		if err != nil {
			t.Fatalf("%v\n%s", err, fault)
		}
		for _, line := range strings.Split(text, "\n") {
			if strings.Contains(line, "evaluation before") {
				scores[past] = line
			}
		}
	}
	t.Log(scores)
	if a, b := scores["True"], scores["False"]; a == "" || a != b {
		t.Errorf("with caches %q, without %q", a, b)
	}
}

// TestSavingBelowPlan: files of all weights, larger than the activations, take
// no memory to write, whether the weights train or are read in blocks.
func TestSavingBelowPlan(t *testing.T) {
	testkit.Slow(t, "memory")
	t.Parallel()
	save := []string{"save_checkpoint_steps: 2", "save_checkpoint_steps: 1, checkpoint_format: ckpt, save_network_params: True, save_trainable_params: True", "vocab_size: 40", "vocab_size: 24000"}
	full := newLimitedJob(t, append(save, "pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: '.*wq|.*wv'}", "")...)
	adapter := newLimitedJob(t, save...)
	for name, x := range map[string]struct {
		j     *limitedJob
		flags []string
	}{
		"all":           {full, nil},
		"adapter, int4": {adapter, []string{"--batch_size", "1", "--quant", "int4"}},
	} {
		p := x.j.planned(x.flags...)
		measured := x.j.finetune(filepath.Join(x.j.dir, name), x.flags...)
		t.Logf("%s: planned %d, measured %d (%.3f)", name, p.Total, measured, float64(measured)/float64(p.Total))
		if measured > p.Total || measured > 0 && measured < p.Total*94/100 {
			t.Errorf("%s: planned %d bytes, measured %d", name, p.Total, measured)
		}
	}
}

// padded writes a MindRecord of rows of some ids, all but five of them padding.
func padded(t *testing.T, path string, rows, ids int) {
	t.Helper()
	column := mindrecord.Field{Shape: []int{-1}, Type: "int32"}
	w, err := mindrecord.Create(path, map[string]mindrecord.Field{"input_ids": column, "labels": column}, mindrecord.Options{})
	if err != nil {
		t.Fatal(err)
	}
	row := make([]int32, ids)
	copy(row, []int32{1, 7, 8, 9, 10})
	list := slices.Repeat([]mindrecord.Row{{"input_ids": row, "labels": row}}, 1000)
	for range rows / len(list) {
		if err := w.Write(list...); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
}

// A run may resume under another limit, and with more steps.
func TestResumeUnderAnotherLimit(t *testing.T) {
	testkit.Slow(t, "memory")
	j := newLimitedJob(t)
	full := j.planned().Total
	whole, cut := filepath.Join(j.dir, "whole"), filepath.Join(j.dir, "cut")
	limit := []string{"--mem_limit", fmt.Sprint(full * 2 / 3)}
	j.finetune(whole, limit...)
	j.finetune(cut, append(limit, "--steps", "1")...)
	j.finetune(cut, "--resume_training", "True", "--mem_limit", fmt.Sprint(full*3/5))
	sameOutcome(t, "another limit", outcome(t, whole), outcome(t, cut))
}

// The trainer's own limit counts the threads it has.
func TestTrainersOwnLimit(t *testing.T) {
	j := newLimitedJob(t)
	p := j.planned("--threads", "2")
	_, said, err := j.lorac("compile", j.file, "-o", filepath.Join(j.dir, "build"))
	if err != nil {
		t.Fatal(said)
	}
	for threads, ok := range map[string]bool{"1": true, "40": false} {
		args := []string{"--load_checkpoint", j.base, "--train_dataset_dir", j.rows, "--output_dir", filepath.Join(j.dir, threads),
			"--threads", threads, "--mem_limit", fmt.Sprint(p.Total + 16<<20)}
		text, err := testkit.Command(t, filepath.Join(j.dir, "build", "middle"), args...).CombinedOutput()
		if (err == nil) != ok {
			t.Errorf("%s threads: %v\n%s", threads, err, text)
		}
		if !ok {
			mustContain(t, string(text), "with 40 threads, more than --mem_limit allows", "= help:")
		}
	}
}
