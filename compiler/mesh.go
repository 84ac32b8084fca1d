package compiler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lorac/compiler/model"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/ir/diag"
)

// shortNames are those that users give the axes: MindFormers' dp, mp and pp, and os, of
// how many processes of dp share the optimizer's states (optimizer_weight_shard_size).
var shortNames = map[string]string{"dp": ir.Data, "os": ir.Optimizer, "pp": ir.Stage, "mp": ir.Model}

// ParseMesh reads how a user wants processes to divide a step: dp=2,mp=4. The processes
// of os are some of dp, or all: a mesh has a data axis of the groups of them.
func ParseMesh(text string) ([]ir.Axis, error) {
	short := maps.Clone(shortNames)
	for _, axis := range ir.Axes {
		short[axis] = axis
	}
	short["sp"] = "tokens"
	counts := map[string]int{}
	for _, part := range strings.Split(text, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		axis, n := short[name], 0
		if _, err := fmt.Sscanf(number, "%d", &n); axis == "" || err != nil || n < 1 || fmt.Sprint(n) != number {
			return nil, fmt.Errorf("mesh `%s`: `%s` is no axis and its number of ranks\n  = help: write for example dp=2,mp=4", text, part)
		}
		if counts[axis] > 0 {
			return nil, fmt.Errorf("mesh `%s`: axis `%s` stands twice", text, axis)
		}
		counts[axis] = n
	}
	if data, share := counts[ir.Data], counts[ir.Optimizer]; data > 0 && share > 0 {
		if data%share != 0 {
			return nil, fmt.Errorf("mesh `%s`: groups of %d processes cannot divide the %d of dp\n  = help: choose an os that divides dp", text, share, data)
		}
		counts[ir.Data] /= share
	}
	tokens := counts["tokens"]
	if tokens > 0 && tokens != max(counts[ir.Model], 1) {
		return nil, fmt.Errorf("mesh `%s`: the processes that divide the tokens of a layer are those of mp\n  = help: write sp=%d, or leave sp away", text, max(counts[ir.Model], 1))
	}
	var out []ir.Axis
	for _, axis := range ir.Axes {
		if counts[axis] > 0 {
			out = append(out, ir.Axis{Name: axis, N: counts[axis], Tokens: axis == ir.Model && tokens > 1})
		}
	}
	return out, nil
}

// Meshes lists how so many processes can share the steps of a job, by axes of more than
// one: the rows first, then the layers in turn, then each layer. m is the module of one.
func Meshes(m *ir.Module, processes int) (out [][]ir.Axis) {
	for parts := 1; parts <= processes; parts++ {
		for stages := 1; stages <= processes/parts; stages++ {
			if processes%(parts*stages) != 0 {
				continue
			}
			axes := slices.DeleteFunc([]ir.Axis{{Name: ir.Data, N: processes / parts / stages}, {Name: ir.Stage, N: stages}, {Name: ir.Model, N: parts}},
				func(a ir.Axis) bool { return a.N == 1 })
			if _, err := meshOf(m, axes); err == nil {
				out = append(out, axes)
			}
		}
	}
	return out
}

// MeshText writes a mesh as users do: dp=2,pp=4.
func MeshText(axes []ir.Axis) string {
	mesh := &ir.Mesh{Axes: axes}
	var parts []string
	for _, name := range []string{"dp", "os", "pp", "mp"} {
		axis := shortNames[name]
		n := mesh.Axis(axis)
		if axis == ir.Data {
			n *= mesh.Axis(ir.Optimizer)
		}
		if n > 1 || slices.ContainsFunc(axes, func(a ir.Axis) bool { return a.Name == axis }) {
			parts = append(parts, fmt.Sprintf("%s=%d", name, n))
		}
	}
	if slices.ContainsFunc(axes, func(a ir.Axis) bool { return a.Tokens }) {
		parts = append(parts, fmt.Sprintf("sp=%d", mesh.Axis(ir.Model)))
	}
	return strings.Join(parts, ",")
}

// Fits says why the processes of a mesh cannot share the steps of a module of one process.
func Fits(m *ir.Module, axes []ir.Axis) error {
	_, err := meshOf(m, axes)
	return err
}

// wholeRows refuses to divide matrices of whose rows norms are taken.
func wholeRows(m *ir.Module, n int) diag.List {
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name == "row_norms" {
				return diag.List{diag.Errorf(s.Pos, "mesh", "`use_dora` takes norms of whole rows, which %d processes of axis mp would divide", n).
					WithHelp("choose a mesh of dp, pp and os, or set use_dora: False")}
			}
		}
	}
	return nil
}

