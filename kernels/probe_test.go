package kernels

import "testing"

// Up to 256 threads the probe of the memory takes no more than 2 GiB, half of it
// to read from and half to write to, and each thread has whole steps.
func TestBandwidthBytes(t *testing.T) {
	for threads, want := range map[int]int{1: 128 << 20, 2: 128 << 20, 8: 128 << 20, 9: 113 << 20, 64: 16 << 20, 99: 10 << 20, 256: 4 << 20, 1000: 4 << 20} {
		got := bandwidthBytes(threads)
		if got != want {
			t.Errorf("%d threads: %d bytes each, want %d", threads, got, want)
		}
		if got%bandwidthStep != 0 {
			t.Errorf("%d threads: %d bytes each are no whole steps", threads, got)
		}
		if all := 2 * got * threads; threads <= 256 && all > 2<<30 {
			t.Errorf("%d threads take %d bytes", threads, all)
		}
	}
}
