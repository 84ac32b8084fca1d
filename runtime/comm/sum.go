package comm

import "slices"

// A tree sum over ranks: each rank sends its nodes to the ranks that own parts of the
// vector, an owner adds the nodes of all for its part in the order of the tree, and
// sends the sum to all. This is done by pieces of the parts: while one is added the
// next ones are on the wire.

const (
	inFlight   = 2       // pieces on the wire at a time, beside sums on their way back
	stageFloat = 1 << 21 // numbers of one slot: 8 MiB
	leastPiece = 1 << 12
	mostPiece  = 1 << 18
)

// stage is what one kind of sum needs: the nodes of all ranks, the order of their
// additions, and memory for pieces that arrive.
type stage struct {
	mem   Memory
	rank  int
	first []int // number of the first node of each rank, and of all
	steps []step
	slots []float32 // for pieces that arrive
}

// newStage plans a sum over units that the ranks have ranges of.
func newStage(units Ranges, rank int, mem Memory) stage {
	s := stage{mem: mem, rank: rank, first: make([]int, units.Ranks()+1)}
	var all []node
	for r := range units.Ranks() {
		from, to := units.Of(r)
		all = append(all, nodes(units.Len(), from, to)...)
		s.first[r+1] = len(all)
	}
	s.steps = program(all, units.Len())
	return s
}

func (s *stage) ranks() int { return len(s.first) - 1 }

// foreign is the number of nodes of other ranks.
func (s *stage) foreign() int {
	return s.first[s.ranks()] - (s.first[s.rank+1] - s.first[s.rank])
}

// piece is the most numbers of a piece, the same on every rank. most is the length of
// the longest part.
func (s *stage) piece(most int) int {
	return min(max(most, 1), min(max(stageFloat/max(s.first[s.ranks()], 1), leastPiece), mostPiece))
}

// size is the numbers of all slots.
func (s *stage) size(most int) int { return inFlight * s.foreign() * s.piece(most) }

func longest(r Ranges) int {
	most := 0
	for i := range r.Ranks() {
		most = max(most, r[i+1]-r[i])
	}
	return most
}

// losses is the sum of the losses of all nodes, in the order of the tree.
func (s *stage) losses(g *Group, mine []float64) (float64, error) {
	all := make([]float64, s.first[s.ranks()])
	copy(all[s.first[s.rank]:], mine)
	var list []Transfer
	for _, r := range g.others() {
		if len(mine) > 0 {
			list = append(list, Of(true, r, mine))
		}
		if theirs := all[s.first[r]:s.first[r+1]]; len(theirs) > 0 {
			list = append(list, Of(false, r, theirs))
		}
	}
	if err := g.exchange(tagScatter, list); err != nil {
		return 0, err
	}
	for _, x := range s.steps {
		all[x.a] += all[x.b]
	}
	if len(all) == 0 {
		return 0, nil
	}
	return all[0], nil
}

// sum sets out, or the part of it that this rank owns, to the sum of the nodes of all
// ranks. mine are this rank's, which it overwrites; one of them may be out.
func (s *stage) sum(g *Group, mine [][]float32, out []float32, owns Ranges, gather bool) error {
	most := longest(owns)
	if len(s.slots) < s.size(most) {
		s.slots = s.mem.Alloc(s.size(most))
	}
	w := &wave{stage: s, g: g, mine: mine, out: out, owns: owns, long: s.piece(most)}
	pieces := (most + w.long - 1) / w.long
	scatter, back := make([]*Flight, pieces), make([]*Flight, pieces)
	start := func(list []*Flight, tag, k int, transfers []Transfer) (err error) {
		list[k], err = g.startVectors(tag, transfers)
		return err
	}
	for k := range min(inFlight, pieces) {
		if err := start(scatter, tagScatter, k, w.scatter(k)); err != nil {
			return err
		}
	}
	for k := range pieces {
		if err := scatter[k].Wait(); err != nil {
			return err
		}
		w.addUp(k)
		if next := k + inFlight; next < pieces {
			if err := start(scatter, tagScatter, next, w.scatter(next)); err != nil {
				return err
			}
		}
		if !gather {
			continue
		}
		if err := start(back, tagGather, k, w.gather(k)); err != nil {
			return err
		}
		if k >= inFlight {
			if err := back[k-inFlight].Wait(); err != nil {
				return err
			}
		}
	}
	for k := max(0, pieces-inFlight); gather && k < pieces; k++ {
		if err := back[k].Wait(); err != nil {
			return err
		}
	}
	return nil
}

// wave is one sum.
type wave struct {
	*stage
	g    *Group
	mine [][]float32
	out  []float32
	owns Ranges
	long int
}

