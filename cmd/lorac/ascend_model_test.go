package main

import (
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/ir"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// smallOnAscend is a small model with everything that draws, remembers or divides:
// grouped keys, accumulation, left-over batches, clipping.
var smallOnAscend = map[string]string{
	"model.model_config.hidden_size":               "256",
	"model.model_config.num_heads":                 "4",
	"model.model_config.n_kv_heads":                "2",
	"model.model_config.intermediate_size":         "688",
	"model.model_config.num_layers":                "2",
	"model.model_config.compute_dtype":             "bfloat16",
	"model.model_config.pet_config.lora_rank":      "8",
	"model.model_config.pet_config.lora_alpha":     "16",
	"model.model_config.pet_config.target_modules": ".*wq|.*wk|.*wv|.*wo|.*w1|.*w2|.*w3",
	"runner_config.gradient_accumulation_steps":    "2",
	"runner_config.epochs":                         "7",
}

// distance is how far a run is from another, relative.
type distance struct {
	first, loss     float64 // of the losses: the first step's, the largest
	firstNorm, norm float64 // of gradient norms
}

func apart(t *testing.T, got, want []record) (d distance) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%d steps, the reference has %d", len(got), len(want))
	}
	for i := range want {
		l, n := math.Abs(got[i].Loss-want[i].Loss)/want[i].Loss, math.Abs(got[i].GradNorm-want[i].GradNorm)/want[i].GradNorm
		if i == 0 {
			d.first, d.firstNorm = l, n
		}
		d.loss, d.norm = max(d.loss, l), max(d.norm, n)
	}
	return d
}

// moved is how far two adapters are apart, by what training changed: ‖a - b‖ / ‖b - start‖.
func (x *tiny) moved(a, b map[string][]float32) float64 {
	x.t.Helper()
	var off, way float64
	n := 0
	for name, start := range x.weights {
		if !strings.Contains(name, "_lora_") {
			continue
		}
		if len(a[name]) != len(start) || len(b[name]) != len(start) {
			x.t.Fatalf("%s has %d and %d numbers", name, len(a[name]), len(b[name]))
		}
		for i := range start {
			off += math.Pow(float64(a[name][i])-float64(b[name][i]), 2)
			way += math.Pow(float64(b[name][i])-float64(start[i]), 2)
		}
		n++
	}
	if n == 0 || way == 0 {
		x.t.Fatalf("%d matrices went %v", n, way)
	}
	return math.Sqrt(off / way)
}

