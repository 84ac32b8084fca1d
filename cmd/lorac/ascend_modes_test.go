package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/ir"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/safetensors"
)

// loss is what the evaluator says of all rows: a mean over supervised tokens, or
// over those that are no padding either.
func (x *tiny) loss(padding bool) float64 {
	env := ir.Env{"T": 1, "S": 1, "N": 1}
	in := ir.NewInterp(x.module, env)
	x.fill(in, x.module)
	in.Refresh()
	args := x.pass(x.rows, 0, env)
	w := args["weights"].F
	n := 0
	for i, id := range args["targets"].I {
		if w[i] = 0; padding || id != 0 {
			w[i] = 1
			n++
		}
	}
	return in.Call("loss", argsOf(x.module.Func("loss"), args)...)[0].F[0] / float64(n)
}

// argsOf are the arguments of a function in its order.
func argsOf(f *ir.Func, args map[string]*ir.Array) (ordered []*ir.Array) {
	for _, p := range f.Params {
		ordered = append(ordered, args[p.Name])
	}
	return ordered
}

var number = regexp.MustCompile(`-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?`)

// form is a text without its numbers.
func form(text string) []string {
	return strings.Split(number.ReplaceAllString(text, "#"), "\n")
}

// TestAscendModes: evaluation by itself and between steps, and what a run leaves, are
// on the device as on the CPU.
func TestAscendModes(t *testing.T) {
	testkit.Slow(t, "ascend")
	for _, metric := range []string{"", "{type: PerplexityMetric}"} {
		t.Run("metric "+metric, func(t *testing.T) {
			set := restlessOnAscend(nil)
			if metric != "" {
				testkit.Slow(t, "ascend")
				set["metric"] = metric
			}
			newTinyOnAscend(t, set).modes(metric == "")
		})
	}
}

// modes holds what a run says and leaves to the CPU's. all says that the evaluation
// is of all tokens with a label, else it is of all that are not padding.
func (x *tiny) modes(all bool) {
	t := x.t
	if !all {
		x.withoutHiddenPads()
	}
	cpu := newTiny(t, x.settings)
	cpu.dir = x.dir // the same base, adapter and rows
	if got, want := x.evalLoss(), x.loss(all); math.Abs(got-want) > 5e-4*want {
		t.Errorf("the loss is %v, the evaluator says %v", got, want)
	}
	rows := filepath.Join(x.dir, "rows.jsonl")
	for _, format := range []string{"lorac", "ckpt"} {
		var said [2][]string
		var outs [2]string
		for i, on := range []*tiny{x, cpu} {
			outs[i] = filepath.Join(x.dir, fmt.Sprint(format, i))
			text := on.run(outs[i], "--epochs", "1", "--do_eval", "True", "--eval_step_interval", "2", "--checkpoint_format", format, "--eval_dataset_dir", rows)
			for _, line := range form(text) {
				if strings.Contains(line, "tokens/s") { // how often that is said depends on the time steps take
					continue
				}
				if strings.Contains(line, "evaluation") || strings.Contains(line, "erplexity") || strings.Contains(line, "step") {
					said[i] = append(said[i], strings.Join(strings.Fields(strings.ReplaceAll(line, outs[i], "OUT")), " "))
				}
			}
		}
		if len(said[0]) < 5 || !slices.Equal(said[0], said[1]) {
			t.Errorf("%s: the device says otherwise than the CPU\n%q", format, firstDifference(strings.Join(said[1], "\n"), strings.Join(said[0], "\n")))
		}
		if a, b := filesOf(t, outs[0]), filesOf(t, outs[1]); !slices.Equal(a, b) {
			t.Errorf("%s: the device leaves other files than the CPU\n%q", format, firstDifference(strings.Join(b, "\n"), strings.Join(a, "\n")))
		}
	}
}

