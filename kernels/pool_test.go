package kernels

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lorac/cmd/test/testkit"
)

// Every task runs once and is done when Parallel returns, with workers awake,
// parked and late, and whatever the pool was before.
func TestParallelRunsEachTaskOnce(t *testing.T) {
	defer setThreads(ctx.Threads())
	for _, n := range []int{1, 2, 3, 8, 2, 0} {
		setThreads(n)
		want := n
		if n == 0 {
			want = runtime.GOMAXPROCS(0)
		}
		if ctx.Threads() != want {
			t.Fatalf("%d threads were asked for, there are %d", n, ctx.Threads())
		}
		for round := range 300 {
			tasks := round % 17
			ran := make([]atomic.Int32, tasks)
			sum := 0 // plain memory: what a task writes is seen when all are done
			part := make([]int, tasks)
			ctx.Parallel(tasks, func(worker, task int) {
				if worker < 0 || worker >= ctx.Threads() {
					t.Errorf("worker %d of %d", worker, ctx.Threads())
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
	defer setThreads(ctx.Threads())
	setThreads(4)
	var busy [4]atomic.Bool
	for range 200 {
		ctx.Parallel(16, func(worker, _ int) {
			if busy[worker].Swap(true) {
				t.Errorf("worker %d has two tasks", worker)
			}
			runtime.Gosched()
			busy[worker].Store(false)
		})
	}
}

// unreadable is a fault as the runtime has them.
type unreadable uintptr

func (unreadable) Error() string   { return "no memory" }
func (u unreadable) Addr() uintptr { return uintptr(u) }

// met is what f panics with, on a fault too.
func met(f func()) (e any) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { e = recover() }()
	f()
	return nil
}

// A fault in mapped memory reaches the caller of Parallel,
// whoever had the task and however many tasks fail, and the pool still works.
func TestParallelPassesFaultsOn(t *testing.T) {
	defer func(n int, was func(uintptr) bool) { setThreads(n); ctx.MappedFault = was }(ctx.Threads(), ctx.MappedFault)
	ctx.MappedFault = func(addr uintptr) bool { return addr == 7 }
	for n := 1; n <= 4; n++ {
		setThreads(n)
		for round := range 200 {
			tasks := 1 + round%23
			for _, fails := range []func(worker, task int) bool{
				func(_, task int) bool { return task == 0 },
				func(_, task int) bool { return task == tasks-1 },
				func(_, task int) bool { return task == tasks/2 },
				func(worker, task int) bool { return worker > 0 || task == tasks-1 },
				func(_, task int) bool { return true },
			} {
				var begun, ended atomic.Int32
				e := met(func() {
					ctx.Parallel(tasks, func(worker, task int) {
						begun.Add(1)
						defer ended.Add(1)
						if fails(worker, task) {
							panic(unreadable(7))
						}
					})
				})
				if e != unreadable(7) {
					t.Fatalf("%d threads, %d tasks: the caller met %v", n, tasks, e)
				}
				if b, e := begun.Load(), ended.Load(); b != e || int(b) > tasks {
					t.Fatalf("%d threads: %d of %d tasks had begun, %d were done", n, b, tasks, e)
				}
			}
			var ran atomic.Int32
			ctx.Parallel(tasks, func(int, int) { ran.Add(1) })
			if int(ran.Load()) != tasks {
				t.Fatalf("%d threads: %d of %d tasks ran afterwards", n, ran.Load(), tasks)
			}
		}
	}
}

// Any other panic ends the process with a trace of the task it happened in.
func TestParallelShowsBugs(t *testing.T) {
	const bug = "LORAC_TEST_BUG"
	if kind := os.Getenv(bug); kind != "" {
		setThreads(2)
		var failing atomic.Bool
		ctx.Parallel(2, func(worker, _ int) {
			for worker == 0 && !failing.Load() { // the other one shall have the bug
				runtime.Gosched()
			}
			failing.Store(true)
			if kind == "fault" {
				panic(unreadable(7))
			}
			buggyTask([]int{worker})
		})
		return
	}
	for kind, want := range map[string]string{"index": "index out of range", "fault": "no memory"} {
		cmd := testkit.Command(t, os.Args[0], "-test.run=^TestParallelShowsBugs$")
		cmd.Env = append(os.Environ(), bug+"="+kind)
		text, err := cmd.CombinedOutput()
		if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
			t.Skip(err) // under emulation
		}
		if err == nil || !strings.Contains(string(text), want) || !strings.Contains(string(text), "TestParallelShowsBugs.func") {
			t.Errorf("%v, and the output is:\n%s", err, text)
		}
		if kind == "index" && !strings.Contains(string(text), "buggyTask") {
			t.Errorf("the task is missing in the trace:\n%s", text)
		}
	}
}

//go:noinline
func buggyTask(x []int) int { return x[len(x)] }
