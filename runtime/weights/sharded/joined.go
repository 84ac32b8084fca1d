package sharded

import (
	"fmt"
	"io"
	"strings"

	"lorac/runtime/weights/naming"
)

// With qkv_concat, a matrix concatenates the rows of several linears. Under model
// parallelism of n, each device holds its rows of each linear in turn, so that it
// can split its own slice (MindFormers r1.3 models/llama/convert_weight.py,
// qkv_concat). The order of the rows therefore depends on the degree.

// sections are the row counts of the linears in a concatenated parameter; nil for any
// other.
func (t *Tree) sections(x *tensor) ([]int, error) {
	param := stateOf(x.name, func(string) bool { return false })
	if naming.Parts(param) == nil && naming.Parts(biasWeight(param)) == nil || naming.Shared(param) {
		return nil, nil
	}
	rows := x.whole[0]
	if strings.Contains(param, ".w_gate_hidden.") {
		if rows%2 != 0 {
			return nil, fmt.Errorf("%s concatenates two linears, but has %d rows", x.name, rows)
		}
		return []int{rows / 2, rows / 2}, nil
	}
	// Queries have hidden size rows, keys and values half of the rest each.
	linear, _, _ := strings.Cut(param, ".w_qkv.")
	weight := t.tensors[linear+".w_qkv.weight"]
	if weight == nil || len(weight.whole) != 2 {
		return nil, fmt.Errorf("%s concatenates queries, keys and values; without %s.w_qkv.weight their row counts are unknown", x.name, linear)
	}
	q := weight.whole[1]
	if rows <= q || (rows-q)%2 != 0 {
		return nil, fmt.Errorf("%s has %d rows, which do not split into %d of queries and equal keys and values", x.name, rows, q)
	}
	return []int{q, (rows - q) / 2, (rows - q) / 2}, nil
}

// biasWeight is the name of the weight that a bias belongs to.
func biasWeight(param string) string {
	if linear, ok := strings.CutSuffix(param, ".bias"); ok {
		return linear + ".weight"
	}
	return param
}

// writeJoined writes rows [lo, hi) of a concatenated parameter in the order for `to`
// devices, given whole in the order for `from` devices.
func (g *grid) writeJoined(w io.Writer, lo, hi []int, sections []int, from, to int) error {
	at := lo[0]
	for at < hi[0] {
		row, n := joinedRow(sections, from, to, at)
		n = min(n, hi[0]-at)
		a, b := append([]int{row}, lo[1:]...), append([]int{row + n}, hi[1:]...)
		if err := g.write(w, a, b); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// joinedRow is the index, in the order for `from` devices, of row r in the order for
// `to` devices, and the number of rows from there that are contiguous in both.
func joinedRow(sections []int, from, to, r int) (row, run int) {
	total := 0
	for _, s := range sections {
		total += s
	}
	device, off := r/(total/to), r%(total/to)
	j := 0
	for off >= sections[j]/to {
		off -= sections[j] / to
		j++
	}
	i := device*(sections[j]/to) + off // within its linear
	run = sections[j]/to - off
	before := 0
	for _, s := range sections[:j] {
		before += s / from
	}
	each := sections[j] / from
	return i/each*(total/from) + before + i%each, min(run, each-i%each)
}
