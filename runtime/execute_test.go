package rt

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"lorac/runtime/exit"
)

// toy is a model written by hand: one vector that trains, whose element t%4 is
// to become the target's number. Its loss is half the square of the distance.
type toy struct{ x, grad, state *Stack }

func (m *toy) loss(b *MicroBatch) float64 {
	sum := 0.0
	for i, t := range b.Targets {
		d := float64(m.x.Data[t%4]) - float64(t)
		sum += d * d / 2 * float64(b.Weights[i])
	}
	return sum
}

func (m *toy) step(b *MicroBatch) float64 {
	for i, t := range b.Targets {
		m.grad.Data[t%4] += (m.x.Data[t%4] - float32(t)) * b.Weights[i]
	}
	return m.loss(b)
}

func (m *toy) update(lr float64) float64 {
	sum := 0.0
	for i, g := range m.grad.Data[:4] {
		sum += float64(g) * float64(g)
		m.state.Data[i] = m.state.Data[i]*0.9 + g
		m.x.Data[i] -= float32(lr) * m.state.Data[i]
		m.grad.Data[i] = 0
	}
	return math.Sqrt(sum)
}

// body trains as an emitted program does; after spoil steps gradients are NaN. each
// sees a step when its gradients are there, from 0.
func body(spoil int, each ...func(step int)) func(r *Run) error {
	return func(r *Run) error {
		m := &toy{}
		m.x = r.Trainable([]string{"model.norm_out.weight"}, 4, 0, Init{Kind: "uniform", Bound: 1})
		m.grad, m.state = r.Grad(m.x), r.State(m.x, "m")
		if err := r.Loaded(); err != nil {
			return err
		}
		if r.Mode() == Eval {
			return r.Evaluate(m.loss)
		}
		if err := r.Begin(m.loss); err != nil {
			return err
		}
		for r.Next() {
			norm := 0.0
			for _, b := range r.MicroBatches() {
				r.Add(m.step(b))
			}
			for _, see := range each {
				see(r.Loop.step)
			}
			if r.Update() > spoil {
				m.grad.Data[0] = float32(math.NaN())
			}
			if r.Ready() {
				norm = m.update(r.LR())
			}
			r.Done(norm, m.loss)
		}
		return r.Finish(m.loss)
	}
}

const never = math.MaxInt

