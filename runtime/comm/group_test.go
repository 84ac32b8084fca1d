package comm_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lorac/runtime/comm"
	"lorac/runtime/comm/local"
	"lorac/runtime/exit"
)

// each runs f as every rank of a world, which leaves in order.
func each(t *testing.T, ranks int, f func(g *comm.Group) error) {
	t.Helper()
	_, err := local.Run(ranks, func(tr comm.Transport) error {
		g, err := comm.New(tr, comm.Options{})
		if err != nil {
			return err
		}
		if err := f(g); err != nil {
			g.Abort(exit.Failed)
			return fmt.Errorf("rank %d of %d: %w", g.Rank(), ranks, err)
		}
		return g.Close()
	})
	if err != nil {
		t.Error(err)
	}
}

var counts = []int{1, 2, 3, 4, 5, 6, 7, 8}

func TestSmallMessages(t *testing.T) {
	for _, n := range counts {
		each(t, n, func(g *comm.Group) error {
			all, err := g.Gather([]byte(strings.Repeat("x", g.Rank())))
			if err != nil {
				return err
			}
			for r, b := range all {
				if len(b) != r {
					return fmt.Errorf("rank %d says %q", r, b)
				}
			}
			for root := range g.Size() {
				for _, text := range []string{"", "text", strings.Repeat("y", 9<<20)} {
					if len(text) > 10 && (root > 0 || n > 3) {
						continue
					}
					var data []byte
					if g.Rank() == root {
						data = []byte(text)
					}
					got, err := g.Broadcast(root, data)
					if err != nil || string(got) != text {
						return fmt.Errorf("from %d: %.10q of %d, %v", root, got, len(got), err)
					}
				}
			}
			return g.Barrier()
		})
	}
}

// No rank leaves a barrier before all have come.
func TestBarrier(t *testing.T) {
	var mu sync.Mutex
	here := 0
	each(t, 5, func(g *comm.Group) error {
		for round := range 20 {
			mu.Lock()
			here++
			mu.Unlock()
			if err := g.Barrier(); err != nil {
				return err
			}
			mu.Lock()
			if here < 5*(round+1) {
				t.Errorf("%d ranks are here", here)
			}
			mu.Unlock()
		}
		return nil
	})
}

// AllSum adds as a binary tree over ranks, whatever the length.
func TestAllSum(t *testing.T) {
	for _, n := range counts {
		for _, length := range []int{1, 5, 3001} {
			want, _ := treeOfRanks(0, n, length)
			each(t, n, func(g *comm.Group) error {
				for range 2 {
					x := adversarial(g.Rank(), length)
					if err := g.AllSum(x, heap{}); err != nil {
						return err
					}
					for i := range x {
						if math.Float32bits(x[i]) != math.Float32bits(want[i]) {
							return fmt.Errorf("number %d is %v, want %v", i, x[i], want[i])
						}
					}
				}
				return nil
			})
		}
	}
}

func treeOfRanks(from, to, n int) ([]float32, int) {
	if to-from == 1 {
		return adversarial(from, n), 1
	}
	half := 1
	for 2*half < to-from {
		half *= 2
	}
	x, a := treeOfRanks(from, from+half, n)
	y, b := treeOfRanks(from+half, to, n)
	heap{}.Add(x, x, y)
	return x, a + b
}

// Groups of rows and columns of a mesh talk at the same time.
func TestSub(t *testing.T) {
	each(t, 6, func(g *comm.Group) error {
		row, column := g.Rank()/3, g.Rank()%3
		rows, columns := g.Sub([]int{3 * row, 3*row + 1, 3*row + 2}), g.Sub([]int{column, column + 3})
		none := g.Sub([]int{1, 2})
		if (none == nil) != (g.Rank() != 1 && g.Rank() != 2) || rows.Rank() != column || columns.Rank() != row || columns.World(1) != column+3 {
			return errors.New("wrong ranks")
		}
		errs := make(chan error)
		for _, s := range []*comm.Group{rows, columns} {
			go func() {
				for range 20 {
					x := []float32{float32(g.Rank())}
					want := float32(9*row + 3)
					if s == columns {
						want = float32(2*column + 3)
					}
					if err := s.AllSum(x, heap{}); err != nil || x[0] != want {
						errs <- fmt.Errorf("%v, want %v: %v", x[0], want, err)
						return
					}
				}
				errs <- nil
			}()
		}
		return errors.Join(<-errs, <-errs)
	})
}

