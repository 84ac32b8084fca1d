package mesh

import (
	"iter"
	"runtime/debug"

	"lorac/runtime/exit"
)

// A stage computes a micro-batch forward, sends what it comes to on, and waits for its
// gradient. Meanwhile it computes others: as many are under way as there are stages from
// this one on, and then forward and backward take turns (1F1B, Narayanan et al. 2019).
// Backward comes in the order of the micro-batches, so gradients add up as on one process.

// Steps is a program for several micro-batches at a time.
type Steps struct {
	// Step computes one, forward and backward, and returns its loss.
	Step func(*MicroBatch) float64
	// Other is Step with activations of its own, for another one under way.
	Other func() func(*MicroBatch) float64
	// Ahead expects what stages send for one.
	Ahead func(*MicroBatch)
}

// underWay is a micro-batch, or the end of a unit that has none.
type underWay struct {
	resume func() (struct{}, bool)
	pause  func()
	stop   func()
	loss   float64
	unit   int
	last   bool // of its unit
}

// item is what a stage has to do, in order.
type item struct {
	b    *MicroBatch // nil: nothing, of a unit without rows
	unit int
	last bool
}

// Pipeline computes the micro-batches of a step.
func (r *Run) Pipeline(p Steps) {
	var todo []item
	for unit, list := range r.Units() {
		for i, b := range list {
			todo = append(todo, item{b, unit, i == len(list)-1})
		}
		if len(list) == 0 {
			todo = append(todo, item{nil, unit, true})
		}
	}
	other := func() func(*MicroBatch) float64 {
		step := p.Other()
		if r.Faulty() {
			panic(lost{exit.Failedf("there is no memory for the activations of another micro-batch")})
		}
		return step
	}
	r.d.pipeline(todo, p.Step, other, p.Ahead, func(u *underWay) {
		r.Add(u.loss)
		if u.last {
			r.EndUnit(u.unit)
		}
	})
}

// pipeline computes what there is to do; done is told of each, in order.
func (d *device) pipeline(todo []item, step func(*MicroBatch) float64, other func() func(*MicroBatch) float64, ahead func(*MicroBatch), done func(*underWay)) {
	depth := d.stages.Size() - d.stages.Stage()
	if len(d.steps) == 0 {
		d.steps = append(d.steps, step)
	}
	for len(d.steps) < min(depth, len(todo)) {
		d.steps = append(d.steps, other())
	}
	var under []*underWay
	defer func() {
		for _, u := range under {
			u.stop()
		}
	}()
	end := func() {
		u := under[0]
		for d.resume(u) {
		}
		under = under[1:]
		done(u)
	}
	expect := func(n int) {
		if n < len(todo) && todo[n].b != nil {
			ahead(todo[n].b)
		}
	}
	expect(0)
	for n, t := range todo {
		if len(under) == depth {
			end()
		}
		expect(n + 1)
		under = append(under, d.start(t, n%depth))
		d.resume(under[len(under)-1])
	}
	for len(under) > 0 {
		end()
	}
	d.stages.settle()
}

// start begins a micro-batch with one of the programs.
func (d *device) start(t item, program int) *underWay {
	u := &underWay{unit: t.unit, last: t.last}
	u.resume, u.stop = iter.Pull(func(yield func(struct{}) bool) {
		if t.b == nil {
			return
		}
		defer func() {
			if e := recover(); e != nil && e != any(stopped) {
				panic(e)
			}
		}()
		debug.SetPanicOnFault(true) // as in the goroutine of the run
		u.pause = func() {
			if !yield(struct{}{}) {
				panic(stopped)
			}
		}
		d.stages.pause = u.pause
		u.loss = d.steps[program](t.b)
	})
	return u
}

// resume computes until the micro-batch waits. It reports false where it is done.
func (d *device) resume(u *underWay) bool {
	defer func() { d.stages.pause = nil }()
	d.stages.pause = u.pause
	_, waits := u.resume()
	return waits
}

// stopped unwinds a micro-batch that is given up.
var stopped = new(int)
