package kernels

// task is panels [from, to) of B of one product times panels [first, end) of A.
type task struct{ out, from, to, first, end int }

// What a task takes, in the time of one term of a tile: a panel of B packed
// once against a panel of A multiplied with it (both times the number of
// terms, which all tasks share), and what beginning a task costs.
const (
	costPack  = 8
	costTile  = 14
	costBegin = 4
)

// splitting remembers the cuts of the shapes of a model.
var splitting = map[shape]grain{}

// shape is all that split looks at.
type shape struct {
	panels, nr, threads int
	most                int    // panels of B a task has
	columns             [8]int // of the products
}

// grain is how fine a multiplication is cut: panels of B a task has at most,
// and into how many parts A goes.
type grain struct{ group, shares int }

// split cuts the products of a block of rows, nA panels of A, into tasks for
// the given number of threads. Large groups pack less, small ones leave less
// waiting for the last; A is cut as well where B has few panels. The cut with
// the earliest end is taken, supposing that tasks are begun in order by
// whoever is free. No element depends on it: a task sums whole elements.
func split(nA, nr, threads int, outs []output) []task {
	key := shape{panels: nA, nr: nr, threads: threads}
	widest := 0
	for i, o := range outs {
		key.most = max(key.most, groupOf(o.b, nA, nr))
		np := (o.n + nr - 1) / nr
		widest = max(widest, np)
		if i < len(key.columns) {
			key.columns[i] = np
		}
	}
	if len(outs) > len(key.columns) {
		return fray(finest(key, outs, widest).cut(nA, nr, outs), threads)
	}
	g, ok := splitting[key]
	if !ok {
		if len(splitting) > 4096 { // rows of any number come along
			clear(splitting)
		}
		g = finest(key, outs, widest)
		splitting[key] = g
	}
	return fray(g.cut(nA, nr, outs), threads)
}

// fray cuts the last task of each thread finer, by rows of A, where there are
// enough of them: threads are held up by other things, and whoever comes late
// should not be waited for long.
func fray(tasks []task, threads int) []task {
	const parts, least = 4, 18 // panels of A: packing B again stays below 4 %
	if threads == 1 {
		return tasks
	}
	whole := max(len(tasks)-threads, 0)
	out := tasks[:whole:whole]
	for _, t := range tasks[whole:] {
		n := max(min(parts, (t.end-t.first)/least), 1)
		for i := range n {
			part := t
			part.first, part.end = t.first+(t.end-t.first)*i/n, t.first+(t.end-t.first)*(i+1)/n
			out = append(out, part)
		}
	}
	return out
}

// groupOf is how many panels of an operand a task has at most, of so many
// panels of A. Columns lie side by side, and the more a task has, the fewer
// pages of memory it meets, which counts where there are few rows; rows lie in
// pages of their own, which are met again with the next terms.
func groupOf(b packer, panels, nr int) int {
	group := groupN / 4
	switch b.(type) {
	case weightCols, colsOf:
		group = min(max(10*groupN/panels, groupN/2), groupN)
	}
	return group * 32 / nr
}

// fits reports whether a task's part of C stays in the second-level cache
// beside a block of A.
func (g grain) fits(s shape) bool {
	mr, _ := tileSize()
	rows := (s.panels + g.shares - 1) / g.shares * mr
	return g.group == 1 || rows*g.group*s.nr <= sumFloats
}

func finest(s shape, outs []output, widest int) grain {
	best, least := grain{}, 0
	for group := min(s.most, widest); group > 0; group-- {
		for shares := 1; shares <= min(s.panels, 4*s.threads); shares++ {
			g := grain{group, shares}
			if end := g.end(s, outs); g.fits(s) && (best.group == 0 || end < least) {
				best, least = g, end
			}
		}
	}
	return best
}

// end is about when the last thread is through: tasks of about the most work
// are done in rounds, smaller ones fill the gaps.
func (g grain) end(s shape, outs []output) int {
	sum, most := 0, 0
	each := func(n int) (tasks, cost int) {
		np := (n + s.nr - 1) / s.nr
		groups := (np + g.group - 1) / g.group
		if groups == 0 {
			return 0, 0
		}
		return groups * g.shares, costBegin + (np+groups-1)/groups*(costPack+costTile*((s.panels+g.shares-1)/g.shares))
	}
	for _, o := range outs {
		tasks, cost := each(o.n)
		sum += tasks*costBegin + (o.n+s.nr-1)/s.nr*(costPack*g.shares+costTile*s.panels)
		most = max(most, cost)
	}
	large := 0
	for _, o := range outs {
		if tasks, cost := each(o.n); 4*cost > 3*most {
			large += tasks
		}
	}
	return max((large+s.threads-1)/s.threads*most, sum/s.threads)
}

// cut makes the tasks: groups of panels of B, as even as they get, by equal
// parts of A.
func (g grain) cut(nA, nr int, outs []output) []task {
	var tasks []task
	for i, o := range outs {
		np := (o.n + nr - 1) / nr
		groups := (np + g.group - 1) / g.group
		for p := range groups {
			for s := range g.shares {
				tasks = append(tasks, task{i, np * p / groups, np * (p + 1) / groups, nA * s / g.shares, nA * (s + 1) / g.shares})
			}
		}
	}
	return tasks
}
