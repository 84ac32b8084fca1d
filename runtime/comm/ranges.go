package comm

import "fmt"

// Ranges divides the numbers from 0 to n in order: rank r has [Ranges[r], Ranges[r+1]).
// A range may be empty.
type Ranges []int

// Even divides n numbers over a number of ranks: whole blocks, as evenly as they
// allow, the last one as long as n leaves it.
func Even(n, ranks, block int) Ranges {
	blocks := (n + block - 1) / block
	r := make(Ranges, ranks+1)
	for i := range r {
		r[i] = min(blocks/ranks*i+blocks%ranks*i/ranks, blocks) * block
	}
	r[ranks] = n
	for i := range r {
		r[i] = min(r[i], n)
	}
	return r
}

// Of is the range of a rank.
func (r Ranges) Of(rank int) (from, to int) { return r[rank], r[rank+1] }

// Len is n.
func (r Ranges) Len() int { return r[len(r)-1] }

// Ranks is the number of ranges.
func (r Ranges) Ranks() int { return len(r) - 1 }

// check panics where r does not divide n numbers over ranks.
func (r Ranges) check(what string, n, ranks int) {
	ok := len(r) == ranks+1 && r[0] == 0 && r[ranks] == n
	for i := 1; ok && i < len(r); i++ {
		ok = r[i-1] <= r[i]
	}
	if !ok {
		panic(fmt.Sprintf("BUG: %s %v do not divide %d over %d ranks", what, []int(r), n, ranks))
	}
}
