package mesh

import (
	"fmt"
	"math"
	"slices"
	"strings"

	k "lorac/kernels"
	rt "lorac/runtime"
	"lorac/runtime/comm"
	"lorac/runtime/exit"
)

// device is the processes as package rt sees them: what trains is elsewhere.
type device struct {
	mesh     Mesh
	k        *k.Context
	given    Group       // of a run that has its processes; else they meet
	met      *comm.Group // all that share a step
	ranks    *Ranks
	stages   *Stages
	shares   map[*Stack]*share // by either stack
	order    []*share          // in which they were made: the same on all processes
	mirrored []*share          // parameters and states of which this process has a part
	grads    []*Stack          // of the host
	steps    []func(*MicroBatch) float64

	shards  *Shards           // nil: each process has all states of what it steps
	states  map[*Stack]*state // by the share
	largest int               // numbers of the largest tensor of those
	tensor  []float32         // one that is put together
	piece   []float32         // what this process has of it over axis model

	aside       bool // for the state of a step that is given up
	asideRanks  *Ranks
	asideStages *Stages
	asideShards *Shards
}

func (d *device) run(body func(*Run) error) func(*rt.Run) error {
	return func(host *rt.Run) error {
		d.k = host.Kernels()
		d.ranks.mem = rt.HostMemory{Kernels: d.k, Loader: host.Loader}
		if d.stages != nil {
			d.stages.mem = d.ranks.mem
		}
		if d.shards != nil {
			d.shards.mem = d.ranks.mem
		}
		return body(&Run{Run: host, d: d})
	}
}

// Open joins the other processes.
func (d *device) Open(*Job, *rt.Options) (string, error) {
	d.shares, d.states = map[*Stack]*share{}, map[*Stack]*state{}
	switch {
	case d.given == nil && d.met == nil:
		return "", exit.Inputf("this trainer is one of %d processes that share each step, and was started alone", d.mesh.size())
	case d.given != nil && d.given.Size() != d.mesh.size():
		return "", exit.Inputf("this trainer was compiled for %d processes that share each step; %d were started", d.mesh.size(), d.given.Size())
	case d.given != nil:
		d.ranks = &Ranks{g: d.given}
	}
	return "", nil
}

// Ranks is how many processes must meet; one that was given the others needs none.
func (d *device) Ranks() int {
	if d.given != nil {
		return 1
	}
	return d.mesh.size()
}

// Shards is how many processes have shares of the optimizer's states.
func (d *device) Shards() int { return max(d.mesh.Shards, 1) }

// Owners are the shares of a gradient of n numbers that processes step.
func (d *device) Owners(n int) comm.Ranges { return d.mesh.owners(n) }

// Meet takes the processes that together have all of what trains and its states: those of
// one stage are neighbours, and so are the stages of one share.
func (d *device) Meet(g *comm.Group) {
	d.met = g
	d.ranks, d.stages, d.shards = d.meet(g)
	d.asideRanks, d.asideStages, d.asideShards = d.meet(g)
}

func (d *device) meet(g *comm.Group) (ranks *Ranks, stages *Stages, shards *Shards) {
	ranks = &Ranks{g: alone{}}
	model, wide, n := max(d.mesh.Model, 1), d.mesh.size(), g.Size()
	first := g.Rank() / wide * wide // of those that share a row
	every := func(from, to, step int) *comm.Group {
		var list []int
		for r := from; r < to; r += step {
			list = append(list, r)
		}
		return g.Sub(list)
	}
	if model > 1 {
		at := g.Rank() / model * model
		ranks.g = every(at, at+model, 1)
	}
	if wide > model {
		c := every(first+g.Rank()%model, first+wide, model)
		stages = &Stages{Ranks: &Ranks{g: c}, mesh: d.mesh, c: c}
	}
	if n > wide {
		c := every(g.Rank()%wide, n, wide)
		shards = &Shards{Ranks: &Ranks{g: c}, d: d, c: c, all: every(g.Rank()%model, n, model)}
	}
	return ranks, stages, shards
}

// groups are those to talk in now.
func (d *device) groups() (*Ranks, *Stages, *Shards) {
	if d.aside {
		return d.asideRanks, d.asideStages, d.asideShards
	}
	return d.ranks, d.stages, d.shards
}

