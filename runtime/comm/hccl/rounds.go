package hccl

import "lorac/runtime/comm"

// partner is whom a rank of n meets in a round of a tournament, itself where it has a
// pause. In the rounds from 0 to n-1 each two ranks meet once, and in a round nobody
// meets two.
func partner(rank, round, n int) int { return ((round-rank)%n + n) % n }

// schedule brings transfers into the order in which they are queued: by rounds, and of
// two ranks the lower one sends first. With all ranks in this order no two wait for each
// other: of the ranks that wait in the earliest round both of a pair are there, and one
// sends what the other receives. Transfers of a pair in one direction keep their order.
func schedule(list []comm.Transfer, rank, n int) []comm.Transfer {
	by := make([][2][]comm.Transfer, n) // of each peer: what goes first, and then
	for _, x := range list {
		late := 0
		if x.Send != (rank < x.Peer) {
			late = 1
		}
		by[x.Peer][late] = append(by[x.Peer][late], x)
	}
	out := make([]comm.Transfer, 0, len(list))
	for round := range n {
		p := partner(rank, round, n)
		out = append(append(out, by[p][0]...), by[p][1]...)
	}
	return out
}
