package kernels

import "unsafe"

// region is the memory of an operand that a panel will be packed from: rows of
// some bytes, with a stride in bytes.
type region struct {
	at                  unsafe.Pointer
	rows, bytes, stride int
}

// locator is a packer that knows where its operand is, so that it can be
// prefetched while the panels before it are multiplied.
type locator interface {
	// locate gives the region pack will read for the same arguments.
	locate(at, n, k0, kc int) region
}

func (s weightRows) locate(at, n, k0, kc int) region { return s.w.region(at, n, k0, kc) }

func (s weightCols) locate(at, n, k0, kc int) region { return s.w.region(k0, kc, at, n) }

func (s colsOf) locate(at, n, k0, kc int) region {
	return region{unsafe.Pointer(&s.m.Data[k0*s.m.Stride+at]), kc, n * 4, s.m.Stride * 4}
}

// locate is the memory panel p of B is packed from, of rows [k0, k0+kc).
func (o *output) locate(p, nr, k0, kc int) region {
	l, ok := o.b.(locator)
	if !ok {
		return region{}
	}
	return l.locate(p*nr, min(nr, o.n-p*nr), k0, kc)
}

// prefetcher hands the cache lines of a region to the tile kernels, two columns
// of lines down some rows a call.
type prefetcher struct {
	region
	row, byte int // where the next call begins
}

// hint is what a tile prefetches while it multiplies: every four terms two
// lines at addr, step bytes further each time, into the second-level cache; and
// as much of the next panel of A, at panel, as four terms of it take. nil
// prefetches nothing new.
type hint struct {
	addr  *byte
	step  int
	panel *float32
}

// hint is the share of a tile of k terms; empty at the end of the region.
func (f *prefetcher) hint(k int) (h hint) {
	if f.at == nil {
		return h
	}
	// Every address handed out is inside the operand; the kernel only prefetches
	// the lines that follow it, which may be outside and then does nothing.
	h.addr, h.step = (*byte)(unsafe.Add(f.at, f.row*f.stride+f.byte)), f.stride
	if f.byte += 128; f.byte >= f.bytes {
		f.byte = 0
		if f.row += max(k/4, 1); f.row >= f.rows {
			f.at = nil
		}
	}
	return h
}

// orElse prefetches a, which is being read anyway, where there is nothing to
// prefetch.
func (h hint) orElse(a *float32) hint {
	if h.addr == nil {
		h.addr, h.step = (*byte)(unsafe.Pointer(a)), 0
	}
	if h.panel == nil {
		h.panel = a
	}
	return h
}
