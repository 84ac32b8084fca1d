package comm

import "encoding/binary"

// Gather gives every rank the data of all, in the order of ranks. It is meant for small
// messages: each rank sends its own to every other.
func (g *Group) Gather(data []byte) ([][]byte, error) {
	sizes := make([]uint64, g.Size())
	sizes[g.rank] = uint64(len(data))
	var list []Transfer
	for _, r := range g.others() {
		list = append(list, Of(true, r, sizes[g.rank:g.rank+1]), Of(false, r, sizes[r:r+1]))
	}
	if err := g.exchange(tagSmall, list); err != nil {
		return nil, err
	}
	all := make([][]byte, g.Size())
	all[g.rank] = append([]byte{}, data...)
	list = nil
	for _, r := range g.others() {
		if len(data) > 0 {
			list = append(list, Of(true, r, all[g.rank]))
		}
		all[r] = make([]byte, sizes[r])
		if len(all[r]) > 0 {
			list = append(list, Of(false, r, all[r]))
		}
	}
	return all, g.exchange(tagSmall, list)
}

// Broadcast gives every rank the root's data, along a binomial tree. The data of the
// others are not read.
func (g *Group) Broadcast(root int, data []byte) ([]byte, error) {
	size := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	if err := g.spread(root, size); err != nil {
		return nil, err
	}
	if n := binary.LittleEndian.Uint64(size); g.rank != root {
		data = make([]byte, n)
	}
	if len(data) == 0 {
		return data, nil
	}
	return data, g.spread(root, data)
}

// spread sends the root's bytes, whose number all know.
func (g *Group) spread(root int, data []byte) error {
	me, n := (g.rank-root+g.Size())%g.Size(), g.Size()
	bit := 1 // the lowest of me: the distance to whom it comes from
	for ; bit < n && me&bit == 0; bit *= 2 {
	}
	if me != 0 {
		if err := g.exchange(tagSpread, []Transfer{Of(false, (me-bit+root)%n, data)}); err != nil {
			return err
		}
	}
	var list []Transfer
	for bit /= 2; bit > 0; bit /= 2 {
		if me+bit < n {
			list = append(list, Of(true, (me+bit+root)%n, data))
		}
	}
	return g.exchange(tagSpread, list)
}

// Barrier returns when all ranks have called it.
func (g *Group) Barrier() error {
	var in, out [1]byte
	for d := 1; d < g.Size(); d *= 2 {
		to, from := (g.rank+d)%g.Size(), (g.rank-d+g.Size())%g.Size()
		if err := g.exchange(tagBarrier, []Transfer{Of(true, to, out[:]), Of(false, from, in[:])}); err != nil {
			return err
		}
	}
	return nil
}
