package mesh

import (
	"math"

	k "lorac/kernels"
	rt "lorac/runtime"
	"lorac/runtime/comm"
)

// Group is the processes that share each layer, in the order of their parts.
type Group interface {
	Rank() int
	Size() int
	// AllSum sets x to its sum over the processes, with the same bits on all.
	AllSum(x []float32, mem comm.Memory) error
}

// Ranks is what a program asks of the others. Errors are thrown: the job cannot
// continue then.
type Ranks struct {
	g       Group
	mem     rt.HostMemory
	scratch []float32
}

// lost is an error of the group, as it is thrown.
type lost struct{ error }

func (r *Ranks) all(x []float32) {
	if err := r.g.AllSum(x, r.mem); err != nil {
		panic(lost{err})
	}
}

// First is the first element of this process where each has n of a dimension.
func (r *Ranks) First(n int) int { return r.g.Rank() * n }

// Sum is the sum of x over the processes; y may be x.
func (r *Ranks) Sum(y, x k.Mat) {
	copyMat(y, x)
	r.all(y.Data[:y.Rows*y.Cols])
}

// SumVec is the same of vectors.
func (r *Ranks) SumVec(y, x k.Vec) {
	copy(y, x)
	r.all(y)
}

// SumScalar is the same of a number, with twice the bits of the others.
func (r *Ranks) SumScalar(x k.Scalar) k.Scalar {
	high := float32(x.Value())
	two := []float32{high, 0}
	if !math.IsInf(float64(high), 0) {
		two[1] = float32(x.Value() - float64(high))
	}
	r.all(two)
	return k.Number(float64(two[0]) + float64(two[1]))
}

// LogSumExp is the logarithm of the sum of exponentials over the processes; y may be x.
func (r *Ranks) LogSumExp(y, x k.Vec) {
	n, size := len(x), r.g.Size()
	parts := r.parts(n * size)
	copy(parts[r.g.Rank()*n:], x)
	r.all(parts)
	for i := range y {
		top, sum := math.Inf(-1), 0.0
		for p := range size {
			top = max(top, float64(parts[p*n+i]))
		}
		for p := range size {
			sum += math.Exp(float64(parts[p*n+i]) - top)
		}
		y[i] = float32(top + math.Log(sum))
	}
}

// parts is memory of zeros for what each process has.
func (r *Ranks) parts(n int) []float32 {
	if cap(r.scratch) < n {
		r.scratch = make([]float32, n)
	}
	parts := r.scratch[:n]
	clear(parts)
	return parts
}

// Columns puts side by side what the processes have.
func (r *Ranks) Columns(y, x k.Mat) {
	from := r.First(x.Cols)
	for i := range y.Rows {
		row := y.Row(i)
		clear(row[:from])
		copy(row[from:], x.Row(i))
		clear(row[from+x.Cols:])
	}
	r.all(y.Data[:y.Rows*y.Cols])
}

// SumGrads is the sum of gradients over the processes, once a step.
func (r *Ranks) SumGrads(grads ...k.Vec) {
	for _, g := range grads {
		r.all(g)
	}
}

func copyMat(y, x k.Mat) {
	if len(y.Data) > 0 && len(x.Data) > 0 && &y.Data[0] == &x.Data[0] {
		return
	}
	for i := range y.Rows {
		copy(y.Row(i), x.Row(i))
	}
}
