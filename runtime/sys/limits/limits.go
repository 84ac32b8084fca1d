// Package limits says how much memory and how many processors this process may use,
// and what says so: the machine, the control groups it is in (of a container, of a
// batch system, of systemd; versions 1 and 2), its ulimits and its affinity. Linux
// alone says it in files; elsewhere nothing is known.
package limits

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Bound is a number of bytes or processors and what sets it.
type Bound struct {
	N    int    // 0: none is known
	From string // "memory.max of control group /pod", …
}

// Nothing reports whether a bound leaves a program no memory to speak of.
func (b Bound) Nothing() bool { return b.N > 0 && b.N < 1<<20 }

// least is the smaller bound of two, the first of equal ones.
func (b Bound) least(c Bound) Bound {
	if b.N == 0 || c.N != 0 && c.N < b.N {
		return c
	}
	return b
}

// System is where the files are.
type System struct{ root string }

// Here is this machine.
func Here() System { return System{"/"} }

// At is a tree of files in place of /proc and /sys.
func At(root string) System { return System{root} }

// read is a file, "" where it cannot be read: what nobody can know is no bound.
func (s System) read(path ...string) string {
	text, err := os.ReadFile(filepath.Join(s.root, filepath.Join(path...)))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Memory is what a process may take.
type Memory struct {
	Limit Bound // bytes, whatever else runs
	Free  Bound // bytes of them that others do not hold now
}

// Memory reads the least of all bounds: what the machine has (MemTotal and
// MemAvailable of proc(5)), what the control groups allow, each with those it is
// in, and the ulimits on address space and data.
func (s System) Memory() Memory {
	m := Memory{
		Limit: Bound{s.meminfo("MemTotal:"), "the memory of the machine"},
		Free:  Bound{s.meminfo("MemAvailable:"), "the free memory of the machine"},
	}
	for _, g := range s.groups("memory") {
		limit, used := g.memory(s)
		if limit.N == 0 {
			continue
		}
		m.Limit = m.Limit.least(limit)
		free := max(limit.N-max(used-s.own(), 0), 1)
		m.Free = m.Free.least(Bound{free, limit.From})
	}
	for _, u := range ulimits {
		if n := s.ulimit(u.name); n > 0 {
			b := Bound{max(n-u.unused, 1), u.from}
			m.Limit, m.Free = m.Limit.least(b), m.Free.least(b)
		}
	}
	return m
}

// meminfo is a line of /proc/meminfo in bytes.
func (s System) meminfo(name string) int { return kilobytes(s.read("proc/meminfo"), name) }

// own is what this process holds itself: it is gone when a trainer takes its place.
func (s System) own() int { return kilobytes(s.read("proc/self/status"), "RssAnon:") }

func kilobytes(text, name string) int {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.Atoi(f[0])
				return max(n, 0) << 10
			}
		}
	}
	return 0
}

// ulimits bound mappings, of which Go makes some that it never uses, as was
// measured. The kernel does not enforce the one on resident memory.
var ulimits = []struct {
	name, from string
	unused     int
}{
	{"Max address space", "ulimit -v, less the 1.2 GiB of address space that Go reserves", 1200 << 20},
	{"Max data size", "ulimit -d, less the 70 MiB that Go reserves", 70 << 20},
}

// ulimit is a soft limit of /proc/self/limits, 0 for none.
func (s System) ulimit(name string) int {
	for line := range strings.Lines(s.read("proc/self/limits")) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				return amount(f[0])
			}
		}
	}
	return 0
}

// amount reads a bound; what stands for none ("max", "unlimited", −1 and the
// numbers that no machine reaches) is 0.
func amount(text string) int {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n >= 1<<60 {
		return 0
	}
	return max(int(n), 1)
}

// count reads a number of bytes that are used, 0 for what is none.
func count(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// Processors is how many threads of this process run at once: the processors that
// it may use, or the share of their time that the control groups leave it, rounded
// up.
func (s System) Processors() Bound {
	b := Bound{cpuList(field(s.read("proc/self/status"), "Cpus_allowed_list:")), "the affinity of the process (taskset, cpuset)"}
	for _, g := range s.groups("cpuset") {
		b = b.least(g.cpuset(s))
	}
	for _, g := range s.groups("cpu") {
		b = b.least(g.quota(s))
	}
	return b
}

// Online is how many processors the machine has, 0 where it does not say.
func (s System) Online() int { return cpuList(s.read("sys/devices/system/cpu/online")) }

func field(text, name string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// cpuList counts the processors of a list as 0-3,8 (cpuset(7)); 0 for none and for
// what is no list.
func cpuList(text string) (n int) {
	if text == "" {
		return 0
	}
	for _, part := range strings.Split(text, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(lo)
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(hi)
		}
		if err != nil || from < 0 || to < from || to > 1<<20 {
			return 0
		}
		n += to - from + 1
	}
	return n
}

// HugePages is how the system gives transparent huge pages (always, madvise, never;
// "" for none), and whether this process is cut off from them.
func (s System) HugePages() (mode string, disabled bool) {
	_, rest, _ := strings.Cut(s.read("sys/kernel/mm/transparent_hugepage/enabled"), "[")
	mode, _, _ = strings.Cut(rest, "]")
	return mode, field(s.read("proc/self/status"), "THP_enabled:") == "0"
}