// Exchange takes messages of several tags and of any length.
func TestExchange(t *testing.T) {
	each(t, 2, func(g *comm.Group) error {
		const long = 17<<20 + 3
		out, in := make([]byte, long), make([]byte, long)
		out[0], out[9<<20], out[long-1] = byte(g.Rank()), 2, 3
		a, b, c, d := []float32{1}, []float32{2}, make([]float32, 1), make([]float32, 1)
		peer := 1 - g.Rank()
		tagged := func(x comm.Transfer, tag int) comm.Transfer { x.Tag = tag; return x }
		list := []comm.Transfer{tagged(comm.Of(true, peer, a), 1), tagged(comm.Of(true, peer, b), 2), comm.Of(true, peer, out),
			tagged(comm.Of(false, peer, d), 2), tagged(comm.Of(false, peer, c), 1), comm.Of(false, peer, in)}
		if err := g.Exchange(list); err != nil {
			return err
		}
		if c[0] != 1 || d[0] != 2 || in[0] != byte(peer) || in[9<<20] != 2 || in[long-1] != 3 {
			return errors.New("other data arrived")
		}
		return nil
	})
}

func TestEven(t *testing.T) {
	for _, c := range []struct {
		n, ranks, block int
		want            comm.Ranges
	}{
		{10, 3, 1, comm.Ranges{0, 3, 6, 10}},
		{10, 3, 4, comm.Ranges{0, 4, 8, 10}},
		{3, 4, 4096, comm.Ranges{0, 0, 0, 0, 3}},
		{0, 2, 1, comm.Ranges{0, 0, 0}},
	} {
		if got := comm.Even(c.n, c.ranks, c.block); !slices.Equal(got, c.want) {
			t.Errorf("%d over %d by %d: %v, want %v", c.n, c.ranks, c.block, got, c.want)
		}
	}
}

// The first difference is said once, with ranks, fact and values.
func TestAgree(t *testing.T) {
	each(t, 3, func(g *comm.Group) error {
		return g.Agree([]comm.Fact{{Name: "version", Value: "1"}, {Name: "data", Value: "x"}})
	})
	each(t, 3, func(g *comm.Group) error {
		err := g.Agree([]comm.Fact{{Name: "version", Value: "1"}, {Name: "data", Value: fmt.Sprint(g.Rank() / 2)}, {Name: "base", Value: fmt.Sprint(g.Rank())}})
		if exit.Code(err) != exit.Input {
			return fmt.Errorf("code %d: %v", exit.Code(err), err)
		}
		if quiet := errors.As(err, new(comm.Quiet)); quiet != (g.Rank() > 0) {
			return fmt.Errorf("quiet: %v", quiet)
		}
		if g.Rank() > 0 {
			return nil
		}
		for _, want := range []string{"the ranks differ in data:\n  rank 0 (", "): 0\n  rank 2 (", "): 1"} {
			if !strings.Contains(err.Error(), want) {
				return fmt.Errorf("%q lacks %q", err, want)
			}
		}
		return nil
	})
	each(t, 2, func(g *comm.Group) error {
		list := []comm.Fact{{Name: "version", Value: "1"}, {Name: "data", Value: "x"}}
		if err := g.Agree(list[:1+g.Rank()]); err == nil || g.Rank() == 0 && !strings.Contains(err.Error(), `compares "data"`) {
			return fmt.Errorf("another list of facts: %v", err)
		}
		return nil
	})
}

