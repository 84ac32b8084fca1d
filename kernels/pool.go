package kernels

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"lorac/kernels/simd"
)

// pool runs the tasks of one kernel at a time on a fixed set of workers. They
// spin between the kernels of a step, since waking a sleeper costs a hundred
// times more than a small kernel, and park when no kernel follows.
type pool struct {
	n      int
	job    atomic.Pointer[job]
	wake   []chan struct{}
	parked []atomic.Bool
	ended  sync.WaitGroup
}

// job is the tasks of one kernel. A worker that comes late finds the tasks of
// its job taken and nobody waiting for it.
type job struct {
	fn     func(worker, task int)
	mapped func(addr uintptr) bool // Context.MappedFault
	tasks  int64
	next   atomic.Int64
	done   atomic.Int64
	fault  atomic.Pointer[fault] // the first of a task
	stop   bool
}

// fault is how the runtime reports memory that could not be read.
type fault interface {
	error
	Addr() uintptr
}

// Parallel calls fn for every task, on all threads; worker is the number of the
// thread. Which thread takes which task is left to chance, so tasks must not
// share what they sum up. A fault for which MappedFault is true reaches the
// caller as a panic, once the tasks that had begun are done; no others begin, so
// none may wait for one that can meet a fault. Any other panic ends the process
// where it happens.
func (c *Context) Parallel(tasks int, fn func(worker, task int)) {
	c.pool.run(tasks, c.MappedFault, fn)
}

func newPool(n int) *pool {
	p := &pool{n: n, wake: make([]chan struct{}, n), parked: make([]atomic.Bool, n)}
	for w := 1; w < n; w++ {
		p.wake[w] = make(chan struct{}, 1)
		p.ended.Go(func() { p.worker(w) })
	}
	return p
}

// stop ends the workers.
func (p *pool) stop() {
	p.post(&job{stop: true})
	p.ended.Wait()
}

// spins is how often a worker looks for a job before it parks: for about a
// quarter of a millisecond.
const spins = 2000

func (p *pool) worker(w int) {
	debug.SetPanicOnFault(true)
	var last *job
	for {
		j := p.job.Load()
		for i := 0; j == last; i++ {
			if i < spins {
				simd.Pause()
			} else {
				p.parked[w].Store(true)
				if p.job.Load() == last {
					<-p.wake[w]
				}
				p.parked[w].Store(false)
				i = 0
			}
			j = p.job.Load()
		}
		if last = j; j.stop {
			return
		}
		j.work(w)
	}
}

func (j *job) work(w int) {
	defer j.catch()
	for {
		t := j.next.Add(1) - 1
		if t >= j.tasks {
			return
		}
		j.fn(w, int(t))
		j.done.Add(1)
	}
}

// catch ends the job where a task met a fault in mapped memory: tasks that have
// not begun count as done.
func (j *job) catch() {
	e := recover()
	if e == nil {
		return
	}
	f, ok := e.(fault)
	if !ok || j.mapped == nil || !j.mapped(f.Addr()) {
		panic(e)
	}
	j.fault.CompareAndSwap(nil, &f)
	j.done.Add(1 + max(j.tasks-j.next.Swap(j.tasks), 0))
}

func (p *pool) post(j *job) {
	p.job.Store(j)
	for w := 1; w < p.n; w++ {
		if p.parked[w].Load() {
			select {
			case p.wake[w] <- struct{}{}:
			default:
			}
		}
	}
}

func (p *pool) run(tasks int, mapped func(addr uintptr) bool, fn func(worker, task int)) {
	if p.n == 1 || tasks <= 1 {
		for t := range tasks {
			fn(0, t)
		}
		return
	}
	j := &job{fn: fn, mapped: mapped, tasks: int64(tasks)}
	p.post(j)
	j.work(0)
	for i := 0; j.done.Load() != j.tasks; i++ {
		simd.Pause()
		if i > spins {
			runtime.Gosched()
		}
	}
	if f := j.fault.Load(); f != nil {
		panic(*f)
	}
}

// rowTasks runs fn over [0, rows) in blocks of fixed size, so that the blocks
// do not depend on the number of threads.
func (c *Context) rowTasks(rows, block int, fn func(from, to int)) {
	c.Parallel((rows+block-1)/block, func(_, t int) { fn(t*block, min((t+1)*block, rows)) })
}
