package ascend

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	k "lorac/kernels/ascend"
	rt "lorac/runtime"
	"lorac/runtime/comm"
	"lorac/runtime/comm/hccl"
	"lorac/runtime/device"
	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
)

// card is the device of a run, as package rt sees it.
type card struct {
	open   func(id int, kernels string) (driver, error)
	d      driver
	k      *k.Context
	stacks map[*rt.Stack]*Stack // of the host, and what they mirror
	link   *hccl.Link           // to the devices of other processes; nil: there are none
	grads  [][]float32          // the vectors that gradients are parts of, as handles

	abandoned atomic.Bool // the step is given up
}

// Abandon has the step that is computed end at its next launch. It may be called
// from any goroutine; the device itself only answers the run's own.
func (c *card) Abandon() { c.abandoned.Store(true) }

// watched is a driver whose launches fail once the step is given up.
type watched struct {
	driver
	c *card
}

func (w watched) Launch(note func() string, kernel string, blocks int, args ...uint64) error {
	if w.c.abandoned.Load() {
		return rt.ErrAbandoned
	}
	return w.driver.Launch(note, kernel, blocks, args...)
}

// driver is a device with its stream.
type driver interface {
	k.Device
	Copy(to, from k.Ptr, n int) error // within the device, queued
	Queue(what string, f func(stream uintptr) error) error
	Describe() string
	Close() error
}

// stream makes a driver of a device.
type stream struct {
	*device.Device
	args []any // of a launch
}

func openDevice(id int, kernels string) (driver, error) {
	s, err := openStream(id, kernels)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openStream opens a device with a binary of the kernels that this program was built
// with: those of other sources may take other arguments.
func openStream(id int, kernels string) (*stream, error) {
	d, err := device.Open(id, kernels)
	if err != nil {
		return nil, err
	}
	if !d.Has(k.Version) {
		d.Close() //nolint:errcheck // nothing ran
		return nil, fmt.Errorf("%s has kernels of another version of lorac than this program\n  = help: compile both again with `lorac compile CONFIG --device ascend -o DIR`, which runs or writes DIR/kernels/compile.sh for the kernels", kernels)
	}
	return &stream{Device: d}, nil
}

// Describe is the device for people.
func (s *stream) Describe() string {
	text := fmt.Sprintf("%s with %d cube cores and %d vector cores", s.SoC, s.Cubes, s.Vectors)
	if s.HBM > 0 {
		text += fmt.Sprintf(", %s of %s free", human.Bytes(s.FreeHBM), human.Bytes(s.HBM))
	}
	if s.CANN != "" {
		text += ", CANN " + s.CANN
	}
	return text
}

func (s *stream) Cores() (cubes, vectors int) { return s.Cubes, s.Vectors }

func (s *stream) Alloc(n int) (k.Ptr, error) {
	p, err := s.Device.Alloc(n)
	return k.Ptr(p), err
}

func (s *stream) Free(p k.Ptr) error                 { return s.Device.Free(device.Ptr(p)) }
func (s *stream) Upload(to k.Ptr, data []byte) error { return s.Device.Upload(device.Ptr(to), data) }
func (s *stream) Download(data []byte, from k.Ptr) error {
	return s.Device.Download(data, device.Ptr(from))
}

func (s *stream) Copy(to, from k.Ptr, n int) error {
	return s.Device.Copy(device.Ptr(to), device.Ptr(from), n)
}

func (s *stream) Launch(note func() string, kernel string, blocks int, args ...uint64) error {
	s.args = s.args[:0]
	for _, a := range args {
		s.args = append(s.args, a)
	}
	s.Device.At(note)
	return s.Device.Launch(kernel, blocks, s.args...)
}

// Open takes the card that flag, environment or config name, in this order.
func (c *card) Open(j *rt.Job, o *rt.Options) (string, error) {
	if j.Compute != "" {
		return "", exit.Inputf("`compute: %s` is for the CPU: an NPU multiplies in 16 bits\n  = help: leave it out, or compile with --device cpu", j.Compute)
	}
	id := j.DeviceID + max(comm.Launched().LocalRank, 0)
	for _, text := range []string{os.Getenv("DEVICE_ID"), o.DeviceID} {
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return "", exit.Inputf("DEVICE_ID=%s is no card; it must be a whole number from 0 up", text)
		}
		id = n
	}
	if _, err := device.Timeout(); err != nil {
		return "", exit.With(exit.Usage, err)
	}
	kernels, err := findKernels(o.Kernels, j.Name, id)
	if err != nil {
		return "", err
	}
	if c.d, err = c.open(id, kernels); err != nil {
		return "", exit.With(exit.Failed, err)
	}
	c.k = k.New(watched{c.d, c})
	return fmt.Sprintf("on Ascend device %d: %s", id, c.d.Describe()), nil
}

