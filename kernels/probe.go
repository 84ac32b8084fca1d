package kernels

import "time"

// The machine's own limits, to compare the kernels with. They are sampled next
// to each measurement: two processors are sometimes two threads of one core, and
// other load comes and goes.

// PeakFLOPS is what the multiply-add units of all threads do at best, in
// f32 operations a second: the tile kernel on one term over and over, which
// stays in the cache, for about the given time. Each thread is measured by its
// own clock, so that one that wakes late does not lower the peak.
func (c *Context) PeakFLOPS(d time.Duration) float64 {
	mr, nr := tileSize()
	const k = 4096
	n := c.Threads()
	rates := make([]float64, n*8) // one a cache line
	c.eachThread(func(i int) {
		mem := acquire(mr + nr + mr*nr)
		defer release(mem)
		clear(mem) // a page that was never written is the page of zeros, and shared
		a, b, c := mem[nr:], mem, mem[nr+mr:]
		calls := 0
		start := time.Now()
		for ; calls == 0 || time.Since(start) < d; calls++ {
			tileStrided(mr, k, a, 0, b, 0, c, nr, nr, true, hint{})
		}
		rates[i*8] = float64(calls) * 2 * float64(mr*nr*k) / time.Since(start).Seconds()
	})
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum
}

// Each thread reads from some memory and copies to as much again: beyond the
// caches of a core, and together beyond those of a processor. From eight threads
// on they share the memory, or a machine of many cores would run out of it.
const (
	bandwidthThread = 128 << 20 // bytes at most
	bandwidthAll    = 1 << 30   // bytes of all threads
	bandwidthLeast  = 4 << 20   // of a thread, however many they are
	bandwidthStep   = 1 << 20   // what is moved at a time
)

// bandwidthBytes is what each of n threads reads from, in whole steps.
func bandwidthBytes(n int) int {
	return max(min(bandwidthThread, bandwidthAll/n), bandwidthLeast) / bandwidthStep * bandwidthStep
}

// Bandwidth reads and copies memory that is in no cache, on all threads for
// about the given time each: bytes read a second, and bytes read and written
// a second.
func (c *Context) Bandwidth(d time.Duration) (read, copied float64) {
	n := c.Threads()
	const cached = 4 << 10 // floats that stay in the first-level cache
	const step = bandwidthStep / 4
	floats := bandwidthBytes(n) / 4
	from, to := make([][]float32, n), make([][]float32, n)
	c.eachThread(func(i int) {
		from[i], to[i] = acquire(floats), acquire(floats)
		clear(from[i])
		clear(to[i])
	})
	defer func() {
		for i := range n {
			release(from[i])
			release(to[i])
		}
	}()
	run := func(move func(i, at int)) float64 {
		counts := make([]int, n*16)
		start := time.Now()
		c.eachThread(func(i int) {
			for at := 0; time.Since(start) < d; at = (at + step) % floats {
				move(i, at)
				counts[i*16] += 4 * step
			}
		})
		return float64(total(counts)) / time.Since(start).Seconds()
	}
	read = run(func(i, at int) {
		for j := at; j < at+step; j += cached {
			copy(to[i][:cached], from[i][j:j+cached])
		}
	})
	return read, 2 * run(func(i, at int) { copy(to[i][at:at+step], from[i][at:at+step]) })
}

// eachThread runs fn(i) for every i below the number of threads, each on a
// thread of its own: fn lasts until all have begun.
func (c *Context) eachThread(fn func(i int)) { c.Parallel(c.Threads(), func(_, i int) { fn(i) }) }

func total(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// Units names the vector units the kernels use here.
func Units() string {
	switch {
	case has512:
		return "AVX-512"
	case hasNEON:
		return "NEON"
	case has8:
		return "AVX2"
	}
	return "plain Go"
}
