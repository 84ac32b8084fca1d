package mesh

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	k "lorac/kernels"
	rt "lorac/runtime"
	"lorac/runtime/comm"
	"lorac/runtime/comm/local"
)

// each runs what several processes do, each a goroutine.
func each(t *testing.T, n int, do func(g *comm.Group)) {
	t.Helper()
	_, list := local.New(n)
	var all sync.WaitGroup
	for _, transport := range list {
		all.Add(1)
		go func() {
			defer all.Done()
			g, err := comm.New(transport, comm.Options{Timeout: 5 * time.Second, Fault: func(err error) { t.Error(err) }})
			if err != nil {
				t.Error(err)
				return
			}
			do(g)
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
}

// meet is the device of a process of a mesh.
func meet(g *comm.Group, m Mesh) *device {
	d := &device{mesh: m, shares: map[*Stack]*share{}, states: map[*Stack]*state{}}
	d.Meet(g)
	d.k = k.New(1)
	d.ranks.mem = rt.HostMemory{Kernels: d.k}
	if d.stages != nil {
		d.stages.mem = d.ranks.mem
	}
	if d.shards != nil {
		d.shards.mem = d.ranks.mem
	}
	return d
}

// layered is a stack of some layers, with numbers that follow from seed.
func layered(lo, hi, rows, cols int) *Stack {
	s := &Stack{Names: Names("model.layers.%d.attention.wq.weight", lo, hi), Rows: rows, Cols: cols}
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	for range (hi - lo + 1) * rows * cols {
		s.Data = append(s.Data, float32(rng.NormFloat64()))
	}
	return s
}

// The norm of stages has the bits of one process, wherever blocks and layers end, and
// stacks that are put together are whole.
func TestStages(t *testing.T) {
	stacks := func() []*Stack {
		single := layered(0, 0, 3, 5)
		single.Names = []string{"model.norm_out.weight"}
		return []*Stack{layered(0, 6, 3, 700), layered(0, 6, 64, 64), single, layered(0, 6, 1, 3), layered(2, 4, 100, 91), layered(5, 5, 9, 1000)}
	}
	one := k.New(1)
	var data []k.Vec
	for _, s := range stacks() {
		data = append(data, s.Data)
	}
	want := one.Norm(data...)
	for _, n := range []int{2, 3, 7} {
		each(t, n, func(g *comm.Group) {
			d := meet(g, Mesh{Stages: n, Layers: 7})
			own := stacks()
			for _, s := range own {
				from, to := d.mesh.bounds(s, g.Rank())
				for i := range s.Data {
					if d.mesh.cuts(s) && (i < from || i >= to) {
						s.Data[i] = -1
					}
				}
				d.track(s)
			}
			if got := d.stages.Norm(own...); got != want {
				t.Errorf("%d stages: the norm is %v, not %v", n, got, want)
			}
			d.Pull(own...)
			for i, s := range stacks() {
				if !slices.Equal(own[i].Data, s.Data) {
					t.Errorf("%d stages: stack %d is not whole", n, i)
				}
			}
			if loss, err := d.Loss(float64(g.Rank())); err != nil || loss != float64(n-1) {
				t.Errorf("the loss is %v, %v", loss, err)
			}
		})
	}
}

// Micro-batches are computed backward in their order, whatever waits; a stage has as many
// under way as there are stages from it on.
func TestPipelineOrder(t *testing.T) {
	const stages, units = 3, 7
	each(t, stages, func(g *comm.Group) {
		d := meet(g, Mesh{Stages: stages, Layers: stages})
		s := d.stages
		var did []string
		n, most, now := 0, 0, 0
		step := func(*MicroBatch) float64 {
			at := n
			n++
			now++
			most = max(most, now)
			x := k.MatOf([]float32{float32(at)}, 1, 1)
			if s.Stage() > 0 {
				s.Receive(-1, x)
			}
			did = append(did, fmt.Sprint("F", at))
			if s.Stage() < stages-1 {
				s.Send(1, x)
				s.Receive(1, x)
			}
			if x.Data[0] != float32(at) {
				t.Errorf("stage %d: %v arrives for %d", s.Stage(), x.Data, at)
			}
			did = append(did, fmt.Sprint("B", at))
			if s.Stage() > 0 {
				s.Send(-1, x)
			}
			now--
			return 0
		}
		var todo []item
		for i := range units {
			todo = append(todo, item{&MicroBatch{}, i, true})
		}
		todo = append(todo, item{nil, units, true})
		var ended []int
		d.pipeline(todo, step, func() func(*MicroBatch) float64 { return step }, func(*MicroBatch) {
			if s.Stage() > 0 {
				s.Expect(-1, 1)
			}
			if s.Stage() < stages-1 {
				s.Expect(1, 1)
			}
		}, func(u *underWay) { ended = append(ended, u.unit) })
		want := [][]string{
			{"F0", "F1", "F2", "B0", "F3", "B1", "F4", "B2", "F5", "B3", "F6", "B4", "B5", "B6"},
			{"F0", "F1", "B0", "F2", "B1", "F3", "B2", "F4", "B3", "F5", "B4", "F6", "B5", "B6"},
			{"F0", "B0", "F1", "B1", "F2", "B2", "F3", "B3", "F4", "B4", "F5", "B5", "F6", "B6"},
		}[s.Stage()]
		if !slices.Equal(did, want) || most != stages-s.Stage() {
			t.Errorf("stage %d: %v, %d at once", s.Stage(), did, most)
		}
		if !slices.Equal(ended, []int{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("units end as %v", ended)
		}
	})
}

// An error of one micro-batch unwinds those under way.
func TestPipelineFails(t *testing.T) {
	each(t, 2, func(g *comm.Group) {
		if g.Rank() == 1 {
			meet(g, Mesh{Stages: 2, Layers: 2})
			return
		}
		d := meet(g, Mesh{Stages: 2, Layers: 2})
		unwound, n := 0, 0
		defer func() {
			if e := recover(); e == nil || unwound != 2 {
				t.Errorf("%v, %d unwound", e, unwound)
			}
		}()
		step := func(*MicroBatch) float64 {
			defer func() { unwound++ }()
			if n++; n == 2 {
				panic(errors.New("a fault"))
			}
			d.stages.pause()
			return 0
		}
		d.pipeline([]item{{&MicroBatch{}, 0, false}, {&MicroBatch{}, 0, true}}, step, func() func(*MicroBatch) float64 { return step }, func(*MicroBatch) {}, func(*underWay) {})
	})
}
