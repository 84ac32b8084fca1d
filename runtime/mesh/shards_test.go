package mesh

import (
	"slices"
	"testing"

	k "lorac/kernels"
	"lorac/runtime/comm"
)

// Shares of the processes of a mesh are the whole once; the norm of them has the bits of
// one process, and so has a state that is put together.
func TestShards(t *testing.T) {
	stacks := func() []*Stack {
		single := layered(0, 0, 3, 5000)
		single.Names = []string{"model.norm_out.weight"}
		return []*Stack{layered(0, 6, 4, 7000), layered(0, 6, 64, 64), single, layered(0, 6, 2, 3), layered(2, 4, 100, 92)}
	}
	one := k.New(1)
	var data []k.Vec
	for _, s := range stacks() {
		data = append(data, s.Data)
	}
	want := one.Norm(data...)
	for _, m := range []Mesh{{Shards: 2}, {Shards: 3}, {Shards: 8}, {Shards: 2, Stages: 3, Layers: 7}, {Shards: 2, Model: 2}, {Shards: 2, Stages: 2, Model: 2, Layers: 7}} {
		each(t, m.Shards*m.size(), func(g *comm.Group) {
			d := meet(g, m)
			list := stacks()
			for _, s := range list { // of parameters: the others' shares are not up to date
				s.Data = slices.Clone(s.Data)
				d.track(s)
				lo, hi := d.mesh.owned(s, d.stage(), d.shards.Rank())
				from, to := d.mesh.bounds(s, d.stage())
				for i := range s.Data {
					if i < lo || i >= hi {
						s.Data[i] = -1
					}
				}
				if own := d.shards.Own(s); len(own) != hi-lo || len(own) > (to-from)/m.Shards+k.NormBlock {
					t.Errorf("%+v: a share of %d", m, len(own))
				}
			}
			if got := d.shards.Norm(list...); m.Model < 2 && got != want {
				t.Errorf("%+v: the norm is %v, not %v", m, got, want)
			}
			d.shards.Gather(list...)
			for i, s := range stacks() {
				from, to := d.mesh.bounds(s, d.stage())
				if !slices.Equal(list[i].Data[from:to], s.Data[from:to]) {
					t.Errorf("%+v: stack %d is not whole", m, i)
				}
			}
			d.tensor, d.piece = make([]float32, 1<<15), make([]float32, 1<<15)
			for n, host := range stacks() {
				of := d.track(host)
				if m.Model > 1 && host.Cols%2 == 0 {
					of.along, of.parts = Columns, d.parts(host.Cols, nil)
					d.divide(of)
				}
				from, to := d.mesh.owned(of.local, d.stage(), d.shards.Rank())
				s := &state{d, of, &Stack{Data: make([]float32, to-from)}}
				for i := range host.Names {
					s.Take(i, host.Mat(i).Data)
				}
				for i := range host.Names {
					if !slices.Equal(s.Tensor(i), host.Mat(i).Data) {
						t.Errorf("%+v: tensor %d of state %d is not whole", m, i, n)
					}
				}
			}
		})
	}
}
