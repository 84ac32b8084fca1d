package microbatch

// Load is what some rows come to: sums over their sequences.
type Load struct {
	Rows    int   // of the data
	Tokens  int   // that are computed
	Targets int   // of them, supervised
	Squares int64 // tokens · tokens: what attention costs
	Cross   int64 // supervised tokens · tokens: what it costs in a layer that computes these rows alone
	Cost    int64 // what the division into units goes by
}

func (l *Load) add(m Load) {
	l.Rows += m.Rows
	l.Tokens += m.Tokens
	l.Targets += m.Targets
	l.Squares += m.Squares
	l.Cross += m.Cross
	l.Cost += m.Cost
}

// load is that of a unit.
func (b *Batcher) load(u Unit) Load {
	l := Load{Rows: len(u.Items), Cost: u.Cost}
	for _, x := range u.Items {
		for j, to := b.set.Group(x.Row); j < to; j++ {
			row := b.set.Row(j)
			if s := Supervised(row); s > 0 { // others are left out
				n := live(row)
				l.add(Load{Tokens: n, Targets: s, Squares: int64(n) * int64(n), Cross: int64(n) * int64(s)})
			}
		}
	}
	return l
}

// Balance is how even the loads of processes are, over steps.
type Balance struct {
	Processes int
	Steps     int
	Least     float64 // mean load by largest load, of the step where it is least
	All       Load    // of all processes and steps
	Largest   Load    // of the process of each step that has most to do

	ratios float64
}

// Mean is the mean load by the largest, the mean of it over the steps: 1 where all
// processes always have the same to do.
func (b *Balance) Mean() float64 {
	if b.Steps == 0 {
		return 1
	}
	return b.ratios / float64(b.Steps)
}

// Add adds a step. owns[i] and owns[i+1] bound the units of process i.
func (b *Balance) Add(batches *Batcher, units []Unit, owns []int) {
	b.Processes = len(owns) - 1
	largest, all := Load{}, Load{}
	for i := range b.Processes {
		l := Load{}
		for _, u := range units[owns[i]:owns[i+1]] {
			l.add(batches.load(u))
		}
		all.add(l)
		if i == 0 || l.Cost > largest.Cost {
			largest = l
		}
	}
	ratio := 1.0
	if largest.Cost > 0 {
		ratio = float64(all.Cost) / float64(b.Processes) / float64(largest.Cost)
	}
	if b.Steps == 0 || ratio < b.Least {
		b.Least = ratio
	}
	b.Steps++
	b.ratios += ratio
	b.All.add(all)
	b.Largest.add(largest)
}

// AddMicroBatch adds the sequences of a micro-batch.
func (l *Load) AddMicroBatch(b *MicroBatch) {
	next := 0 // of b.Rows
	for i, start := range b.Starts {
		begin := func(at int32) int { // ^row where the last row does not see itself
			if at < 0 {
				at = ^at
			}
			return int(at)
		}
		from, to, s := begin(start), len(b.Tokens), 0
		if i+1 < len(b.Starts) {
			to = begin(b.Starts[i+1])
		}
		for ; next < len(b.Rows) && int(b.Rows[next]) < to; next++ {
			s++
		}
		n := to - from
		l.add(Load{Tokens: n, Targets: s, Squares: int64(n) * int64(n), Cross: int64(n) * int64(s)})
	}
}
