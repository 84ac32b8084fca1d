// Package device drives one Ascend device through ACL: memory, copies, launches
// of kernels by name, and waiting. It knows nothing of tensors or training.
//
// ACL's context belongs to an OS thread: all calls on a device come from the
// goroutine that opened it. Uploads, launches and fills are queued in order; Sync
// waits for them, and what went wrong on the device comes out there. After such a
// fault every call gives it again.
package device

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Ptr is an address of device memory.
type Ptr uint64

// Device is one device and one stream.
type Device struct {
	Info
	Timeout time.Duration // the longest that Sync waits

	Launches, Syncs int // since Open

	id      int32
	stream  uintptr
	binary  uintptr
	kernels map[string]uintptr
	word    uint64  // an argument of a launch, for C
	param   uintptr // what C makes of it
	queue   queue
	staging staging
	events  []uintptr // free ones
	failed  error     // a fault of the device
	hung    bool      // the stream never ends
}

// timeout is how long Sync waits unless LORAC_DEVICE_TIMEOUT says otherwise: far
// more than any micro-batch takes, and less than a night.
const timeout = 30 * time.Minute

// Timeout is how long Sync waits.
func Timeout() (time.Duration, error) {
	text := os.Getenv("LORAC_DEVICE_TIMEOUT")
	if text == "" {
		return timeout, nil
	}
	limit, err := time.ParseDuration(text)
	if err != nil || limit <= 0 {
		return 0, fmt.Errorf("LORAC_DEVICE_TIMEOUT=%s is no time: write 90s, 30m or 2h", text)
	}
	return limit, nil
}

// Open takes a device and loads the binary of the kernels.
func Open(id int, kernels string) (*Device, error) {
	path, err := filepath.Abs(kernels) // ACL takes no other
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the kernels: %w", err)
	}
	d, err := open(id)
	if err != nil {
		return nil, err
	}
	if err := d.Unfit(); err != nil {
		d.Close()
		return nil, err
	}
	if code := aclrtBinaryLoadFromFile(path, nil, &d.binary); code != 0 {
		err := d.fault("loading the kernels of "+path, code)
		d.Close()
		return nil, fmt.Errorf("%w\n  = help: the kernels must be compiled for %s", err, d.SoC)
	}
	return d, nil
}

// open takes a device without kernels.
func open(id int) (d *Device, err error) {
	limit, err := Timeout()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer func() {
		if err != nil {
			runtime.UnlockOSThread()
		}
	}()
	if err := load(); err != nil {
		return nil, err
	}
	d = &Device{Timeout: limit, id: int32(id), kernels: map[string]uintptr{}}
	if code := aclInit(nil); code != 0 && code != alreadyInitialised {
		return nil, d.fault("aclInit", code)
	}
	if err := d.take(); err != nil {
		aclFinalize()
		return nil, err
	}
	return d, nil
}

// infNaN has overflow give infinities, the default of these devices: a step whose
// gradients are not finite is skipped, so they must not be the largest numbers instead.
const infNaN = 1

// take sets the device on this thread and makes the stream.
func (d *Device) take() error {
	var n uint32
	if code := aclrtGetDeviceCount(&n); code != 0 && code != noDevice {
		return d.fault("counting devices", code)
	}
	switch id := int(d.id); {
	case n == 0:
		return fmt.Errorf("no Ascend device: ACL finds none on this machine\n  = help: npu-smi info lists them; in a container they must be passed in; or compile with --device cpu")
	case id < 0 || id >= int(n):
		return fmt.Errorf("no Ascend device %d: this machine has %d, counted from 0\n  = help: --device_id, DEVICE_ID or context.device_id choose one", id, n)
	}
	if code := aclrtSetDevice(d.id); code != 0 {
		return d.fault(fmt.Sprintf("taking device %d", d.id), code)
	}
	if aclrtSetDeviceSatMode != nil {
		if code := aclrtSetDeviceSatMode(infNaN); code != 0 {
			return d.fault("setting what overflow gives", code)
		}
	}
	d.read(int(n))
	if code := aclrtCreateStream(&d.stream); code != 0 {
		err := d.fault("making a stream", code)
		aclrtResetDevice(d.id)
		return err
	}
	listen()
	return nil
}

// Close gives everything back. A device that failed may never answer: then closing
// it is tried for a few seconds, and what it says is no news.
func (d *Device) Close() error {
	defer runtime.UnlockOSThread()
	if d.failed == nil {
		return d.close()
	}
	done := make(chan struct{})
	go func() { d.close(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
	}
	return nil
}

func (d *Device) close() error {
	d.Sync() //nolint:errcheck // an error of the caller's left copies queued that read what is freed next
	for _, e := range d.events {
		aclrtDestroyEvent(e)
	}
	destroy := aclrtDestroyStream
	if d.hung && aclrtDestroyStreamForce != nil {
		destroy = aclrtDestroyStreamForce
	}
	code := destroy(d.stream)
	d.staging.free()
	if aclrtBinaryUnLoad != nil && d.binary != 0 {
		aclrtBinaryUnLoad(d.binary)
	}
	for _, c := range []int32{aclrtResetDevice(d.id), aclFinalize()} {
		if code == 0 {
			code = c
		}
	}
	if code != 0 {
		return d.fault("closing the device", code)
	}
	return nil
}
