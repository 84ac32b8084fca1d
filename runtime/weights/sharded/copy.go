package sharded

import (
	"fmt"
	"io"
)

// grid is a tensor stored as a grid of slices.
type grid struct {
	whole  []int                // full shape
	parts  []int                // number of slices of each dimension
	pieces func(i int) [][]byte // bytes of slice i in chunks; slices are in row-major order
	size   int                  // bytes per element
}

// write writes the box from lo to hi in row-major order. Trailing dimensions that are
// not split are copied as one run.
func (g *grid) write(w io.Writer, lo, hi []int) error {
	if len(g.whole) == 0 {
		return writeRange(w, g.pieces(0), 0, g.size)
	}
	// Elements of the dimensions after last are contiguous.
	last, run := len(g.whole)-1, g.size
	for last > 0 && g.parts[last] == 1 && lo[last] == 0 && hi[last] == g.whole[last] {
		run *= g.whole[last]
		last--
	}
	for i := range lo {
		if lo[i] < 0 || hi[i] > g.whole[i] || g.whole[i]%g.parts[i] != 0 {
			return fmt.Errorf("BUG: strategy: the box %v to %v is not in %v cut %v", lo, hi, g.whole, g.parts)
		}
		if lo[i] >= hi[i] {
			return nil
		}
	}
	length := make([]int, len(g.whole)) // of a piece
	for i := range length {
		length[i] = g.whole[i] / g.parts[i]
	}
	at := append([]int(nil), lo[:last+1]...)
	for {
		piece, offset := 0, 0
		for i := 0; i <= last; i++ {
			piece = piece*g.parts[i] + at[i]/length[i]
			offset = offset*length[i] + at[i]%length[i]
		}
		n := min(hi[last]-at[last], length[last]-at[last]%length[last])
		if err := writeRange(w, g.pieces(piece), offset*run, (offset+n)*run); err != nil {
			return err
		}
		i := last
		for at[i] += n; at[i] == hi[i]; at[i]++ {
			if i == 0 {
				return nil
			}
			at[i] = lo[i]
			i--
		}
	}
}

// writeRange writes the bytes [from, to) of the concatenation of chunks.
func writeRange(w io.Writer, chunks [][]byte, from, to int) error {
	for _, c := range chunks {
		if from < len(c) && from < to {
			if _, err := w.Write(c[from:min(to, len(c))]); err != nil {
				return err
			}
		}
		from, to = max(from-len(c), 0), to-len(c)
		if to <= 0 {
			return nil
		}
	}
	if to > from {
		return fmt.Errorf("BUG: strategy: a piece ends %d bytes early", to-from)
	}
	return nil
}
