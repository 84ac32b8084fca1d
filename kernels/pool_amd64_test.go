//go:build unix

// The emulator that stands in for arm64 does not say where a fault was.

package kernels

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// Weights in a mapped file that was shortened: every kernel that reads them
// meets a fault, in assembly or not, and its caller a panic with an address in
// the file.
func TestShortenedFile(t *testing.T) {
	defer func(was func(uintptr) bool) { ctx.MappedFault = was }(ctx.MappedFault)
	const rows, cols = 384, 512
	paths(t, func(t *testing.T) {
		for d := F32; d <= Q6_K; d++ {
			elems, size := d.block()
			bytes := rows * cols / elems * size
			path := filepath.Join(t.TempDir(), "weights")
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, left := range []int{0, bytes * 2 / 3} {
				if err := file.Truncate(int64(bytes)); err != nil {
					t.Fatal(err)
				}
				data, err := syscall.Mmap(int(file.Fd()), 0, bytes, syscall.PROT_READ, syscall.MAP_SHARED)
				if err != nil {
					t.Fatal(err)
				}
				begin := uintptr(unsafe.Pointer(&data[0]))
				ctx.MappedFault = func(addr uintptr) bool { return addr-begin < uintptr(bytes) }
				if err := file.Truncate(int64(left)); err != nil {
					t.Fatal(err)
				}
				w, err := WeightFromBytes(data, d, rows, cols)
				if err != nil {
					t.Fatal(err)
				}
				for name, f := range readers(w) {
					e := met(f)
					if f, ok := e.(fault); !ok || f.Addr() < begin+uintptr(left) || !ctx.MappedFault(f.Addr()) {
						t.Errorf("%s of %s, %d of %d bytes left: the caller met %v", name, d, left, bytes, e)
					}
				}
				if err := syscall.Munmap(data); err != nil {
					t.Fatal(err)
				}
			}
			file.Close()
		}
	})
}

// readers are the kernels that read a weight.
func readers(w Weight) map[string]func() {
	out := map[string]func(){"Int8": func() { ctx.Int8(w) }}
	for _, m := range []int{1, 7, 150} {
		x, y := dense(m, w.Cols), dense(m, w.Rows)
		a, b := dense(8, w.Cols), dense(w.Rows, 8)
		targets, weights, tokens := make([]int32, m), make([]float32, m), make([]int32, m)
		for i := range tokens {
			targets[i], weights[i], tokens[i] = int32(i), 1, int32(w.Rows-1-i)
		}
		for name, f := range map[string]func(){
			"MatMulNT":   func() { ctx.MatMulNT(y, x, w) },
			"MatMulNN":   func() { ctx.MatMulNN(x, y, w) },
			"Embed":      func() { ctx.Embed(x, tokens, w) },
			"HeadLoss":   func() { ctx.HeadLoss(NewMat(m, w.Cols), x, w, targets, weights) },
			"LoRALinear": func() { ctx.LoRALinear(x, Adapted{Y: y, XA: dense(m, 8), W: w, A: a, B: b, Scale: 1}) },
		} {
			out[fmt.Sprintf("%s of %d rows", name, m)] = f
		}
	}
	return out
}
