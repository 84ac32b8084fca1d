package mesh

import (
	"io"
	"math"
	"slices"

	k "lorac/kernels"
	rt "lorac/runtime"
	"lorac/runtime/comm"
	"lorac/runtime/exit"
)

// Run is one execution of a trainer on one of the processes.
type Run struct {
	*rt.Run
	d *device
}

// Main is the process of a trainer, of which so many share each layer, and which was
// started alone: it says so.
func Main(j *Job, body func(*Run) error, ranks int) {
	d := &device{size: ranks}
	rt.MainOn(d, j, d.run(body))
}

// MainOver is Main of one of several processes, which join has meet.
func MainOver(join rt.Join, j *Job, body func(*Run) error, ranks int) {
	d := &device{size: ranks}
	rt.MainOnOver(d, join, j, d.run(body))
}

// Execute is one run in a process that has others.
func Execute(g Group, j *Job, args []string, out io.Writer, body func(*Run) error, ranks int) error {
	d := &device{size: ranks, open: func() (Group, error) { return g, nil }}
	return rt.ExecuteOn(d, j, args, out, d.run(body))
}

// Ranks is the other processes.
func (r *Run) Ranks() *Ranks { return r.d.ranks }

// Along says what the processes divide a matrix along.
type Along int

// Rows and columns.
const (
	Rows Along = iota
	Columns
)

// part is a run of indices of a dimension.
type part struct{ from, n int }

// parts are the indices of a dimension of n that this process has: one run, or one
// of each block of those that are side by side in it.
func (d *device) parts(n int, blocks []int) (out []part) {
	if len(blocks) == 0 {
		blocks = []int{n}
	}
	from := 0
	for _, b := range blocks {
		own := b / d.size
		out = append(out, part{from + d.ranks.g.Rank()*own, own})
		from += b
	}
	return out
}

// Part is what this process has of a frozen matrix: in the memory of the whole, or a
// copy where it is in several pieces.
func (r *Run) Part(w k.Weight, along Along, blocks ...int) k.Weight {
	switch {
	case !r.Faulty():
		return r.d.part(w, along, blocks...)
	case along == Columns: // Loaded tells what is wrong
		return k.Weight{Rows: w.Rows, Cols: w.Cols / r.d.size, DType: w.DType}
	}
	return k.Weight{Rows: w.Rows / r.d.size, Cols: w.Cols, DType: w.DType}
}

// PartVector is what this process has of a frozen vector.
func (r *Run) PartVector(x []float32, _ Along, blocks ...int) []float32 {
	var out []float32
	for _, p := range r.d.parts(len(x), blocks) {
		out = append(out, x[p.from:p.from+p.n]...)
	}
	return out
}

func (d *device) part(w k.Weight, along Along, blocks ...int) k.Weight {
	if along == Columns {
		p := d.parts(w.Cols, nil)[0]
		return w.Part(0, w.Rows, p.from, p.from+p.n)
	}
	parts := d.parts(w.Rows, blocks)
	if len(parts) == 1 {
		return w.Part(parts[0].from, parts[0].from+parts[0].n, 0, w.Cols)
	}
	rows := 0
	var data []byte
	for _, p := range parts {
		size := len(w.Stored()) / w.Rows
		data = append(data, w.Stored()[p.from*size:(p.from+p.n)*size]...)
		rows += p.n
	}
	joined, err := k.WeightFromBytes(data, w.DType, rows, w.Cols)
	if err != nil {
		panic(err)
	}
	return joined
}

// share is what this process has of a stack.
type share struct {
	host, local *Stack
	along       Along
	parts       []part
}

// each visits runs of the same elements, here and in the whole.
func (s *share) each(visit func(local, host []float32)) {
	l, h := s.local, s.host
	for layer := range h.Names {
		a, b := l.Data[layer*l.Rows*l.Cols:], h.Data[layer*h.Rows*h.Cols:]
		at := 0
		for _, p := range s.parts {
			if s.along == Rows {
				n := p.n * h.Cols
				visit(a[at:at+n], b[p.from*h.Cols:][:n])
				at += n
				continue
			}
			for i := range h.Rows {
				visit(a[i*l.Cols+at:][:p.n], b[i*h.Cols+p.from:][:p.n])
			}
			at += p.n
		}
	}
}

// Share is what this process has of a parameter that trains. Its start is that of
// the whole, whatever the mesh.
func (r *Run) Share(host *Stack, along Along, blocks ...int) *Stack {
	n := host.Rows
	if along == Columns {
		n = host.Cols
	}
	s := &share{host: host, along: along, parts: r.d.parts(n, blocks)}
	r.d.add(s)
	r.d.mirrored = append(r.d.mirrored, s)
	return s.local
}

// add makes the memory of a share.
func (d *device) add(s *share) {
	h, own := s.host, 0
	for _, p := range s.parts {
		own += p.n
	}
	s.local = &Stack{Names: h.Names, Rows: own, Cols: h.Cols, Vector: h.Vector}
	if s.along == Columns {
		s.local.Rows, s.local.Cols = h.Rows, own
	}
	s.local.Data = make([]float32, len(h.Names)*s.local.Rows*s.local.Cols)
	d.shares[s.host], d.shares[s.local] = s, s
	d.order = append(d.order, s)
}

