package rt

import (
	"iter"

	"lorac/runtime/comm"
	"lorac/runtime/exit"
	"lorac/runtime/microbatch"
)

// sums is the gradient and the loss of a step: sums over its units, in the order of
// their tree. A process adds up those of its own units; at the end of the step all
// processes have the sums of all.
type sums struct {
	w        *world
	dev      Device
	grads    []*Stack
	adder    *comm.Adder // nil: there is one unit, whose gradients are the sum
	units    int
	from, to int // the units of this process

	unit float64 // loss of the unit that is computed
	loss float64 // of the step, once it is done
}

// newSums makes the sums of a job with so many devices. What trains is loaded.
func newSums(w *world, j *Job, dev Device, grads []*Stack) *sums {
	s := &sums{w: w, dev: dev, grads: grads, units: microbatch.Units(max(j.Devices.Count, 1))}
	s.from, s.to = comm.Share(s.units, w.rank(), w.size())
	if s.units > 1 {
		s.adder = comm.NewAdder(s.units, s.from, s.to, dev.Vector(grads...))
	}
	return s
}

// each gives the micro-batches of the units of this process, and takes the gradients of
// a unit that is computed to the sum, after which they are zero.
func (s *sums) each(packed [][]*MicroBatch) iter.Seq2[int, *MicroBatch] {
	return func(yield func(int, *MicroBatch) bool) {
		s.loss, s.unit = 0, 0
		n := 0
		for i, list := range packed {
			for _, b := range list {
				if !yield(n, b) {
					return
				}
				n++
			}
			if s.adder == nil {
				s.loss = s.unit
				return
			}
			s.adder.Take(s.from+i, s.unit)
			s.dev.Clear(s.grads...)
			s.unit = 0
		}
	}
}

// end brings the sums of all processes together: the gradients are those of the step.
func (s *sums) end() error {
	if s.adder == nil {
		return nil
	}
	loss, err := s.adder.Finish(s.w.g)
	s.loss = loss
	return exit.With(exit.Failed, err)
}
