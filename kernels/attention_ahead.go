package kernels

import "unsafe"

// ahead is what attention will read or write next. The rows of a head lie
// apart by the width of all heads, often a power of two and each in a page of
// its own, so that the processor does not guess them: the tiles ask for them,
// one after the other, while they multiply.
type ahead struct {
	list [8]fetcher
	n    int // of them
	at   int // the first that is not through
}

// reset forgets what was not asked for.
func (a *ahead) reset() { a.n, a.at = 0, 0 }

// add appends rows [r0, r1) of n columns from c0.
func (a *ahead) add(m Mat, r0, r1, c0, n int) {
	if r0 < r1 && a.n < len(a.list) {
		at := unsafe.Pointer(&m.Data[r0*m.Stride+c0])
		a.list[a.n] = fetcher{region: region{at, r1 - r0, n * 4, m.Stride * 4}}
		a.n++
	}
}

// hint is the share of a tile of k terms.
func (a *ahead) hint(k int) hint {
	for a.at < a.n {
		if f := &a.list[a.at]; f.at != nil {
			return f.hint(k)
		}
		a.at++
	}
	return hint{}
}
