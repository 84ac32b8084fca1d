package mesh

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	k "lorac/kernels"
	rt "lorac/runtime"
	"lorac/runtime/comm"
	"lorac/runtime/exit"
)

// pair is two processes in one, each a goroutine.
type pair struct {
	n     int
	here  chan []float32
	there chan []float32
}

func (p pair) Rank() int { return p.n }
func (p pair) Size() int { return 2 }

func (p pair) AllSum(x []float32, mem comm.Memory) error {
	p.there <- slices.Clone(x)
	other := <-p.here
	if len(other) != len(x) {
		return errors.New("sums of other lengths")
	}
	if p.n == 0 {
		mem.Add(x, x, other)
	} else {
		mem.Add(x, other, x)
	}
	return nil
}

// both runs what two processes do.
func both(t *testing.T, do func(d *device)) {
	t.Helper()
	a, b := make(chan []float32, 1), make(chan []float32, 1)
	var all sync.WaitGroup
	for n, p := range []pair{{0, a, b}, {1, b, a}} {
		all.Add(1)
		go func() {
			defer all.Done()
			do(&device{mesh: Mesh{Model: 2}, shares: map[*Stack]*share{}, ranks: &Ranks{g: pair{n, p.here, p.there}, mem: rt.HostMemory{Kernels: k.New(1)}}})
		}()
	}
	all.Wait()
}

func TestRanks(t *testing.T) {
	both(t, func(d *device) {
		r, n := d.ranks, float32(d.ranks.g.Rank())
		x, y := k.MatOf([]float32{1 + n, 2, 3, 4 * n}, 2, 2), k.NewMat(2, 2)
		if r.Sum(y, x); !slices.Equal(y.Data, []float32{3, 4, 6, 4}) {
			t.Errorf("the sum is %v", y.Data)
		}
		if r.Sum(x, x); !slices.Equal(x.Data, y.Data) {
			t.Errorf("in place the sum is %v", x.Data)
		}
		v := k.Vec{float32(math.Log(float64(1 + 2*n))), -200}
		if r.LogSumExp(v, v); math.Abs(float64(v[0])-math.Log(4)) > 1e-6 || math.Abs(float64(v[1])+200-math.Log(2)) > 1e-4 {
			t.Errorf("the logarithm of the sum of exponentials is %v", v)
		}
		const exact = 1.0000000000001
		if got := r.SumScalar(k.Number(exact)).Value(); math.Abs(got-2*exact) > 1e-14 {
			t.Errorf("the sum of a number is %v", got)
		}
		if got := r.SumScalar(k.Number(math.Inf(1))).Value(); !math.IsInf(got, 1) {
			t.Errorf("the sum of infinity is %v", got)
		}
		wide := k.MatOf([]float32{9, 9, 9, 9, 9, 9, 9, 9}, 2, 4)
		r.Columns(wide, k.MatOf([]float32{1 + n, 2 + n, 3 + n, 4 + n}, 2, 2))
		if !slices.Equal(wide.Data, []float32{1, 2, 2, 3, 3, 4, 4, 5}) {
			t.Errorf("columns side by side are %v", wide.Data)
		}
		if got := r.First(5); got != 5*int(n) {
			t.Errorf("the first is %d", got)
		}
	})
}

// What a process has of a stack goes back to where it came from.
func TestShares(t *testing.T) {
	whole := func(rows, cols int) *Stack {
		s := &Stack{Names: []string{"a", "b"}, Rows: rows, Cols: cols, Data: make([]float32, 2*rows*cols)}
		for i := range s.Data {
			s.Data[i] = float32(i + 1)
		}
		return s
	}
	for name, c := range map[string]struct {
		along  Along
		blocks []int
		first  []float32 // of rank 1
	}{
		"rows":    {Rows, nil, []float32{17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32}},
		"columns": {Columns, nil, []float32{3, 4, 7, 8, 11, 12, 15, 16, 19, 20, 23, 24, 27, 28, 31, 32}},
		"blocks":  {Rows, []int{4, 2, 2}, []float32{9, 10, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 29, 30, 31, 32}},
	} {
		both(t, func(d *device) {
			host := whole(8, 4)
			n := host.Rows
			if c.along == Columns {
				n = host.Cols
			}
			s := d.track(host)
			s.along, s.parts = c.along, d.parts(n, c.blocks)
			d.divide(s)
			s.each(0, len(host.Names), func(local, host []float32) { copy(local, host) })
			if got := s.local.Data[:16]; d.ranks.g.Rank() == 1 && !slices.Equal(got, c.first) {
				t.Errorf("%s: rank 1 has %v", name, got)
			}
			want := slices.Clone(host.Data)
			for i := range host.Data {
				host.Data[i] = -1
			}
			d.Pull(host, &Stack{})
			if !slices.Equal(host.Data, want) {
				t.Errorf("%s: put together it is %v", name, host.Data)
			}
		})
	}
}

