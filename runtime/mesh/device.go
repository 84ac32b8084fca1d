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

	aside       bool // for the state of a step that is given up
	asideRanks  *Ranks
	asideStages *Stages
}

func (d *device) run(body func(*Run) error) func(*rt.Run) error {
	return func(host *rt.Run) error {
		d.k = host.Kernels()
		d.ranks.mem = rt.HostMemory{Kernels: d.k, Loader: host.Loader}
		if d.stages != nil {
			d.stages.mem = d.ranks.mem
		}
		return body(&Run{Run: host, d: d})
	}
}

// Open joins the other processes.
func (d *device) Open(*Job, *rt.Options) (string, error) {
	d.shares = map[*Stack]*share{}
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

// Meet takes the processes that share each step: those of one stage are neighbours.
func (d *device) Meet(g *comm.Group) {
	d.met = g
	d.ranks, d.stages = d.groups(g)
	d.asideRanks, d.asideStages = d.groups(g)
}

func (d *device) groups(g *comm.Group) (ranks *Ranks, stages *Stages) {
	ranks = &Ranks{g: alone{}}
	model, n := max(d.mesh.Model, 1), g.Size()
	if model > 1 {
		var list []int
		for i := range model {
			list = append(list, g.Rank()/model*model+i)
		}
		ranks.g = g.Sub(list)
	}
	if n > model {
		var list []int
		for r := g.Rank() % model; r < n; r += model {
			list = append(list, r)
		}
		c := g.Sub(list)
		stages = &Stages{Ranks: &Ranks{g: c}, mesh: d.mesh, c: c}
	}
	return ranks, stages
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
	return d.stages == nil || d.mesh.stageOf(layer) == d.stages.Stage()
}

// Gradients are those of this process, each a vector.
func (d *device) Gradients([][]float32) (out [][]float32) {
	return append(out, d.data(d.grads)...)
}

// Memory is where they are.
func (d *device) Memory(l *rt.Loader) comm.Memory { return rt.HostMemory{Kernels: d.k, Loader: l} }

// Pull puts the stacks together on every process, all of which must ask. They are
// listed in any order, and summed in one.
func (d *device) Pull(list ...*Stack) {
	ranks, stages := d.ranks, d.stages
	if d.aside {
		ranks, stages = d.asideRanks, d.asideStages
	}
	for _, s := range d.order {
		if !slices.Contains(list, s.host) {
			continue
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
	sum := d.ranks.SumScalar(d.k.SumSquares(d.data(grads)...))
	if d.stages != nil {
		sum = d.stages.SumScalar(sum)
	}
	return math.Sqrt(sum.Value())
}

func (d *device) Clear(grads ...*Stack) { d.k.Clear(d.data(grads)...) }

func (d *device) Scale(by float64, grads ...*Stack) {
	for _, x := range d.data(grads) {
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

// Shape is how the processes share a row.
func (d *device) Shape() (text string, exact bool) {
	var parts []string
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
