package kernels

// task is panels [from, to) of B of one product times panels [first, end) of A.
type task struct{ out, from, to, first, end int }

// The cost of a task, in the time of one term of a tile: packing a panel of B
// and multiplying it with a panel of A (both times the number of terms, which
// all tasks share), and starting the task.
const (
	costPack  = 8
	costTile  = 14
	costStart = 4
)

// scheduleKey is all that the schedule of a multiplication depends on.
type scheduleKey struct {
	panels, nr, threads int    // panels of A
	maxGroup            int    // panels of B a task has
	columns             [8]int // panels of B of the products
}

// schedule is how a multiplication is split: panels of B a task has at most,
// and into how many shares the panels of A are split.
type schedule struct{ group, shares int }

// tasks splits the products of a block of rows, nA panels of A, into tasks for
// the given number of threads. Large groups pack less, small ones leave the
// threads less to wait for at the end; A is split as well where B has few
// panels. The schedule that ends earliest is taken, supposing that tasks are
// started in order by whichever thread is free. No element depends on it: a
// task sums whole elements.
func (c *Context) tasks(nA, nr, threads int, outs []output) []task {
	key := scheduleKey{panels: nA, nr: nr, threads: threads}
	widest := 0
	for i, o := range outs {
		key.maxGroup = max(key.maxGroup, maxGroup(o.b, nA, nr))
		np := (o.n + nr - 1) / nr
		widest = max(widest, np)
		if i < len(key.columns) {
			key.columns[i] = np
		}
	}
	if len(outs) > len(key.columns) {
		return splitTail(bestSchedule(key, outs, widest).tasks(nA, nr, outs), threads)
	}
	s, ok := c.schedules[key]
	if !ok {
		if len(c.schedules) > 4096 { // the number of rows takes many values
			clear(c.schedules)
		}
		s = bestSchedule(key, outs, widest)
		c.schedules[key] = s
	}
	return splitTail(s.tasks(nA, nr, outs), threads)
}

// splitTail splits the last task of each thread by rows of A, where it has
// enough of them, so that a thread the system delayed costs at most a small
// task at the end.
func splitTail(tasks []task, threads int) []task {
	const parts, least = 4, 18 // panels of A: packing B again stays below 4 %
	if threads == 1 {
		return tasks
	}
	head := max(len(tasks)-threads, 0)
	out := tasks[:head:head]
	for _, t := range tasks[head:] {
		n := max(min(parts, (t.end-t.first)/least), 1)
		for i := range n {
			part := t
			part.first, part.end = t.first+(t.end-t.first)*i/n, t.first+(t.end-t.first)*(i+1)/n
			out = append(out, part)
		}
	}
	return out
}

// maxGroup is how many panels of an operand a task has at most, for so many
// panels of A. Columns are adjacent in memory, and the more of them a task has,
// the fewer pages it touches, which counts where there are few rows; rows are
// in pages of their own, which the next terms touch again.
func maxGroup(b packer, panels, nr int) int {
	group := groupN / 4
	switch b.(type) {
	case weightCols, colsOf:
		group = min(max(10*groupN/panels, groupN/2), groupN)
	}
	return group * 32 / nr
}

// fits reports whether the accumulator of a task stays in the second-level
// cache beside a block of A.
func (s schedule) fits(key scheduleKey) bool {
	mr, _ := tileSize()
	rows := (key.panels + s.shares - 1) / s.shares * mr
	return s.group == 1 || rows*s.group*key.nr <= sumFloats
}

// bestSchedule is the one that ends earliest.
func bestSchedule(key scheduleKey, outs []output, widest int) schedule {
	best, least := schedule{}, 0
	for group := min(key.maxGroup, widest); group > 0; group-- {
		for shares := 1; shares <= min(key.panels, 4*key.threads); shares++ {
			s := schedule{group, shares}
			if end := s.makespan(key, outs); s.fits(key) && (best.group == 0 || end < least) {
				best, least = s, end
			}
		}
	}
	return best
}

// makespan estimates when the last thread is done: tasks of nearly the highest
// cost are run in rounds, smaller ones fill the gaps.
func (s schedule) makespan(key scheduleKey, outs []output) int {
	sum, most := 0, 0
	each := func(n int) (tasks, cost int) {
		np := (n + key.nr - 1) / key.nr
		groups := (np + s.group - 1) / s.group
		if groups == 0 {
			return 0, 0
		}
		return groups * s.shares, costStart + (np+groups-1)/groups*(costPack+costTile*((key.panels+s.shares-1)/s.shares))
	}
	for _, o := range outs {
		tasks, cost := each(o.n)
		sum += tasks*costStart + (o.n+key.nr-1)/key.nr*(costPack*s.shares+costTile*key.panels)
		most = max(most, cost)
	}
	large := 0
	for _, o := range outs {
		if tasks, cost := each(o.n); 4*cost > 3*most {
			large += tasks
		}
	}
	return max((large+key.threads-1)/key.threads*most, sum/key.threads)
}

// tasks makes the tasks: groups of panels of B, as even as possible, by equal
// shares of A.
func (s schedule) tasks(nA, nr int, outs []output) []task {
	var tasks []task
	for i, o := range outs {
		np := (o.n + nr - 1) / nr
		groups := (np + s.group - 1) / s.group
		for p := range groups {
			for a := range s.shares {
				tasks = append(tasks, task{i, np * p / groups, np * (p + 1) / groups, nA * a / s.shares, nA * (a + 1) / s.shares})
			}
		}
	}
	return tasks
}
