package launch

import (
	"fmt"
	"strconv"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/runtime/comm"
	"lorac/runtime/sys/human"
)

// OnCards has a job of so many devices run on the NPUs of this host, one process a device,
// from card first on of those that there are. Where there are fewer cards, each computes
// for several devices; the result is the same. --workers says how many are used. Under
// an MPI launcher there are the processes that it started. Trained says that the run
// trains: nothing else is shared.
func (p *Processes) OnCards(c *Call, devices, first, cards int, trains bool) error {
	switch {
	case p.Rank != nil:
		if p.Over != "" {
			p.Over = "hccl"
		}
		return nil
	case p.hosts > 0:
		return cli.Usage("the launch line (%s) is for several hosts, whose NPUs lorac does not start by itself\n  = help: start it on all of them by an MPI launcher: mpirun -n %d --map-by ppr:%d:node lorac finetune …", p.line.By, p.line.Workers, p.line.Local)
	}
	n := min(max(devices, 1), max(cards-first, 1))
	if !trains {
		n = 1
	}
	if c.Workers > 0 {
		n = c.Workers
	}
	if n > cards-first && n > 1 {
		return cli.Usage("--workers %d: needs as many cards, and there are %d from card %d on\n  = help: fewer give the same result", n, max(cards-first, 0), first)
	}
	p.Over, p.N, p.Local, p.text = "", n, n, ""
	if n == 1 {
		if devices > 1 {
			p.text = fmt.Sprintf("one, on card %d", first)
		}
		if devices > 1 && trains { // the same program as for several cards
			p.Over = "hccl"
			p.text = fmt.Sprintf("one, on card %d, which does the work of %d devices with the same result", first, devices)
		}
		return nil
	}
	p.Over, p.first = "hccl", first
	p.text = fmt.Sprintf("%d, on the cards %d to %d", n, first, first+n-1)
	if devices != n {
		p.text += fmt.Sprintf(", which do the work of %s with the same result", human.Count(devices, "device"))
	}
	return nil
}

// startsCards reports whether lorac itself starts the processes.
func (p *Processes) startsCards() bool { return p.Rank == nil && p.Over == "hccl" && p.N > 1 }

// cardArgs are the arguments of a process whose card the environment names.
func cardArgs(args []string) (out []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--device_id" {
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}

// cardEnv is the environment of the process of a card: without what a launcher left for
// this one.
func cardEnv(env []string, more ...string) (out []string) {
	for _, e := range withCommand(env) {
		name, _, _ := strings.Cut(e, "=")
		if name != "DEVICE_ID" && name != "LORAC_LAUNCH" && !strings.HasPrefix(name, "LORAC_HUB") && !comm.IsMark(name) {
			out = append(out, e)
		}
	}
	return append(out, more...)
}

func deviceID(n int) string { return "DEVICE_ID=" + strconv.Itoa(n) }
