package dataset

// Shuffle is the order of n rows in an epoch (from 1) of a MindRecord data set on one
// device: the identity, shuffled with seed+epoch by std::shuffle over libstdc++'s
// default_random_engine (MindSpore shard_distributed_sample.cc, shard_shuffle.cc).
func Shuffle(n int, seed, epoch int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	shuffle(p, newMinstd(uint64(uint32(seed+epoch))))
	return p
}

// engine draws numbers from 0 to the greatest.
type engine interface {
	draw() uint64
	most() uint64
}

// shuffle is std::shuffle of libstdc++ before GCC 11.
func shuffle(p []int, r engine) {
	n := len(p)
	if n < 2 {
		return
	}
	if r.most()/uint64(n) < uint64(n) {
		for i := 1; i < n; i++ {
			j := int(uniform(r, uint64(i)))
			p[i], p[j] = p[j], p[i]
		}
		return
	}
	// Two positions from one draw.
	i := 1
	if n%2 == 0 {
		j := int(uniform(r, 1))
		p[1], p[j] = p[j], p[1]
		i = 2
	}
	for ; i < n; i += 2 {
		s := uint64(i + 1)
		v := uniform(r, s*(s+1)-1)
		a, b := int(v/(s+1)), int(v%(s+1))
		p[i], p[a] = p[a], p[i]
		p[i+1], p[b] = p[b], p[i+1]
	}
}

// uniform draws from [0, high] as uniform_int_distribution does.
func uniform(r engine, high uint64) uint64 {
	n := high + 1
	scale := r.most() / n
	for {
		if v := r.draw(); v < n*scale {
			return v / scale
		}
	}
}

// ShuffleCompound is the order of an epoch in full-batch mode, where the data
// set is not sharded: each epoch shuffles the order of the one before
// (MindSpore shard_shuffle.cc).
func ShuffleCompound(n int, seed, epoch int) []int {
	order := Shuffle(n, seed, 1)
	for e := 2; e <= epoch; e++ {
		next := make([]int, n)
		for i, j := range Shuffle(n, seed, e) {
			next[i] = order[j]
		}
		order = next
	}
	return order
}

const (
	minstdMod   = 1<<31 - 1
	minstdRange = minstdMod - 2 // greatest minus least output
)

// minstd is minstd_rand0: x ← 16807·x mod 2³¹−1.
type minstd struct{ x uint64 }

func newMinstd(seed uint64) *minstd {
	x := seed % minstdMod
	if x == 0 {
		x = 1
	}
	return &minstd{x}
}

func (m *minstd) most() uint64 { return minstdRange }

func (m *minstd) draw() uint64 {
	m.x = 16807 * m.x % minstdMod
	return m.x - 1
}
