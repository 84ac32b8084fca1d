package mesh

import (
	"encoding/binary"
	"math"

	k "lorac/kernels"
	"lorac/runtime/comm"
	"lorac/runtime/weights/naming"
)

// Stages is the processes that have the layers of a model in turn, as a program sees
// them: Ranks of that axis, and what goes from one to another.
type Stages struct {
	*Ranks
	mesh  Mesh
	c     *comm.Group
	sent  []parcel         // on their way
	free  [][]float32      // buffers
	ahead map[int][]parcel // by distance: what is expected, in order
	pause func()           // lets another micro-batch continue; nil: there is none
}

// parcel is a vector under way.
type parcel struct {
	x []float32
	f *comm.Flight
}

// Stage is that of this process.
func (s *Stages) Stage() int { return s.g.Rank() }

// begin begins a transfer with the stage so far away.
func (s *Stages) begin(send bool, by int, x []float32) parcel {
	f, err := s.c.Begin([]comm.Transfer{comm.Of(send, s.Stage()+by, x)})
	if err != nil {
		panic(lost{err})
	}
	return parcel{x, f}
}

// end waits for one.
func (p parcel) end() []float32 {
	if err := p.f.Wait(); err != nil {
		panic(lost{err})
	}
	return p.x
}

// buffer is memory for n numbers on their way.
func (s *Stages) buffer(n int) []float32 {
	for len(s.sent) > 0 { // a sender is at most one micro-batch a stage ahead
		done, err := s.sent[0].f.Done()
		if err != nil {
			panic(lost{err})
		}
		if !done && len(s.sent) <= s.Size()+1 {
			break
		}
		s.free = append(s.free, s.sent[0].end())
		s.sent = s.sent[1:]
	}
	for i, x := range s.free {
		if cap(x) >= n {
			s.free = append(s.free[:i], s.free[i+1:]...)
			return x[:n]
		}
	}
	return make([]float32, n)
}

// Send sends x to the stage so far away. It does not wait until that takes it.
func (s *Stages) Send(by int, x k.Mat) {
	buf := s.buffer(x.Rows * x.Cols)
	for i := range x.Rows {
		copy(buf[i*x.Cols:], x.Row(i))
	}
	s.sent = append(s.sent, s.begin(true, by, buf))
}

// Expect has n numbers from the stage so far away on their way before they are wanted.
func (s *Stages) Expect(by, n int) {
	if s.ahead == nil {
		s.ahead = map[int][]parcel{}
	}
	s.ahead[by] = append(s.ahead[by], s.begin(false, by, s.buffer(n)))
}

// Receive takes what the stage so far away sends. A later stage takes its time: other
// micro-batches continue until then.
func (s *Stages) Receive(by int, y k.Mat) {
	if by > 0 && s.pause != nil {
		s.pause()
	}
	var p parcel
	if list := s.ahead[by]; len(list) > 0 {
		p, s.ahead[by] = list[0], list[1:]
	} else {
		p = s.begin(false, by, s.buffer(y.Rows*y.Cols))
	}
	x := p.end()
	if len(x) != y.Rows*y.Cols {
		panic("BUG: mesh: what a stage sends is not what was expected")
	}
	for i := range y.Rows {
		copy(y.Row(i), x[i*y.Cols:])
	}
	s.free = append(s.free, x)
}

// settle waits until all that was sent has arrived.
func (s *Stages) settle() {
	for _, p := range s.sent {
		s.free = append(s.free, p.end())
	}
	s.sent = nil
}

// Size is the number of stages.
func (s *Stages) Size() int { return s.g.Size() }

// layers are the bounds of the layers of a stage in a stack; all of them where the
// stack is none of layers, or there are no stages.
func (m Mesh) layers(s *Stack, stage int) (lo, hi int) {
	if !m.cuts(s) {
		return 0, len(s.Names)
	}
	for _, name := range s.Names {
		switch of := m.stageOf(naming.Layer(name)); {
		case of < stage:
			lo++
			hi++
		case of == stage:
			hi++
		}
	}
	return lo, hi
}

// cuts reports whether each stage has layers of its own of a stack.
func (m Mesh) cuts(s *Stack) bool {
	return m.Stages > 1 && len(s.Names) > 0 && naming.Layer(s.Names[0]) >= 0
}

// bounds are the elements of a stage in the memory of a stack.
func (m Mesh) bounds(s *Stack, stage int) (from, to int) {
	n := s.Rows * s.Cols
	lo, hi := m.layers(s, stage)
	return lo * n, hi * n
}

// Own is the part of a stack that this stage has.
func (s *Stages) Own(x *Stack) k.Vec {
	from, to := s.mesh.bounds(x, s.Stage())
	return x.Data[from:to]
}

// gather brings the layers of a stack together on all stages.
func (s *Stages) gather(x *Stack) {
	owns := comm.Ranges{0}
	for stage := range s.Size() {
		_, to := s.mesh.bounds(x, stage)
		owns = append(owns, to)
	}
	if err := s.c.AllGather(x.Data, owns); err != nil {
		panic(lost{err})
	}
}

// Norm is √Σ x² over stacks, with the bits of one process: each stage has the sums of
// the blocks that are its own alone, and of the others the numbers.
func (s *Stages) Norm(stacks ...*Stack) k.Scalar {
	return parts{s.c, s.mem.Kernels, s.mesh.cuts, s.mesh.bounds}.norm(stacks)
}

// loss is that of the last stage, of which each has what it computed.
func (s *Stages) loss(own float64) (float64, error) {
	all, err := s.c.Gather(binary.LittleEndian.AppendUint64(nil, math.Float64bits(own)))
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(all[len(all)-1])), nil
}
