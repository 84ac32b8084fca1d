package kernels

import "unsafe"

// prefetchList is what attention will read or write next. The rows of a head
// are separated by the width of all heads, often a power of two and each in a
// page of its own, so that the processor does not predict them: the tiles
// prefetch them, one after the other, while they multiply.
type prefetchList struct {
	list [8]prefetcher
	n    int // of them
	at   int // the first that is not finished
}

// reset drops what has not been prefetched.
func (l *prefetchList) reset() { l.n, l.at = 0, 0 }

// add appends rows [r0, r1) of n columns from c0.
func (l *prefetchList) add(m Mat, r0, r1, c0, n int) {
	if r0 < r1 && l.n < len(l.list) {
		at := unsafe.Pointer(&m.Data[r0*m.Stride+c0])
		l.list[l.n] = prefetcher{region: region{at, r1 - r0, n * 4, m.Stride * 4}}
		l.n++
	}
}

// hint is the share of a tile of k terms.
func (l *prefetchList) hint(k int) hint {
	for l.at < l.n {
		if f := &l.list[l.at]; f.at != nil {
			return f.hint(k)
		}
		l.at++
	}
	return hint{}
}