// adapterOf is what a run left.
func adapterOf(t *testing.T, out string) map[string][]float32 {
	t.Helper()
	a, err := peft.Load(filepath.Join(out, "adapter"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for name, m := range a.Tensors {
		all[name] = m.Data
	}
	return all
}

// adapterIn is the adapter in an evaluator.
func adapterIn(in *ir.Interp) map[string][]float32 {
	all := map[string][]float32{}
	for _, s := range in.M.Storages {
		if s.Kind != ir.Param || !s.Adapter() {
			continue
		}
		n := s.Type.Elems(nil)
		for i := range s.Count() {
			one := make([]float32, n)
			for k := range one {
				one[k] = float32(in.Storage[s.Name].F[i*n+k])
			}
			all[nameOf(s, i)] = one
		}
	}
	return all
}

// gradients are those of the first step by parameter: the first moments after it are
// the gradients times one number.
func gradients(in *ir.Interp) map[string][]float64 {
	all := map[string][]float64{}
	for _, s := range in.M.Storages {
		if s.Kind != ir.State || !strings.HasSuffix(s.Name, ".m") {
			continue
		}
		of := in.M.Storage(strings.TrimSuffix(s.Name, ".m"))
		n := s.Type.Elems(nil)
		for i := range s.Count() {
			all[nameOf(of, i)] = in.Storage[s.Name].F[i*n : (i+1)*n]
		}
	}
	return all
}

// savedGradients are those of a run that saved after the first step.
func (x *tiny) savedGradients(out string) map[string][]float64 {
	x.t.Helper()
	file, err := safetensors.Open(filepath.Join(out, "checkpoint", "tiny-1.safetensors"))
	x.must(err)
	defer file.Close()
	all := map[string][]float64{}
	for _, s := range x.module.Storages {
		if s.Kind != ir.Param || !s.Trainable {
			continue
		}
		tensor, ok := file.Tensor("m." + nameOf(s, 0))
		if !ok {
			x.t.Fatalf("no moments of %s in %v", s.Name, file.Names())
		}
		f, err := peft.Floats(tensor.DType, tensor.Data)
		x.must(err)
		n := s.Type.Elems(nil)
		for i := range s.Count() {
			for _, v := range f[i*n : (i+1)*n] {
				all[nameOf(s, i)] = append(all[nameOf(s, i)], float64(v))
			}
		}
	}
	return all
}

// off is ‖a - b‖ / ‖b‖.
func off(a, b []float64) float64 {
	var d, n float64
	for i := range b {
		d += (a[i] - b[i]) * (a[i] - b[i])
		n += b[i] * b[i]
	}
	return math.Sqrt(d / n)
}

// nudgeNorms changes the last bits of what each norm makes in an evaluator.
func (x *tiny) nudgeNorms(in *ir.Interp) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range in.M.Storages {
		if x.nudge == 0 || s.Kind != ir.Param || s.Type.Rank() != 1 {
			continue
		}
		a := in.Storage[s.Name]
		for i := range a.F {
			a.F[i] *= 1 + x.nudge*(2*rng.Float64()-1)
		}
	}
}

// within holds a run and its adapter to another.
func (x *tiny) within(what string, got, want []record, a, b map[string][]float32, most distance, adapter float64) {
	x.t.Helper()
	d, m := apart(x.t, got, want), x.moved(a, b)
	x.t.Logf("%s: %.1e, adapter %.1e", what, d, m)
	if !(d.first <= most.first && d.firstNorm <= most.firstNorm && d.loss <= most.loss && d.norm <= most.norm && m <= adapter) {
		x.t.Errorf("%s: apart by %.1e, the adapters by %.1e; %.1e and %.1e are allowed", what, d, m, most, adapter)
	}
}

// TestAscendModel trains a small model for twenty steps, with and without dropout. A
// sum in f32 that is another in its last bits rounds to another number of 16 bits now
// and then, and what is computed from it is another from there on: after a layer
// most numbers are a unit apart. So the first step agrees to what is left of such
// flips in a mean over its tokens; how much that may be for a gradient is measured,
// by nudging the reference itself: a hundredth of a unit is more than f32 sums err.
// Later steps begin with other adapters, and stay as near as 16 bits are to f32.
func TestAscendModel(t *testing.T) {
	testkit.Slow(t, "ascend")
	const steps = 20
	for _, drop := range []string{"0.0", "0.1"} {
		t.Run("dropout "+drop, func(t *testing.T) {
			set := maps.Clone(smallOnAscend)
			set["model.model_config.pet_config.lora_dropout"] = drop
			x, cpu := newTinyOnAscend(t, set), newTiny(t, set)
			one, out, plain := filepath.Join(x.dir, "one"), filepath.Join(x.dir, "out"), filepath.Join(x.dir, "plain")
			x.run(one, "--steps", "1", "--save_checkpoint_steps", "1")
			x.run(out, "--steps", strconv.Itoa(steps))
			cpu.run(plain, "--steps", strconv.Itoa(steps))
			got, base := metricsOf(t, out), metricsOf(t, plain)
			if len(got) != steps {
				t.Fatalf("%d steps", len(got))
			}
			want, in := x.evaluate(x.module, steps, rates(got))
			x.within("the reference", got, want, adapterOf(t, out), adapterIn(in), distance{first: 2e-4, firstNorm: 1e-3, loss: 2e-3, norm: 4e-3}, 0.02)
			x.within("the CPU", got, base, adapterOf(t, out), adapterOf(t, plain), distance{first: 2e-3, firstNorm: 2e-3, loss: 4e-3, norm: 4e-3}, 0.04)
			x.gradientsFlip(one, rates(got))
		})
	}
}

// gradientsFlip holds the gradients of the first step to the reference: none is
// farther from it than the nudged reference.
func (x *tiny) gradientsFlip(out string, lr []float64) {
	x.t.Helper()
	_, in := x.evaluate(x.module, 1, lr)
	x.nudge = 1e-5
	_, nudged := x.evaluate(x.module, 1, lr)
	x.nudge = 0
	got, want, flipped := x.savedGradients(out), gradients(in), gradients(nudged)
	most := 0.0
	for name := range want {
		d, f := off(got[name], want[name]), off(flipped[name], want[name])
		if most = max(most, d/f); d > f {
			x.t.Errorf("the gradient of %s is %.2g off, flipped roundings make %.2g", name, d, f)
		}
	}
	x.t.Logf("gradients are at most %.2f as far off as the nudged reference", most)
}

// rates are the learning rates of a run.
func rates(got []record) (lr []float64) {
	for _, m := range got {
		lr = append(lr, m.LR)
	}
	return lr
}
