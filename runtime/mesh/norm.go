package mesh

import (
	"encoding/binary"
	"math"

	k "lorac/kernels"
	"lorac/runtime/comm"
)

// parts is the processes that have parts of what trains: whether a stack is divided, and
// which elements of it a process has.
type parts struct {
	c       *comm.Group
	k       *k.Context
	divided func(x *Stack) bool
	bounds  func(x *Stack, rank int) (from, to int)
}

// norm is √Σ x² over stacks with the bits of one process, which adds up the sums of
// blocks. Each process tells those of its own blocks, and of blocks that others have parts
// of, too, the numbers.
func (p parts) norm(stacks []*Stack) k.Scalar {
	var own []byte
	for _, x := range stacks {
		if !p.divided(x) {
			continue
		}
		c := p.cut(x, p.c.Rank())
		for _, sum := range p.k.BlockSquares(x.Data[c.first*k.NormBlock : c.end]) {
			own = binary.LittleEndian.AppendUint64(own, math.Float64bits(sum))
		}
		c.edges(func(from, to int) {
			for _, v := range x.Data[from:to] {
				own = binary.LittleEndian.AppendUint32(own, math.Float32bits(v))
			}
		})
	}
	all, err := p.c.Gather(own)
	if err != nil {
		panic(lost{err})
	}
	sum := 0.0
	for _, x := range stacks {
		for _, part := range p.sumsOf(x, all) {
			sum += part
		}
	}
	return k.Number(math.Sqrt(sum))
}

// sumsOf is the sums of all blocks of a stack. It takes what the processes say of it.
func (p parts) sumsOf(x *Stack, said [][]byte) []float64 {
	if !p.divided(x) {
		return p.k.BlockSquares(x.Data)
	}
	n := len(x.Data)
	sums := make([]float64, (n+k.NormBlock-1)/k.NormBlock)
	mixed := map[int][]float32{} // blocks of several processes
	for rank := range said {
		c := p.cut(x, rank)
		for at := c.first * k.NormBlock; at < c.end; at += k.NormBlock {
			sums[at/k.NormBlock] = math.Float64frombits(binary.LittleEndian.Uint64(said[rank]))
			said[rank] = said[rank][8:]
		}
		c.edges(func(from, to int) {
			for at := from; at < to; at++ {
				b := at / k.NormBlock
				if mixed[b] == nil {
					mixed[b] = make([]float32, min(k.NormBlock, n-b*k.NormBlock))
				}
				mixed[b][at%k.NormBlock] = math.Float32frombits(binary.LittleEndian.Uint32(said[rank]))
				said[rank] = said[rank][4:]
			}
		})
	}
	for b, x := range mixed {
		sums[b] = p.k.BlockSquares(x)[0]
	}
	return sums
}

// cut is the elements of a process in a stack: whole blocks from one on, to an element,
// and what it has of others.
type cut struct{ from, to, first, end int }

func (p parts) cut(x *Stack, rank int) cut {
	const b = k.NormBlock
	from, to := p.bounds(x, rank)
	c := cut{from: from, to: to, first: (from + b - 1) / b, end: to / b * b}
	if to == len(x.Data) {
		c.end = to
	}
	c.end = max(c.end, c.first*b)
	if c.end > to { // it lies within a block
		c.first, c.end = 0, 0
	}
	return c
}

// edges visits what is in blocks of other processes, too.
func (c cut) edges(visit func(from, to int)) {
	if c.end == 0 {
		visit(c.from, c.to)
		return
	}
	visit(c.from, c.first*k.NormBlock)
	visit(c.end, c.to)
}
