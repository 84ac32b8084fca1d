package comm

// Wire is what a rank sends and receives while an adder finishes, in bytes.
type Wire struct {
	Sent, Received int64
	ToOwners       int64 // of Sent, what goes to the owners of parts; the rest is sums that come back
	Rounds         int   // how often it waits for what goes to owners before more of that goes
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
	most := longest(owns)
	piece := s.piece(most)
	rounds := (most + inFlight*piece - 1) / (inFlight * piece)
	all := s.first[ranks]
	for r := range out {
		own := s.first[r+1] - s.first[r] // nodes
		from, to := owns.Of(r)
		part := to - from
		others := int64(ranks - 1)
		toOwners := 4 * int64(own) * int64(n-part)
		out[r] = Wire{
			Sent:     toOwners + 4*others*int64(part) + 8*others*int64(own),
			Received: 4*(int64(all-own)*int64(part)+int64(n-part)) + 8*int64(all-own),
			ToOwners: toOwners, Rounds: rounds,
		}
	}
	return out
}
