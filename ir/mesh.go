package ir

import (
	"fmt"
	"slices"
	"strings"

	"lorac/ir/diag"
)

// Mesh is how processes divide the steps of a job: by several axes, the last
// of which has neighbouring ranks. A process is a rank of the mesh.
type Mesh struct {
	Axes []Axis
	Pos  diag.Pos
	Line int
}

// Axis is one way to divide: data and optimizer (the rows of a step), stage (the
// layers) or model (heads, the feed-forward network and the vocabulary).
type Axis struct {
	Name   string
	N      int
	Tokens bool `json:",omitempty"` // axis model divides the tokens between the linears that it cuts, too
}

// The axes. Ranks of axis optimizer have rows of their own as those of data do, and
// besides each a share of the optimizer's states. Rows of a micro-batch are ragged, and
// attention is never cut between them, so there is no axis for the context: a job with
// context parallelism takes fewer processes.
const (
	Data      = "data"
	Optimizer = "optimizer"
	Stage     = "stage"
	Model     = "model"
)

// Axes lists them in the order of a mesh.
var Axes = []string{Data, Optimizer, Stage, Model}

// OfRows reports whether the ranks of an axis have other rows of a step.
func OfRows(axis string) bool { return axis == Data || axis == Optimizer }

// Size is the number of ranks.
func (m *Mesh) Size() int {
	n := 1
	for _, a := range m.axes() {
		n *= a.N
	}
	return n
}

// All lists the axes; none where there is no mesh.
func (m *Mesh) All() []Axis { return m.axes() }

func (m *Mesh) axes() []Axis {
	if m == nil {
		return nil
	}
	return m.Axes
}

// Axis is the extent of the named axis, 1 where the mesh has none.
func (m *Mesh) Axis(name string) int {
	for _, a := range m.axes() {
		if a.Name == name {
			return a.N
		}
	}
	return 1
}

// Divided reports whether the ranks of axis model divide the tokens, too.
func (m *Mesh) Divided() bool {
	return slices.ContainsFunc(m.axes(), func(a Axis) bool { return a.Name == Model && a.Tokens })
}

// Coord is where a rank is on an axis.
func (m *Mesh) Coord(rank int, axis string) int {
	for _, a := range slices.Backward(m.axes()) {
		if a.Name == axis {
			return rank % a.N
		}
		rank /= a.N
	}
	return 0
}

// Group lists the ranks that differ from one in an axis alone, in order.
func (m *Mesh) Group(rank int, axis string) []int {
	stride := 1
	for _, a := range slices.Backward(m.axes()) {
		if a.Name == axis {
			first := rank - rank/stride%a.N*stride
			out := make([]int, a.N)
			for i := range out {
				out[i] = first + i*stride
			}
			return out
		}
		stride *= a.N
	}
	return []int{rank}
}

func (m *Mesh) String() string {
	var parts []string
	for _, a := range m.axes() {
		parts = append(parts, fmt.Sprintf("%s=%d", a.Name, a.N))
	}
	return strings.Join(parts, " ")
}

// How is what a rank of an axis has of a tensor.
type How uint8

// Whole is the same on all ranks. Of a cut tensor each has one part of a
// dimension. Sum is partial: the tensor is the sum over the ranks; LSE the same
// of logarithms: the logarithm of the sum of exponentials. Of a storage that is shared
// each has a run of the elements of all layers in a row (Module.Share).
const (
	Whole How = iota
	Cut
	Sum
	LSE
	Share
)

var hows = map[How]string{Sum: "sum", LSE: "lse", Share: "share"}

// Partial reports whether a tensor is known only once all ranks are heard.
func (h How) Partial() bool { return h == Sum || h == LSE }

// Over says that a tensor is partial, or shared, over an axis.
type Over struct {
	How  How
	Axis string
}

// Placement is what a rank of one axis has of a tensor.
type Placement struct {
	How How
	Dim int // that is cut
}

// Placements of the same tensor on all ranks, and of partial ones.
var (
	IsWhole = Placement{}
	IsSum   = Placement{How: Sum}
	IsLSE   = Placement{How: LSE}
	IsShare = Placement{How: Share}
)

// CutOn is the placement of a tensor cut on a dimension.
func CutOn(dim int) Placement { return Placement{Cut, dim} }

// ByLayers is the placement over stages of a stacked storage: each has layers of
// its own.
var ByLayers = Placement{How: Cut, Dim: -1}

func (p Placement) String() string {
	switch p.How {
	case Cut:
		if p == ByLayers {
			return "cut by layers"
		}
		return fmt.Sprintf("cut on dimension %d", p.Dim)
	case Sum:
		return "partial"
	case LSE:
		return "partial (lse)"
	case Share:
		return "shared"
	}
	return "whole"
}

