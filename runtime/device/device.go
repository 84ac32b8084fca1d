// Package device drives one Ascend device through ACL: memory, copies, launches
// of kernels by name, and waiting. It knows nothing of tensors or training.
package device

import (
	"fmt"
	"math"
	"runtime"
	"unsafe"
)

// Ptr is an address of device memory.
type Ptr uint64

// Device is one device and one stream. ACL's context belongs to an OS thread: all
// calls come from the goroutine that opened it.
type Device struct {
	SoC            string
	Cubes, Vectors int // cores

	id      int32
	stream  uintptr
	binary  uintptr
	kernels map[string]uintptr
}

// Open takes a device and loads the binary of the kernels, an absolute path.
func Open(id int, kernels string) (*Device, error) {
	runtime.LockOSThread()
	if err := load(); err != nil {
		return nil, err
	}
	if err := check("aclInit", aclInit(nil)); err != nil {
		return nil, err
	}
	var n uint32
	if err := check("aclrtGetDeviceCount", aclrtGetDeviceCount(&n)); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errNoDevice
	}
	d := &Device{id: int32(id), kernels: map[string]uintptr{}}
	if err := check("aclrtSetDevice", aclrtSetDevice(d.id)); err != nil {
		return nil, err
	}
	d.SoC = aclrtGetSocName()
	d.Cubes, d.Vectors = d.info(102), d.info(201)
	if err := check("aclrtCreateStream", aclrtCreateStream(&d.stream)); err != nil {
		return nil, err
	}
	return d, check("loading kernels from "+kernels, aclrtBinaryLoadFromFile(kernels, nil, &d.binary))
}

func (d *Device) info(attr int32) int {
	var v int64
	if aclrtGetDeviceInfo != nil {
		aclrtGetDeviceInfo(uint32(d.id), attr, &v)
	}
	return int(v)
}

// Alloc takes n bytes.
func (d *Device) Alloc(n int) (Ptr, error) {
	var p uintptr
	err := check(fmt.Sprintf("%d bytes of device memory", n), aclrtMalloc(&p, uintptr(n), 0))
	return Ptr(p), err
}

// Free gives them back.
func (d *Device) Free(p Ptr) error { return check("aclrtFree", aclrtFree(uintptr(p))) }

// Upload copies to the device and waits.
func (d *Device) Upload(to Ptr, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	err := check("upload", aclrtMemcpy(uintptr(to), uintptr(len(data)), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), 1))
	runtime.KeepAlive(data)
	return err
}

// Download copies from the device and waits.
func (d *Device) Download(data []byte, from Ptr) error {
	if len(data) == 0 {
		return nil
	}
	err := check("download", aclrtMemcpy(uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), uintptr(from), uintptr(len(data)), 2))
	runtime.KeepAlive(data)
	return err
}

// Launch queues a kernel. An argument is a Ptr, an int, a uint64 or a float32; each
// takes 8 bytes. The list of arguments is the thread's own and is copied by the
// launch; the runtime adds what a mixed kernel needs besides.
func (d *Device) Launch(name string, blocks int, args ...any) error {
	f, ok := d.kernels[name]
	if !ok {
		if err := check("kernel "+name, aclrtBinaryGetFunction(d.binary, name, &f)); err != nil {
			return err
		}
		d.kernels[name] = f
	}
	var list, param uintptr
	if err := check("arguments of "+name, aclrtKernelArgsInit(f, &list)); err != nil {
		return err
	}
	for i, a := range args {
		v := word(name, i, a)
		if err := check("arguments of "+name, aclrtKernelArgsAppend(list, unsafe.Pointer(&v), 8, &param)); err != nil {
			return err
		}
	}
	if err := check("arguments of "+name, aclrtKernelArgsFinalize(list)); err != nil {
		return err
	}
	return check("launch "+name, aclrtLaunchKernelWithCfg(f, uint32(blocks), d.stream, nil, list, nil))
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

// Sync waits for all that was queued; what went wrong on the device comes out here.
func (d *Device) Sync() error { return check("device", aclrtSynchronizeStream(d.stream)) }

// Close gives everything back.
func (d *Device) Close() error {
	defer runtime.UnlockOSThread()
	aclrtDestroyStream(d.stream)
	aclrtResetDevice(d.id)
	return check("aclFinalize", aclFinalize())
}
