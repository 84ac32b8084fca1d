package rt

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lorac/runtime/exit"
	"lorac/runtime/sys/mmap"
)

// letters is a tokenizer.json of nine letters.
const letters = `{"added_tokens":[{"id":0,"content":"<unk>","special":true},{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
"model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"vocab":{"<unk>":0,"<s>":1,"</s>":2,"▁":3,"a":4,"b":5,"c":6,"d":7,"e":8%s},"merges":[]}}`

// spelt puts a tokenizer beside the base.
func spelt(t *testing.T, j *Job, more string) (path string) {
	t.Helper()
	path = filepath.Join(filepath.Dir(j.LoadCheckpoint), "tokenizer.json")
	if err := os.WriteFile(path, fmt.Appendf(nil, letters, more), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// following gives the likeliest id after each id, after others the end,
// and notes what it is asked.
func following(r *Run, next map[int32]int32, asked *[]string) {
	logits := r.Arena(4*vocab).Mat(0, 1, vocab)
	answer := func(b *MicroBatch) Mat {
		*asked = append(*asked, fmt.Sprint(b.Tokens, b.Pos))
		for i := range logits.Data {
			logits.Data[i] = 0
		}
		id, ok := next[b.Tokens[len(b.Tokens)-1]]
		if !ok {
			id = 2
		}
		logits.Data[id] = 1
		return logits
	}
	r.Generator(answer, answer)
}

// Prediction continues its prompts with caches, which other modes do without.
func TestExecutePredicts(t *testing.T) {
	j := adaptedJob(t)
	tokenizer := spelt(t, j, "")
	j.BosID, j.Predict = 1, Predict{MaxLength: 7, RepetitionPenalty: 1}
	var asked []string
	cache := 0
	model := shapeOf{look: func(r *Run, m *adapted) {
		cache = m.key.Rows
		following(r, map[int32]int32{4: 5, 5: 6}, &asked)
	}}
	list := filepath.Join(t.TempDir(), "list.txt")
	said := must(t, j, model.body, "--run_mode", "predict", "--predict_data", "a", "--predict_data", "d b", "--save_file", list)
	wordsIn(t, said, "toy (toy.yaml): predict", "\nabc\n", "\nd bc\n")
	if text, err := os.ReadFile(list); err != nil || string(text) != "[{'text_generation_text': ['abc']}, {'text_generation_text': ['d bc']}]" {
		t.Errorf("the list is %s, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(j.Output, "text_generation_result.txt")); err != nil || string(text) != "abc\nd bc" {
		t.Errorf("the texts are %q, %v", text, err)
	}
	if cache != 8 || asked[0] != "[1 3 4] [0 1 2]" || asked[1] != "[5] [3]" {
		t.Errorf("a cache of %d rows, asked %v", cache, asked)
	}
	must(t, j, model.body, "--run_mode", "eval")
	if cache != 0 {
		t.Error("an evaluation of losses takes a cache")
	}
	predict := []string{"--run_mode", "predict", "--save_file="}
	refused(t, j, model.body, exit.Input, "the prompt has 9 ids with the one that begins a text, the longest text 7", append(predict, "--predict_data", "abcdeab")...)
	spelt(t, j, `,"f":9,"g":10,"h":11,"i":12`)
	refused(t, j, model.body, exit.Input, "has 13 pieces, the model's vocabulary 12", predict...)
	if err := os.WriteFile(tokenizer, []byte(`{"model":{"type":"Unigram"}}`), 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, j, model.body, exit.Input, "cannot load the tokenizer", predict...)
	said = must(t, j, model.body, "--run_mode", "eval") // its rows are ids
	wordsIn(t, said, "only BPE is supported", "rows of ids need none")
	if err := os.Remove(tokenizer); err != nil {
		t.Fatal(err)
	}
	refused(t, j, model.body, exit.Input, "prediction needs a tokenizer", predict...)
}

// The metrics of the config are measured, in training in the lines of either log.
func TestExecuteMetrics(t *testing.T) {
	j := adaptedJob(t)
	spelt(t, j, "")
	j.BosID, j.Predict, j.Epochs = 1, Predict{MaxLength: 7, RepetitionPenalty: 1}, 1
	rows := filepath.Join(t.TempDir(), "questions.jsonl")
	if err := os.WriteFile(rows, []byte(`{"input_ids":[1,4,5,6,2],"labels":[-100,-100,5,6,2]}`+"\n"+`{"input_ids":[1,7,8,2],"labels":[-100,-100,8,2]}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	j.EvalData.Path = rows
	var asked []string
	model := shapeOf{look: func(r *Run, _ *adapted) { following(r, map[int32]int32{4: 5, 5: 6}, &asked) }}
	j.Metrics = []string{"EmF1Metric"}
	wordsIn(t, must(t, j, model.body, "--run_mode", "eval"), "evaluation: F1 50.00, Em 50.00 over 2 answers", "\nEmF1Metric = {")
	wordsIn(t, must(t, j, model.body), "evaluation after training: F1 50.00", "first row, supervised part in ⟦ ⟧, control tokens in ⟨ ⟩:\n    ⟨1 <s>⟩⟦a", "  its ids: 1 4 9 3")
	j.Metrics = []string{"PerplexityMetric"}
	wordsIn(t, must(t, j, model.body, "--run_mode", "eval"), "evaluation: loss ", "\nPerplexityMetric = {'PerplexityMetric': {'loss': ")
	wordsIn(t, must(t, j, model.body, "--log_format", "mindformers", "--output_dir", t.TempDir()), "Eval result: {'PerplexityMetric'")

	// What is generated counts among what a run needs.
	d, err := DemandOf(j, []string{"--run_mode", "eval"})
	if err != nil || d.Text != 0 || d.Tokens != 7 || d.Sequences != 2 {
		t.Errorf("losses alone: %+v, %v", d, err)
	}
	j.Metrics = []string{"EmF1Metric"}
	with, err := DemandOf(j, []string{"--run_mode", "eval"})
	if err != nil || with.Prompt != 2 || with.Text != 6 || with.Whole || with.Tokens != 0 || with.Data <= d.Data-28*7 || with.Parsed < len(letters) {
		t.Errorf("texts: %+v, %v", with, err)
	}
	whole, err := DemandOf(j, []string{"--run_mode", "eval", "--use_past", "False"})
	if err != nil || !whole.Whole || whole.Prompt != 6 || whole.Tokens != 6 {
		t.Errorf("texts without caches: %+v, %v", whole, err)
	}
	there := *j
	there.Device = "ascend" // has none
	if d, err := DemandOf(&there, []string{"--run_mode", "eval"}); err != nil || d != whole {
		t.Errorf("texts of a device: %+v, %v, want %+v", d, err, whole)
	}
}

// Gradients that overflow once skip a step, at half the scale.
func TestExecuteOverflows(t *testing.T) {
	j := toyJob(t)
	j.Output = t.TempDir()
	once := false
	said := must(t, j, func(r *Run) error {
		m := &toy{}
		m.x = r.Trainable([]string{"model.norm_out.weight"}, 4, 0, Init{Kind: "ones"})
		m.grad, m.state = r.Grad(m.x), r.State(m.x, "m")
		if err := r.Loaded(); err != nil {
			return err
		}
		for r.Next() {
			before := append([]float32(nil), m.x.Data[:4]...)
			for _, b := range r.MicroBatches() {
				r.Add(m.step(b))
			}
			spoil := r.Update() == 3 && !once
			if spoil {
				once, m.grad.Data[1] = true, float32(math.Inf(1))
			}
			if r.Ready() == spoil {
				t.Error("the step counts where it overflowed, or does not where it did not")
			}
			if !spoil {
				m.update(r.LR())
			} else if !reflect.DeepEqual(before, append([]float32(nil), m.x.Data[:4]...)) || !zeros(m.grad.Data[:4]) {
				t.Error("the overflow reached the parameters, or stays among the gradients")
			}
			r.Done(1, m.loss)
		}
		return r.Finish(m.loss)
	})
	wordsIn(t, said, "step 3: gradients are not finite at loss scale 16: the step is skipped, the scale is now 8")
	text, err := os.ReadFile(filepath.Join(j.Output, "metrics.jsonl"))
	if err != nil || strings.Count(string(text), `"overflow":true`) != 1 {
		t.Errorf("metrics: %s %v", text, err)
	}
}

// A model that cannot train says why.
func TestExecuteCannotTrain(t *testing.T) {
	j := adaptedJob(t)
	j.LossScale, j.CheckNaN = LossScale{}, true
	refused(t, j, func(r *Run) error { return r.Unable() }, exit.Input, "was compiled without anything that trains")
	spoilt := tensors()
	spoilt["model.norm.weight"] = blob{"F32", []int{width}, []byte(strings.Repeat("\x00\x00\xc0\x7f", width))} // NaN
	j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "nan.safetensors"), spoilt)
	refused(t, j, shapeOf{}.body, exit.Input, "nan.safetensors holds NaN in row 0")
	refused(t, j, shapeOf{}.body, exit.Input, "the loss of the evaluation is NaN: model.norm.weight of ") // before any step
	text, err := os.ReadFile(filepath.Join(j.Output, "metrics.jsonl"))
	if want := `{"step":0,"eval_loss":null,`; err != nil || !strings.HasPrefix(string(text), want) {
		t.Errorf("the evaluation is not in the metrics (%v):\n%s", err, text)
	}
	j.DoEval, j.EvalData, j.Output = false, Data{}, t.TempDir()
	refused(t, j, shapeOf{}.body, exit.Input, "step 1: the loss is NaN: model.norm.weight of ")
	text, err = os.ReadFile(filepath.Join(j.Output, "metrics.jsonl"))
	if want := `"nonfinite":["loss","grad_norm"]`; err != nil || !strings.Contains(string(text), `{"step":1,"loss":null,`) || !strings.Contains(string(text), want) {
		t.Errorf("the step that ended the run is not in the metrics (%v):\n%s", err, text)
	}
}

// A base that is shortened under a run ends it with what to do.
func TestExecuteShortened(t *testing.T) {
	j := adaptedJob(t)
	done := 0
	model := shapeOf{look: func(r *Run, _ *adapted) {
		if err := os.Truncate(j.LoadCheckpoint, 100); err != nil {
			t.Error(err)
		}
		if _, ok := mmap.Shortened(); !ok {
			t.Error("the base is not known to be shorter")
		}
		done++
	}}
	refused(t, j, model.body, exit.Failed, j.LoadCheckpoint+" was shortened or could not be read while it was in use")
	if done != 1 {
		t.Error("the run did not come to its steps")
	}
	j = adaptedJob(t)
	refused(t, j, func(r *Run) error { // a row that is read by itself
		w := r.Embedding(embedName, vocab, width)
		if err := os.Truncate(j.LoadCheckpoint, 100); err != nil {
			t.Error(err)
		}
		r.Kernels().Embed(r.Arena(4*width).Mat(0, 1, width), []int32{vocab - 1}, w)
		return nil
	}, exit.Failed, "while it was in use (EOF)\n  = help: put the file back as it was, leave it alone while a run uses it, and start again")
	j = adaptedJob(t)
	want := fmt.Errorf("another panic")
	defer func() {
		if got := recover(); got != want {
			t.Errorf("panics that are no fault of a file become %v", got)
		}
	}()
	execute(j, func(*Run) error { panic(want) })
}

// Whatever has a flag is set by it; what a flag cannot take is said.
func TestEveryFlag(t *testing.T) {
	for _, c := range []struct {
		args  []string
		field func(j *Job, o *Options) any
		want  any
	}{
		{[]string{"--learning_rate", "1e-3"}, func(j *Job, _ *Options) any { return j.Schedule.LR }, 1e-3},
		{[]string{"--log_format", "mindformers"}, func(j *Job, _ *Options) any { return j.LogFormat }, "mindformers"},
		{[]string{"--log_format", "lorac"}, func(j *Job, _ *Options) any { return j.LogFormat }, ""},
		{[]string{"--sink_mode", "False"}, func(j *Job, _ *Options) any { return j.SinkSize }, 0},
		{[]string{"--sink_mode", "True"}, func(j *Job, _ *Options) any { return j.SinkSize }, 7},
		{[]string{"--resume_training", "false"}, func(j *Job, _ *Options) any { return j.Resume }, ""},
		{[]string{"--checkpoint_format", "ckpt"}, func(j *Job, _ *Options) any { return j.Checkpoint.Network }, true},
		{[]string{"--prompt", "alpaca"}, func(j *Job, _ *Options) any { return j.TrainData.Prompt + j.EvalData.Prompt }, "alpacaalpaca"},
		{[]string{"--use_past", "False"}, func(_ *Job, o *Options) any { return o.NoPast }, true},
		{[]string{"--top_p", "0.5"}, func(j *Job, _ *Options) any { return j.Predict.TopP }, 0.5},
		{[]string{"--mem_limit", "2GiB"}, func(_ *Job, o *Options) any { return o.MemLimit }, int64(2 << 30)},
		{[]string{"--config", "x.yaml"}, func(_ *Job, o *Options) any { return o.Config }, "x.yaml"},
		{[]string{"--context.device_target", "Ascend"}, func(j *Job, o *Options) any { return *o }, Options{}},
		{[]string{"--eval_epoch_interval", "-1"}, func(j *Job, _ *Options) any { return j.EvalEpochs }, -1},
	} {
		j := Job{SinkSize: 7}
		o, err := parseFlags(&j, c.args)
		if err != nil {
			t.Errorf("%v: %v", c.args, err)
		} else if got := c.field(&j, o); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v gives %v, want %v", c.args, got, c.want)
		}
	}
	for words, args := range map[string][]string{
		"--top_p 0: must be a number above 0 to 1":                                {"--top_p", "0"},
		"--learning_rate inf: must be a number from 0":                            {"--learning_rate", "inf"},
		"--run_mode x: must be train, finetune, eval or predict":                  {"--run_mode", "x"},
		"--log_format x: must be lorac or mindformers":                            {"--log_format", "x"},
		"--checkpoint_format x: must be ckpt, safetensors or lorac":               {"--checkpoint_format", "x"},
		"--prompt x: must be ":                                                    {"--prompt", "x"},
		"unknown flag --epoch; did you mean --epochs?":                            {"--epoch", "1"},
		"--no_progress takes no value":                                            {"--no_progress=1"},
		"--model.model_config.num_layers is compiled in":                          {"--model.model_config.num_layers", "2"},
		"unknown flag --xyz; --help lists all":                                    {"--xyz"},
		"unknown flag --runner_config.epoch; did you mean --runner_config.epochs": {"--runner_config.epoch", "1"},
		"--max_time is of training; a run of mode predict ends when it is done":   {"--max_time", "1h", "--run_mode", "predict"},
		`unexpected argument "x"; flags are given as --flag value or -`:           {"x"},
	} {
		if err := CheckFlags("finetune", args); exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), words) {
			t.Errorf("%v: %v, want %q", args, err, words)
		}
	}
	for _, name := range FlagNames() {
		if key := KeyOf(name); !AtRunTime(name) || !strings.Contains(FlagHelp(), "--"+name+" ") {
			t.Errorf("--%s is not at run time, or not in the help", name)
		} else if back, ok := FlagOf(key); ok != (key != "") || ok && back != name {
			t.Errorf("--%s stands for %s, which --%s stands for", name, key, back)
		}
	}
	if AtRunTime("num_layers") || KeyOf("num_layers") != "" {
		t.Error("num_layers is a flag")
	}
}

// At an infinite scale every step is skipped, and has its loss all the same.
func TestExecuteInfiniteScale(t *testing.T) {
	j := toyJob(t)
	j.Output, j.LossScale.Type, j.LossScale.Value = t.TempDir(), "static", 1e39
	said := must(t, j, func(r *Run) error {
		m := &toy{}
		m.x = r.Trainable([]string{"model.norm_out.weight"}, 4, 0, Init{Kind: "ones"})
		m.grad, m.state = r.Grad(m.x), r.State(m.x, "m")
		if err := r.Loaded(); err != nil {
			return err
		}
		for r.Next() {
			for _, b := range r.MicroBatches() {
				r.Add(m.step(b))
			}
			if r.Ready() {
				t.Error("a step counts")
			}
			r.Done(1, m.loss)
		}
		return r.Finish(m.loss)
	})
	wordsIn(t, said, "at loss scale +Inf: the step is skipped", "nothing was trained")
	text, err := os.ReadFile(filepath.Join(j.Output, "metrics.jsonl"))
	if err != nil || strings.Contains(string(text), `"loss":null`) || !strings.Contains(string(text), `"loss_scale":1e999,"overflow":true`) {
		t.Errorf("metrics: %s %v", text, err)
	}
}