// On is what a rank of the axis has of a tensor of the type. Rows of
// micro-batches, of which symbols count, are each data rank's own.
func (t Type) On(axis string) Placement {
	for _, o := range t.Over {
		if o.Axis == axis {
			return Placement{How: o.How}
		}
	}
	for i, d := range t.Shape {
		if d.By == axis && axis != "" || OfRows(axis) && d.Sym != "" {
			return CutOn(i)
		}
	}
	return IsWhole
}

// On is the same of an operand. What prediction remembers is each data rank's own,
// and layers are each stage's.
func (o Operand) On(axis string) Placement {
	if axis == Stage && o.Storage != nil && o.Storage.Stack != nil {
		return ByLayers
	}
	if OfRows(axis) && o.Storage != nil && o.Storage.Kind == Cache {
		return CutOn(0)
	}
	return o.Type().On(axis)
}

// Partial is the type as it is partial or shared over an axis, or not: Whole and Cut
// take that away.
func (t Type) Partial(axis string, how How) Type {
	over := slices.DeleteFunc(slices.Clone(t.Over), func(o Over) bool { return o.Axis == axis })
	if how.Partial() || how == Share {
		over = append(over, Over{how, axis})
	}
	t.Over = over
	return t
}

// Cut is the extent that one rank has where an axis of so many divides it.
func (d Dim) Cut(axis string, parts int) (Dim, error) {
	switch {
	case d.Sym != "": // as evenly as its size allows
		d.By, d.Parts = axis, parts
		return d, nil
	case d.By != "":
		return d, fmt.Errorf("%s is cut already", d)
	case d.N%parts != 0:
		return d, fmt.Errorf("%d ranks of axis `%s` cannot divide %s = %d", parts, axis, d, d.N)
	}
	d.N, d.By, d.Parts = d.N/parts, axis, parts
	return d, nil
}

// Whole is the extent of all ranks.
func (d Dim) Whole() Dim {
	if d.By != "" {
		d.N, d.By, d.Parts = d.N*d.Parts, "", 0
	}
	return d
}

// Whole is the type of the tensor on one process.
func (t Type) Whole() Type {
	shape := make([]Dim, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = d.Whole()
	}
	return Type{DType: t.DType, Shape: shape, Kept: t.Kept}
}

// StageOf is the stage that computes a layer: stages have as many, the first ones
// fewer where that does not come out even.
func (m *Module) StageOf(layer int) int {
	return ((layer+1)*m.Mesh.Axis(Stage) - 1) / m.Layers()
}

// Even is which of n elements the rank at coord has, where some have them as evenly as
// can be.
func Even(n, parts, at int) (from, to int) { return n * at / parts, n * (at + 1) / parts }

// Share is which elements of a storage, its layers in a row, the rank at coord has: of
// those of its stage the whole, and of these its share where shared says so. Programs
// round the ends to blocks of a norm.
func (m *Module) Share(s *Storage, shared bool, coord func(axis string) int) (from, to int) {
	n := s.Type.Elems(nil)
	to = s.Count() * n
	if s.Stack != nil && m.Mesh.Axis(Stage) > 1 {
		from, to = 0, 0
		s.Stack.Each(func(layer int) {
			switch of := m.StageOf(layer); {
			case of < coord(Stage):
				from, to = from+n, to+n
			case of == coord(Stage):
				to += n
			}
		})
	}
	if parts := m.Mesh.Axis(Optimizer); shared && parts > 1 {
		lo, hi := Even(to-from, parts, coord(Optimizer))
		from, to = from+lo, from+hi
	}
	return from, to
}

// Layers is the number of layers that have storages, at least 1.
func (m *Module) Layers() int {
	layers := 1
	for _, s := range m.Storages {
		if s.Stack != nil {
			layers = max(layers, s.Stack.Hi+1)
		}
	}
	return layers
}

// Part is a run of indices of a whole dimension.
type Part struct{ From, Len int }

// Parts lists which indices of a whole dimension the rank at coord has, in
// order: one run, or one of each block where the storage lists blocks that are
// side by side in the dimension (attribute blocks), as queries, keys and values.
func (s *Storage) Parts(dim, coord int) []Part {
	d := s.Type.Shape[dim]
	if d.By == "" {
		return []Part{{0, d.N}}
	}
	blocks := s.Attrs.List("blocks")
	if len(blocks) == 0 || s.Attrs.Int("blocks_dim") != dim {
		return []Part{{coord * d.N, d.N}}
	}
	var out []Part
	from := 0
	for _, b := range blocks {
		e, _ := DimOf(b)
		n := e.Whole().N
		out = append(out, Part{from + coord*n/d.Parts, n / d.Parts})
		from += n
	}
	return out
}
