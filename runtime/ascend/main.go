package ascend

import (
	"io"
	"io/fs"

	k "lorac/kernels/ascend"
	rt "lorac/runtime"
)

// Run is one execution of a trainer on a device.
type Run struct {
	*rt.Run
	card   *card
	places places
	low    k.DType // what matrices that do not train are stored as

	mirrored []*Stack // parameters and states, whose start comes from the host
	grads    []*Stack
	memory   gradients // of gradients
	copies   []*Copy
	rows     []byte // of a matrix on its way to the device
	wide     []float32
	block    block // of micro-batches
	starts   []int32
	maxRows  int // of a micro-batch
	headSize int // of attention; 0 until a rotary table says it
}

// Main is the process of a trainer. sources are the files of its program: messages
// of faults name what they say of a call.
func Main(j *Job, body func(*Run) error, sources fs.FS) {
	c := newCard(openDevice)
	rt.MainOn(c, j, c.run(body, sources))
}

// MainOver is Main of a process that may be one of several, with a device each, which a
// launcher started: join has them meet.
func MainOver(join rt.Join, j *Job, body func(*Run) error, sources fs.FS) {
	c := newCard(openDevice)
	rt.MainOnOver(c, join, j, c.run(body, sources))
}

// Execute is one run in a process that has others.
func Execute(j *Job, args []string, out io.Writer, body func(*Run) error, sources fs.FS) error {
	c := newCard(openDevice)
	return rt.ExecuteOn(c, j, args, out, c.run(body, sources))
}

func newCard(open func(int, string) (driver, error)) *card {
	return &card{open: open, stacks: map[*rt.Stack]*Stack{}}
}

// run is the body of a run of package rt.
func (c *card) run(body func(*Run) error, sources fs.FS) func(*rt.Run) error {
	return func(host *rt.Run) error {
		j := host.Job()
		r := &Run{Run: host, card: c, places: places{sources, j.Source}, low: k.BF16, maxRows: j.MaxRows}
		c.k.Describe(r.places.describe)
		if j.DeviceType == "f16" {
			r.low = k.F16
		}
		return body(r)
	}
}

// Kernels is the context that the kernels of the run use.
func (r *Run) Kernels() *k.Context { return r.card.k }

// must throws an error of the device, which the run that catches it reports.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// alloc takes device memory until the end of the run.
func (r *Run) alloc(bytes int) k.Ptr {
	p, err := r.card.d.Alloc(bytes)
	must(err)
	return p
}

// upload copies to new device memory.
func (r *Run) upload(data []byte) k.Ptr {
	p := r.alloc(len(data))
	must(r.card.d.Upload(p, data))
	return p
}