// toyJob is a job over rows of a file, in a directory of the test.
func toyJob(t *testing.T) *Job {
	t.Helper()
	data := filepath.Join(t.TempDir(), "rows.jsonl")
	var rows strings.Builder
	for i := range 10 {
		fmt.Fprintf(&rows, `{"input_ids":[1,%d,%d,3]}`+"\n", 4+i%5, 9-i%4)
	}
	if err := os.WriteFile(data, []byte(rows.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	d := Data{Path: data, Shuffle: true, Repeat: 1, Format: "auto"}
	return &Job{Name: "toy", Source: "toy.yaml", Hash: "1234", MaxRows: 8, RunMode: "train", Seed: 5, SeqLength: 8, Vocab: 12, EosIDs: []int{2}, IgnoreID: -100,
		Epochs: 3, BatchSize: 2, GradAccum: 1, TrainData: d, EvalData: Data{Path: data, Repeat: 1, Format: "auto"}, DoEval: true, EvalSteps: 4,
		Schedule:   Schedule{Type: "linear", LR: 0.1, WarmupRatio: -1, WarmupSteps: 2, TotalSteps: -1},
		LossScale:  LossScale{Type: "dynamic", Value: 16, Factor: 2, Window: 4},
		Checkpoint: Checkpoint{Prefix: "toy", SaveSteps: 3, KeepMax: 2}}
}

var dayOfRun = regexp.MustCompile(`,"tokens_per_second.*`)

// result is what a run left: metrics but for times, and the model.
func result(t *testing.T, out string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(filepath.Join(out, "model", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return dayOfRun.ReplaceAllString(string(text), "") + string(model)
}

func execute(j *Job, run func(*Run) error, args ...string) (string, error) {
	var out bytes.Buffer
	err := Execute(j, args, &out, run)
	return out.String(), err
}

// Runs at once give the bits of one alone, and a run that stops and resumes, in
// either format of checkpoints, those of one that did not.
func TestExecute(t *testing.T) {
	j, dir := toyJob(t), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	said, err := execute(j, body(never), "--output_dir", at("alone"), "--threads", "1")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, words := range []string{"toy (toy.yaml): train, 1 thread", "trainable: 4 of 4 parameters", "15 steps, 2 rows a step", "evaluation before training: loss",
		"\nevaluation: loss", "model written to", "evaluation after training: loss"} {
		if !strings.Contains(said, words) {
			t.Errorf("%q is not said in\n%s", words, said)
		}
	}
	want := result(t, at("alone"))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if said, err := execute(j, body(never), "--output_dir", at(fmt.Sprint(i)), "--threads", fmt.Sprint(1+i%3)); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
	all.Wait()
	for i := range 4 {
		if result(t, at(fmt.Sprint(i))) != want {
			t.Errorf("run %d of four at once gives another result", i)
		}
	}
	for _, format := range []string{"lorac", "ckpt"} {
		args := []string{"--output_dir", at(format), "--checkpoint_format", format}
		if said, err := execute(j, body(never), append(args, "--steps", "7")...); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		said, err := execute(j, body(never), append(args, "--resume_training", "True", "--steps", "4")...)
		if err != nil || !strings.Contains(said, "7 of 15 steps are done and --steps ends the run after 4, so there is nothing to do; a larger --steps, or none, trains further") {
			t.Errorf("%v\n%s", err, said)
		}
		said, err = execute(j, body(never), append(args, "--resume_training", "True")...)
		if err != nil || !strings.Contains(said, "resumed after step 7") {
			t.Fatalf("%v\n%s", err, said)
		}
		if result(t, at(format)) != want {
			t.Errorf("%s: the result of a run that was stopped is another", format)
		}
		if said, err = execute(j, body(never), append(args, "--resume_training", "True")...); err != nil || !strings.Contains(said, "all 15 steps are done already") {
			t.Errorf("%v\n%s", err, said)
		}
		said, err = execute(j, body(never), append(args, "--resume_training", "True", "--seed", "6")...)
		if exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "was made by another job") {
			t.Errorf("%s of another seed: %v\n%s", format, err, said)
		}
	}
	if said, err := execute(j, body(never), "--output_dir", at("alone")); err != nil || !strings.Contains(said, "checkpoint to checkpoint.1, metrics.jsonl to metrics.jsonl.1, model to model.1") {
		t.Errorf("%v\n%s", err, said)
	}
	if j.Output != "" || j.Seed != 5 {
		t.Errorf("flags changed the job: %+v", j)
	}
}

// Errors are returned with their exit codes, and nothing is half done.
func TestExecuteFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil int
		set   func(j *Job)
		args  []string
		code  int
		words string
	}{
		{"usage", never, nil, []string{"--nope"}, exit.Usage, "unknown flag --nope"},
		{"weights", never, nil, []string{"--load_checkpoint", "nowhere"}, exit.Input, "cannot open the base weights"},
		{"tokenizer", never, nil, []string{"--tokenizer", "nowhere"}, exit.Input, "cannot load the tokenizer"},
		{"no data", never, func(j *Job) { j.TrainData.Path = "" }, nil, exit.Input, "no training data is given"},
		{"no evaluation data", never, func(j *Job) { j.EvalData.Path = "" }, nil, exit.Input, "do_eval is True, but no evaluation data is given"},
		{"too few rows", never, func(j *Job) { j.TrainData.DropRemainder = true }, []string{"--batch_size", "99"}, exit.Input, "do not fill one batch"},
		{"no round", never, func(j *Job) { j.SinkSize = 99 }, nil, exit.Input, "fewer than one round of sink_size"},
		{"metric", never, func(j *Job) { j.Metrics = []string{"x"} }, nil, exit.Input, "the metric `x` is not supported"},
		{"memory", never, func(j *Job) { j.Memory.Resident = 1 << 40 }, []string{"--mem_limit", "1GiB"}, exit.Input, "compile it for the limit: lorac compile --mem_limit 1024MiB"},
		{"rows too long", never, func(j *Job) { j.MaxRows, j.DoEval, j.EvalData.Path = 2, false, "" }, nil, exit.Input, "compiled for micro-batches of at most 2"},
		{"resume", never, nil, []string{"--resume_training", "x.safetensors"}, exit.Input, "x.safetensors is not there"},
		{"nothing", never, nil, []string{"--resume_training", "x.ckpt"}, exit.Input, "cannot resume"},
		{"adapter", never, nil, []string{"--load_adapter", "nowhere"}, exit.Input, "cannot load the adapter"},
		{"NaN", 3, func(j *Job) { j.CheckNaN = true }, nil, exit.Failed, "checkpoints up to step 3 hold finite numbers"},
		{"diverged", 3, nil, nil, exit.Failed, "training has diverged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := toyJob(t)
			j.Output = t.TempDir()
			if c.set != nil {
				c.set(j)
			}
			said, err := execute(j, body(c.spoil), c.args...)
			if exit.Code(err) != c.code || err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("code %d: %v, want %d and %q\n%s", exit.Code(err), err, c.code, c.words, said)
			}
			if _, err := os.Stat(filepath.Join(j.Output, "model")); err == nil {
				t.Error("a run that failed leaves a model")
			}
		})
	}
}

