package comm

import (
	"fmt"
	"os"
	"slices"
	"time"
	"unsafe"

	"lorac/runtime/exit"
)

// Options are how a group behaves. All ranks state the same.
type Options struct {
	// Timeout is how long a rank may give no sign of life; 0: 60 s. Each rank sends
	// signs from a goroutine of its own, so neither a long step nor a wait is a
	// fault; a stopped or unreachable process is one. So is a job in which every
	// rank has waited for twice that time and nothing has arrived anywhere.
	Timeout time.Duration
	// Fault is told what is wrong before the job is aborted with exit.Failed, on the
	// rank that found it; nil: it is printed on standard error. It may be called from any goroutine.
	Fault func(error)
	// Vectors is the engine that vectors are sent by, where they are in a memory that the
	// transport cannot read; nil: the same.
	Vectors Transport
}

// DefaultTimeout is the timeout of Options without one.
const DefaultTimeout = 60 * time.Second

// Group is ranks that talk to each other. Its operations are collective: every rank of
// the group calls the same ones in the same order, one at a time. Goroutines that talk
// at the same time have a group each (Sub).
//
// An operation waits as long as the others need. It returns an error when a transfer
// fails or a rank is lost; the job cannot continue then, and Abort is the way out.
type Group struct {
	m     *monitor
	id    int
	rank  int
	ranks []int // of the world
	peers []int // the other ranks of this group
	sums  *stage
}

// Tags of a group's own messages; those below are for users. Each operation has its own,
// so that no message of one is taken for another's where ranks do not do the same.
const (
	userTags   = 16
	tagScatter = 15 + iota
	tagGather
	tagBeat
	tagSmall
	tagSpread
	tagBarrier
	tagsOfOne = 32
)

// New is the world: all ranks of a transport. All of them call it. From then on they
// watch each other.
func New(t Transport, o Options) (*Group, error) {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Fault == nil {
		o.Fault = func(err error) { fmt.Fprintf(os.Stderr, "error: %v\n", err) }
	}
	if o.Vectors == nil {
		o.Vectors = t
	}
	g := &Group{m: newMonitor(t, o), rank: t.Rank()}
	for r := range t.Size() {
		g.ranks = append(g.ranks, r)
	}
	if err := g.m.start(); err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	all, err := g.Gather(fmt.Appendf(nil, "%s\x00%d", host, os.Getpid()))
	if err != nil {
		return nil, err
	}
	g.m.setHosts(all)
	return g, nil
}

// Rank is this process's number in the group.
func (g *Group) Rank() int { return g.rank }

// Size is the number of ranks.
func (g *Group) Size() int { return len(g.ranks) }

// World is the number that a rank of the group has in the world.
func (g *Group) World(rank int) int { return g.ranks[rank] }

// Host is the name of the machine of a rank.
func (g *Group) Host(rank int) string { return g.m.host(g.ranks[rank]).name }

// Name is the engine, for people.
func (g *Group) Name() string { return g.m.t.Name() }

// Sub is a group of some ranks of g, in the order of the list. All ranks of the world
// call Sub the same number of times in the same order, those that are not in the list
// too: they get nil. Ranks may name different lists, of which no two share a rank.
func (g *Group) Sub(ranks []int) *Group {
	g.m.groups++
	s := &Group{m: g.m, id: g.m.groups, rank: slices.Index(ranks, g.rank)}
	if (s.id+1)*tagsOfOne > MaxTag {
		panic("BUG: too many groups")
	}
	if s.rank < 0 {
		return nil
	}
	for _, r := range ranks {
		s.ranks = append(s.ranks, g.ranks[r])
	}
	return s
}

// Exchange starts transfers with ranks of the group and waits for all of them. Tags
// are 0 to 15. A transfer may be of any length.
func (g *Group) Exchange(list []Transfer) error {
	f, err := g.Begin(list)
	if err != nil {
		return err
	}
	return f.Wait()
}

// Begin is Exchange that does not wait. Other operations may come before these are done.
func (g *Group) Begin(list []Transfer) (*Flight, error) {
	for _, x := range list {
		if x.Tag < 0 || x.Tag >= userTags {
			panic(fmt.Sprintf("BUG: tag %d", x.Tag))
		}
	}
	return g.start(0, list)
}

