package offheap

import (
	"math"
	"runtime"
	"testing"
	"unsafe"
)

// Memory is zeroed, of the size asked for, and stays what was written to it;
// large memory begins at a huge page where there are any.
func TestBytes(t *testing.T) {
	for _, n := range []int{1, 64, 4097, 2<<20 - 1, 2 << 20, 5<<20 + 3} {
		m, free, err := Bytes(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(m) != n {
			t.Errorf("%d bytes, not %d", len(m), n)
		}
		for i, b := range m {
			if b != 0 {
				t.Fatalf("byte %d of %d is %d", i, n, b)
			}
			m[i] = byte(i)
		}
		for _, i := range []int{0, n / 2, n - 1} {
			if m[i] != byte(i) {
				t.Errorf("byte %d of %d is %d", i, n, m[i])
			}
		}
		if runtime.GOOS == "linux" && n >= 2<<20 && uintptr(unsafe.Pointer(&m[0]))%(2<<20) != 0 {
			t.Errorf("%d bytes do not begin at a huge page", n)
		}
		free()
	}
}

// Memory that is given back does not count any more: as much is reserved again
// and again as the address space could not hold together.
func TestFreed(t *testing.T) {
	if runtime.GOOS != "linux" || math.MaxInt < 1<<40 {
		t.Skip("sizes of an address space of 47 bits")
	}
	for range 64 {
		_, free, err := Bytes(1 << 43)
		if err != nil {
			t.Skipf("the system reserves no 8 TiB: %v", err)
		}
		free()
	}
	if _, _, err := Bytes(1 << 62); err == nil {
		t.Error("more than the address space is reserved")
	}
}

// Ints are appended to in place and read back; a list that had to move is left
// to the collector.
func TestInts(t *testing.T) {
	x := Ints()
	if len(x) != 0 {
		t.Fatalf("%d numbers", len(x))
	}
	x = append(x, 7)
	first := &x[0]
	for i := range int32(1 << 17) {
		x = append(x, i)
	}
	if runtime.GOOS == "linux" && &x[0] != first {
		t.Error("append moved the list")
	}
	for i, n := range x[1:] {
		if n != int32(i) {
			t.Fatalf("number %d is %d", i, n)
		}
	}
	Free(x)
	moved := make([]int32, 3)
	Free(moved)
	if moved[2] != 0 {
		t.Error("a list of the collector was freed")
	}
	Free(nil)
}
