package job

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// full is a job in which every key differs from its default and every
// condition of a key is met.
func full(t *testing.T) *Job {
	t.Helper()
	j := &Job{}
	v := reflect.ValueOf(j).Elem()
	for i, f := range fields {
		var val any
		switch x := v.FieldByIndex(f.path); x.Kind() {
		case reflect.Int:
			val = 100 + i
		case reflect.Float64:
			val = float64(i) + 0.5
		case reflect.Bool:
			val = true
		case reflect.String:
			val = fmt.Sprint("text", i)
		case reflect.Slice:
			if val = []any{i, i + 1}; x.Type().Elem().Kind() == reflect.String {
				val = []any{"a", fmt.Sprint(i)}
			}
		default:
			t.Fatalf("%s is a %s, which settings cannot hold", f.key, x.Type())
		}
		if err := set(v.FieldByIndex(f.path), val); err != nil {
			t.Fatalf("%s: %v", f.key, err)
		}
	}
	j.Schedule.Type, j.LossScale.Type, j.Checkpoint.Format = "cool_down", "adaptive", "ckpt"
	return j
}

// Settings and Decode are inverse; a key has a name of its own, and what Settings
// points at is the field that holds the value.
func TestRoundTrip(t *testing.T) {
	j := full(t)
	j.Schedule.DecayStart = 0 // belongs to another schedule than keep_steps
	list := j.Settings()
	if len(list) != len(Keys())-1 {
		t.Errorf("%d settings of %d keys", len(list), len(Keys()))
	}
	seen := map[string]bool{}
	for _, s := range list {
		if seen[s.Key] {
			t.Errorf("%s is there twice", s.Key)
		}
		seen[s.Key] = true
		if got := value(reflect.ValueOf(s.Field).Elem()); !reflect.DeepEqual(got, s.Value) {
			t.Errorf("%s points at %v, its value is %v", s.Key, got, s.Value)
		}
	}
	for _, j := range []*Job{j, Default(), {}} {
		got, err := Decode(j.Settings())
		if err != nil {
			t.Fatal(err)
		}
		if before, after := written(j), written(got); before != after {
			t.Errorf("%s\ncomes back as\n%s", before, after)
		}
	}
}

// written is the settings of a job as text.
func written(j *Job) string {
	var b strings.Builder
	for _, s := range j.Settings() {
		fmt.Fprintf(&b, "%s = %v\n", s.Key, s.Value)
	}
	return b.String()
}

