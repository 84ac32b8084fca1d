package formulas

import "errors"

// csrc/attention_work.h has the same: blocks of 128 queries against tiles of 64 keys.
// Scores and weights go through workspaces.
const (
	queriesOf, keysOf = 128, 64
	stepTiles         = 8 // of keys, whose products with v come back at once
)

// lengths are those of the sequences, whose starts have the number of tokens after them.
func (a args) lengths(starts, seqs int) (list []int, err error) {
	at := a.words(a.Args[starts], a.int(seqs)+1)
	if at == nil {
		return nil, errors.New("the sequences are not known")
	}
	for i := range a.int(seqs) {
		list = append(list, int(at[i+1]-at[i]))
	}
	return list, nil
}

// ErrChosen is the error for attention whose queries are some of the rows: what it reads
// follows from which they are.
var ErrChosen = errors.New("some rows are chosen")

func (a args) allRows(keys, queries int) error {
	if a.int(keys) != a.int(queries) {
		return ErrChosen
	}
	return nil
}

func attention(a args) (w Work, err error) {
	heads, d := a.int(11), a.int(13)
	list, err := a.lengths(5, 10)
	if err == nil {
		err = a.allRows(8, 9)
	}
	if err != nil {
		return w, err
	}
	for _, n := range list {
		for q := 0; q < n; q += queriesOf {
			rows := min(queriesOf, n-q)
			b := Work{In: 2 * rows * d, Out: 2*rows*d + 4*rows} // q; o and lse
			for k := 0; k < q+rows; k += keysOf {
				keys := min(keysOf, q+rows-k)
				wide, seen := up16(keys), rows // rows that see the tile
				if rows > queriesOf/2 && k >= q+queriesOf/2 {
					seen = rows - queriesOf/2
				}
				b.In += 4*keys*d + 2*rows*wide + 4*rows*keysOf // k, v; P; S
				b.Out += 4*seen*wide + 2*rows*keysOf           // S; P
				b.FLOPs += 2 * 2 * up16(seen) * wide * d       // q·kᵀ, P·v
				if k%(stepTiles*keysOf) == 0 {                 // P·v
					b.In += 4 * rows * d
					b.Out += 4 * rows * d
				}
			}
			w = w.Plus(b.times(heads))
		}
	}
	return w, nil
}

func (w Work) times(n int) Work { return Work{n * w.In, n * w.Out, n * w.FLOPs} }

func attentionGrad(a args) (w Work, err error) {
	heads, kvHeads := a.pair(15)
	d, span := a.int(16), 1024
	if kvHeads < 16 {
		span = 512
	}
	list, err := a.lengths(9, 14)
	if err == nil {
		err = a.allRows(12, 13)
	}
	if err != nil {
		return w, err
	}
	for _, n := range list {
		dq := 4 // partial sums in f32
		if n <= keysOf {
			dq = 2
		}
		for k := 0; k < n; k += keysOf {
			keys := min(keysOf, n-k)
			wide := up16(keys)
			w.In += kvHeads * 4 * keys * d  // k, v
			w.Out += kvHeads * 4 * keys * d // dk, dv
			for q := k; q < n; q += queriesOf {
				rows := min(queriesOf, n-q)
				w = w.Plus(Work{
					In:    4*rows*d + 4*rows*wide + 8*rows*keysOf + 8*rows, // q, do; P, dS; S, dP; lse, delta
					Out:   8*rows*wide + 4*rows*keysOf + dq*rows*d,         // S, dP; P, dS; dq
					FLOPs: 5 * 2 * up16(rows) * wide * d,
				}.times(heads))
			}
		}
		w.In += n * heads * (4*d + 4) // do, o, lse
		w.Out += n * heads * 8        // lse and delta by head
		if n <= keysOf {
			continue
		}
		for k := 0; k < n; k += span {
			w.In += 4 * (n - k) * heads * d
		}
		w.Out += 2 * n * heads * d
	}
	return w, nil
}
