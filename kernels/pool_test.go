package kernels

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Every task runs once and is done when Parallel returns, with workers awake,
// parked and late, and whatever the pool was before.
func TestParallelRunsEachTaskOnce(t *testing.T) {
	defer SetThreads(Threads())
	for _, n := range []int{1, 2, 3, 8, 2, 0} {
		SetThreads(n)
		if Threads() != max(n, 1) {
			t.Fatalf("%d threads were asked for, there are %d", n, Threads())
		}
		for round := range 300 {
			tasks := round % 17
			ran := make([]atomic.Int32, tasks)
			sum := 0 // plain memory: what a task writes is seen when all are done
			part := make([]int, tasks)
			Parallel(tasks, func(worker, task int) {
				if worker < 0 || worker >= Threads() {
					t.Errorf("worker %d of %d", worker, Threads())
				}
				ran[task].Add(1)
				part[task] = task + 1
			})
			for i := range ran {
				if ran[i].Load() != 1 {
					t.Fatalf("task %d of %d ran %d times on %d threads", i, tasks, ran[i].Load(), n)
				}
				sum += part[i]
			}
			if sum != tasks*(tasks+1)/2 {
				t.Fatalf("the work of %d tasks is not all there: %d", tasks, sum)
			}
			switch {
			case round%100 == 50:
				time.Sleep(2 * time.Millisecond) // long enough to park
			case round%100 == 70:
				runtime.GC()
			}
		}
	}
}

// A worker never holds two tasks at once, so scratch by worker is safe.
func TestWorkersDoOneTaskAtATime(t *testing.T) {
	defer SetThreads(Threads())
	SetThreads(4)
	var busy [4]atomic.Bool
	for range 200 {
		Parallel(16, func(worker, _ int) {
			if busy[worker].Swap(true) {
				t.Errorf("worker %d has two tasks", worker)
			}
			runtime.Gosched()
			busy[worker].Store(false)
		})
	}
}
