//go:build unix

package launch

import (
	"fmt"
	"regexp"
	"strconv"
	"syscall"
)

// lost is a process of which a launcher says how it ended.
type lost struct {
	rank   int // -1: it does not say
	pid    int // 0: it does not say
	host   string
	signal int
	code   int // where signal is 0
}

func (l lost) how() string {
	switch {
	case l.signal > 0:
		return "was ended by " + nameOf(syscall.Signal(l.signal))
	case l.code == 0:
		return "ended before the run was done"
	}
	return fmt.Sprintf("ended with code %d", l.code)
}

// What launchers say. Each has groups named after the fields of lost.
var sayings = []*regexp.Regexp{
	// Open MPI 4, 5
	regexp.MustCompile(`process rank (?P<rank>\d+) with PID \d+ on node (?P<host>\S+)[^.]*?exited\s+on\s+signal (?P<signal>\d+)`),
	regexp.MustCompile(`process rank (?P<rank>\d+) with PID \d+ on\s+node (?P<host>\S+) exiting improperly`),
	regexp.MustCompile(`Process name: \[.*,\s*(?P<rank>\d+)\][^\n]*\n\s*Exit code:\s+(?P<code>\d+)`),
	// Intel MPI
	regexp.MustCompile(`RANK (?P<rank>\d+) PID (?P<pid>\d+) RUNNING AT (?P<host>\S+)\s*\n=\s+KILLED BY SIGNAL: (?P<signal>\d+)`),
	regexp.MustCompile(`RANK (?P<rank>\d+) PID (?P<pid>\d+) RUNNING AT (?P<host>\S+)\s*\n=\s+EXIT STATUS: (?P<code>\d+)`),
	// MPICH, whose code is that of a shell or the signal
	regexp.MustCompile(`PID (?P<pid>\d+) RUNNING AT (?P<host>\S+)\s*\n=\s+EXIT CODE: (?P<code>\d+)`),
}

var bySignal = regexp.MustCompile(`EXIT STRING: .*\(signal (\d+)\)`)

// lostOf reads what a launcher said.
func lostOf(said string) (lost, bool) {
	for _, re := range sayings {
		m := re.FindStringSubmatch(said)
		if m == nil {
			continue
		}
		number := func(name string) int {
			if i := re.SubexpIndex(name); i >= 0 {
				n, _ := strconv.Atoi(m[i])
				return n
			}
			return 0
		}
		l := lost{rank: -1, pid: number("pid"), signal: number("signal"), code: number("code")}
		if re.SubexpIndex("rank") >= 0 {
			l.rank = number("rank")
		}
		if i := re.SubexpIndex("host"); i >= 0 {
			l.host = m[i]
		}
		if s := bySignal.FindStringSubmatch(said); s != nil {
			l.signal, _ = strconv.Atoi(s[1])
		}
		return l, true
	}
	return lost{}, false
}
