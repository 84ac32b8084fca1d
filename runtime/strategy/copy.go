package strategy

import (
	"fmt"
	"io"
)

// grid is a tensor that lies in pieces.
type grid struct {
	whole  []int              // its shape
	parts  []int              // pieces of each dimension
	pieces func(i int) []byte // bytes of a piece; pieces are counted row by row
	size   int                // bytes of an element
}

// write writes a box of the tensor, from lo to hi in each dimension, row by row.
// Dimensions at the end that nobody cuts move in one piece.
func (g *grid) write(w io.Writer, lo, hi []int) error {
	// Elements behind dimension last lie together.
	last, run := len(g.whole)-1, g.size
	for last > 0 && g.parts[last] == 1 && lo[last] == 0 && hi[last] == g.whole[last] {
		run *= g.whole[last]
		last--
	}
	if len(g.whole) == 0 {
		_, err := w.Write(g.pieces(0))
		return err
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
		data := g.pieces(piece)
		if end := (offset + n) * run; end > len(data) {
			return fmt.Errorf("BUG: strategy: a piece of %d bytes is read to %d", len(data), end)
		}
		if _, err := w.Write(data[offset*run : (offset+n)*run]); err != nil {
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
