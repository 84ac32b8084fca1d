package launch

import (
	"regexp"
	"strconv"
	"strings"

	"lorac/cmd/lorac/cli"
)

var (
	deviceRange = regexp.MustCompile(`^\[(\d{1,6}),(\d{1,6})\)?\]?$`)
	onlyDigits  = regexp.MustCompile(`^\d{1,6}$`)
)

// between is how many devices a range [from,to] of run_distribute.sh has, its end
// left out (MindFormers r1.0 scripts/run_distribute.sh); 0 for no range.
func between(text string) int {
	m := deviceRange.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	from, _ := strconv.Atoi(m[1])
	to, _ := strconv.Atoi(m[2])
	return max(to-from, 0)
}

// positional takes the arguments of msrun_launcher.sh after the command.
func (l *Launch) positional(own []string) (err error) {
	number := func(name, text string, least, most int) int {
		n, e := strconv.Atoi(text)
		if err == nil && (e != nil || n < least || n > most) {
			err = cli.Usage("%s must be a number from %d to %d, not %q", name, least, most, text)
		}
		return n
	}
	rest := func(own []string) { // what the forms with six and nine end in
		l.LogDir, l.Join, l.Timeout = own[0], strings.EqualFold(own[1], "true"), number("CLUSTER_TIME_OUT", own[2], 0, 1<<31-1)
	}
	workers := func() {
		if l.Workers = number("WORKER_NUM", own[0], 1, maxWorkers); err == nil {
			l.Local = l.Workers
		}
	}
	switch len(own) {
	case 0:
	case 1:
		workers()
	case 5:
		workers()
		l.MasterPort = number("MASTER_PORT", own[1], 0, 1<<16-1)
		rest(own[2:])
	case 8:
		workers()
		l.Local, l.MasterAddr, l.MasterPort = number("LOCAL_WORKER", own[1], 1, maxWorkers), own[2], number("MASTER_PORT", own[3], 0, 1<<16-1)
		l.NodeRank, l.Hosts = number("NODE_RANK", own[4], 0, maxWorkers), true
		rest(own[5:])
		if err == nil && l.Local > l.Workers {
			err = cli.Usage("LOCAL_WORKER is %d, more than WORKER_NUM %d", l.Local, l.Workers)
		}
	default:
		return cli.Usage("msrun_launcher.sh takes 1, 2, 6 or 9 arguments, not %d: %s", len(own)+1, launcherUse)
	}
	return err
}

// severalHosts reports whether the line is one of several that are started on a host
// each.
func (l *Launch) severalHosts() bool { return l.Hosts && l.Workers > l.Local }

// HostCount is the number of those hosts, if no other has more workers than this one; 1
// where the line is of one. Where they are uneven, only those that meet know.
func (l *Launch) HostCount() int {
	if !l.severalHosts() || l.Local < 1 {
		return 1
	}
	return (l.Workers + l.Local - 1) / l.Local
}

// lastHost is the greatest number that this host can have: where the others are like it,
// that of the last; where workers do not divide so, each of them has at least one.
func (l *Launch) lastHost() int {
	if l.Workers%l.Local == 0 {
		return l.HostCount() - 1
	}
	return l.Workers - l.Local
}

// noteLine says what of a line that tells more than a number of workers has no effect.
func (l *launch) noteLine(told bool) {
	switch {
	case !told:
	case l.line.severalHosts():
		l.notes = append(l.notes, l.line.By+": logs and join have no effect here")
	default:
		l.notes = append(l.notes, l.line.By+": addresses, ports, logs, join and timeout have no effect: one process does the work of all devices")
	}
}

const maxWorkers = 1 << 16

// msrun takes the flags of msrun, and returns what stands after them. Flags of
// msrun that concern binding, simulation and logs have no effect.
func (l *launch) msrun(args []string) (rest []string, err error) {
	line, told := defaults("msrun"), false
	line.LogDir, line.Timeout = "", 600
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, value, has := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
		args = args[1:]
		if !has && len(args) > 1 && !strings.HasPrefix(args[0], "-") && !strings.HasSuffix(args[0], ".py") && !interpreter.MatchString(args[0]) {
			value, args = args[0], args[1:]
		}
		number := func(to *int, least, most int) {
			n, e := strconv.Atoi(value)
			if e != nil || n < least || n > most {
				err = cli.Usage("msrun --%s must be a number from %d to %d, not %q", name, least, most, value)
			}
			*to = n
		}
		told = told || name != "worker_num" && name != "local_worker_num"
		switch name {
		case "worker_num":
			number(&line.Workers, 1, maxWorkers)
		case "local_worker_num":
			number(&line.Local, 1, maxWorkers)
		case "master_addr":
			line.MasterAddr = value
		case "master_port":
			number(&line.MasterPort, 0, 1<<16-1)
		case "node_rank":
			number(&line.NodeRank, -1, maxWorkers)
			line.Hosts = true
		case "log_dir":
			line.LogDir = value
		case "join":
			line.Join = strings.EqualFold(value, "true")
		case "cluster_time_out":
			number(&line.Timeout, 0, 1<<31-1)
		}
		if err != nil {
			return nil, err
		}
	}
	if l.line.By == "" {
		l.line = line
	}
	l.noteLine(told)
	return args, nil
}
