package ascend

import (
	"bytes"
	"encoding/binary"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"lorac/kernels"
	k "lorac/kernels/ascend"
	rt "lorac/runtime"
	"lorac/runtime/exit"
	"lorac/runtime/weights/safetensors"
)

// baseJob is a job with a base of a matrix of each type and a vector.
func baseJob(t *testing.T, rows, cols int) *Job {
	t.Helper()
	var entries []safetensors.Entry
	add := func(name, dtype string, shape []int, put func(b []byte, i int), size int) {
		n := shape[0]
		if len(shape) > 1 {
			n *= shape[1]
		}
		b := make([]byte, n*size)
		for i := range n {
			put(b[i*size:], i)
		}
		entries = append(entries, safetensors.Entry{Name: name, DType: dtype, Shape: shape, Write: safetensors.Bytes(b)})
	}
	add("wide", "F32", []int{rows, cols}, func(b []byte, i int) { binary.LittleEndian.PutUint32(b, math.Float32bits(number(i))) }, 4)
	add("half", "F16", []int{rows, cols}, func(b []byte, i int) { binary.LittleEndian.PutUint16(b, kernels.ToHalf(number(i))) }, 2)
	add("low", "BF16", []int{rows, cols}, func(b []byte, i int) { binary.LittleEndian.PutUint16(b, kernels.ToBFloat(number(i))) }, 2)
	add("model.norm.weight", "F16", []int{cols}, func(b []byte, i int) { binary.LittleEndian.PutUint16(b, kernels.ToHalf(number(i))) }, 2)
	j := toyJob(t)
	j.LoadCheckpoint = filepath.Join(t.TempDir(), "base.safetensors")
	if err := safetensors.Write(j.LoadCheckpoint, entries, nil); err != nil {
		t.Fatal(err)
	}
	return j
}

// number is an element that no 16 bits hold exactly.
func number(i int) float32 { return float32(i%1000-500)/700 + 1e-5 }

// loadBase runs a body that loads.
func loadBase(j *Job, body func(r *Run, d *fake) error) error {
	d := newFake()
	c := newCard(func(int, string) (driver, error) { return d, nil })
	return rt.ExecuteOn(c, j, []string{"--kernels", "kernels.o"}, &bytes.Buffer{}, c.run(func(r *Run) error { return body(r, d) }, nil))
}

