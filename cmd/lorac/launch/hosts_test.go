//go:build unix

package launch

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"lorac/cmd/lorac/cli"
	"lorac/runtime/exit"
	"lorac/runtime/sys/signals"
)

// host is a host of a job of two.
func host(t *testing.T, rank, port int) *Processes {
	return &Processes{perHost: 1, hosts: 2, line: Launch{By: "msrun", Workers: 8, Local: 4, MasterAddr: "127.0.0.1", MasterPort: port, NodeRank: rank}}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Hosts that do not come, and those that do not fit, are named on both sides.
func TestGather(t *testing.T) {
	port := freePort(t)
	_, err := host(t, 0, port).gather(50*time.Millisecond, false)
	if exit.Code(err) != exit.Failed || !strings.Contains(err.Error(), "1 of 2 hosts have arrived at 127.0.0.1:") || !strings.Contains(err.Error(), "NODE_RANK 1 is missing") {
		t.Errorf("alone: %v", err)
	}
	if nodes, err := host(t, 0, port).gather(50*time.Millisecond, true); err != nil || len(nodes) != 0 {
		t.Errorf("left alone: %v, %d hosts", err, len(nodes))
	}
	for rank, want := range map[int]string{0: "another host has NODE_RANK 0, too", 1: "it has MPICH 9.9, the first host 4.0.2"} {
		first, second := host(t, 0, port), host(t, rank, port)
		first.launcher.Version, second.launcher.Version = "4.0.2", "4.0.2"
		if rank == 1 {
			second.launcher.Version = "9.9"
		}
		refused := make(chan error, 1)
		go func() {
			j := &job{dir: t.TempDir()}
			refused <- second.follow(j, nil, time.Minute)
		}()
		nodes, err := first.gather(time.Minute, false)
		for _, n := range nodes {
			n.conn.Close()
		}
		if exit.Code(err) != exit.Input || !strings.Contains(err.Error(), want) {
			t.Errorf("host %d: %v", rank, err)
		}
		if err := <-refused; exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "the first host refuses this one: "+want) {
			t.Errorf("host %d refused: %v", rank, err)
		}
	}
	if err := host(t, 1, port).follow(&job{dir: t.TempDir()}, nil, 50*time.Millisecond); exit.Code(err) != exit.Failed || !strings.Contains(err.Error(), "the first host does not answer") {
		t.Errorf("no first host: %v", err)
	}
}

// A number that no host of the line has is refused at once.
func TestHostNumber(t *testing.T) {
	c := &Call{Launch: Launch{By: "msrun", Workers: 16, Local: 8, MasterAddr: "127.0.0.1", MasterPort: 8118, NodeRank: 2, Hosts: true}}
	if _, err := c.Processes(); !cli.IsUsage(err) && exit.Code(err) != exit.Input || err == nil {
		t.Errorf("host 2 of 2: %v", err)
	} else if cli.IsUsage(err) && !strings.Contains(err.Error(), "they are numbered from 0 to 1") {
		t.Error(err)
	}
}

// Hosts are counted up where their workers do not divide the job evenly, and those that
// meet have the last word.
func TestUnevenHosts(t *testing.T) {
	for _, c := range []struct{ workers, local, hosts, last int }{{16, 8, 2, 1}, {16, 5, 4, 11}, {7, 3, 3, 4}, {8, 8, 1, 0}, {5, 4, 2, 1}, {16, 1, 16, 15}} {
		l := Launch{Workers: c.workers, Local: c.local, Hosts: true}
		if l.HostCount() != c.hosts || l.lastHost() != c.last {
			t.Errorf("%d workers, %d here: %d hosts up to number %d, not %d up to %d", c.workers, c.local, l.HostCount(), l.lastHost(), c.hosts, c.last)
		}
	}
	port := freePort(t)
	first := host(t, 0, port)
	first.line.Workers, first.line.Local = 16, 5
	for rank, local := range map[int]int{1: 4, 2: 7} {
		other := host(t, rank, port)
		other.line.Workers, other.line.Local = 16, local
		go other.follow(&job{dir: t.TempDir()}, nil, 10*time.Second) //nolint:errcheck // it is left alone
	}
	nodes, err := first.gather(10*time.Second, false)
	if err != nil || len(nodes) != 2 || first.workersOf(nodes) != "5, 4, 7" {
		t.Errorf("%d hosts besides, %v", len(nodes), err)
	}
	for _, n := range nodes {
		n.conn.Close()
	}
}

// How a run ended is told to the other hosts as it is.
func TestOutcomes(t *testing.T) {
	for text, code := range map[string]int{"exit 0": 0, "exit 1": 1, "exit 3": 3, "signal 15": 15, "signal -1": 0} {
		err := parseOutcome(text)
		var ended *signals.Ended
		var e cli.Exit
		got := 0
		switch {
		case errors.As(err, &e):
			got = e.Code
		case errors.As(err, &ended):
			got = 15
		}
		if got != code || code != 0 && outcomeOf(err) != text {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What launchers say of the process that they lost.
func TestLost(t *testing.T) {
	for text, want := range map[string]lost{
		"mpirun noticed that process rank 2 with PID 0 on node vm exited on signal 9 (Killed).":                {rank: 2, host: "vm", signal: 9},
		"  Process name: [[1325,1],3]\n  Exit code:    7\n":                                                    {rank: 3, code: 7},
		"=   PID 24088 RUNNING AT vm\n=   EXIT CODE: 9\nTERMINATED WITH THE EXIT STRING: Killed (signal 9)\n":  {rank: -1, pid: 24088, host: "vm", code: 9, signal: 9},
		"=   RANK 2 PID 4711 RUNNING AT vm\n=   KILLED BY SIGNAL: 9 (Killed)\n":                                {rank: 2, pid: 4711, host: "vm", signal: 9},
		"mpirun has exited due to process rank 1 with PID 0 on\nnode vm exiting improperly. There are three r": {rank: 1, host: "vm"},
	} {
		if got, ok := lostOf(text); !ok || got != want {
			t.Errorf("%q is %+v, want %+v", text, got, want)
		}
	}
	if l, ok := lostOf("mpirun: all is well"); ok {
		t.Errorf("%+v", l)
	}
}