// stage is that of this process.
func (d *device) stage() int {
	if d.stages == nil {
		return 0
	}
	return d.stages.Stage()
}

// Aside has Pull use other groups than the run, and not its kernels.
func (d *device) Aside() { d.aside = true }

// alone is a group of one.
type alone struct{}

func (alone) Rank() int                           { return 0 }
func (alone) Size() int                           { return 1 }
func (alone) AllSum([]float32, comm.Memory) error { return nil }

// Computes reports whether this process computes with a layer.
func (d *device) Computes(layer int) bool {
	return d.stages == nil || d.mesh.stageOf(layer) == d.stage()
}

// Gradients are those of this process, each a vector.
func (d *device) Gradients([][]float32) (out [][]float32) {
	return append(out, d.data(d.grads)...)
}

// Memory is where they are.
func (d *device) Memory(l *rt.Loader) comm.Memory { return rt.HostMemory{Kernels: d.k, Loader: l} }

// Pull puts the stacks together on every process, all of which must ask. They are
// listed in any order, and summed in one. States that are shared stay where they are.
func (d *device) Pull(list ...*Stack) {
	ranks, stages, shards := d.groups()
	for _, s := range d.order {
		if !slices.Contains(list, s.host) {
			continue
		}
		if shards != nil && slices.Contains(d.grads, s.host) {
			shards.Gather(s.local)
		}
		if !s.whole() {
			lo, hi := d.layers(s.host)
			n := s.host.Rows * s.host.Cols
			own := s.host.Data[lo*n : hi*n]
			clear(own)
			s.each(lo, hi, func(local, host []float32) { copy(host, local) })
			ranks.all(own)
		}
		if d.mesh.cuts(s.host) {
			stages.gather(s.host)
		}
	}
}

// layers are the bounds of the layers that this process has of a stack.
func (d *device) layers(s *Stack) (lo, hi int) {
	if d.stages == nil {
		return 0, len(s.Names)
	}
	return d.mesh.layers(s, d.stages.Stage())
}

// Norm is finite where all gradients of all processes are. Those that are partial
// are not summed yet.
func (d *device) Norm(grads ...*Stack) float64 {
	sum := d.ranks.SumScalar(d.k.SumSquares(d.stepped(grads)...))
	if d.stages != nil {
		sum = d.stages.SumScalar(sum)
	}
	if d.shards != nil {
		sum = d.shards.SumScalar(sum)
	}
	return math.Sqrt(sum.Value())
}

func (d *device) Clear(grads ...*Stack) { d.k.Clear(d.data(grads)...) }

func (d *device) Scale(by float64, grads ...*Stack) {
	for _, x := range d.stepped(grads) {
		m := k.MatOf(x, 1, len(x))
		d.k.Scale(m, m, float32(by))
	}
}

// data is the memory of stacks here, without the layers of other stages.
func (d *device) data(stacks []*Stack) (out []k.Vec) {
	for _, s := range stacks {
		if own := d.shares[s]; own != nil {
			s = own.local
		}
		lo, hi := d.layers(s)
		n := s.Rows * s.Cols
		out = append(out, s.Data[lo*n:hi*n])
	}
	return out
}

// stepped is the same, of which this process steps a share.
func (d *device) stepped(stacks []*Stack) (out []k.Vec) {
	out = d.data(stacks)
	for i, x := range out {
		if d.shards != nil {
			from, to := d.mesh.owners(len(x)).Of(d.shards.Rank())
			out[i] = x[from:to]
		}
	}
	return out
}

// Shape is how the processes share a row and the states.
func (d *device) Shape() (text string, exact bool) {
	var parts []string
	if d.mesh.Shards > 1 {
		parts = append(parts, fmt.Sprintf("os=%d", d.mesh.Shards))
	}
	if d.mesh.Stages > 1 {
		parts = append(parts, fmt.Sprintf("pp=%d", d.mesh.Stages))
	}
	if d.mesh.Model > 1 {
		parts = append(parts, fmt.Sprintf("mp=%d", d.mesh.Model))
	}
	return strings.Join(parts, ","), d.mesh.Model <= 1
}

// Loss is the loss of the step, which the last stage has.
func (d *device) Loss(own float64) (float64, error) {
	if d.stages == nil {
		return own, nil
	}
	return d.stages.loss(own)
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