// meshOf is what the passes must know of a mesh: its axes, and the sizes that axis
// model can cut. What it must cut and cannot is an error. m is the module of one
// process, whose types are those of the base.
func meshOf(m *ir.Module, axes []ir.Axis) (*passes.Mesh, error) {
	out := &passes.Mesh{Axes: axes}
	n := (&ir.Mesh{Axes: axes}).Axis(ir.Model)
	var list diag.List
	for _, name := range model.Divided {
		switch size := m.Size(name); {
		case size == nil:
		case size.N%n == 0:
			out.Cut = append(out.Cut, name)
		case name != "vocab": // each rank may have all of that
			list = append(list, diag.Errorf(size.Pos, "mesh", "%d processes cannot divide the %d %s of this model", n, size.N, size.Attrs.Str("doc")).
				WithHelp("choose a mesh whose model axis divides it"))
		}
	}
	if stages, layers := (&ir.Mesh{Axes: axes}).Axis(ir.Stage), m.SizeOf("layers"); stages > layers {
		list = append(list, diag.Errorf(m.Size("layers").Pos, "mesh", "%d stages for %d layers: each has at least one", stages, layers))
	}
	for _, s := range m.Storages {
		list = append(list, cannotCut(m, s, out.Cut, n)...)
	}
	if n > 1 {
		list = append(list, wholeRows(m, n)...)
	}
	if update := m.Func("update"); update != nil {
		for _, s := range update.Body {
			if n > 1 {
				list = append(list, cannotStep(s, out.Cut)...)
			}
			if (&ir.Mesh{Axes: axes}).Axis(ir.Optimizer) > 1 {
				list = append(list, cannotShare(s)...)
			}
		}
	}
	if len(list) > 0 {
		return nil, list
	}
	return out, nil
}

// cannotShare says why processes cannot step shares of a parameter.
func cannotShare(s *ir.Stmt) (list diag.List) {
	if len(s.Args) == 0 || s.Args[0].Storage == nil || s.Args[0].Storage.Kind != ir.Param {
		return nil
	}
	p := &ir.Placing{S: s, Axis: ir.Optimizer}
	for i, a := range s.Args {
		place := ir.IsWhole
		if a.Storage != nil && i > 0 {
			place = ir.IsShare
		}
		p.In = append(p.In, place)
	}
	if _, err := s.Op.Place(p); err != nil {
		list = append(list, diag.Errorf(s.Pos, "mesh", "several processes cannot share the states of %s: %v", s.Args[0].Storage.Attrs.Str("name"), err))
	}
	return list
}

// cannotStep says why an optimizer cannot step a parameter that is cut.
func cannotStep(s *ir.Stmt, cut []string) (list diag.List) {
	if len(s.Args) == 0 || s.Args[0].Storage == nil || s.Args[0].Storage.Kind != ir.Param {
		return nil
	}
	p := &ir.Placing{S: s, Axis: ir.Model}
	for _, a := range s.Args {
		place := ir.IsWhole
		for i, d := range a.Type().Shape {
			if slices.Contains(cut, d.Name) {
				place = ir.CutOn(i)
			}
		}
		p.In = append(p.In, place)
	}
	if _, err := s.Op.Place(p); err != nil {
		list = append(list, diag.Errorf(s.Pos, "mesh", "several processes cannot share the step of %s: %v", s.Args[0].Storage.Attrs.Str("name"), err))
	}
	return list
}

// cannotCut says why axis model cannot cut a storage.
func cannotCut(m *ir.Module, s *ir.Storage, cut []string, n int) (list diag.List) {
	elems, _ := s.Type.DType.Block()
	if s.Type.DType == ir.I8 && n > 1 {
		list = append(list, diag.Errorf(s.Pos, "mesh", "%s is multiplied in eight bits, which are made of whole rows", s.Attrs.Str("name")).
			WithHelp("leave compute: int8 away, or choose a mesh without a model axis"))
	}
	if d := s.Type.Shape; len(d) == 2 && elems > 1 && slices.Contains(cut, d[1].Name) && d[1].N/n%elems != 0 {
		list = append(list, diag.Errorf(s.Pos, "mesh", "%d processes cannot divide the columns of %s, which are stored as %s in blocks of %d", n, s.Attrs.Str("name"), s.Type.DType, elems).
			WithHelp("choose a smaller model axis, or a base in another format"))
	}
	return list
}
