// Package formulas says what launches of the kernels of csrc move and multiply, from
// their arguments: what stands beside each kernel there as comments and constants, in
// Go. A test holds it to the counters of the twin.
package formulas

import (
	"fmt"
	"strings"
)

// Work is what a launch moves between global memory and cores, in bytes, and what its
// cubes multiply. What the scalar unit reads (indices, seeds) is not counted.
type Work struct {
	In    int `json:"bytes_in"`  // into cores
	Out   int `json:"bytes_out"` // out of them
	FLOPs int `json:"flops"`
}

// Plus is the sum of two.
func (w Work) Plus(o Work) Work { return Work{w.In + o.In, w.Out + o.Out, w.FLOPs + o.FLOPs} }

// Launch is a launch of a kernel as the device gets it.
type Launch struct {
	Kernel string
	Blocks int
	Args   []uint64
}

// args reads a launch.
type args struct {
	Launch
	words func(at uint64, n int) []int32
}

func (a args) int(i int) int           { return int(a.Args[i]) }
func (a args) has(i int) bool          { return a.Args[i] != 0 }
func (a args) pair(i int) (hi, lo int) { return int(a.Args[i] >> 32), int(uint32(a.Args[i])) }

// Of is the work of a launch. Some of it follows from what is in memory: words gives n
// numbers of 4 bytes at an address, nil where it does not know them.
func Of(l Launch, words func(at uint64, n int) []int32) (Work, error) {
	name := strings.TrimSuffix(strings.TrimSuffix(l.Kernel, "_bf16"), "_f16")
	f := kernels[name]
	if f == nil {
		return Work{}, fmt.Errorf("BUG: formulas: none of %s", l.Kernel)
	}
	w, err := f(args{l, words})
	if err != nil {
		return w, fmt.Errorf("BUG: formulas: %s: %w", l.Kernel, err)
	}
	return w, nil
}

// kernels are the formulas by kernel.
var kernels = map[string]func(a args) (Work, error){
	"rmsnorm":          func(a args) (Work, error) { return a.norm(4, 5, 1, 1, 4), nil },
	"add_rmsnorm":      func(a args) (Work, error) { return a.norm(6, 7, 2, 2, 4), nil },
	"rmsnorm_grad":     normGrad,
	"rope":             rope,
	"add":              elements(3, 4, 2),
	"add_bias":         func(a args) (Work, error) { return a.norm(3, 4, 1, 1, 0), nil },
	"swiglu":           elements(3, 4, 2),
	"swiglu_grad":      elements(5, 6, 4),
	"narrow":           elements(2, 4, 2),
	"scale_f32":        elements(1, 4, 4),
	"add_f32":          elements(3, 8, 4),
	"zero":             elements(1, 0, 1),
	"norm":             total,
	"row_sum":          total,
	"sum_squares":      sumSquares,
	"clip":             func(args) (Work, error) { return Work{In: 4, Out: 4}, nil },
	"adamw":            adamw,
	"gather_rows":      gather,
	"scatter_rows":     scatter,
	"dropout":          dropout,
	"lora_down":        loraDown,
	"lora_down_drop":   loraDownDrop,
	"lora_linear":      loraLinear,
	"linear_f32":       linearF32,
	"lora_up_grad":     loraUpGrad,
	"lora_linear_grad": loraLinearGrad,
	"lora_dx_drop":     loraDxDrop,
	"weight_grad":      weightGrad,
	"weight_grad_drop": weightGradDrop,
	"attention":        attention,
	"attention_grad":   attentionGrad,
	"head_loss":        headLoss,
}

func ceil(n, size int) int { return (n + size - 1) / size }
func up16(n int) int       { return ceil(n, 16) * 16 }

// busy is how many cores take a part of n rows, of so many bytes for each number: as
// few as make the vector that each reads by itself a small part (csrc/vector.h).
func (a args) busy(n, bytes int) int {
	if n == 0 {
		return 0
	}
	return ceil(n, max(ceil(n, a.Blocks), ceil(40, bytes)))
}

// elements is a kernel over as many numbers as argument n says, each so many bytes in
// and out.
func elements(n, in, out int) func(a args) (Work, error) {
	return func(a args) (Work, error) { return Work{In: in * a.int(n), Out: out * a.int(n)}, nil }
}

// norm is a kernel over rows of 16-bit numbers with a gain that each core reads: so many
// matrices in and out, and bytes out for each row.
func (a args) norm(rows, cols, in, out, perRow int) Work {
	r, c := a.int(rows), a.int(cols)
	return Work{In: 2*r*c*in + 4*c*a.busy(r, 2*(in+out)), Out: 2*r*c*out + perRow*r}
}

func normGrad(a args) (Work, error) {
	in := 2
	if a.has(1) { // res
		in = 3
	}
	w := a.norm(6, 7, in, 1, 0)
	w.In += 4 * a.int(6) // rstd
	return w, nil
}

func rope(a args) (Work, error) {
	rows, cols, head := a.int(5), a.int(6), a.int(7)
	return Work{In: 2*rows*cols + 4*rows*head, Out: 2 * rows * cols}, nil
}

func total(a args) (Work, error) { return Work{In: 4 * a.int(2), Out: 4}, nil }

func sumSquares(a args) (Work, error) {
	return Work{In: 4 * a.int(2), Out: 4 * ceil(a.int(2), 4096)}, nil
}

// adamw reads p, g, m, v and writes all but g, and the copies that are wanted.
func adamw(a args) (Work, error) {
	n, copies := a.int(7), 0
	for _, i := range []int{4, 5} {
		if a.has(i) {
			copies++
		}
	}
	return Work{In: 16 * n, Out: (12 + 2*copies) * n}, nil
}

func gather(a args) (Work, error) {
	n := a.int(3) * a.int(4)
	return Work{In: n, Out: n}, nil
}

func scatter(a args) (Work, error) {
	return Work{In: a.int(3) * a.int(5), Out: a.int(4) * a.int(5)}, nil
}

func dropout(a args) (Work, error) {
	n := 2 * a.int(3) * a.int(4)
	return Work{In: n, Out: n}, nil
}
