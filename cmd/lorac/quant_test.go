package main

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/lorac/build"
	"lorac/compiler/config"
	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/weights/gguf"
)

// halfOf is an independent reading of binary16.
func halfOf(b []byte) float64 {
	u := uint16(b[0]) | uint16(b[1])<<8
	e, f := int(u>>10&31), float64(u&1023)
	v := math.Ldexp(1+f/1024, e-15)
	if e == 0 {
		v = math.Ldexp(f/1024, -14)
	}
	if u>>15 == 1 {
		v = -v
	}
	return v
}

// decodeBlocks reads a matrix as ggml-common.h lays it out.
func decodeBlocks(t *testing.T, x gguf.Tensor) []float32 {
	t.Helper()
	var out []float32
	switch x.Type {
	case "Q8_0":
		for b := x.Data; len(b) > 0; b = b[34:] {
			for _, q := range b[2:34] {
				out = append(out, float32(halfOf(b)*float64(int8(q))))
			}
		}
	case "Q4_0":
		for b := x.Data; len(b) > 0; b = b[18:] {
			for i := range 32 {
				q := b[2+i%16] & 15
				if i >= 16 {
					q = b[2+i%16] >> 4
				}
				out = append(out, float32(halfOf(b)*(float64(q)-8)))
			}
		}
	default:
		t.Fatalf("%s is stored as %s", x.Name, x.Type)
	}
	return out
}

// unpaired puts the rows of each head back: row j of a head of hd is at 2j if
// it is of the first half, else at 2(j-hd/2)+1.
func unpaired(x []float32, cols, hd int) []float32 {
	out := make([]float32, len(x))
	for r := range len(x) / cols {
		h, j := r/hd*hd, r%hd
		from := 2 * j
		if j >= hd/2 {
			from = 2*(j-hd/2) + 1
		}
		copy(out[r*cols:(r+1)*cols], x[(h+from)*cols:])
	}
	return out
}

// Trainers over a base in blocks train as the evaluator does over the numbers
// that the blocks stand for.
func TestQuantisedEqualsEvaluator(t *testing.T) {
	const mc = "model.model_config."
	for kind, far := range map[string]float64{"int8": 0.01, "int4": 0.1} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			x := newTiny(t, map[string]string{"quant": kind, mc + "hidden_size": "64", mc + "intermediate_size": "96", mc + "n_kv_heads": "2",
				mc + "pet_config.target_modules": ".*wq|.*wk|.*wv|.*wo|.*w2"})
			out := filepath.Join(x.dir, "out")
			x.run(out, "--epochs", "2", "--threads", "2")
			path := filepath.Join(out, "quantised_checkpoint", "base-"+kind+".gguf")
			exact := maps.Clone(x.weights)
			if n := x.readBlocks(path); n != 3*7+2 {
				t.Errorf("%d matrices", n)
			}
			for name, was := range exact {
				now := x.weights[name]
				if len(x.shapes[name]) != 2 || strings.Contains(name, "_lora_") {
					continue
				}
				var sum, wrong float64
				for i := range was {
					sum += float64(was[i]) * float64(was[i])
					wrong += float64(was[i]-now[i]) * float64(was[i]-now[i])
				}
				if e := math.Sqrt(wrong / sum); e > far || e == 0 {
					t.Errorf("%s is %v away from what it was", name, e)
				}
			}
			x.agrees(metricsOf(t, out))

			// The second run takes the file as it is.
			before, err := os.Stat(path)
			x.must(err)
			if text := x.run(filepath.Join(x.dir, "out"), "--epochs", "1"); strings.Contains(text, "quantising") {
				t.Error("the base was quantised again")
			}
			after, err := os.Stat(path)
			x.must(err)
			if !after.ModTime().Equal(before.ModTime()) {
				t.Error("the file was written again")
			}
		})
	}
}

// With products in eight bits a trainer stays near the evaluator, says what it
// does, and gives the same bits on any number of threads.
func TestComputeInt8(t *testing.T) {
	t.Parallel()
	const mc = "model.model_config."
	x := newTiny(t, map[string]string{"compute": "int8", mc + "hidden_size": "64", mc + "intermediate_size": "96", mc + "pet_config.lora_dropout": "0.1"})
	one, two := filepath.Join(x.dir, "one"), filepath.Join(x.dir, "two")
	if text := x.run(one, "--epochs", "2", "--threads", "1", "--allow_slow", "True"); !strings.Contains(text, "compute int8") {
		t.Errorf("it does not say so:\n%s", text)
	}
	x.run(two, "--epochs", "2", "--threads", "2", "--allow_slow", "True")
	got, again := metricsOf(t, one), metricsOf(t, two)
	var lr []float64
	for _, m := range got {
		lr = append(lr, m.LR)
	}
	want, _ := x.reference(len(got), lr)
	far := 0.0
	for i := range want {
		d := math.Abs(got[i].Loss-want[i].Loss) / want[i].Loss
		if far = max(far, d); d > 0.01 {
			t.Errorf("step %d: loss %v, the evaluator says %v", i+1, got[i].Loss, want[i].Loss)
		}
		if got[i] != again[i] {
			t.Errorf("step %d: %v on one thread, %v on two", i+1, got[i], again[i])
		}
	}
	if far < 1e-6 {
		t.Errorf("the losses are those of f32, within %v", far)
	}
}

// With an adapter, too, a base may train: then neither key is for it.
func TestFrozenBaseWanted(t *testing.T) {
	for _, x := range []struct{ key, value, freezeExclude, want string }{
		{"quant", "int4", "['*.w2.weight']", "`quant` is int4, but parameters of the base train"},
		{"compute", "int8", "['*']", "`compute` is int8, but "},
		{"compute", "int8", "['*.w2.weight']", ""},
	} {
		cfg, list := config.LoadBytes("tiny.yaml", []byte(tinyYAML), []config.Override{{Path: x.key, Value: x.value, Origin: "test"},
			{Path: "model.model_config.pet_config.freeze_exclude", Value: x.freezeExclude, Origin: "test"}})
		var err error = list
		if !list.HasErrors() {
			_, err = build.Compile(cfg, build.Target{}, build.Options{})
		}
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s with freeze_exclude %s: error %v, want %q in it", x.key, x.freezeExclude, err, x.want)
		}
	}
}

// What the plan counts for a matrix in eight bits is what it takes.
func TestInt8Bytes(t *testing.T) {
	k := kernels.New(1)
	defer k.Close()
	for _, cols := range []int{1, 4, 6, 31, 64} {
		const rows = 5
		typ := ir.Type{DType: ir.I8, Shape: []ir.Dim{ir.N(rows), ir.N(cols)}}
		stored := len(k.Int8(kernels.NewMat(rows, cols).Weight()).Stored())
		if got, want := typ.Bytes(nil), stored+4*rows; got != want {
			t.Errorf("%d columns: %d bytes, want %d of numbers and scales", cols, got, want)
		}
	}
}
