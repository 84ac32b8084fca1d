package hccl

import (
	"math/rand/v2"
	"slices"
	"testing"

	"lorac/runtime/comm"
)

// Each two ranks meet in exactly one round, and nobody meets two at once.
func TestPartner(t *testing.T) {
	for n := 1; n <= 17; n++ {
		met := map[[2]int]int{}
		for round := range n {
			for r := range n {
				p := partner(r, round, n)
				if p < 0 || p >= n || partner(p, round, n) != r {
					t.Fatalf("%d ranks, round %d: %d meets %d, which meets %d", n, round, r, p, partner(p, round, n))
				}
				met[[2]int{r, p}]++
			}
		}
		for a := range n {
			for b := range n {
				if a != b && met[[2]int{a, b}] != 1 {
					t.Errorf("%d ranks: %d and %d meet %d times", n, a, b, met[[2]int{a, b}])
				}
			}
		}
	}
}

// Ranks that queue any transfers in this order end, though a send waits for its receive.
func TestScheduleEnds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 2 + rng.IntN(8)
		queues := make([][]comm.Transfer, n)
		for range 1 + rng.IntN(4) { // lists that all ranks start in turn
			lists := make([][]comm.Transfer, n)
			for range rng.IntN(40) {
				a, b := rng.IntN(n), rng.IntN(n)
				if a == b {
					continue
				}
				lists[a] = append(lists[a], comm.Transfer{Peer: b, Send: true})
				lists[b] = append(lists[b], comm.Transfer{Peer: a})
			}
			for r := range lists {
				rng.Shuffle(len(lists[r]), func(i, j int) { lists[r][i], lists[r][j] = lists[r][j], lists[r][i] })
				queues[r] = append(queues[r], schedule(lists[r], r, n)...)
			}
		}
		for moved := true; moved; {
			moved = false
			for a := range queues {
				if len(queues[a]) == 0 {
					continue
				}
				b := queues[a][0].Peer
				if len(queues[b]) > 0 && queues[b][0].Peer == a && queues[a][0].Send != queues[b][0].Send {
					queues[a], queues[b], moved = queues[a][1:], queues[b][1:], true
				}
			}
		}
		for r, q := range queues {
			if len(q) > 0 {
				t.Fatalf("of %d ranks, rank %d waits with %+v", n, r, q[0])
			}
		}
	}
}

// Transfers of a pair keep their order.
func TestScheduleOrder(t *testing.T) {
	var list []comm.Transfer
	for i := range 6 {
		list = append(list, comm.Transfer{Peer: 1 + i%2, Send: true, Bytes: i}, comm.Transfer{Peer: 1 + i%2, Bytes: i})
	}
	for rank := range 2 {
		for i := range list {
			list[i].Peer = (rank + 1 + i/2%2) % 3
		}
		last := map[[2]int]int{}
		for _, x := range schedule(slices.Clone(list), rank, 3) {
			at := [2]int{x.Peer, 0}
			if x.Send {
				at[1] = 1
			}
			if b, ok := last[at]; ok && b >= x.Bytes {
				t.Errorf("rank %d: %d after %d", rank, x.Bytes, b)
			}
			last[at] = x.Bytes
		}
	}
}