// bounds is piece k of the part of a rank.
func (w *wave) bounds(rank, k int) (from, to int) {
	lo, hi := w.owns.Of(rank)
	return min(lo+k*w.long, hi), min(lo+(k+1)*w.long, hi)
}

// slot is where piece k of a foreign node arrives.
func (w *wave) slot(k, i, n int) []float32 {
	if i >= w.first[w.rank] {
		i -= w.first[w.rank+1] - w.first[w.rank]
	}
	return w.slots[(k%inFlight*w.foreign()+i)*w.long:][:n]
}

// scatter is piece k on its way to the owners.
func (w *wave) scatter(k int) (list []Transfer) {
	lo, hi := w.bounds(w.rank, k)
	for _, r := range w.g.others() {
		if from, to := w.bounds(r, k); from < to {
			for _, x := range w.mine {
				list = append(list, Of(true, r, x[from:to]))
			}
		}
		for i := w.first[r]; i < w.first[r+1] && lo < hi; i++ {
			list = append(list, Of(false, r, w.slot(k, i, hi-lo)))
		}
	}
	return list
}

// addUp adds piece k of the own part.
func (w *wave) addUp(k int) {
	lo, hi := w.bounds(w.rank, k)
	if lo == hi {
		return
	}
	at := func(i int) []float32 {
		if own := i - w.first[w.rank]; own >= 0 && i < w.first[w.rank+1] {
			return w.mine[own][lo:hi]
		}
		return w.slot(k, i, hi-lo)
	}
	switch {
	case w.first[w.ranks()] == 0:
		w.mem.Clear(w.out[lo:hi])
	case len(w.steps) == 0:
		w.mem.Copy(w.out[lo:hi], at(0))
	}
	for i, x := range w.steps {
		dst := at(x.a)
		if i == len(w.steps)-1 {
			dst = w.out[lo:hi]
		}
		w.mem.Add(dst, at(x.a), at(x.b))
	}
}

// gather is the sums of piece k on their way to all.
func (w *wave) gather(k int) (list []Transfer) {
	lo, hi := w.bounds(w.rank, k)
	for _, r := range w.g.others() {
		if lo < hi {
			list = append(list, Of(true, r, w.out[lo:hi]))
		}
		if from, to := w.bounds(r, k); from < to {
			list = append(list, Of(false, r, w.out[from:to]))
		}
	}
	return list
}

// AllSum sets x, on every rank, to the sum over the ranks, in the order of a binary
// tree over their numbers: ((0+1)+(2+3))+…, with the same bits on every rank. Bits
// depend on the number of ranks.
func (g *Group) AllSum(x []float32, mem Memory) error {
	if g.Size() == 1 || len(x) == 0 {
		return nil
	}
	return g.ofRanks(mem).sum(g, [][]float32{x}, x, Even(len(x), g.Size(), 1), true)
}

// ScatterSum is AllSum of the part of x that this rank owns; the rest is overwritten.
func (g *Group) ScatterSum(x []float32, owns Ranges, mem Memory) error {
	owns.check("parts", len(x), g.Size())
	if g.Size() == 1 || len(x) == 0 {
		return nil
	}
	return g.ofRanks(mem).sum(g, [][]float32{x}, x, owns, false)
}

// ofRanks is the sum of one vector of each rank.
func (g *Group) ofRanks(mem Memory) *stage {
	if g.sums == nil {
		s := newStage(Even(g.Size(), g.Size(), 1), g.rank, mem)
		s.slots = mem.Alloc(s.size(mostPiece)) // for any length, as lengths differ
		g.sums = &s
	}
	return g.sums
}

// AllGather brings the parts of x together: each rank has its own, and afterwards all.
func (g *Group) AllGather(x []float32, owns Ranges) error {
	owns.check("parts", len(x), g.Size())
	lo, hi := owns.Of(g.rank)
	var list []Transfer
	for _, r := range g.others() {
		if lo < hi {
			list = append(list, Of(true, r, x[lo:hi]))
		}
		if from, to := owns.Of(r); from < to {
			list = append(list, Of(false, r, x[from:to]))
		}
	}
	f, err := g.startVectors(tagGather, list)
	if err != nil {
		return err
	}
	return f.Wait()
}

// others are the other ranks, those after this one first, so that not all send to
// rank 0 at once.
func (g *Group) others() []int {
	if g.peers == nil {
		for i := 1; i < g.Size(); i++ {
			g.peers = append(g.peers, (g.rank+i)%g.Size())
		}
		g.peers = slices.Clip(g.peers)
	}
	return g.peers
}
