package kernels

import (
	"fmt"
	"testing"
)

// busy plays tasks on some threads, each taken by the first that is free, and
// says which share of their time the threads work. run says when a task that
// begins at some time ends, and how much of that is work.
func busy(tasks, threads int, run func(task int, at float64) (end, work float64)) float64 {
	free := make([]float64, threads)
	last, sum := 0.0, 0.0
	for t := range tasks {
		first := 0
		for i, at := range free {
			if at < free[first] {
				first = i
			}
		}
		end, work := run(t, free[first])
		free[first] = end
		last, sum = max(last, end), sum+work
	}
	return sum / (last * float64(threads))
}

// One long sequence feeds 64 threads, forward and backward, where a block of
// keys waits for the one before it; so do ragged ones.
func TestAttentionThreadsAreFed(t *testing.T) {
	for _, c := range []struct {
		name                    string
		starts                  []int32
		tokens, heads, kv       int
		threads                 int
		leastForward, leastBack float64
	}{
		{"7B, one sequence", []int32{0}, 4096, 32, 32, 64, 0.95, 0.95},
		{"TinyLlama, one sequence", []int32{0}, 4096, 32, 4, 64, 0.95, 0.8},
		{"TinyLlama, half as long", []int32{0}, 2048, 32, 4, 64, 0.9, 0.5},
		{"ragged", []int32{0, 100, 150, 2000, 2030}, 4096, 32, 32, 64, 0.95, 0.95},
		{"15M, short ones", []int32{0, 64, 128, 200, 300, 400}, 512, 6, 6, 2, 0.9, 0.9},
		{"one of 512", []int32{0}, 512, 8, 8, 2, 0.95, 0.95},
	} {
		sequences := func() []span { return spans(c.starts, nil, c.tokens, c.tokens) }
		forward := forwardTasks(sequences(), c.kv, c.heads/c.kv, 32)
		f := busy(len(forward), c.threads, func(i int, at float64) (float64, float64) {
			task, cost := forward[i], 0.0
			for q := task.q0; q < task.q1; q++ {
				cost += float64(q + 1 - task.sp.first)
			}
			return at + cost, cost
		})
		back := gradTasks(sequences(), c.kv)
		added := map[string]float64{} // when the block before has added to a block of queries of a head
		b := busy(len(back), c.threads, func(i int, at float64) (float64, float64) {
			task, work := &back[i], 0.0
			for n := len(task.added) - 1; n >= 0; n-- {
				q0 := task.sp.q0 + n*gradQueries
				q1 := min(q0+gradQueries, task.sp.q1)
				if q1 <= task.j0 {
					break
				}
				cost := 0.0
				for q := max(q0, task.j0); q < q1; q++ {
					cost += float64(min(q+1, task.j1) - task.j0)
				}
				work += cost
				key := fmt.Sprint(task.sp.first, task.g, n)
				at = max(at+cost, added[key])
				added[key] = at
			}
			return at, work
		})
		t.Logf("%s on %d threads: %d tasks, busy %.0f %%, backward %d, %.0f %%", c.name, c.threads, len(forward), 100*f, len(back), 100*b)
		if f < c.leastForward || b < c.leastBack {
			t.Errorf("%s: %d threads work %.2f of their time forward, %.2f backward; wanted %.2f and %.2f", c.name, c.threads, f, b, c.leastForward, c.leastBack)
		}
	}
}
