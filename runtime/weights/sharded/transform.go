package sharded

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/naming"
)

func layerOf(name string) int { return naming.Layer(name) }

func placeOf(name string) int { return naming.Place(name) }

// WriteTree writes the checkpoint in another layout: one file per rank, at
// path(rank). Everything is validated before the first file is written. Tensors are
// streamed, so memory does not depend on their size.
func (t *Tree) WriteTree(to *Spread, path func(rank int) string) error {
	plan := make([][]mindspore.Entry, to.Ranks())
	for rank := range plan {
		entries, err := t.entries(to, rank)
		if err != nil {
			return err
		}
		plan[rank] = entries
	}
	for rank, entries := range plan {
		if err := mindspore.Write(path(rank), entries, t.HasCRC); err != nil {
			if rank > 0 {
				err = fmt.Errorf("of %d ranks, %d are written: %w", len(plan), rank, err)
			}
			return err
		}
	}
	return nil
}

// RankPath gives the path of a rank's file that MindFormers expects. prefix is
// checkpoint_ by convention.
func RankPath(dir, prefix string) func(rank int) string {
	return func(rank int) string {
		return filepath.Join(dir, fmt.Sprintf("rank_%d", rank), fmt.Sprintf("%s%d.ckpt", prefix, rank))
	}
}

// entries are the tensors of one rank.
func (t *Tree) entries(to *Spread, rank int) ([]mindspore.Entry, error) {
	var out []mindspore.Entry
	for _, name := range t.names {
		x := t.tensors[name]
		size, _ := mindspore.ElemSize(x.dtype)
		l, here, _, err := to.of(rank/to.Devices, name, len(x.whole), x.whole, size, t.layers)
		if err != nil {
			return nil, err
		}
		if !here {
			continue
		}
		slice, err := l.Slice(x.whole)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be sharded for %s: %w", name, to.From, err)
		}
		rows := 1
		if len(l.Map) > 0 {
			rows = l.parts(l.Map[0])
		}
		var sections []int
		if rows != x.rowParts {
			if sections, err = t.sections(x); err != nil {
				return nil, err
			}
			for _, n := range sections {
				if n%rows != 0 || n%x.rowParts != 0 {
					return nil, fmt.Errorf("%s concatenates linears of %v rows, which are not divisible by %d devices", name, sections, max(rows, x.rowParts))
				}
			}
		}
		lo := make([]int, len(slice))
		hi := slices.Clone(slice)
		for i, p := range l.Piece(rank % to.Devices) {
			lo[i] += p * slice[i]
			hi[i] += p * slice[i]
		}
		g := x.grid()
		e := mindspore.Entry{Name: name, DType: x.dtype, Shape: slice, ZeroDim: x.zeroDim,
			Write: func(w io.Writer) error {
				defer x.release()
				if sections != nil {
					return g.writeJoined(w, lo, hi, sections, x.rowParts, rows)
				}
				return g.write(w, lo, hi)
			}}
		if x.dtype == "STR" {
			e.TextBytes = g.size
		}
		out = append(out, e)
	}
	return out, nil
}

// StrategyFile is the strategy file of a rank, for a layout made from degrees: every
// parameter of the tree on the rank's stage, and the operators of the weights.
func (t *Tree) StrategyFile(to *Spread, rank int) (*File, error) {
	stage := rank / to.Devices
	f := &File{Stage: 1} // as MindSpore writes, whatever the stage
	for _, name := range t.names {
		x := t.tensors[name]
		size, _ := mindspore.ElemSize(x.dtype)
		l, here, known, err := to.of(stage, name, len(x.whole), x.whole, size, t.layers)
		if err != nil {
			return nil, err
		}
		if !here || !known {
			continue
		}
		f.Params = append(f.Params, Param{Name: name, Layout: l, Shapes: [][]int{{}}, Offset: [][]int{{}}})
		if _, state := naming.StateOf(name); state {
			continue
		}
		o := Operator{Name: "MatMul_" + name, Stage: stage}
		switch len(l.Map) {
		case 1:
			o.Name, o.Cuts = "RmsNorm_"+name, [][]int{{l.Devices[0], 1, 1}, {1}}
		case 2:
			o.Cuts = [][]int{{l.Devices[0], l.parts(l.Map[1])}, {l.parts(l.Map[0]), l.parts(l.Map[1])}}
		default:
			continue
		}
		f.Operators = append(f.Operators, o)
	}
	return f, nil
}