// world is ranks whose faults are collected.
func world(t *testing.T, n int, f func(w *local.World, g *comm.Group) error) (said []string, code int, errs []error) {
	t.Helper()
	var mu sync.Mutex
	var faults []string
	w, list := local.New(n)
	errs = make([]error, n)
	var wait sync.WaitGroup
	for r, tr := range list {
		wait.Go(func() {
			o := comm.Options{Timeout: 300 * time.Millisecond, Fault: func(err error) {
				mu.Lock()
				defer mu.Unlock()
				faults = append(faults, fmt.Sprintf("rank %d: %v", r, err))
			}}
			g, err := comm.New(tr, o)
			if err == nil {
				err = f(w, g)
			}
			errs[r] = err
		})
	}
	wait.Wait()
	code, _ = w.Aborted()
	mu.Lock() // a rank that was frozen finds out later
	defer mu.Unlock()
	return slices.Clone(faults), code, errs
}

// A rank without a sign of life ends the job: its number and host are said once, and all
// that wait get the error.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, victim := range []int{0, 2} {
		faults, code, errs := world(t, 3, func(w *local.World, g *comm.Group) error {
			if err := g.Barrier(); err != nil {
				return err
			}
			if g.Rank() == victim {
				w.Freeze(victim, true)
				return nil
			}
			return g.Barrier()
		})
		want := fmt.Sprintf("rank %d (", victim)
		if len(faults) == 0 || code != exit.Failed || !strings.Contains(faults[0], want) || !strings.Contains(faults[0], "gave no sign of life for 0.3") {
			t.Errorf("rank %d is silent: code %d, %q", victim, code, faults)
		}
		for r, err := range errs {
			if r != victim && err == nil {
				t.Errorf("rank %d is silent: rank %d has no error", victim, r)
			}
		}
	}
}

// A rank that computes for long, or that others wait for, is no fault.
func TestLongStep(t *testing.T) {
	t.Parallel()
	faults, _, errs := world(t, 3, func(w *local.World, g *comm.Group) error {
		if g.Rank() == 1 {
			time.Sleep(1200 * time.Millisecond)
		}
		if err := g.Barrier(); err != nil {
			return err
		}
		return g.Close()
	})
	if err := errors.Join(errs...); err != nil || len(faults) > 0 {
		t.Errorf("%v, %q", err, faults)
	}
}

// Ranks that wait for each other in vain are a fault, with whom each waits for.
func TestStall(t *testing.T) {
	t.Parallel()
	faults, code, _ := world(t, 3, func(w *local.World, g *comm.Group) error {
		if g.Rank() == 2 {
			return g.Close() // early
		}
		return g.AllSum(make([]float32, 100), heap{})
	})
	if len(faults) == 0 || code != exit.Failed || !strings.Contains(faults[0], "rank 0: nothing has arrived for 0.6") || !strings.Contains(faults[0], "waits for rank 0 (") {
		t.Errorf("code %d, %q", code, faults)
	}
}

// A job that is stopped as a whole, as Ctrl-Z does, and runs again is well.
func TestStopped(t *testing.T) {
	t.Parallel()
	var once sync.Once
	faults, _, errs := world(t, 3, func(w *local.World, g *comm.Group) error {
		if err := g.Barrier(); err != nil {
			return err
		}
		once.Do(func() {
			for r := range 3 {
				w.Freeze(r, true)
			}
			time.Sleep(time.Second)
			for r := range 3 {
				w.Freeze(r, false)
			}
		})
		time.Sleep(100 * time.Millisecond)
		if err := g.Barrier(); err != nil {
			return err
		}
		return g.Close()
	})
	if err := errors.Join(errs...); err != nil || len(faults) > 0 {
		t.Errorf("%v, %q", err, faults)
	}
}
