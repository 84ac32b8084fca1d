package dataset

// ShuffleGenerated is the order of n rows in an epoch (from 1) of a data set that
// MindSpore reads through its GeneratorDataset, as MindFormers' CommonDataLoader does: each
// epoch shuffles the order of the one before by std::shuffle over mt19937, seeded with
// seed+epoch where the data set is cut over devices (one counts), else one less
// (distributed_sampler.cc, random_sampler.cc).
func ShuffleGenerated(n int, seed, epoch int, cut bool) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if !cut {
		seed--
	}
	for e := 1; e <= epoch; e++ {
		shuffle(order, newMersenne(uint32(seed+e)))
	}
	return order
}

// mersenne is std::mt19937.
type mersenne struct {
	x  [624]uint32
	at int
}

func newMersenne(seed uint32) *mersenne {
	m := &mersenne{at: 624}
	for i := range m.x {
		if m.x[i] = seed; i > 0 {
			m.x[i] = 1812433253*(m.x[i-1]^m.x[i-1]>>30) + uint32(i)
		}
	}
	return m
}

// most is the greatest output.
func (m *mersenne) most() uint64 { return 1<<32 - 1 }

func (m *mersenne) draw() uint64 {
	if m.at == len(m.x) {
		m.twist()
	}
	y := m.x[m.at]
	m.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return uint64(y ^ y>>18)
}

func (m *mersenne) twist() {
	m.at = 0
	n := len(m.x)
	for i := range n {
		y := m.x[i]&(1<<31) | m.x[(i+1)%n]&(1<<31-1)
		m.x[i] = m.x[(i+397)%n] ^ y>>1
		if y&1 == 1 {
			m.x[i] ^= 0x9908b0df
		}
	}
}
