package ascend_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"lorac/kernels/ascend"
	"lorac/kernels/ascend/ascendtest"
	"lorac/kernels/ascend/formulas"
)

// counting holds what the twin counts in each launch to the formulas.
type counting struct {
	stream
	t      *testing.T
	cubes  int
	memory map[uint64][]byte // what was uploaded
	seen   map[string]bool   // kernels
	about  int               // bytes that a launch may move more or less
}

func (c *counting) Cores() (cubes, vectors int) { return c.cubes, 2 * c.cubes }

func (c *counting) Upload(to uint64, data []byte) error {
	c.memory[to] = slices.Clone(data)
	return c.stream.Upload(to, data)
}

func (c *counting) words(at uint64, n int) (out []int32) {
	b := c.memory[at]
	if len(b) < 4*n {
		return nil
	}
	for i := range n {
		out = append(out, int32(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return out
}

func (c *counting) Launch(note func() string, kernel string, blocks int, args ...uint64) error {
	if err := c.stream.Launch(note, kernel, blocks, args...); err != nil {
		return err
	}
	got := ascendtest.Counters(c.t, c.Device)
	want, err := formulas.Of(formulas.Launch{Kernel: kernel, Blocks: blocks, Args: args}, c.words)
	if errors.Is(err, formulas.ErrChosen) {
		return nil
	}
	if err != nil {
		c.t.Error(err)
	}
	near := func(got uint64, want int) bool { return int(got) <= want+c.about && int(got) >= want-c.about }
	if !near(got.In, want.In) || !near(got.Out, want.Out) || int(got.FLOPs) != want.FLOPs {
		c.t.Errorf("%s on %d cores of %v: in, out and FLOPs are %d, %d, %d; the formulas say %+v", kernel, blocks, args, got.In, got.Out, got.FLOPs, want)
	}
	c.seen[kernel] = true
	return nil
}

// newCounting is a context whose launches are counted.
func newCounting(t *testing.T, cubes int) (*ascend.Context, *counting) {
	d := &counting{stream: stream{ascendtest.Open(t)}, t: t, cubes: cubes, memory: map[uint64][]byte{}, seen: map[string]bool{}}
	c := ascend.New(d)
	t.Cleanup(c.Close)
	return c, d
}

// TestFormulas: all that the trials launch moves and multiplies what the formulas say,
// on several numbers of cores.
func TestFormulas(t *testing.T) {
	for _, cubes := range []int{1, 3, 20} {
		t.Run(fmt.Sprint(cubes), func(t *testing.T) {
			c, d := newCounting(t, cubes)
			for _, low := range []ascend.DType{ascend.BF16, ascend.F16} {
				if err := c.SelfCheck(low, ascend.Trials()...); err != nil {
					t.Error(err)
				}
				if cubes != 3 {
					break
				}
			}
			if len(d.seen) < 28 {
				t.Errorf("%d kernels were launched: %v", len(d.seen), d.seen)
			}
		})
	}
}

// TestFormulasOfSizes: so do larger ones, with tails everywhere.
func TestFormulasOfSizes(t *testing.T) {
	c, d := newCounting(t, 3)
	mat := func(rows, cols int, dt ascend.DType) ascend.Mat {
		p, err := d.Alloc(rows * cols * dt.Size())
		if err == nil {
			err = d.stream.Upload(p, make([]byte, rows*cols*dt.Size()))
		}
		if err != nil {
			t.Fatal(err)
		}
		return ascend.MatAt(p, rows, cols, dt)
	}
	low := func(rows, cols int) ascend.Mat { return mat(rows, cols, ascend.BF16) }
	ints := func(x ...int) ascend.Ints {
		var b []byte
		for _, v := range x {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		m := mat(1, len(x), ascend.F32)
		if err := d.Upload(m.At, b); err != nil {
			t.Fatal(err)
		}
		return ascend.IntsAt(m.At, len(x))
	}
	const m, k = 257, 272
	seeds := ascend.SeedsAt(mat(m, 2, ascend.F32).At, m)
	for _, p := range []float32{0, 0.25} {
		x, dx := low(m, k), low(m, k)
		var forward []ascend.Adapted
		var backward []ascend.AdaptedGrad
		for i, n := range []int{48, 272, 16} {
			r := []int{3, 128, 0}[i]
			f := ascend.Adapted{Y: low(m, n), W: low(n, k), Drop: ascend.Drop{P: p, Seeds: seeds, Stream: i}}
			g := ascend.AdaptedGrad{DY: f.Y, W: f.W, Drop: f.Drop}
			if r > 0 {
				f.XA, f.A, f.B, f.Scale = low(m, r), low(r, k), low(n, r), 1
				g.XA, g.A, g.B, g.Scale = f.XA, f.A, f.B, 1
				g.DA, g.DB = mat(r, k, ascend.F32), mat(n, r, ascend.F32)
			}
			forward, backward = append(forward, f), append(backward, g)
		}
		c.LoRALinear(x, forward...)
		c.LoRALinearGrad(dx, x, backward...)
	}
	const rows, heads, kvHeads, size = 700, 2, 1, 48
	starts := ints(0, 1, 1, 66, 100, rows)
	starts.N--
	all := make([]int, 3200)
	for i := range all {
		all[i] = i
	}
	q, kv, lse := low(rows, heads*size), low(rows, kvHeads*size), mat(rows, heads, ascend.F32)
	for _, chosen := range []ascend.Ints{nil, ints(all[:rows]...)} {
		c.Attention(low(rows, heads*size), lse, q, kv, kv, starts, chosen, heads, kvHeads, 0.1)
		c.AttentionGrad(low(rows, heads*size), low(rows, kvHeads*size), low(rows, kvHeads*size), q, q, kv, kv, q, lse, starts, chosen, heads, kvHeads, 0.1)
	}
	head := func(rows, cols, vocab int) { // weights are any numbers but 0
		targets := make([]int, rows)
		for i := range targets {
			targets[i] = i % vocab
		}
		c.HeadLoss(low(rows, cols), low(rows, cols), low(vocab, cols), ints(targets...), ascend.VecAt(ints(all[1:rows+1]...).At, rows))
	}
	for _, rows := range []int{1, 33, 400} {
		head(rows, 272, 1000)
	}
	head(40, 64, 2500)          // each block of the vocabulary is a range
	d.about = 4 * 16 * 3100 / 2 // here no row's largest logit grows, of random ones half would
	head(3100, 16, 1100)
}
