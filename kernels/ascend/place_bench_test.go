package ascend_test

import (
	"testing"

	"lorac/kernels/ascend"
)

// BenchmarkLaunch is what a call costs on the host beside the device's own calls.
func BenchmarkLaunch(b *testing.B) {
	d := &quiet{}
	c := ascend.New(d)
	defer c.Close()
	m := ascend.MatAt(1, 2, 16, ascend.BF16)
	for _, described := range []bool{false, true} {
		name := "plain"
		if described {
			name = "described"
			c.Describe(func(x ascend.Call) string { return x.Name })
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Add(m, m, m)
			}
		})
	}
}

// quiet is a device that takes launches and forgets them.
type quiet struct{ noting }

func (*quiet) Launch(func() string, string, int, ...uint64) error { return nil }
