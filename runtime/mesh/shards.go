package mesh

import (
	k "lorac/kernels"
	"lorac/runtime/comm"
	"lorac/runtime/weights/naming"
)

// Shards is the processes that have shares of the optimizer's states, as a program sees
// them: each sums, steps and keeps a share of every stack, in whole blocks of a norm.
type Shards struct {
	*Ranks
	d   *device
	c   *comm.Group // of one stage and part, in the order of their shares
	all *comm.Group // the same of all stages, share by share
}

// Rank is the share of this process.
func (s *Shards) Rank() int { return s.c.Rank() }

// owners are the shares of n numbers.
func (m Mesh) owners(n int) comm.Ranges { return comm.Even(n, max(m.Shards, 1), k.NormBlock) }

// owned are the elements of a stack that a process of a stage steps.
func (m Mesh) owned(x *Stack, stage, shard int) (from, to int) {
	lo, hi := m.bounds(x, stage)
	from, to = m.owners(hi - lo).Of(shard)
	return lo + from, lo + to
}

// Own is what this process steps of a stack. States are here in no other part.
func (s *Shards) Own(x *Stack) k.Vec {
	if s.d.states[x] != nil {
		return x.Data
	}
	from, to := s.d.mesh.owned(x, s.d.stage(), s.Rank())
	return x.Data[from:to]
}

// Gather brings the shares of stacks together.
func (s *Shards) Gather(stacks ...*Stack) {
	for _, x := range stacks {
		lo, hi := s.d.mesh.bounds(x, s.d.stage())
		s.gather(x.Data[lo:hi], s.d.mesh.owners(hi-lo))
	}
}

func (s *Shards) gather(x []float32, owns comm.Ranges) {
	if err := s.c.AllGather(x, owns); err != nil {
		panic(lost{err})
	}
}

// Norm is √Σ x² over stacks, with the bits of one process.
func (s *Shards) Norm(stacks ...*Stack) k.Scalar {
	m := s.d.mesh
	stages := max(m.Stages, 1)
	bounds := func(x *Stack, rank int) (int, int) { return m.owned(x, rank%stages, rank/stages) }
	return parts{s.all, s.mem.Kernels, func(*Stack) bool { return true }, bounds}.norm(stacks)
}

// state is an optimizer state of which each process has a share.
type state struct {
	d   *device
	of  *share // its parameter: what this process has of each tensor
	own *Stack // the share
}

// shared is the optimizer state of a parameter of which this process has a share.
func (r *Run) shared(of *share, kind string) *Stack {
	d, l := r.d, of.local
	from, to := d.mesh.owned(l, d.stage(), d.shards.Rank())
	s := &state{d, of, &Stack{Names: l.Names, Rows: l.Rows, Cols: l.Cols, Vector: l.Vector}}
	s.own.Data = r.Run.SharedState(of.host, kind, to-from, s)
	d.states[s.own] = s
	d.largest = max(d.largest, of.host.Rows*of.host.Cols)
	return s.own
}

// Own is the share of this process.
func (s *state) Own() []float32 { return s.own.Data }

// at is the stage that has tensor i; here reports whether it is this one.
func (s *state) at(i int) (stage int, here bool) {
	if !s.d.mesh.cuts(s.of.local) {
		return 0, true
	}
	stage = s.d.mesh.stageOf(naming.Layer(s.of.local.Names[i]))
	return stage, stage == s.d.stage()
}

// shares are the elements of tensor i, which this stage has, that each process has, and
// those of this one.
func (s *state) shares(i int) (owns comm.Ranges, own []float32) {
	l, m, stage := s.of.local, s.d.mesh, s.d.stage()
	n, shards := l.Rows*l.Cols, max(m.Shards, 1)
	within := func(at int) int { return min(max(at-i*n, 0), n) }
	for shard := range shards {
		from, to := m.owned(l, stage, shard)
		if shard == 0 {
			owns = append(owns, within(from))
		}
		owns = append(owns, within(to))
	}
	first, _ := m.owned(l, stage, s.d.shards.Rank())
	from, to := owns.Of(s.d.shards.Rank())
	if from < to {
		own = s.own.Data[i*n+from-first : i*n+to-first]
	}
	return owns, own
}

// Tensor puts tensor i together, on all processes that have shares of the states.
func (s *state) Tensor(i int) []float32 {
	ranks, stages, shards := s.d.groups()
	n := s.of.host.Rows * s.of.host.Cols
	whole := s.d.tensor[:n]
	stage, here := s.at(i)
	if here {
		part := whole
		if !s.of.whole() {
			part = s.d.piece[:s.of.local.Rows*s.of.local.Cols]
		}
		owns, own := s.shares(i)
		from, to := owns.Of(shards.Rank())
		copy(part[from:to], own)
		shards.gather(part, owns)
		if !s.of.whole() {
			clear(whole)
			s.of.runs(part, whole, func(local, host []float32) { copy(host, local) })
			ranks.all(whole)
		}
	}
	if s.d.mesh.cuts(s.of.local) {
		owns := make(comm.Ranges, stages.Size()+1)
		for other := stage; other < stages.Size(); other++ {
			owns[other+1] = n
		}
		if err := stages.c.AllGather(whole, owns); err != nil {
			panic(lost{err})
		}
	}
	return whole
}

// Take leaves this process its share of tensor i.
func (s *state) Take(i int, x []float32) {
	if _, here := s.at(i); !here {
		return
	}
	if !s.of.whole() {
		part := s.d.piece[:s.of.local.Rows*s.of.local.Cols]
		s.of.runs(part, x, func(local, host []float32) { copy(local, host) })
		x = part
	}
	owns, own := s.shares(i)
	from, to := owns.Of(s.d.shards.Rank())
	copy(own, x[from:to])
}