// Matrices go to the device in its 16 bits, rounded once, whatever their file has;
// vectors and tables in f32.
func TestWeights(t *testing.T) {
	const rows, cols = 301, 160
	for _, low := range []k.DType{k.BF16, k.F16} {
		j := baseJob(t, rows, cols)
		j.DeviceType = low.String()
		j.Output = t.TempDir()
		err := loadBase(j, func(r *Run, d *fake) error {
			for name, stored := range map[string]k.DType{"wide": k.F32, "half": k.F16, "low": k.BF16} {
				w := r.Weight(name, rows, cols)
				if name == "low" {
					w = r.Embedding(name, rows, cols)
				}
				if w.Rows != rows || w.Cols != cols || w.DType != low {
					t.Errorf("%s is %v", name, w)
				}
				got := make([]float32, rows*cols)
				low.Get(got, d.at(w.At, w.Bytes()))
				for i, x := range got {
					if want := low.Round(stored.Round(number(i))); x != want {
						t.Fatalf("%s in %s: element %d is %v, want %v", name, low, i, x, want)
					}
				}
			}
			gain := r.Vector("model.norm.weight", cols)
			for i, x := range d.floats(gain.At, cols) {
				if x != k.F16.Round(number(i)) {
					t.Fatalf("element %d of the vector is %v", i, x)
				}
			}
			table := r.RopeTable(true, 5, k.RopeSpec{HeadDim: 8, Theta: 10000, Method: "none"})
			if got := d.floats(table.At, 20); table.Rows != 5 || got[4] != float32(math.Sin(1)) {
				t.Errorf("the table of sines is %v", got)
			}
			return r.Loaded()
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// A matrix larger than the staging buffer arrives whole, also from blocks.
func TestWeightInPieces(t *testing.T) {
	const rows, cols = 9000, 1024
	stored := make([]byte, kernels.Q8_0.RowBytes(cols)*rows)
	for i := range stored {
		stored[i] = byte(i * 7)
		if i%34 < 2 { // the scale of a block
			stored[i] = byte(0x11 * (1 + i%34))
		}
	}
	w, err := kernels.WeightFromBytes(stored, kernels.Q8_0, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	j := toyJob(t)
	err = loadBase(j, func(r *Run, d *fake) error {
		at := r.send(w)
		row, got := make([]float32, cols), make([]float32, cols)
		for i := range rows {
			w.Row(row, i)
			k.BF16.Get(got, d.at(at+k.Ptr(2*cols*i), 2*cols))
			for c, x := range got {
				if x != k.BF16.Round(row[c]) {
					t.Fatalf("element %d, %d is %v, want %v", i, c, x, k.BF16.Round(row[c]))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A base that does not fit is refused as on the host, and nothing of it is read.
func TestWeightsRefused(t *testing.T) {
	j := baseJob(t, 16, 16)
	err := loadBase(j, func(r *Run, _ *fake) error {
		r.Weight("wide", 16, 32)
		r.Weight("nothing", 16, 16)
		r.Vector("model.norm.weight", 8)
		return r.Loaded()
	})
	for _, words := range []string{"wide has shape [16 16], the config makes it [16 32]", "nothing is missing", "model.norm.weight has shape [16], the config makes it [8]"} {
		if exit.Code(err) != exit.Input || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
}

// The card is the one that flag, environment or config name, in this order.
func TestCard(t *testing.T) {
	for _, c := range []struct {
		flag, env string
		config    int
		want      int
		words     string
	}{{"", "", 0, 0, ""}, {"", "", 3, 3, ""}, {"", "2", 3, 2, ""}, {"1", "2", 3, 1, ""}, {"", "x", 0, 0, "DEVICE_ID=x is no card"}} {
		t.Setenv("DEVICE_ID", c.env)
		t.Setenv("LORAC_ASCEND_KERNELS", "from the environment")
		got, kernels := -1, ""
		card := newCard(func(id int, file string) (driver, error) { got, kernels = id, file; return newFake(), nil })
		_, err := card.Open(&Job{DeviceID: c.config}, &rt.Options{DeviceID: c.flag})
		if c.words != "" {
			if exit.Code(err) != exit.Input || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%+v: %v", c, err)
			}
		} else if err != nil || got != c.want || kernels != "from the environment" {
			t.Errorf("%+v: card %d with kernels %q, %v", c, got, kernels, err)
		}
	}
	t.Setenv("DEVICE_ID", "")
	t.Setenv("LORAC_DEVICE_TIMEOUT", "x")
	if _, err := newCard(openDevice).Open(&Job{Name: "toy"}, &rt.Options{}); exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), "LORAC_DEVICE_TIMEOUT=x is no time") {
		t.Errorf("%v", err)
	}
	t.Setenv("LORAC_DEVICE_TIMEOUT", "")
	t.Setenv("LORAC_ASCEND_KERNELS", "")
	card := newCard(func(int, string) (driver, error) { return newFake(), nil })
	if _, err := card.Open(&Job{Name: "toy"}, &rt.Options{}); exit.Code(err) != exit.Failed || !strings.Contains(err.Error(), "no compiled kernels for Ascend are beside the trainer") {
		t.Errorf("%v", err)
	}
	card = newCard(func(int, string) (driver, error) { return nil, errFault })
	if _, err := card.Open(&Job{Name: "toy"}, &rt.Options{Kernels: "x"}); exit.Code(err) != exit.Failed || !strings.Contains(err.Error(), errFault.Error()) {
		t.Errorf("%v", err)
	}
}
