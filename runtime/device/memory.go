package device

import (
	"runtime"
	"unsafe"
)

// Kinds of copies.
const (
	toDevice = 1
	toHost   = 2
	onDevice = 3
)

// Alloc takes n bytes of device memory.
func (d *Device) Alloc(n int) (Ptr, error) {
	if d.failed != nil {
		return 0, d.failed
	}
	const hugeFirst = 0
	var p uintptr
	switch code := aclrtMalloc(&p, uintptr(max(n, 1)), hugeFirst); code {
	case 0:
		return Ptr(p), nil
	case outOfMemory, deviceOOM:
		f := &Fault{Call: "aclrtMalloc", Code: int(code), Text: aclGetRecentErrMsg(), Asked: n}
		f.Free, f.Total = memory()
		return 0, f
	default:
		return 0, d.fault("aclrtMalloc", code)
	}
}

// Free gives them back. What is queued must not use them.
func (d *Device) Free(p Ptr) error {
	if code := aclrtFree(uintptr(p)); code != 0 {
		return d.fault("aclrtFree", code)
	}
	return nil
}

// staging is a block of pinned host memory, which every upload goes through: the
// device reads it while the caller continues, a mapped file is touched by Go alone,
// and a copy from it takes no other one.
type staging struct {
	block  []byte
	pinned unsafe.Pointer
	used   int // bytes that queued copies read
}

const (
	stagingBytes = 64 << 20
	chunk        = 4 << 20 // copied at a time: the next is written while the device reads this one
)

func (s *staging) alloc() {
	if aclrtMallocHost != nil && aclrtFreeHost != nil && aclrtMemcpyAsync != nil && aclrtMallocHost(&s.pinned, stagingBytes) == 0 {
		s.block = unsafe.Slice((*byte)(s.pinned), stagingBytes)
		return
	}
	s.pinned = nil
	s.block = make([]byte, chunk)
}

func (s *staging) free() {
	if s.pinned != nil {
		aclrtFreeHost(s.pinned)
	}
	*s = staging{}
}

// Upload queues a copy to the device. The data may be changed at once.
func (d *Device) Upload(to Ptr, data []byte) error {
	if d.failed != nil {
		return d.failed
	}
	s := &d.staging
	if s.block == nil && len(data) > 0 {
		s.alloc()
	}
	for len(data) > 0 {
		if s.used == len(s.block) || s.pinned == nil {
			if err := d.Sync(); err != nil { // the copies have ended, and so has what may still use the destination
				return err
			}
		}
		part := s.block[s.used:]
		part = part[:min(len(part), len(data), chunk)]
		copy(part, data)
		if err := d.send(to, part); err != nil {
			return err
		}
		to, data = to+Ptr(len(part)), data[len(part):]
	}
	return nil
}

// send copies a part of the staging block.
func (d *Device) send(to Ptr, part []byte) error {
	n, from := uintptr(len(part)), uintptr(unsafe.Pointer(&part[0]))
	var code int32
	if d.staging.pinned != nil {
		code = aclrtMemcpyAsync(uintptr(to), n, from, n, toDevice, d.stream)
		d.staging.used += (len(part) + 63) &^ 63
		d.queue.busy = true
	} else {
		code = aclrtMemcpy(uintptr(to), n, from, n, toDevice)
	}
	runtime.KeepAlive(part)
	if code != 0 {
		return d.fault("upload", code)
	}
	return nil
}

// Download waits for all that is queued and copies from the device.
func (d *Device) Download(data []byte, from Ptr) error {
	if err := d.Sync(); err != nil || len(data) == 0 {
		return err
	}
	var pin runtime.Pinner // data on a stack could move while C writes it
	pin.Pin(&data[0])
	defer pin.Unpin()
	n := uintptr(len(data))
	code := aclrtMemcpy(uintptr(unsafe.Pointer(&data[0])), n, uintptr(from), n, toHost)
	if code != 0 {
		return d.fault("download", code)
	}
	return nil
}

// Zero queues filling n bytes with zeros.
func (d *Device) Zero(p Ptr, n int) error {
	if d.failed != nil || n == 0 {
		return d.failed
	}
	if aclrtMemsetAsync == nil {
		zeros := make([]byte, min(n, chunk))
		for at := 0; at < n; at += len(zeros) {
			if err := d.Upload(p+Ptr(at), zeros[:min(n-at, len(zeros))]); err != nil {
				return err
			}
		}
		return nil
	}
	d.queue.busy = true
	if code := aclrtMemsetAsync(uintptr(p), uintptr(n), 0, uintptr(n), d.stream); code != 0 {
		return d.fault("filling with zeros", code)
	}
	return nil
}

// Copy queues a copy within device memory.
func (d *Device) Copy(to, from Ptr, n int) error {
	if d.failed != nil || n == 0 {
		return d.failed
	}
	var code int32
	if aclrtMemcpyAsync != nil {
		d.queue.busy = true
		code = aclrtMemcpyAsync(uintptr(to), uintptr(n), uintptr(from), uintptr(n), onDevice, d.stream)
	} else {
		if err := d.Sync(); err != nil {
			return err
		}
		code = aclrtMemcpy(uintptr(to), uintptr(n), uintptr(from), uintptr(n), onDevice)
	}
	if code != 0 {
		return d.fault("copy on the device", code)
	}
	return nil
}
