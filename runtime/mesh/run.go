package mesh

import (
	"io"

	k "lorac/kernels"
	rt "lorac/runtime"
)

// Run is one execution of a trainer on one of the processes.
type Run struct {
	*rt.Run
	d *device
}

// Main is the process of a trainer, of which several share each step, and which was
// started alone: it says so.
func Main(j *Job, body func(*Run) error, m Mesh) {
	d := &device{mesh: m}
	rt.MainOn(d, j, d.run(body))
}

// MainOver is Main of one of several processes, which join has meet.
func MainOver(join rt.Join, j *Job, body func(*Run) error, m Mesh) {
	d := &device{mesh: m}
	rt.MainOnOver(d, join, j, d.run(body))
}

// Execute is one run in a process that has others, with which it shares each layer.
func Execute(g Group, j *Job, args []string, out io.Writer, body func(*Run) error, m Mesh) error {
	d := &device{mesh: m, given: g}
	return rt.ExecuteOn(d, j, args, out, d.run(body))
}

// Ranks is the processes that share each layer with this one.
func (r *Run) Ranks() *Ranks { return r.d.ranks }

// Stages is the processes that have the other layers.
func (r *Run) Stages() *Stages { return r.d.stages }

// Shards is the processes that have shares of the optimizer's states.
func (r *Run) Shards() *Shards { return r.d.shards }

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
		own := b / d.ranks.g.Size()
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
		return k.Weight{Rows: w.Rows, Cols: w.Cols / r.d.ranks.g.Size(), DType: w.DType}
	}
	return k.Weight{Rows: w.Rows / r.d.ranks.g.Size(), Cols: w.Cols, DType: w.DType}
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
	host, local *Stack // the same where it is not cut
	along       Along
	parts       []part
}

func (s *share) whole() bool { return s.host == s.local }

// each visits runs of the same elements, here and in the whole, of some layers.
func (s *share) each(lo, hi int, visit func(local, host []float32)) {
	l, h := s.local, s.host
	for layer := lo; layer < hi; layer++ {
		s.runs(l.Data[layer*l.Rows*l.Cols:], h.Data[layer*h.Rows*h.Cols:], visit)
	}
}

// runs visits those of one layer's tensor.
func (s *share) runs(local, host []float32, visit func(local, host []float32)) {
	l, h, at := s.local, s.host, 0
	for _, p := range s.parts {
		if s.along == Rows {
			n := p.n * h.Cols
			visit(local[at:at+n], host[p.from*h.Cols:][:n])
			at += n
			continue
		}
		for i := range h.Rows {
			visit(local[i*l.Cols+at:][:p.n], host[i*h.Cols+p.from:][:p.n])
		}
		at += p.n
	}
}

// track notes a stack that this process has whole, or may have a part of.
func (d *device) track(host *Stack) *share {
	s := &share{host: host, local: host}
	d.shares[host] = s
	d.order = append(d.order, s)
	return s
}

// Trainable is a parameter that trains, in all its layers.
func (r *Run) Trainable(names []string, rows, cols int, init Init) *Stack {
	return r.d.track(r.Run.Trainable(names, rows, cols, init)).host
}

// Share is what this process has of a parameter that trains. Its start is that of
// the whole, whatever the mesh.
func (r *Run) Share(host *Stack, along Along, blocks ...int) *Stack {
	n := host.Rows
	if along == Columns {
		n = host.Cols
	}
	s := r.d.shares[host]
	if s == nil {
		s = r.d.track(host)
	}
	s.along, s.parts = along, r.d.parts(n, blocks)
	r.d.divide(s)
	r.d.mirrored = append(r.d.mirrored, s)
	return s.local
}

// divide makes the memory of a share.
func (d *device) divide(s *share) {
	h, own := s.host, 0
	for _, p := range s.parts {
		own += p.n
	}
	s.local = &Stack{Names: h.Names, Rows: own, Cols: h.Cols, Vector: h.Vector}
	if s.along == Columns {
		s.local.Rows, s.local.Cols = h.Rows, own
	}
	s.local.Data = make([]float32, len(h.Names)*s.local.Rows*s.local.Cols)
	d.shares[s.local] = s
}

// like is what this process has of another stack with the shape of p.
func (d *device) like(p *share, host *Stack) *share {
	s := d.track(host)
	if !p.whole() {
		s.along, s.parts = p.along, p.parts
		d.divide(s)
	}
	return s
}

// Grad is the accumulator of a trainable parameter's gradient.
func (r *Run) Grad(p *Stack) *Stack {
	s := r.d.shares[p]
	g := r.d.like(s, r.Run.Grad(s.host))
	r.d.grads = append(r.d.grads, g.host)
	return g.local
}

// State is the optimizer state of a trainable parameter.
func (r *Run) State(p *Stack, kind string) *Stack {
	s := r.d.shares[p]
	if r.d.shards != nil {
		return r.shared(s, kind)
	}
	state := r.d.like(s, r.Run.State(s.host, kind))
	if !state.whole() {
		r.d.mirrored = append(r.d.mirrored, state)
	}
	return state.local
}

// SideState is the optimizer state of the rows or the columns of a trainable matrix.
func (r *Run) SideState(p *Stack, kind string, n int) *Stack {
	return r.d.track(r.Run.SideState(p, kind, n)).host
}

// Loaded ends the loading, as that of package rt does, and takes this process' part
// of what was loaded, resumed or made.
func (r *Run) Loaded() error {
	if d := r.d; d.largest > 0 && !r.Faulty() {
		d.tensor, d.piece = d.ranks.mem.Alloc(d.largest), d.ranks.mem.Alloc(d.largest)
	}
	if err := r.Run.Loaded(); err != nil {
		return err
	}
	for _, s := range r.d.mirrored {
		s.each(0, len(s.host.Names), func(local, host []float32) { copy(local, host) })
	}
	return nil
}
