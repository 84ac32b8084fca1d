package kernels

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Several contexts at once, each in a goroutine of its own and with another
// number of threads, give every kernel the bits it has alone.
func TestContextsAtOnce(t *testing.T) {
	list := calls()
	alone := New(1)
	defer alone.Close()
	want := make([][]uint32, len(list))
	for i, c := range list {
		want[i] = bits(c.run(alone))
	}
	var all sync.WaitGroup
	counts := []int{1, 2, 3}
	if emulated() {
		counts = counts[1:]
	}
	for id, threads := range counts {
		c := New(threads)
		defer c.Close()
		all.Go(func() {
			for i := range (len(counts) - 1) * len(list) {
				n := (i + id*len(list)/3) % len(list) // different kernels meet
				got := bits(list[n].run(c))
				for j, x := range want[n] {
					if len(got) != len(want[n]) || got[j] != x {
						t.Errorf("%s in context %d of %d threads: value %d differs", list[n].name, id, threads, j)
						break
					}
				}
			}
		})
	}
	all.Wait()
}

// A task of one context may run kernels in another.
func TestContextsAreIndependent(t *testing.T) {
	a, b := New(3), New(2)
	defer a.Close()
	defer b.Close()
	x, w := dense(70, 40), dense(50, 40)
	want := NewMat(70, 50)
	a.MatMulNT(want, x, w.Weight())
	for i := range 20 {
		y := NewMat(70, 50)
		a.Parallel(1, func(int, int) { b.MatMulNT(y, x, w.Weight()) })
		sameBits(t, fmt.Sprintf("round %d", i), bits([]Mat{y}), bits([]Mat{want}))
	}
}

// Close ends the threads and releases every buffer.
func TestClose(t *testing.T) {
	list := calls()
	before := runtime.NumGoroutine()
	c := New(4)
	for _, call := range list {
		call.run(c)
	}
	c.Close()
	c.Close()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left", runtime.NumGoroutine()-before)
		}
	}
	buffers := map[string][]float32{"packedA": c.packedA, "factors": c.factors, "loraG": c.loraG, "delta": c.delta, "logits": c.logits, "headGrads": c.headGrads}
	for i, w := range c.workers {
		for name, b := range map[string][]float32{"gemm": w.gemm, "dropped": w.dropped, "grad": w.grad, "attention": w.attention, "head": w.head, "row": w.row} {
			buffers[fmt.Sprintf("%s of thread %d", name, i)] = b
		}
	}
	for name, b := range buffers {
		if b != nil {
			t.Errorf("%s has %d floats", name, len(b))
		}
	}
}
