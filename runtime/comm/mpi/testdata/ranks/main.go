// Program ranks is a rank of a job under MPI, for tests.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"lorac/runtime/comm"
	"lorac/runtime/comm/mpi"
	"lorac/runtime/exit"
)

func main() {
	timeout, err := time.ParseDuration(os.Getenv("TIMEOUT"))
	if err != nil {
		timeout = 20 * time.Second
	}
	o := comm.Options{Timeout: timeout}
	t, err := mpi.Join(o)
	if err != nil {
		end(err)
	}
	g, err := comm.New(t, o)
	if err != nil {
		end(err)
	}
	if err := run(g, os.Args[1]); err != nil {
		if errors.As(err, new(comm.Quiet)) || exit.Code(err) == exit.Input {
			say(err)
			g.Exit(exit.Code(err)) // all ranks know it
		}
		say(err)
		g.Abort(exit.Code(err))
	}
	if g.Rank() == 0 {
		fmt.Printf("%d ranks of %s are done\n", g.Size(), g.Name())
	}
	g.Exit(exit.OK)
}

func say(err error) {
	if !errors.As(err, new(comm.Quiet)) {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
	}
}

func end(err error) {
	say(err)
	os.Exit(exit.Code(err))
}

// heap is memory of Go.
type heap struct{}

func (heap) Alloc(n int) []float32   { return make([]float32, n) }
func (heap) Copy(dst, src []float32) { copy(dst, src) }
func (heap) Clear(x []float32)       { clear(x) }

func (heap) Add(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// leaf is the vector of a unit.
func leaf(unit, n int) []float32 {
	rng := rand.New(rand.NewSource(int64(unit)))
	x := make([]float32, n)
	for i := range x {
		if i >= 5000 {
			x[i] = x[i-5000] * 1.0001
			continue
		}
		x[i] = float32(rng.NormFloat64() * math.Exp(3*rng.NormFloat64()))
	}
	return x
}

func digest(x []float32) string {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
	return fmt.Sprintf("%x", sha256.Sum256(b))[:12]
}

// same is an error where the ranks have other bits.
func same(g *comm.Group, name string, x []float32) error {
	return g.Agree([]comm.Fact{{Name: name, Value: digest(x)}})
}

func run(g *comm.Group, mode string) error {
	victim := g.Rank() == g.Size()-1
	if who := os.Getenv("VICTIM"); who != "" {
		n, _ := strconv.Atoi(who)
		victim = g.Rank() == n
	}
	switch mode {
	case "sum":
		return sum(g)
	case "agree":
		return g.Agree([]comm.Fact{{Name: "version", Value: "1"}, {Name: "data", Value: fmt.Sprint(victim)}})
	case "speed":
		x := leaf(g.Rank(), 16<<20)
		for range 5 {
			if err := g.Barrier(); err != nil {
				return err
			}
			began := time.Now()
			if err := g.AllSum(x, heap{}); err != nil {
				return err
			}
			if g.Rank() == 0 {
				fmt.Printf("64 MiB: %v\n", time.Since(began).Round(time.Millisecond))
			}
		}
		began := time.Now()
		for range 1000 {
			if err := g.Barrier(); err != nil {
				return err
			}
		}
		if g.Rank() == 0 {
			fmt.Printf("a barrier: %v\n", time.Since(began)/1000)
		}
		return nil
	case "bound":
		if b, bound := comm.Bound(); bound && g.Rank() == 0 {
			fmt.Printf("bound to %d of %d processors: %s\n", b.Usable, b.Node, b.Help)
		}
		return nil
	}
	// The rest are faults, in the middle of sums.
	x := leaf(g.Rank(), 300000)
	for i := 0; ; i++ {
		if victim && i == 3 {
			switch mode {
			case "kill":
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
			case "stop":
				syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			case "exit":
				os.Exit(7)
			case "leave":
				g.Exit(0)
			case "compute": // a long step is no fault
				for began, y := time.Now(), 1.0; time.Since(began) < 4*timeoutOf(); {
					for range 1 << 20 {
						y = y*1.0000001 + 1
					}
					x[0] = float32(y)
				}
			case "error":
				return errors.New("no space left on the disk of this rank")
			default:
				return exit.Usagef("mode %q", mode)
			}
		}
		if mode == "compute" && i == 6 {
			return nil
		}
		if err := g.AllSum(x, heap{}); err != nil {
			return err
		}
		for i := range x {
			x[i] /= float32(g.Size())
		}
	}
}

func timeoutOf() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("TIMEOUT"))
	return d
}

// sum runs every operation; rank 0 prints the digest of the tree.
func sum(g *comm.Group) error {
	n, units := 200000, 16
	if s := os.Getenv("NUMBERS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	a := comm.NewAdder(comm.Even(units, g.Size(), 1), g.Rank(), n, heap{})
	out := make([]float32, n)
	for range 2 {
		from, to := comm.Even(units, g.Size(), 1).Of(g.Rank())
		for u := from; u < to; u++ {
			a.Take(u, leaf(u, n), float64(u))
		}
		loss, err := a.Finish(g, out, nil)
		if err != nil {
			return err
		}
		if loss != float64(units*(units-1)/2) {
			return fmt.Errorf("loss %v", loss)
		}
	}
	if err := same(g, "the tree", out); err != nil {
		return err
	}
	if g.Rank() == 0 {
		fmt.Printf("tree %s\n", digest(out))
	}
	x := leaf(g.Rank(), 1000)
	if err := g.AllSum(x, heap{}); err != nil {
		return err
	}
	if err := same(g, "sums", x); err != nil {
		return err
	}
	text, err := g.Broadcast(min(1, g.Size()-1), fmt.Appendf(nil, "%s%d", strings.Repeat("x", 100000), g.Rank()))
	if err != nil {
		return err
	}
	if !strings.HasSuffix(string(text), fmt.Sprintf("x%d", min(1, g.Size()-1))) {
		return fmt.Errorf("broadcast: %.20q…", text)
	}
	// Two groups side by side, each on goroutines of its own.
	half := g.Size() / 2
	var low, high []int
	for r := range g.Size() {
		if r < half {
			low = append(low, r)
		} else {
			high = append(high, r)
		}
	}
	list := low
	if g.Rank() >= half {
		list = high
	}
	s1, s2 := g.Sub(list), g.Sub(list)
	errs := make(chan error)
	for _, s := range []*comm.Group{s1, s2} {
		go func() {
			for range 5 {
				all, err := s.Gather(binary.AppendVarint(nil, int64(g.Rank())))
				if err == nil && len(all) != len(list) {
					err = fmt.Errorf("%d ranks of %d", len(all), len(list))
				}
				for r, b := range all {
					if v, _ := binary.Varint(b); err == nil && int(v) != list[r] {
						err = fmt.Errorf("rank %d says %d", list[r], v)
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	return errors.Join(<-errs, <-errs)
}
