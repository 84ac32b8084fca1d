package rt

import (
	"iter"

	"lorac/runtime/comm"
	"lorac/runtime/exit"
)

// sums is the gradient and the loss of a step: sums over its units, in the order of
// their tree. A process adds up those of its own units; at the end of the step all
// processes have the sums of all.
type sums struct {
	w        *world
	dev      Device
	grads    []*Stack
	parts    []summed // empty: one process has the only unit, whose gradients are the sum
	from, to int      // the units of this process

	unit float64 // loss of the unit that is computed
	loss float64 // of the step, once it is done
}

// summed is gradients that are one vector.
type summed struct {
	grads []float32
	adder *comm.Adder
}

// newSums makes the sums of a job with so many devices. What trains is loaded.
func newSums(w *world, j *Job, l *Loader, grads []*Stack) *sums {
	s := &sums{w: w, dev: l.dev, grads: grads}
	units := shares(j, w.lanes)
	s.from, s.to = units.Of(w.lane)
	if units.Len() == 1 && w.lanes == 1 {
		return s
	}
	for _, g := range l.dev.Gradients(l.grads) {
		a := comm.NewAdder(units, w.lane, len(g), l.dev.Memory(l))
		a.Reserve()
		s.parts = append(s.parts, summed{g, a})
	}
	return s
}

// SumBytes is the memory that sums of gradients take in the process that needs most, of
// a job that trains so many numbers in so many processes.
func SumBytes(j *Job, trained, processes int) (most int) {
	units := shares(j, processes)
	if units.Len() == 1 && processes == 1 {
		return 0
	}
	for r := range processes {
		most = max(most, int(comm.AdderBytes(units, r, trained)))
	}
	return most
}

// each gives the micro-batches of the units of this process, and takes the gradients of
// a unit that is computed to the sum, after which they are zero.
func (s *sums) each(packed [][]*MicroBatch) iter.Seq2[int, *MicroBatch] {
	return func(yield func(int, *MicroBatch) bool) {
		s.begin()
		n := 0
		for i, list := range packed {
			for _, b := range list {
				if !yield(n, b) {
					return
				}
				n++
			}
			s.take(i)
		}
	}
}

// begin begins a step.
func (s *sums) begin() { s.loss, s.unit = 0, 0 }

// take takes the gradients of a unit of this process, which is computed, to the sum.
// They are zero then.
func (s *sums) take(i int) {
	if len(s.parts) == 0 {
		s.loss = s.unit
		return
	}
	for _, p := range s.parts {
		p.adder.Take(s.from+i, p.grads, s.unit)
	}
	s.dev.Clear(s.grads...)
	s.unit = 0
}

// end brings the sums of all processes together: the gradients are those of the step.
func (s *sums) end() error {
	d, shared := s.dev.(sharing)
	for _, p := range s.parts {
		finish, owns := p.adder.Finish, comm.Ranges(nil)
		if shared && d.Shards() > 1 && d.Shards() == s.w.lanes { // each needs its share alone
			finish, owns = p.adder.Scatter, d.Owners(len(p.grads))
		}
		loss, err := finish(s.w.across, p.grads, owns)
		if err != nil {
			return exit.With(exit.Failed, err)
		}
		s.loss = loss
	}
	if shared {
		loss, err := d.Loss(s.loss)
		s.loss = loss
		return exit.With(exit.Failed, err)
	}
	return nil
}