// findKernels is the file of compiled kernels: the one that flag or environment
// name, else the one beside the trainer, NAME.SOC.o.
func findKernels(flag, name string, id int) (string, error) {
	for _, path := range []string{flag, os.Getenv("LORAC_ASCEND_KERNELS")} {
		if path != "" {
			return path, nil
		}
	}
	program, err := os.Executable()
	if err != nil {
		return "", exit.Failedf("cannot find the kernels beside the trainer: %w", err)
	}
	list, _ := filepath.Glob(filepath.Join(filepath.Dir(program), name+".*.o"))
	const help = "\n  = help: lorac compile --device ascend writes them there where a CANN toolkit is, else it says how; --kernels FILE or LORAC_ASCEND_KERNELS names others"
	if len(list) == 0 {
		return "", exit.Failedf("no compiled kernels for Ascend are beside the trainer (%s)"+help, filepath.Join(filepath.Dir(program), name+".*.o"))
	}
	if len(list) == 1 { // whatever its name: what is loaded has one architecture
		return list[0], nil
	}
	info, err := device.Probe(id)
	if err == nil {
		err = info.Unfit()
	}
	if err != nil {
		return "", exit.With(exit.Failed, err)
	}
	path := kernelsFor(info.SoC, name, list)
	if path == "" {
		return "", exit.Failedf("no compiled kernels for %s are beside the trainer, only those of another kind of card: %s"+help, info.SoC, strings.Join(list, ", "))
	}
	return path, nil
}

// kernelsFor is the file of those of a trainer that is for a chip, "" if none is. A
// file may be named for a family, as NAME.ascend910b.o; the closest name counts.
func kernelsFor(soc, name string, list []string) (best string) {
	for _, path := range list {
		kind := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), name+"."), ".o")
		if strings.HasPrefix(strings.ToLower(soc), strings.ToLower(kind)) && len(path) > len(best) {
			best = path
		}
	}
	return best
}

// Fault is the error of a panic that came from the device: its errors are thrown
// as they are. Bugs and faults in mapped files are not its own.
func (c *card) Fault(recovered any) error {
	err, ok := recovered.(error)
	if _, mapped := recovered.(interface{ Addr() uintptr }); !ok || mapped {
		return nil
	}
	if bug := runtime.Error(nil); errors.As(err, &bug) {
		return nil
	}
	return err
}

// Close gives the device back, and its memory with it.
func (c *card) Close() {
	if c.d != nil {
		c.unlink()
		c.d.Close() //nolint:errcheck // the run has ended; what failed before was said
		c.d = nil
	}
}

// Pull brings stacks of the host up to date.
func (c *card) Pull(list ...*rt.Stack) {
	for _, s := range list {
		if there := c.stacks[s]; there != nil {
			must(c.d.Download(bytesOf(s.Data), there.Data.At))
		}
	}
}

// there is what stacks of the host mirror.
func (c *card) there(list []*rt.Stack) (out []k.Vec) {
	for _, s := range list {
		out = append(out, c.stacks[s].Data)
	}
	return out
}

// Norm, Scale and Clear are of gradients.
func (c *card) Clear(grads ...*rt.Stack) { c.k.Clear(c.there(grads)...) }

func (c *card) Norm(grads ...*rt.Stack) float64 {
	there := c.there(grads)
	norm := c.k.Norm(there...)
	x := norm.Value()
	c.k.Keep(norm, there...) // for the optimizer, which clips by it
	return x
}

func (c *card) Scale(by float64, grads ...*rt.Stack) {
	for _, g := range c.there(grads) {
		c.k.Times(g, by)
	}
}
