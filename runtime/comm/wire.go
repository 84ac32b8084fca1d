package comm

// Wire is what a rank sends and receives while an adder finishes, in bytes.
type Wire struct {
	Sent, Received int64
	Flight         int64 // of Sent, the most that are on their way to owners at a time: the next ones wait for these
}

// AdderWires is Wire of each rank, for vectors of n and owners as Finish has them by
// default. A rank sends its nodes to the owners of the other parts, and the sum of its
// own part to all others; losses travel beside them.
func AdderWires(units Ranges, n int) []Wire {
	ranks := units.Ranks()
	out := make([]Wire, ranks)
	if ranks == 1 {
		return out
	}
	owns := Even(n, ranks, 1)
	s := newStage(units, 0, nil)
	piece := s.piece(longest(owns))
	all := s.first[ranks]
	for r := range out {
		own := s.first[r+1] - s.first[r] // nodes
		from, to := owns.Of(r)
		part := to - from
		others := int64(ranks - 1)
		out[r] = Wire{
			Sent:     4*(int64(own)*int64(n-part)+others*int64(part)) + 8*others*int64(own),
			Received: 4*(int64(all-own)*int64(part)+int64(n-part)) + 8*int64(all-own),
			Flight:   4 * inFlight * others * int64(own*min(piece, longest(owns))),
		}
	}
	return out
}