// withoutHiddenPads rewrites the rows such that padding stands at their ends alone: a
// row at a hidden pad sees itself on a device (docs/data.md), and does not on the CPU.
func (x *tiny) withoutHiddenPads() {
	var lines []byte
	for _, row := range x.rows {
		ids, labels := row[0], row[1]
		for i, id := range ids[:len(ids)-1] {
			if id == 0 {
				if ids[i] = 7; labels[i] == 0 {
					labels[i] = 7
				}
			}
		}
		line, _ := json.Marshal(map[string]any{"input_ids": ids, "labels": labels})
		lines = append(append(lines, line...), '\n')
	}
	x.must(os.WriteFile(filepath.Join(x.dir, "rows.jsonl"), lines, 0o666))
}

// filesOf lists what a run left: each file with its tensors, or its text.
func filesOf(t *testing.T, out string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		line := strings.TrimPrefix(path, out)
		if strings.HasPrefix(d.Name(), "events.out.tfevents.") { // and when it began
			line = filepath.Dir(line)
		}
		switch filepath.Ext(path) {
		case ".safetensors":
			f, err := safetensors.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			for _, n := range f.Names() {
				s, _ := f.Tensor(n)
				line += fmt.Sprint(" ", n, s.DType, s.Shape)
			}
		case ".ckpt":
			f, err := mindspore.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			for _, n := range f.Names() {
				h, _ := f.Header(n)
				line += fmt.Sprint(" ", n, h.DType, h.Shape)
			}
		case ".json":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += string(bytes.ReplaceAll(text, []byte(out), []byte("OUT")))
		}
		list = append(list, line)
		return nil
	})
	if err != nil || len(list) < 4 {
		t.Fatalf("%v: %v", err, list)
	}
	return list
}

// TestAscendPredicts: texts are generated from the device's logits. Each id is the
// likeliest, for the evaluator too, within what 16 bits leave open.
func TestAscendPredicts(t *testing.T) {
	x := newTinyOnAscend(t, map[string]string{"model.model_config.n_kv_heads": "2"})
	file := (&limitedJob{t: t, dir: x.dir}).tokenizer(40)
	changeFile(t, file, func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte(`"byte_fallback": true`), []byte(`"byte_fallback": false`))
	})
	prompts := []string{"abc", "zz", "q"}
	out := filepath.Join(x.dir, "out")
	args := []string{"--run_mode", "predict", "--tokenizer", file, "--save_file=", "--max_length", "11"}
	for _, p := range prompts {
		args = append(args, "--predict_data", p)
	}
	x.run(out, args...)
	text, err := os.ReadFile(filepath.Join(out, "text_generation_result.txt"))
	x.must(err)
	env := ir.Env{"T": 1, "S": 1, "N": 1}
	in := ir.NewInterp(x.module, env)
	x.fill(in, x.module)
	in.Refresh()
	picked := 0
	for i, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "<s> "+prompts[i]) {
			t.Fatalf("text %q", line)
		}
		ids := []int{1}
		for _, c := range strings.TrimPrefix(line, "<s>") {
			switch { // the pieces of the tokenizer
			case c == ' ':
				ids = append(ids, 29)
			case c >= 'a' && c <= 'z':
				ids = append(ids, 3+int(c-'a'))
			default:
				ids = append(ids, 30+int(c-'一'))
			}
		}
		for n := 2 + len(prompts[i]); n < len(ids); n++ {
			args := x.pass([][2][]int{{make([]int, n+1), make([]int, n+1)}}, 0, env)
			for k := range n {
				args["tokens"].I[k] = int64(ids[k])
			}
			args["rows"] = &ir.Array{I: []int64{int64(n - 1)}, Shape: []int{1}}
			env["S"] = 1
			logits := in.Call("logits", argsOf(x.module.Func("logits"), args)...)[0].F
			if best := slices.Max(logits); logits[ids[n]] < best-0.02 {
				t.Errorf("%q: id %d has logit %v, the best is %v", line, n, logits[ids[n]], best)
			}
			picked++
		}
	}
	if picked < 12 {
		t.Errorf("%d ids in %q", picked, text)
	}
}