// Part is what a process has of a matrix, as it is stored.
func TestPart(t *testing.T) {
	x := k.NewMat(8, 4)
	for i := range x.Data {
		x.Data[i] = float32(i)
	}
	var data []byte
	for _, v := range x.Data {
		bits := math.Float32bits(v)
		data = append(data, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
	}
	w, err := k.WeightFromBytes(data, k.F32, 8, 4)
	if err != nil {
		t.Fatal(err)
	}
	both(t, func(d *device) {
		r := &Run{d: d}
		if d.ranks.g.Rank() == 0 {
			return
		}
		for _, c := range []struct {
			got  k.Weight
			want []float32
		}{
			{r.d.part(w, Rows), x.Data[16:]},
			{r.d.part(w, Columns), []float32{2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31}},
			{r.d.part(w, Rows, 4, 4), slices.Concat(x.Data[8:16], x.Data[24:])},
		} {
			if !slices.Equal(c.got.Float32s(), c.want) {
				t.Errorf("%v, not %v", c.got.Float32s(), c.want)
			}
		}
	})
}

// broken is a group that another process left.
type broken struct{ pair }

func (broken) AllSum([]float32, comm.Memory) error {
	return errors.New("rank 1 on host b is gone")
}

func TestFaults(t *testing.T) {
	rows := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(rows, []byte(`{"input_ids": [1, 2, 3]}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	job := &Job{Name: "m", Hash: "1", RunMode: "train", SeqLength: 8, Vocab: 16, EosIDs: []int{2}, MaxRows: 8, Epochs: 1, BatchSize: 1, GradAccum: 1,
		TrainData: Data{Path: rows, Repeat: 1, Format: "auto"}, Schedule: Schedule{Type: "linear", LR: 0.1, TotalSteps: -1}}
	args := []string{"--output_dir", t.TempDir()}
	sum := func(r *Run) error { r.Ranks().SumVec(k.Vec{1}, k.Vec{1}); return nil }
	for want, run := range map[string]func() error{
		"rank 1 on host b is gone": func() error { return Execute(broken{}, job, args, &bytes.Buffer{}, sum, Mesh{Model: 2}) },
		"was compiled for 4 processes that share each step; 2 were started": func() error { return Execute(pair{}, job, args, &bytes.Buffer{}, sum, Mesh{Model: 4}) },
	} {
		err := run()
		code := exit.Failed
		if strings.Contains(want, "compiled") {
			code = exit.Input
		}
		if err == nil || !strings.Contains(err.Error(), want) || exit.Code(err) != code {
			t.Errorf("%v, exit code %d, not %s", err, exit.Code(err), want)
		}
	}
}

// PartVector is what a process has of a vector: one piece, or one of each block.
func TestPartVector(t *testing.T) {
	x := []float32{0, 1, 2, 3, 4, 5, 6, 7}
	both(t, func(d *device) {
		r := &Run{d: d}
		want := map[string][]float32{"whole": {0, 1, 2, 3}, "blocks": {0, 1, 4, 6}}
		if d.ranks.g.Rank() == 1 {
			want = map[string][]float32{"whole": {4, 5, 6, 7}, "blocks": {2, 3, 5, 7}}
		}
		if got := r.PartVector(x, Rows); !slices.Equal(got, want["whole"]) {
			t.Errorf("%v", got)
		}
		if got := r.PartVector(x, Rows, 4, 2, 2); !slices.Equal(got, want["blocks"]) {
			t.Errorf("of blocks: %v", got)
		}
	})
}
