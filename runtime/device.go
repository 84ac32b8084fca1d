package rt

import (
	"lorac/kernels"
	"lorac/runtime/comm"
)

// Device is what computes a run besides this processor. What trains, its gradients
// and its optimizer states are in the memory of the device then; stacks are a mirror
// of them, for checkpoints and adapters. It is given before the run starts, and what
// is loaded or resumed goes to it after Loaded.
type Device interface {
	// Open takes the device that the flags ask for, and says what it is.
	Open(j *Job, o *Options) (what string, err error)
	// Pull brings stacks up to date. Faults are thrown, as those of what is computed.
	Pull(stacks ...*Stack)
	// Norm, Scale and Clear are of gradients, on the device.
	Norm(grads ...*Stack) float64
	Scale(by float64, grads ...*Stack)
	Clear(grads ...*Stack)
	// Gradients are the vectors of memory that gradients are in, given those of the host
	// that the stacks are in.
	Gradients(host [][]float32) [][]float32
	// Memory is where they are.
	Memory(l *Loader) comm.Memory
	// Fault is the error of a panic that the device is the cause of, nil of another.
	Fault(recovered any) error
	// Close gives the device back, also after a fault.
	Close()
}

// Linked is a device whose vectors travel between processes by an engine of its own.
type Linked interface {
	// Link is that engine, for the processes that t joins.
	Link(t comm.Transport) comm.Transport
	// Connect is called by all processes once each has its device.
	Connect(g *comm.Group) error
}

// host is this processor: stacks are what trains.
type host struct{ k *kernels.Context }

func (h *host) Open(*Job, *Options) (string, error) { return "", nil }
func (h *host) Pull(...*Stack)                      {}
func (h *host) Fault(any) error                     { return nil }
func (h *host) Close()                              {}

func (h *host) Norm(grads ...*Stack) float64 { return h.k.Norm(data(grads)...).Value() }
func (h *host) Clear(grads ...*Stack)        { h.k.Clear(data(grads)...) }

func (h *host) Scale(by float64, grads ...*Stack) {
	for _, x := range data(grads) {
		m := kernels.MatOf(x, 1, len(x))
		h.k.Scale(m, m, float32(by))
	}
}

func (h *host) Gradients(host [][]float32) [][]float32 { return host }
func (h *host) Memory(l *Loader) comm.Memory           { return HostMemory{h.k, l} }

// HostMemory is memory of this processor: off Go's heap where a loader gives it. Without
// kernels, which the run alone may use, it adds by itself.
type HostMemory struct {
	Kernels *kernels.Context
	Loader  *Loader
}

func (m HostMemory) Alloc(n int) []float32 {
	if m.Loader == nil {
		return make([]float32, n)
	}
	x := m.Loader.slab(n)
	if x == nil {
		panic(m.Loader.err)
	}
	return x[:n]
}

func (m HostMemory) Add(dst, a, b []float32) {
	if m.Kernels == nil {
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
		return
	}
	const row = 4096
	n := len(dst) / row * row
	mat := func(x []float32) kernels.Mat { return kernels.MatOf(x[:n], n/row, row) }
	m.Kernels.Add(mat(dst), mat(a), mat(b))
	if n < len(dst) {
		mat := func(x []float32) kernels.Mat { return kernels.MatOf(x[n:], 1, len(dst)-n) }
		m.Kernels.Add(mat(dst), mat(a), mat(b))
	}
}

func (m HostMemory) Copy(dst, src []float32) { copy(dst, src) }
func (m HostMemory) Clear(x []float32)       { clear(x) }

func data(stacks []*Stack) (out []kernels.Vec) {
	for _, s := range stacks {
		out = append(out, s.Data)
	}
	return out
}
