package ascend

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
)

// Device is what kernels run on: one stream of launches and copies, in order.
type Device interface {
	Cores() (cubes, vectors int)
	Alloc(bytes int) (Ptr, error)
	Free(Ptr) error
	Upload(to Ptr, data []byte) error
	Download(data []byte, from Ptr) error
	// Launch queues a kernel. note says, when it fails, what it was launched for.
	Launch(note func() string, kernel string, blocks int, args ...uint64) error
	Sync() error
}

// Context is a device with the workspace of its kernels. Its methods are called
// from one goroutine, that of the device.
type Context struct {
	d              Device
	cubes, vectors int

	scratch buffer // workspaces and operands between two kernels of one method
	scalars buffer // results of one number
	taken   int    // bytes of scratch that the current method has taken
	next    int    // number of the next scalar
	read    [slots]struct {
		number int // of the scalar that was read last in a place, from 1
		x      float32
	}
	launches int
	kept     keptNorm

	where   func(Call) string // describes a call for messages; nil: its name alone
	layer   int               // that layerOf computes
	layerOf *runtime.Func
}

type buffer struct {
	at   Ptr
	size int
}

// slots is how many scalars are in use at a time, at most: each keeps its place
// until so many others were made.
const slots, slotBytes = 64, 64

// New makes a context on a device.
func New(d Device) *Context {
	c := &Context{d: d}
	c.cubes, c.vectors = d.Cores()
	c.scalars = c.alloc(slots * slotBytes)
	return c
}

// Close gives the memory back.
func (c *Context) Close() {
	c.d.Sync() //nolint:errcheck // what is queued ends before its memory goes; its fault was reported or matters to nobody
	for _, b := range []buffer{c.scratch, c.scalars} {
		if b.at != 0 {
			c.d.Free(b.at) //nolint:errcheck // the device is given back next
		}
	}
}

// must panics with an error of the device: methods have no error results, as those
// of package kernels have none; the run that catches it says what it was.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (c *Context) alloc(n int) buffer {
	p, err := c.d.Alloc(n)
	must(err)
	return buffer{p, n}
}

// Reserve makes the workspace n bytes, so that it need not grow later.
func (c *Context) Reserve(n int) {
	if n <= c.scratch.size {
		return
	}
	if c.scratch.at != 0 {
		must(c.d.Sync())
		must(c.d.Free(c.scratch.at))
	}
	c.scratch = c.alloc(n)
}

// align is what addresses are multiples of: the device reads whole lines of memory.
const align = 512

// temps takes memory that is the method's until the next one is called. All of it
// is taken at once, since the workspace may move.
func (c *Context) temps(sizes ...int) []Ptr {
	total := 0
	for _, n := range sizes {
		total += (n + align - 1) / align * align
	}
	c.Reserve(total)
	c.taken = total
	out, p := make([]Ptr, len(sizes)), c.scratch.at
	for i, n := range sizes {
		out[i] = p
		p += Ptr((n + align - 1) / align * align)
	}
	return out
}

// slot is the place of a new scalar.
func (c *Context) slot() Scalar {
	p := c.scalars.at + Ptr(c.next%slots*slotBytes)
	c.next++
	return Scalar{c: c, at: p, number: c.next}
}

// number waits and reads a scalar, once.
func (c *Context) number(s Scalar) float32 {
	r := &c.read[s.number%slots]
	if s.number > 0 && r.number == s.number {
		return r.x
	}
	must(c.d.Sync())
	var b [4]byte
	must(c.d.Download(b[:], s.at))
	r.number, r.x = s.number, math.Float32frombits(binary.LittleEndian.Uint32(b[:]))
	return r.x
}

// launch queues a kernel on at most so many blocks as there is work.
func (c *Context) launch(call, kernel string, cores, work int, args ...uint64) {
	c.launches++
	blocks := max(1, min(cores, work))
	note := func() string { return call }
	if where := c.where; where != nil {
		p := c.place(call)
		note = func() string { return where(p.resolve()) }
	}
	must(c.d.Launch(note, kernel, blocks, args...))
}

// cube, vector and mixed launch on the cores of their kind; a block of a mixed
// kernel is a cube core with its two vector cores.
func (c *Context) cube(call, kernel string, work int, args ...uint64) {
	c.launch(call, kernel, c.cubes, work, args...)
}
func (c *Context) vector(call, kernel string, work int, args ...uint64) {
	c.launch(call, kernel, c.vectors, work, args...)
}
func (c *Context) mixed(call, kernel string, blocks int, args ...uint64) {
	c.launch(call, kernel, c.groups(), blocks, args...)
}

// groups is how many cube cores have two vector cores of their own.
func (c *Context) groups() int { return max(1, min(c.cubes, c.vectors/2)) }

// of is the name of a kernel for an element type.
func of(kernel string, d DType) string {
	if d == F32 {
		panic(fmt.Sprintf("BUG: ascend: %s is for 16-bit operands", kernel))
	}
	return kernel + "_" + d.String()
}

// bits is a float as a kernel receives it, word an integer.
func bits(x float64) uint64 { return uint64(math.Float32bits(float32(x))) }
func word(n int) uint64     { return uint64(n) }

// pair packs two sizes into one argument.
func pair(hi, lo int) uint64 { return uint64(hi)<<32 | uint64(uint32(lo)) }
