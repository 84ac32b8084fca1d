package ascend_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"lorac/kernels"
	"lorac/kernels/ascend/ascendtest"
	"lorac/runtime/device"
)

// Bytes of workspace for each group of cores.
const downSpace, gradSpace, dxSpace = 262144, 262144, 393216

// dropouts is what the kernels behind a dropout share: seeds, layer and rate.
type dropouts struct {
	*cubeBench
	kernels.Drop
	seeds device.Ptr
}

func newDropouts(b *cubeBench, rows int, p float32) *dropouts {
	d := &dropouts{cubeBench: b, Drop: kernels.Drop{P: p, Layer: 3, Seeds: make(kernels.Seeds, rows)}}
	var data []byte
	for i := range d.Seeds {
		d.Seeds[i] = b.r.Uint64()
		data = binary.LittleEndian.AppendUint64(data, d.Seeds[i])
	}
	d.seeds = b.alloc(len(data))
	b.check(b.d.Upload(d.seeds, data))
	return d
}

// alloc is memory with anything in it.
func (b *cubeBench) alloc(n int) device.Ptr {
	p, err := b.d.Alloc(n)
	b.check(err)
	b.testing.Cleanup(func() { b.d.Free(p) })
	data := make([]byte, n)
	for i := range data {
		data[i] = 0xff // NaN
	}
	b.check(b.d.Upload(p, data))
	return p
}

func (d *dropouts) limit() int     { return int(math.Round(float64(d.P) * 65536)) }
func (d *dropouts) scale() float32 { return 1 / (1 - d.P) }

// id is how kernels are told a stream.
func (d *dropouts) id(stream int) int { return d.Layer*64 + stream + 1 }

// mask is 1 where the CPU keeps an element of rows x cols, 0 where it drops it.
func (d *dropouts) mask(rows, cols, stream int) []bool {
	x, y := kernels.NewMat(rows, cols), kernels.NewMat(rows, cols)
	for i := range rows {
		for j := range cols {
			x.Row(i)[j] = 1
		}
	}
	ctx := kernels.New(1)
	defer ctx.Close()
	ctx.Dropout(y, x, d.Of(stream))
	keep := make([]bool, 0, rows*cols)
	for i := range rows {
		for _, v := range y.Row(i) {
			keep = append(keep, v != 0)
		}
	}
	return keep
}

// dropped is T(drop(x)).
func (d *dropouts) dropped(x []float64, rows, stream int) []float64 {
	keep, y := d.mask(rows, len(x)/rows, stream), make([]float64, len(x))
	for i, v := range x {
		if keep[i] {
			y[i] = d.round(float64(float32(v) * d.scale()))
		}
	}
	return y
}

var dropSizes = []struct {
	m, k int
	r    []int
	p    float32
}{
	{1, 16, []int{1}, 0.5},
	{5, 64, []int{3, 16}, 0.05},
	{17, 272, []int{8, 4, 100}, 0.3},
	{130, 80, []int{64}, 1.0 / 65536},
	{300, 304, []int{16, 128, 3}, 0.1},
	{16, 1024, []int{16}, 0.9},
	{2, 4112, []int{4}, 0.05},
}

// TestDropout: the bits of the mask are the CPU's, values exactly T(scale·x).
func TestDropout(t *testing.T) {
	dev := ascendtest.Open(t)
	for _, ty := range []cubeType{cubeBF16, cubeF16} {
		for _, s := range dropSizes {
			b := newCubeBench(t, dev, ty, uint64(s.k))
			b.what = fmt.Sprint(ty.name, s)
			d := newDropouts(b, s.m, s.p)
			x, y := b.normal(s.m*s.k), b.empty(s.m*s.k, false)
			b.run("dropout", 5, y, x, d.seeds, s.m, s.k, d.id(2), d.limit(), d.scale())
			want := d.dropped(x.v, s.m, 2)
			if got := y.get(); !slices.Equal(got, want) {
				t.Errorf("%s: the result differs from the CPU's mask", b.what)
			}
			b.run("dropout", 5, x, x, d.seeds, s.m, s.k, d.id(2), d.limit(), d.scale())
			if !slices.Equal(x.get(), want) {
				t.Errorf("%s: the result differs in place", b.what)
			}
		}
	}
}