func (g *Group) exchange(tag int, list []Transfer) error {
	f, err := g.start(tag, list)
	if err != nil {
		return err
	}
	return f.Wait()
}

// most bytes of a transfer are started as one: what arrives is the sign of progress.
const most = 8 << 20

// start begins transfers; tag is added to theirs.
func (g *Group) start(tag int, list []Transfer) (*Flight, error) {
	return g.startOver(g.m.t, tag, list)
}

// startVectors is start of parts of vectors.
func (g *Group) startVectors(tag int, list []Transfer) (*Flight, error) {
	return g.startOver(g.m.o.Vectors, tag, list)
}

func (g *Group) startOver(t Transport, tag int, list []Transfer) (*Flight, error) {
	f := &Flight{g: g, with: list}
	if g.m.lost() != nil {
		return nil, g.m.aborted()
	}
	for at, more := 0, len(list) > 0; more; at += most {
		more = false
		var world []Transfer
		for _, x := range list {
			if x.Peer < 0 || x.Peer >= len(g.ranks) || x.Peer == g.rank {
				panic(fmt.Sprintf("BUG: a transfer of rank %d of %d with rank %d", g.rank, len(g.ranks), x.Peer))
			}
			if at > 0 && at >= x.Bytes {
				continue
			}
			more = more || x.Bytes > at+most
			x.Peer = g.ranks[x.Peer]
			x.Tag += tag + g.id*tagsOfOne
			x.Data = unsafe.Add(x.Data, at)
			x.Bytes = min(x.Bytes-at, most)
			world = append(world, x)
		}
		p, err := t.Start(world)
		if err != nil {
			return nil, g.failed(list, err)
		}
		f.parts = append(f.parts, p)
	}
	return f, nil
}

// Flight is transfers under way. Its memory is kept, and where it is, until they are done.
type Flight struct {
	g     *Group
	parts []Pending
	with  []Transfer
}

// Done reports whether they are done, and does not wait.
func (f *Flight) Done() (bool, error) {
	for _, p := range f.parts {
		if done, err := p.Wait(0); err != nil {
			return false, f.g.failed(f.with, err)
		} else if !done {
			return false, nil
		}
	}
	return true, nil
}

// Wait returns when they are done, when one failed, or when a rank is lost.
func (f *Flight) Wait() error {
	m, waits := f.g.m, false
	for _, p := range f.parts {
		done, err := p.Wait(0)
		if !done && err == nil && !waits {
			waits = true
			m.waitsFor.Store(int64(f.g.ranks[f.with[0].Peer]))
			m.waits.Add(1)
			defer m.waits.Add(-1)
		}
		for !done && err == nil {
			if m.lost() != nil {
				return m.aborted()
			}
			done, err = p.Wait(100 * time.Millisecond)
		}
		if err != nil {
			return f.g.failed(f.with, err)
		}
		m.moved.Add(1)
	}
	return nil
}

// failed is the error of a transfer with some ranks.
func (g *Group) failed(with []Transfer, err error) error {
	if err == nil {
		return nil
	}
	if g.m.lost() != nil {
		return g.m.aborted()
	}
	var peers []int
	for _, x := range with {
		if r := g.ranks[x.Peer]; !slices.Contains(peers, r) {
			peers = append(peers, r)
		}
	}
	slices.Sort(peers)
	if len(peers) == 1 {
		return exit.Failedf("rank %s cannot talk to rank %s: %w", g.m.who(g.ranks[g.rank]), g.m.who(peers[0]), err)
	}
	return exit.Failedf("rank %s cannot talk to the other ranks: %w", g.m.who(g.ranks[g.rank]), err)
}

// Abort ends all processes of the job at once. Under some launchers it alone does
// and keeps the code.
func (g *Group) Abort(code int) { g.m.t.Abort(code) }

// Close leaves in order. All ranks of the world call it; it returns when all have.
func (g *Group) Close() error {
	if err := g.Barrier(); err != nil {
		return err
	}
	if err := g.m.leave(); err != nil {
		return err
	}
	return g.m.t.Close()
}

// Exit is Close and the end of the process, with a code that all ranks state. Where
// not all arrive it aborts the job.
func (g *Group) Exit(code int) {
	if err := g.Close(); err != nil {
		g.m.fail(err)
		return
	}
	g.m.t.Exit(code)
}