// --help is said and is no error; evaluation reports its loss; a damaged
// checkpoint gives way to the one before.
func TestExecuteOther(t *testing.T) {
	j := toyJob(t)
	j.Output = t.TempDir()
	if said, err := execute(j, body(never), "--help"); err != nil || !strings.Contains(said, "--resume_training") {
		t.Errorf("%v\n%s", err, said)
	}
	if said, err := execute(j, body(never), "--run_mode", "eval"); err != nil || !strings.Contains(said, "evaluation: loss") {
		t.Errorf("%v\n%s", err, said)
	}
	if said, err := execute(j, body(never), "--steps", "7"); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	last := filepath.Join(j.Output, "checkpoint", "toy-7.safetensors")
	data, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(last, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if said, err := execute(j, body(never), "--resume_training", "True"); err != nil || !strings.Contains(said, "checkpoint of step 7 is not usable (its checksum is wrong)") || !strings.Contains(said, "resumed after step 6") {
		t.Errorf("%v\n%s", err, said)
	}
}

// What a run will need follows from its data and flags: the largest of the
// micro-batches that it computes, the steps, and bytes of the data.
func TestDemandOf(t *testing.T) {
	j := toyJob(t)
	d, err := DemandOf(j, []string{"--steps", "4"})
	if err != nil {
		t.Fatal(err)
	}
	if d.Tokens != 6 || d.Rows != 6 || d.Sequences != 2 || d.Steps != 4 || d.Data == 0 || d.Text != 0 {
		t.Errorf("%+v", d)
	}
	if _, err := DemandOf(j, []string{"--epochs", "0"}); exit.Code(err) != exit.Usage {
		t.Errorf("a wrong flag: %v", err)
	}
	if _, err := DemandOf(j, []string{"--train_dataset_dir", "nowhere"}); exit.Code(err) != exit.Input {
		t.Errorf("no data: %v", err)
	}
	if d, err = DemandOf(j, []string{"--run_mode", "eval"}); err != nil || d.Steps != 0 || d.Tokens != 6 {
		t.Errorf("an evaluation: %+v, %v", d, err)
	}
}

// The name of a config, which a dump may give any characters, stays in its line.
func TestSourceInALine(t *testing.T) {
	j := toyJob(t)
	j.Source = "evil\n\x1b[2Jname"
	said, err := stoppable(j, newStop(), func(string, int) {}, "--steps", "1", "--output_dir", t.TempDir())
	if err != nil || !strings.Contains(said, `(evil\n\x1b[2Jname): train`) {
		t.Errorf("%v\n%s", err, said)
	}
}
