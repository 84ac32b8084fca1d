package ascend_test

import (
	"testing"

	"lorac/kernels/ascend/ascendtest"
	"lorac/runtime/device"
)

// Kernels over rows move what stands beside them in csrc, and at most 1.1 times the
// bytes of their distinct operands: here at 960 rows of 256.
func TestBytesOfVectorKernels(t *testing.T) {
	const rows, cols, headDim, vectors = 960, 256, 64, 48
	const n, parts = rows * cols, (rows*cols + 4095) / 4096
	r := newRig(t)
	mem := make([]any, 7)
	for i := range mem {
		mem[i] = r.raw(make([]byte, 4*n))
	}
	a, b, c, d, e, f, g := mem[0], mem[1], mem[2], mem[3], mem[4], mem[5], mem[6]
	idx := make([]int, rows)
	for i := range idx {
		idx[i] = i
	}
	index := r.i32(idx)
	for _, k := range []struct {
		name            string
		in, out         int // bytes
		shared          int // of them those that each core reads by itself, but for one
		scalars, blocks int
		args            []any
	}{
		{"rmsnorm_bf16", 2*n + 4*cols*vectors, 2*n + 4*rows, 4 * cols * (vectors - 1), 0, vectors, []any{a, b, c, d, rows, cols, float32(1e-5)}},
		{"add_rmsnorm_bf16", 4*n + 4*cols*vectors, 4*n + 4*rows, 4 * cols * (vectors - 1), 0, vectors, []any{a, b, c, d, e, f, rows, cols, float32(1e-5)}},
		{"rmsnorm_grad_bf16", 4*n + 4*cols*vectors + 4*rows, 2 * n, 4 * cols * (vectors - 1), 0, vectors, []any{a, 0, b, c, d, e, rows, cols}},
		{"rmsnorm_grad_f16", 6*n + 4*cols*vectors + 4*rows, 2 * n, 4 * cols * (vectors - 1), 0, vectors, []any{a, b, c, d, e, f, rows, cols}},
		{"rope_bf16", 2*n + 4*headDim*rows, 2 * n, 0, rows, vectors, []any{a, b, index, c, d, rows, cols, headDim, 0}},
		{"swiglu_bf16", 4 * n, 2 * n, 0, 0, vectors, []any{a, b, c, n}},
		{"swiglu_grad_f16", 6 * n, 4 * n, 0, 0, vectors, []any{a, b, c, d, e, n}},
		{"add_bf16", 4 * n, 2 * n, 0, 0, vectors, []any{a, b, c, n}},
		{"add_bias_bf16", 2*n + 4*cols*vectors, 2 * n, 4 * cols * (vectors - 1), 0, vectors, []any{a, b, c, rows, cols}},
		{"narrow_f16", 4 * n, 2 * n, 0, 0, vectors, []any{a, b, n, float32(2)}},
		{"gather_rows", 2 * n, 2 * n, 0, 3 * rows, vectors, []any{a, b, index, rows, 2 * cols, rows}},
		{"scatter_rows", n, 2 * n, 0, 3 * rows, vectors, []any{a, b, index, rows / 2, rows, 2 * cols}},
		{"sum_squares", 4 * n, 4 * parts, 0, 0, vectors, []any{a, b, n}},
		{"norm", 4 * parts, 4, 0, 0, 1, []any{a, b, parts}},
		{"row_sum", 4 * rows, 4, 0, 0, 1, []any{a, b, rows}},
		{"scale_f32", 4 * n, 4 * n, 0, 0, vectors, []any{a, n, float32(2)}},
		{"add_f32", 8 * n, 4 * n, 0, 0, vectors, []any{a, b, c, n}},
		{"zero", 0, 4 * n, 0, 0, vectors, []any{a, 4 * n}},
		{"adamw_bf16", 16 * n, 16 * n, 0, vectors, vectors, append([]any{a, b, c, d, e, f, g, n}, float32(0.9), float32(0.1), float32(0.9), float32(0.1), float32(1), float32(1e-8), float32(1), float32(0), float32(2))},
	} {
		r.ok(r.d.Launch(k.name, k.blocks, k.args...))
		got := ascendtest.Counters(t, r.d)
		if got.In != uint64(k.in) || got.Out != uint64(k.out) || got.FLOPs != 0 {
			t.Errorf("%s moves %d bytes in and %d out, the formula says %d and %d", k.name, got.In, got.Out, k.in, k.out)
		}
		distinct := k.in + k.out - k.shared // operands that cores share are counted once
		if moved := int(got.In+got.Out) + 4*int(got.Scalars); moved*10 > distinct*11 {
			t.Errorf("%s moves %d bytes of %d", k.name, moved, distinct)
		}
		if int(got.Scalars) > k.scalars {
			t.Errorf("%s reads %d numbers by the scalar unit, at most %d expected", k.name, got.Scalars, k.scalars)
		}
	}
}

// Few rows go to few cores: then, too, the gain is a small part of what a norm moves.
func TestBytesOfNormsOfFewRows(t *testing.T) {
	const cols = 4096
	r := newRig(t)
	m := make([]device.Ptr, 6)
	for i := range m {
		m[i] = r.raw(make([]byte, 4*130*cols))
	}
	for _, rows := range []int{1, 9, 10, 48, 130} {
		for _, k := range []struct {
			name    string
			numbers int // bytes for each number of a row
			args    []any
		}{
			{"rmsnorm_bf16", 4, []any{m[0], m[1], m[2], m[3], rows, cols, float32(1e-5)}},
			{"add_rmsnorm_bf16", 8, []any{m[0], m[1], m[2], m[3], m[4], m[5], rows, cols, float32(1e-5)}},
			{"rmsnorm_grad_bf16", 6, []any{m[0], 0, m[1], m[2], m[3], m[4], rows, cols}},
			{"rmsnorm_grad_bf16", 8, []any{m[0], m[1], m[2], m[3], m[4], m[5], rows, cols}},
		} {
			r.ok(r.d.Launch(k.name, 48, k.args...))
			got := ascendtest.Counters(t, r.d)
			if distinct := rows*cols*k.numbers + 4*cols + 4*rows; int(got.In+got.Out)*10 > distinct*11 {
				t.Errorf("%s of %d rows moves %d bytes of %d", k.name, rows, got.In+got.Out, distinct)
			}
		}
	}
}
