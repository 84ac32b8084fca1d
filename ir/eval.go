package ir

// Array is a tensor the evaluator works on: F for real numbers, I for integers.
type Array struct {
	Shape []int
	F     []float64
	I     []int64
}

// NewArray returns a zero array of the type under env.
func NewArray(t Type, env Env) *Array {
	a := &Array{}
	for _, d := range t.Shape {
		a.Shape = append(a.Shape, env.Size(d))
	}
	if t.DType.Float() {
		a.F = make([]float64, t.Elems(env))
	} else {
		a.I = make([]int64, t.Elems(env))
	}
	return a
}

// Rows is the first extent, 1 for a scalar.
func (a *Array) Rows() int {
	if len(a.Shape) == 0 {
		return 1
	}
	return a.Shape[0]
}

// Cols is the product of the extents after the first.
func (a *Array) Cols() int {
	n := 1
	for _, d := range a.Shape[min(1, len(a.Shape)):] {
		n *= d
	}
	return n
}

// Row is row i of the real numbers, sharing memory.
func (a *Array) Row(i int) []float64 { c := a.Cols(); return a.F[i*c : (i+1)*c] }

// EvalCtx is what an op's evaluator gets: the statement, its operands and zero
// arrays for its results. A stacked storage read outside a repeat has its
// layers as the first extent.
type EvalCtx struct {
	S   *Stmt
	Env Env
	In  []*Array
	Out []*Array
	// Low is the type that a device's kernels round to what they multiply next
	// without storing it; 0 on the CPU, where nothing is rounded. Results are
	// rounded by who stores them.
	Low DType
	// Rank is the rank of a mesh that evaluates; nil: one process.
	Rank *Rank
}

// First is the index in the whole dimension of the first element that this rank
// has of a dimension of operand i.
func (c *EvalCtx) First(i, dim int) int {
	if c.Rank == nil {
		return 0
	}
	d := c.S.Args[i].Type().Shape[dim]
	if d.By == "" {
		return 0
	}
	return c.Rank.Coord(d.By) * d.N
}

// Share is which elements of operand i, a storage with all its layers, are this rank's
// share.
func (c *EvalCtx) Share(i int) (from, to int) {
	if c.Rank == nil {
		return 0, len(c.In[i].F)
	}
	return c.Rank.m.Share(c.S.Args[i].Storage, true, c.Rank.Coord)
}

// Rounded is x as a kernel multiplies it: rounded to Low, in the same memory.
func (c *EvalCtx) Rounded(x *Array) *Array {
	x.Round(c.Low)
	return x
}

// GradCtx is what an op's gradient rule gets.
type GradCtx struct {
	S *Stmt
	// D holds the gradient of each result; nil where none reaches it.
	D []*Value
	// B appends to the backward code.
	B *Builder
	// Use gives a forward value (or storage) as an operand of backward code;
	// using it makes it a value the forward function must keep.
	Use func(Operand) Operand
	// Add adds a contribution to the gradient of operand i. The names given
	// to values follow "d.<value>"; the rule only chooses shapes.
	Add func(i int, d *Value)
	// Index is the layer index in the backward function, nil outside layers.
	Index *Value
}

// Name is the customary name of the gradient of operand i.
func (g *GradCtx) Name(i int) string {
	o := g.S.Args[i]
	if o.Storage != nil {
		return "d." + o.Storage.Name
	}
	return "d." + o.Value.Name
}

// Emit appends one backward statement with the position of the forward one.
func (g *GradCtx) Emit(op string, names []string, attrs Attrs, args ...Operand) []*Value {
	return g.B.Op(g.S.Pos, op, names, attrs, args...)
}

// Emit1 is Emit for an op of one result.
func (g *GradCtx) Emit1(op, name string, attrs Attrs, args ...Operand) *Value {
	return g.Emit(op, []string{name}, attrs, args...)[0]
}

// Arg is operand i of the forward statement, usable in backward code.
func (g *GradCtx) Arg(i int) Operand { return g.Use(g.S.Args[i]) }

// Result is result i of the forward statement, usable in backward code.
func (g *GradCtx) Result(i int) Operand { return g.Use(Val(g.S.Results[i])) }
