package kernels

import "runtime"

// Context is what kernels run in: a pool of threads, and the memory they need
// beside their operands. It runs one kernel at a time; several contexts may be
// used at once, each by one goroutine. No result depends on the context or on
// its number of threads.
type Context struct {
	// MappedFault reports whether a fault at an address has a cause outside the
	// kernels: a mapped file that was shortened, say. Such a fault reaches the
	// caller of the kernel as a panic; see Parallel. nil means there is no such
	// memory. Set it before the first kernel runs.
	MappedFault func(addr uintptr) bool

	pool    *pool
	workers []workspace // of each thread

	packedA   []float32 // a block of rows of A in panels
	factors   []float32 // adapters' factors, packed whole
	loraG     []float32 // DY·B of every part of a LoRALinearGrad
	delta     []float32 // dO·O of every query and head
	logits    []float32 // of a block of rows and columns of the head
	headRows  []headRow // of a block of rows, for each part of the vocabulary
	headGrads []float32 // gradients of the parts of the vocabulary but the first

	few       bool                     // see Few
	fewTasks  []fewTask                // of the last product of few rows
	schedules map[scheduleKey]schedule // of the shapes multiplied so far
}

// workspace is the memory of one thread. Buffers grow to the largest size a
// kernel needs; their contents are not kept from one task to the next.
type workspace struct {
	gemm      []float32 // a panel of B and an accumulator
	dropped   []float32 // rows of A after dropout
	grad      []float32 // a piece of x and of the gradient of a factor
	attention []float32 // blocks of keys and queries
	prefetch  prefetchList
	head      []float32 // packed rows, logits and products of a narrow head
	row       []float32 // of an embedding that is read
	decoded   *decoded  // rows of a quantised weight

	_ [128]byte // threads write to cache lines of their own
}

// New returns a context of so many threads, of which the calling goroutine is
// one; below 1, of as many as Go runs at once. Close it to release them.
func New(threads int) *Context {
	if threads < 1 {
		threads = runtime.GOMAXPROCS(0)
	}
	c := &Context{workers: make([]workspace, threads), schedules: map[scheduleKey]schedule{}}
	c.pool = newPool(threads)
	return c
}

// Threads is the number of threads kernels run on.
func (c *Context) Threads() int { return len(c.workers) }

// Close stops the threads and releases the memory. It must not be called while
// a kernel runs, nor may one run afterwards.
func (c *Context) Close() {
	c.pool.stop()
	buffers := []*[]float32{&c.packedA, &c.factors, &c.loraG, &c.delta, &c.logits, &c.headGrads}
	for i := range c.workers {
		w := &c.workers[i]
		buffers = append(buffers, &w.gemm, &w.dropped, &w.grad, &w.attention, &w.head, &w.row)
	}
	for _, b := range buffers {
		if *b != nil {
			release(*b)
			*b = nil
		}
	}
}
