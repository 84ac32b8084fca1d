package rt

import (
	"lorac/kernels"
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
	// Add is dst = a + b, of vectors in the memory where gradients are.
	Add(dst, a, b []float32)
	// Fault is the error of a panic that the device is the cause of, nil of another.
	Fault(recovered any) error
	// Close gives the device back, also after a fault.
	Close()
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

func (h *host) Add(dst, a, b []float32) {
	const row = 4096
	n := len(dst) / row
	mat := func(x []float32) kernels.Mat { return kernels.MatOf(x[:n*row], n, row) }
	h.k.Add(mat(dst), mat(a), mat(b))
	if rest := n * row; rest < len(dst) {
		mat := func(x []float32) kernels.Mat { return kernels.MatOf(x[rest:], 1, len(dst)-rest) }
		h.k.Add(mat(dst), mat(a), mat(b))
	}
}

func data(stacks []*Stack) (out []kernels.Vec) {
	for _, s := range stacks {
		out = append(out, s.Data)
	}
	return out
}
