package ascend_test

import (
	"testing"
	"time"

	"lorac/kernels/ascend"
	"lorac/kernels/ascend/ascendtest"
	"lorac/runtime/device"
)

// stream is a device as the context drives it.
type stream struct{ *device.Device }

func (s stream) Cores() (cubes, vectors int)         { return s.Cubes, s.Vectors }
func (s stream) Alloc(n int) (uint64, error)         { p, err := s.Device.Alloc(n); return uint64(p), err }
func (s stream) Free(p uint64) error                 { return s.Device.Free(device.Ptr(p)) }
func (s stream) Upload(to uint64, data []byte) error { return s.Device.Upload(device.Ptr(to), data) }
func (s stream) Download(data []byte, from uint64) error {
	return s.Device.Download(data, device.Ptr(from))
}
func (s stream) Launch(note func() string, kernel string, blocks int, args ...uint64) error {
	var all []any
	for _, a := range args {
		all = append(all, a)
	}
	return s.Device.Launch(kernel, blocks, all...)
}

// TestSelfCheck: every method of the context agrees with the host on its trial, in
// both types, and all of them take less than two seconds, on the twin too.
func TestSelfCheck(t *testing.T) {
	c := ascend.New(stream{ascendtest.Open(t)})
	defer c.Close()
	least := time.Hour
	for _, d := range []ascend.DType{ascend.BF16, ascend.F16} {
		start := time.Now()
		for _, call := range ascend.Trials() {
			if err := c.SelfCheck(d, call); err != nil {
				t.Errorf("%s: %s: %v", d, call, err)
			}
		}
		least = min(least, time.Since(start))
	}
	t.Logf("%v for one type", least)
	if least > 2*time.Second {
		t.Errorf("the trials take %v", least)
	}
}