// like is a share of another stack with the shape of p.
func (d *device) like(p *share, host *Stack) *share {
	s := &share{host: host, along: p.along, parts: p.parts}
	d.add(s)
	return s
}

// Grad is the accumulator of a trainable parameter's gradient.
func (r *Run) Grad(p *Stack) *Stack {
	s := r.d.shares[p]
	if s == nil {
		g := r.Run.Grad(p)
		r.d.grads = append(r.d.grads, g)
		return g
	}
	g := r.d.like(s, r.Run.Grad(s.host))
	r.d.grads = append(r.d.grads, g.host)
	return g.local
}

// State is the optimizer state of a trainable parameter.
func (r *Run) State(p *Stack, kind string) *Stack {
	s := r.d.shares[p]
	if s == nil {
		return r.Run.State(p, kind)
	}
	state := r.d.like(s, r.Run.State(s.host, kind))
	r.d.mirrored = append(r.d.mirrored, state)
	return state.local
}

// Loaded ends the loading, as that of package rt does, and takes this process' part
// of what was loaded, resumed or made.
func (r *Run) Loaded() error {
	if err := r.Run.Loaded(); err != nil {
		return err
	}
	for _, s := range r.d.mirrored {
		s.each(func(local, host []float32) { copy(local, host) })
	}
	return nil
}

// device is the processes as package rt sees them: what trains is elsewhere.
type device struct {
	size     int
	open     func() (Group, error)
	ranks    *Ranks
	shares   map[*Stack]*share // by either stack
	order    []*share          // in which they were made: the same on all processes
	mirrored []*share          // parameters and states
	grads    []*Stack          // of the host
}

func (d *device) run(body func(*Run) error) func(*rt.Run) error {
	return func(host *rt.Run) error {
		d.ranks.k = host.Kernels()
		return body(&Run{Run: host, d: d})
	}
}

// Open joins the other processes.
func (d *device) Open(*Job, *rt.Options) (string, error) {
	d.shares = map[*Stack]*share{}
	if d.open == nil {
		return "", exit.Inputf("this trainer is one of %d processes that share each layer, and was started alone", d.size)
	}
	g, err := d.open()
	if err != nil {
		return "", err
	}
	if g.Size() != d.size {
		return "", exit.Inputf("this trainer was compiled for %d processes that share each layer; %d were started", d.size, g.Size())
	}
	d.ranks = &Ranks{g: g}
	return "", nil
}

// Ranks is how many processes must meet; one that was given the others needs none.
func (d *device) Ranks() int {
	if d.open != nil {
		return 1
	}
	return d.size
}

// Meet takes the processes that share each layer.
func (d *device) Meet(g *comm.Group) {
	d.open = func() (Group, error) { return group{g}, nil }
}

// group is a Group of processes that met.
type group struct{ *comm.Group }

// AllSum sums in the order of comm.Group's.
func (g group) AllSum(x []float32, add func(dst, a, b []float32)) error {
	return g.Group.AllSum(x, memory{add})
}

// memory is that of Go's heap, or of anything else that a process can read.
type memory struct{ add func(dst, a, b []float32) }

func (m memory) Alloc(n int) []float32   { return make([]float32, n) }
func (m memory) Add(dst, a, b []float32) { m.add(dst, a, b) }
func (m memory) Copy(dst, src []float32) { copy(dst, src) }
func (m memory) Clear(x []float32)       { clear(x) }

// Gradients are those of this process, each a vector.
func (d *device) Gradients([][]float32) (out [][]float32) {
	return append(out, d.data(d.grads)...)
}

// Memory is where they are.
func (d *device) Memory(*rt.Loader) comm.Memory { return memory{d.ranks.add} }

// Pull puts the stacks together on every process, all of which must ask. They are
// listed in any order, and summed in one.
func (d *device) Pull(stacks ...*Stack) {
	for _, s := range d.order {
		if !slices.Contains(stacks, s.host) {
			continue
		}
		clear(s.host.Data)
		s.each(func(local, host []float32) { copy(host, local) })
		d.ranks.all(s.host.Data)
	}
}

// Norm is finite where all gradients of all processes are. Those that are partial
// are not summed yet.
func (d *device) Norm(grads ...*Stack) float64 {
	sum := d.ranks.k.SumSquares(d.data(grads)...)
	return math.Sqrt(d.ranks.SumScalar(sum).Value())
}

func (d *device) Clear(grads ...*Stack) { d.ranks.k.Clear(d.data(grads)...) }

func (d *device) Scale(by float64, grads ...*Stack) {
	for _, x := range d.data(grads) {
		m := k.MatOf(x, 1, len(x))
		d.ranks.k.Scale(m, m, float32(by))
	}
}

// data is the memory of stacks here.
func (d *device) data(stacks []*Stack) (out []k.Vec) {
	for _, s := range stacks {
		if own := d.shares[s]; own != nil {
			s = own.local
		}
		out = append(out, s.Data)
	}
	return out
}

// Fault is the error that the group ended by.
func (d *device) Fault(recovered any) error {
	if l, ok := recovered.(lost); ok {
		return l.error
	}
	return nil
}

// Close leaves the group to who joined it.
func (d *device) Close() {}