// Nothing said is the defaults.
func TestDefaults(t *testing.T) {
	j, err := Decode(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Job{RunMode: "train", Output: "./output", BosID: 1, EosIDs: []int{2}, IgnoreID: -100, Epochs: 1, BatchSize: 1, GradAccum: 1,
		TrainData: Data{Repeat: 1, Format: "auto"}, EvalData: Data{Repeat: 1, Format: "auto"},
		Schedule:   Schedule{Type: "constant", WarmupRatio: -1, TotalSteps: -1, NumCycles: 0.5, Power: 1, TMax: 1, T0: 1, TMult: 1},
		Checkpoint: Checkpoint{Prefix: "CKP", KeepMax: 5},
		Predict:    Predict{MaxLength: 1024, TopK: 5, TopP: 1, Temperature: 1, RepetitionPenalty: 1}}
	if !reflect.DeepEqual(*j, want) {
		t.Errorf("%+v\nwant\n%+v", *j, want)
	}
}

// Keys that say nothing are left out: those of a zero where that means none,
// those whose condition is not met, and structs of which nothing is set.
func TestLeftOut(t *testing.T) {
	has := func(j *Job, key string) bool {
		for _, s := range j.Settings() {
			if s.Key == key {
				return true
			}
		}
		return false
	}
	j := Default()
	for _, key := range []string{"auto_trans", "compute", "quant.kind", "quant.width", "train_data.take", "train_data.eod", "metrics", "schedule.keep_steps",
		"schedule.decay_start", "loss_scale.type", "checkpoint.network", "lora.rank", "lora.dropout", "predict.input", "memory.limit", "pruned"} {
		if has(j, key) {
			t.Errorf("%s is among the settings of a job without it", key)
		}
	}
	for _, key := range []string{"run_mode", "resume", "sink_size", "eval_data.prompt", "schedule.lr", "predict.do_sample"} {
		if !has(j, key) {
			t.Errorf("%s is left out", key)
		}
	}
	j.LoRA.Rank, j.LossScale.Type, j.Quant.Kind, j.TrainData.EodReset, j.Schedule.Type, j.Checkpoint.Format = 8, "static", "int4", true, "warmup_stable_decay", "ckpt"
	j.Metrics = []string{}
	for key, want := range map[string]bool{"lora.dropout": true, "loss_scale.value": true, "loss_scale.factor": false, "loss_scale.min_window": false, "quant.width": true,
		"train_data.eod": true, "eval_data.eod": false, "schedule.decay_start": true, "schedule.keep_steps": false, "checkpoint.network": true, "checkpoint.trainable": false, "metrics": false} {
		if has(j, key) != want {
			t.Errorf("%s is among the settings: %v", key, !want)
		}
	}
	j.LossScale.Type = "dynamic"
	if !has(j, "loss_scale.window") || has(j, "loss_scale.max_window") {
		t.Error("the windows of a dynamic scale")
	}
}

// Dumps are edited by hand: a number may lose its point, and what does not fit
// is an error that names the key.
func TestDecodeValues(t *testing.T) {
	j, err := Decode([]Setting{{Key: "schedule.lr", Value: 1}, {Key: "seed", Value: 3.0}, {Key: "metrics", Value: []any{"a", "b"}}, {Key: "eos_ids", Value: []any{}}})
	if err != nil || j.Schedule.LR != 1 || j.Seed != 3 || len(j.Metrics) != 2 || len(j.EosIDs) != 0 {
		t.Errorf("%+v, %v", j, err)
	}
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"nothing", 1, "the trainer's job has no field for the setting `nothing`"},
		{"schedule", "x", "no field for the setting `schedule`"},
		{"Seed", 1, "no field"},
		{"seed", "x", "the setting `seed` is a string, the trainer's job wants a int"},
		{"seed", 1.5, "`seed` is a float64"},
		{"seed", 1e300, "`seed` is a float64"},
		{"do_eval", "true", "`do_eval` is a string"},
		{"output", 5, "`output` is a int"},
		{"metrics", "x", "`metrics` is a string, the trainer's job wants a list"},
		{"metrics", []any{1}, "`metrics` is a int"},
		{"seed", nil, "`seed` is a <nil>"},
	} {
		if _, err := Decode([]Setting{{Key: c.key, Value: c.value}}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v: %v, want %s", c.key, c.value, err, c.want)
		}
	}
}

// Where a key is in Go.
func TestNames(t *testing.T) {
	for key, want := range map[string]string{"seed": "[Seed] ", "train_data.path": "[TrainData Path] Data", "schedule.t_0": "[Schedule T0] Schedule",
		"lora.rank": "[LoRA Rank] LoRA", "check_nan": "[CheckNaN] ", "nothing": "[] "} {
		path, typ := Names(key)
		if got := fmt.Sprint(path, " ", typ); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

// A key that is new must say what it means to a run that resumes.
func TestFacts(t *testing.T) {
	for _, key := range Keys() {
		if _, known := meaning(key); !known {
			t.Errorf("%s: resume.go does not say what it means to a run that resumes", key)
		}
	}
	for key := range resumed {
		if find(key) == nil {
			t.Errorf("%s is no key of a job", key)
		}
	}
	j := Default()
	j.Keys, j.Seed, j.EosIDs, j.Schedule.LR = []string{"optimizer.weight_decay=0.1"}, 7, []int{2, 3}, 0.5
	got := map[string]Fact{}
	for _, f := range j.Facts() {
		got[f.Key] = f
	}
	for _, want := range []Fact{{"optimizer.weight_decay", "0.1", false}, {"seed", "7", false}, {"model.model_config.eos_token_id", "[2, 3]", false},
		{"lr_schedule.learning_rate", "0.5", true}, {"runner_config.epochs", "1", true}, {"train_dataset.data_loader.shuffle", "False", false}} {
		if got[want.Key] != want {
			t.Errorf("%+v, want %+v", got[want.Key], want)
		}
	}
	for _, none := range []string{"output", "train_data.path", "train_dataset.eod_token_id"} { // the last without eod_reset
		if _, ok := got[none]; ok {
			t.Errorf("%s is compared", none)
		}
	}
}

// An empty value of a checkpoint is shown as what it means.
func TestShown(t *testing.T) {
	for _, x := range [][3]string{{"processor.tokenizer.special_tokens", `""`, "ids"}, {"processor.tokenizer.special_tokens", "text", "text"}, {"other", `""`, "not set"}, {"seed", "1", "1"}} {
		if got := Shown(x[0], x[1]); got != x[2] {
			t.Errorf("%s %s: %s", x[0], x[1], got)
		}
	}
}
