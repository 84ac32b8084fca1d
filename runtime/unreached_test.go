package rt

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/train"
	"lorac/runtime/weights/peft"
)

// An adapter without a gradient in the first step ends the run only where none can
// ever come: its A is zero, or a frozen matrix on the way is. Else the rows may be the
// cause, and it is looked at again.
func TestUnreached(t *testing.T) {
	k := kernels.New(1)
	defer k.Close()
	const out = "model.layers.0.attention.wo.weight"
	loop := func(a, wo float32) (*Loop, *Stack) {
		grad := &Stack{Names: []string{factorB}, Rows: 1, Cols: 2, Data: make([]float32, 2)}
		other := &Stack{Names: []string{"model.layers.0.feed_forward.w1.mindpet_delta_lora_b"}, Rows: 1, Cols: 1, Data: []float32{1}}
		l := &Loader{k: k, dev: &host{k}, params: []*Stack{
			{Names: []string{factorA}, Rows: 2, Cols: 1, Data: []float32{0, a}, grad: &Stack{Rows: 2, Cols: 1, Data: make([]float32, 2)}},
			{Names: []string{factorB}, Rows: 1, Cols: 2, Data: make([]float32, 2), grad: grad},
			{Names: other.Names, Rows: 1, Cols: 1, Data: []float32{0}, grad: other}},
			base: []stored{{out, []int{1, 2}, kernels.MatOf([]float32{wo, 0}, 1, 2).Weight()},
				{"model.layers.1.attention.wo.weight", []int{1, 1}, kernels.MatOf([]float32{0}, 1, 1).Weight()}, // of another layer
				{queryName, []int{1, 1}, kernels.MatOf([]float32{0}, 1, 1).Weight()}}}                           // which is adapted
		return &Loop{job: &Job{}, sched: train.Schedule{Type: "constant", LR: 1}, world: one(), sums: &sums{}, scaler: train.NewScaler(LossScale{}), weights: l}, grad
	}
	l, grad := loop(1, 1)
	if !l.Ready() || len(l.reach.pending) != 1 {
		t.Errorf("a row of one token: %v, %v", l.err, l.reach.pending)
	}
	l.scaler.Next(false)
	if grad.Data[1] = 3; !l.Ready() || len(l.reach.pending) != 0 || !l.reach.moved {
		t.Errorf("a longer row: %v, %v", l.err, l.reach.pending)
	}
	for want, x := range map[string][2]float32{"its factor A is zero": {0, 1}, "layers.0.self_attn.o_proj.weight of the base is zero": {1, 0}} {
		l, _ := loop(x[0], x[1])
		if l.Ready() || l.err == nil || !strings.Contains(l.err.Error(), want) {
			t.Errorf("%v, want %q", l.err, want)
		}
	}
}

// A run whose steps update nothing fails, and writes no adapter.
func TestUnmoved(t *testing.T) {
	body := func(g float32) func(r *Run) error {
		return func(r *Run) error {
			r.Embedding(embedName, vocab, width)
			r.Weight(queryName, width, width)
			r.Vector(normName, width)
			r.Trainable([]string{factorA}, rank, width, Init{Kind: "ones"})
			x := r.Trainable([]string{factorB}, width, rank, Init{})
			grad := r.Grad(x)
			if err := r.Loaded(); err != nil {
				return err
			}
			for r.Next() {
				grad.Data[0] = g
				if ready := r.Ready(); ready != finite(float64(g)) {
					t.Errorf("gradient %v: ready is %v", g, ready)
				}
				r.Done(0, nil)
			}
			return r.Finish(nil)
		}
	}
	for words, g := range map[string]float32{"none of the 2 steps updated anything: the gradients were not finite": float32(math.Inf(1)),
		"none of the 2 steps updated anything: all gradients were zero": 0} {
		j := adaptedJob(t)
		j.DoEval = false
		j.EvalData = Data{}
		j.LossScale = LossScale{}
		refused(t, j, body(g), exit.Failed, words, "--steps", "2")
		if _, err := os.Stat(filepath.Join(j.Output, "adapter")); err == nil {
			t.Error("an adapter was written")
		}
	}
	j := adaptedJob(t)
	j.DoEval = false
	j.EvalData = Data{}
	wordsIn(t, must(t, j, body(1), "--steps", "2"), "adapter written to")

	// Steps at the rate 0 update nothing, either.
	j.Output = t.TempDir()
	wordsIn(t, must(t, j, body(1), "--steps", "1"), "warning: the learning rate was 0 in all of this run (1 step of warm-up)", "adapter written to")
	j.Output, j.Schedule.LR = t.TempDir(), 0
	refused(t, j, body(1), exit.Failed, "none of the 2 steps updated anything: the learning rate was 0 in each of them", "--steps", "2")
}

// Weights that are finite and far too large are named.
func TestHugeWeights(t *testing.T) {
	huge := tensors()
	norm := make([]float32, width)
	for i := range norm {
		norm[i] = -3e38
	}
	huge["model.norm.weight"] = blob{"F32", []int{width}, peft.Bytes(norm)}
	j := adaptedJob(t)
	j.DoEval = false
	j.EvalData = Data{}
	j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "huge.safetensors"), huge)
	refused(t, j, shapeOf{}.body, exit.Failed, "some are far too large; the largest is model.norm.weight of "+j.LoadCheckpoint+", which holds -3e+38")
	refused(t, j, shapeOf{}.body, exit.Failed, "the largest weight is model.norm.weight of "+j.LoadCheckpoint, "--run_mode", "eval", "--eval_dataset_dir", j.TrainData.Path)
}