// TestDropoutLimits: a rate of nothing keeps all, one that rounds to all keeps nothing.
func TestDropoutLimits(t *testing.T) {
	b := newCubeBench(t, ascendtest.Open(t), cubeBF16, 1)
	d := newDropouts(b, 9, 0)
	x, y := b.normal(9*48), b.empty(9*48, false)
	b.run("dropout", 1, y, x, d.seeds, 9, 48, 1, 0, float32(1))
	if !slices.Equal(y.get(), x.v) {
		t.Error("a limit of 0 drops")
	}
	b.run("dropout", 1, y, x, d.seeds, 9, 48, 1, 65536, float32(1))
	if slices.ContainsFunc(y.get(), func(v float64) bool { return v != 0 }) {
		t.Error("a limit of 65536 keeps")
	}
}

// behind is one group of adapters behind dropouts.
type behind struct {
	*dropouts
	m, k        int
	r           []int
	x, dx       *cubeArray
	a, dt, t, g []*cubeArray
}

func newBehind(b *cubeBench, m, k int, r []int, p float32) *behind {
	h := &behind{dropouts: newDropouts(b, m, p), m: m, k: k, r: r, x: b.normal(m * k), dx: b.normal(m * k)}
	for _, r := range r {
		h.a, h.dt = append(h.a, b.normal(r*k)), append(h.dt, b.normal(m*r))
		h.t, h.g = append(h.t, b.empty(m*r, false)), append(h.g, b.normal32(r*k))
	}
	return h
}

// launch runs the kernels one after the other and calls then after each.
func (h *behind) launch(blocks int, then func(kernel string)) {
	ws := h.alloc(blocks * dxSpace)
	var adapters []any
	for i, r := range h.r {
		h.run("lora_down_drop", blocks, h.t[i], h.x, h.a[i], h.seeds, ws, h.m, h.k, r, h.id(i), h.limit(), h.scale())
		then("lora_down_drop")
		h.run("weight_grad_drop", blocks, h.g[i], h.dt[i], h.x, h.seeds, ws, r, h.k, h.m, h.id(i), h.limit(), h.scale())
		then("weight_grad_drop")
		adapters = append(adapters, h.dt[i], h.a[i], packed(r, h.id(i)))
	}
	h.run("lora_dx_drop", blocks, filled(16, append([]any{h.dx, h.seeds, ws, h.m, h.k, h.limit(), h.scale()}, adapters...))...)
	then("lora_dx_drop")
}

// TestBehindDropout: the linears behind a dropout against float64, with drop(x) rounded
// as the cube takes it.
func TestBehindDropout(t *testing.T) {
	dev := ascendtest.Open(t)
	for _, ty := range []cubeType{cubeBF16, cubeF16} {
		for _, s := range dropSizes {
			b := newCubeBench(t, dev, ty, uint64(s.k))
			b.what = fmt.Sprint(ty.name, s)
			h := newBehind(b, s.m, s.k, s.r, s.p)
			h.launch(2, func(string) {})
			dx := newCubeSum(s.m * s.k).plus(h.dx.v)
			for i, r := range s.r {
				x := h.dropped(h.x.v, s.m, i)
				h.t[i].near(fmt.Sprint("t", i), newCubeSum(s.m*r).nt(s.m, r, s.k, x, h.a[i].v))
				h.g[i].near(fmt.Sprint("da", i), newCubeSum(r*s.k).plus(h.g[i].v).tn(r, s.k, s.m, h.dt[i].v, x))
				back := newCubeSum(s.m*s.k).nn(s.m, s.k, r, h.dt[i].v, h.a[i].v)
				for j, keep := range h.mask(s.m, s.k, i) {
					if keep {
						dx.v[j] += back.v[j] * float64(h.scale())
						dx.size[j] += back.size[j] * float64(h.scale())
					}
				}
			}
			h.dx.near("dx", dx)
		}
	}
}

// TestBehindDropoutAnyBlocks: the same bits whatever the number of cores.
func TestBehindDropoutAnyBlocks(t *testing.T) {
	dev := ascendtest.Open(t)
	var first [][]float64
	for _, blocks := range []int{1, 3, 7, 20, 24} {
		h := newBehind(newCubeBench(t, dev, cubeBF16, 7), 300, 528, []int{16, 3}, 0.05)
		h.launch(blocks, func(string) {})
		var all [][]float64
		for _, a := range slices.Concat([]*cubeArray{h.dx}, h.t, h.g) {
			all = append(all, a.get())
		}
		if first == nil {
			first = all
		}
		for i := range all {
			if !slices.Equal(all[i], first[i]) {
				t.Errorf("%d blocks: result %d differs from that of one block", blocks, i)
			}
		}
	}
}
