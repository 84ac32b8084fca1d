package kernels

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"lorac/kernels/simd"
)

// pool runs the tasks of one kernel at a time on a fixed set of workers. They
// spin between kernels of a step, since waking a sleeper costs a hundred
// times more than a small kernel, and park when nothing comes.
type pool struct {
	n      int
	job    atomic.Pointer[job]
	wake   []chan struct{}
	parked []atomic.Bool
}

// job is the tasks of one kernel. A worker that comes late finds the tasks of
// its job taken and nobody waiting for it.
type job struct {
	fn    func(worker, task int)
	tasks int64
	next  atomic.Int64
	done  atomic.Int64
	fault atomic.Pointer[fault] // the first of a task
	stop  bool
}

// fault is how the runtime says that memory could not be read.
type fault interface {
	error
	Addr() uintptr
}

// Outside reports whether a fault at an address is no fault of the kernels: the
// file that is mapped there was shortened, say. Set it before kernels run.
var Outside = func(addr uintptr) bool { return false }

var (
	workers   = newPool(runtime.GOMAXPROCS(0))
	workersMu sync.Mutex
)

// Threads is how many threads the kernels use.
func Threads() int { return workers.n }

// SetThreads changes it; not while a kernel runs. Results do not depend on it.
func SetThreads(n int) {
	workersMu.Lock()
	defer workersMu.Unlock()
	if n = max(n, 1); n == workers.n {
		return
	}
	workers.post(&job{stop: true})
	workers = newPool(n)
}

// Parallel calls fn for every task, on all threads. Which thread takes which
// task is left to chance, so tasks must not share what they sum up. A fault
// that is Outside reaches the caller as a panic, when the tasks that had begun
// are done; no others begin, so none may wait for one that can meet a fault.
// Any other panic ends the process where it happens.
func Parallel(tasks int, fn func(worker, task int)) { workers.run(tasks, fn) }

func newPool(n int) *pool {
	p := &pool{n: n, wake: make([]chan struct{}, n), parked: make([]atomic.Bool, n)}
	for w := 1; w < n; w++ {
		p.wake[w] = make(chan struct{}, 1)
		go p.worker(w)
	}
	return p
}

// spins is how long a worker waits awake: about a quarter of a millisecond.
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

// catch ends the job where a task met a fault that is Outside: tasks that nobody
// has begun count as done.
func (j *job) catch() {
	e := recover()
	if e == nil {
		return
	}
	f, ok := e.(fault)
	if !ok || !Outside(f.Addr()) {
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

func (p *pool) run(tasks int, fn func(worker, task int)) {
	if p.n == 1 || tasks <= 1 {
		for t := range tasks {
			fn(0, t)
		}
		return
	}
	j := &job{fn: fn, tasks: int64(tasks)}
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
func rowTasks(rows, block int, fn func(from, to int)) {
	Parallel((rows+block-1)/block, func(_, t int) { fn(t*block, min((t+1)*block, rows)) })
}
