package device

import (
	"fmt"
	"math"
	"time"
	"unsafe"

	"lorac/runtime/sys/dl"
)

// queue is what was queued since the last Sync.
type queue struct {
	note  any
	ring  []launched
	total int  // launches, of which the ring has the last
	busy  bool // something is queued, if only a copy
}

// launched is one launch: which kernel, what for, and ACL's number of the task.
type launched struct {
	kernel string
	note   any
	task   uint32
	other  bool // a task that another library queued
}

// kept is how many launches a queue remembers.
const kept = 1 << 15

func (q *queue) add(l launched) {
	if len(q.ring) < kept {
		q.ring = append(q.ring, l)
	} else {
		q.ring[q.total%kept] = l
	}
	q.total++
	q.busy = true
}

func (q *queue) clear() {
	clear(q.ring) // notes may hold much
	q.ring, q.total, q.busy = q.ring[:0], 0, false
}

// At says what the launches that follow are for, in an error's words, as in
// "lora_linear of layer 3 (config.yaml:44)": a string, or a func() string that is
// called if it comes to that.
func (d *Device) At(note any) { d.queue.note = note }

// noted is the text of a note.
func noted(note any) string {
	switch n := note.(type) {
	case string:
		return n
	case func() string:
		return n()
	case fmt.Stringer:
		return n.String()
	}
	return ""
}

// Has reports whether the binary has a kernel.
func (d *Device) Has(kernel string) bool {
	if d.failed != nil {
		return false
	}
	_, code := d.find(kernel)
	if code != 0 {
		aclGetRecentErrMsg() // it is no error
	}
	return code == 0
}

// find is ACL's handle of a kernel.
func (d *Device) find(name string) (f uintptr, code int32) {
	f, ok := d.kernels[name]
	if !ok {
		if code = aclrtBinaryGetFunction(d.binary, name, &f); code == 0 {
			d.kernels[name] = f
		}
	}
	return f, code
}

// Launch queues a kernel. An argument is a Ptr, an int, a uint64 or a float32; each
// takes 8 bytes. The list of arguments is the thread's own and is copied by the
// launch; ACL adds what a mixed kernel needs besides.
func (d *Device) Launch(name string, blocks int, args ...any) error {
	if d.failed != nil {
		return d.failed
	}
	f, code := d.find(name)
	if code != 0 {
		return d.fault("finding the kernel "+name, code)
	}
	var list uintptr
	code = aclrtKernelArgsInit(f, &list)
	for i := 0; i < len(args) && code == 0; i++ {
		d.word = word(name, i, args[i])
		code = int32(dl.Invoke(aclrtKernelArgsAppend, list, uintptr(unsafe.Pointer(&d.word)), unsafe.Sizeof(d.word), uintptr(unsafe.Pointer(&d.param))))
	}
	if code == 0 {
		code = aclrtKernelArgsFinalize(list)
	}
	if code != 0 {
		return d.fault("arguments of the kernel "+name, code)
	}
	if code := aclrtLaunchKernelWithConfig(f, uint32(blocks), d.stream, nil, list, nil); code != 0 {
		return d.fault("launching the kernel "+name, code)
	}
	l := launched{kernel: name, note: d.queue.note}
	if aclrtGetThreadLastTaskId != nil && aclrtGetThreadLastTaskId(&l.task) != 0 {
		l.task = 0
	}
	d.queue.add(l)
	d.Launches++
	return nil
}

// Queue has another library queue work on the stream: what, in an error's words. f may
// queue several tasks.
func (d *Device) Queue(what string, f func(stream uintptr) error) error {
	if d.failed != nil {
		return d.failed
	}
	d.queue.add(launched{kernel: what, other: true})
	return f(d.stream)
}

// word is an argument as a kernel receives it.
func word(name string, i int, a any) uint64 {
	switch a := a.(type) {
	case Ptr:
		return uint64(a)
	case int:
		return uint64(a)
	case uint64:
		return a
	case float32:
		return uint64(math.Float32bits(a))
	}
	panic(fmt.Sprintf("BUG: kernel %s: argument %d is a %T", name, i, a))
}

// Sync waits for all that was queued, for at most Timeout; what went wrong on the
// device comes out here.
func (d *Device) Sync() error {
	if d.failed != nil || !d.queue.busy {
		return d.failed
	}
	d.Syncs++
	var code int32
	if aclrtSynchronizeStreamWithTimeout != nil {
		code = aclrtSynchronizeStreamWithTimeout(d.stream, int32(min(d.Timeout.Milliseconds(), math.MaxInt32)))
	} else {
		code = aclrtSynchronizeStream(d.stream)
	}
	if code != 0 {
		return d.fault("waiting for the device", code)
	}
	d.queue.clear()
	d.staging.used = 0
	return nil
}

// Time is how long the device takes for what do queues: by its own clock where ACL
// has events, else by the host's.
func (d *Device) Time(do func() error) (time.Duration, error) {
	if err := d.Sync(); err != nil {
		return 0, err
	}
	from, err := d.record()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	to, err := d.record()
	if err == nil {
		err = d.Sync()
	}
	if err != nil {
		return 0, err
	}
	took := time.Since(start)
	if from != 0 && to != 0 {
		var ms float32
		if code := aclrtEventElapsedTime(&ms, from, to); code != 0 {
			return 0, d.fault("reading the device's clock", code)
		}
		took = time.Duration(float64(ms) * float64(time.Millisecond))
		d.events = append(d.events, from, to)
	}
	return took, nil
}

// record queues an event, 0 where ACL has none.
func (d *Device) record() (e uintptr, err error) {
	if aclrtCreateEvent == nil || aclrtRecordEvent == nil || aclrtEventElapsedTime == nil || aclrtDestroyEvent == nil {
		return 0, nil
	}
	if n := len(d.events); n > 0 {
		e, d.events = d.events[n-1], d.events[:n-1]
	} else if code := aclrtCreateEvent(&e); code != 0 {
		return 0, d.fault("making an event", code)
	}
	d.queue.busy = true
	if code := aclrtRecordEvent(e, d.stream); code != 0 {
		return 0, d.fault("recording an event", code)
	}
	return e, nil
}
