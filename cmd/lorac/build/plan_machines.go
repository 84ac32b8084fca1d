package build

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	rt "lorac/runtime"
	"lorac/runtime/sys/human"
)

// Machine is one that a run may be done on, and what the run takes there.
type Machine struct {
	Name    string  `json:"name"`
	Rate    float64 `json:"rate"` // FLOPs a second
	Memory  int     `json:"memory"`
	Seconds float64 `json:"seconds"` // at least
	Lacks   int     `json:"lacks"`   // bytes of memory; 0: it fits
}

// ParseMachine reads NAME=GFLOP/s,MEMORY, as server=900,64GiB.
func ParseMachine(text string) (m Machine, err error) {
	wrong := fmt.Errorf("must be NAME=GFLOP/s,MEMORY, as server=900,64GiB")
	name, rest, ok := strings.Cut(text, "=")
	rate, memory, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || name == "" {
		return m, wrong
	}
	gflops, err := strconv.ParseFloat(rate, 64)
	if err != nil || !(gflops > 0) || math.IsInf(gflops, 0) {
		return m, wrong
	}
	n, err := rt.ParseBytes(memory)
	if err != nil {
		return m, fmt.Errorf("%v; %v", err, wrong)
	}
	return Machine{Name: name, Rate: gflops * 1e9, Memory: int(n)}, nil
}

// On adds what the run takes on other machines.
func (p *Plan) On(list []Machine) {
	for _, m := range list {
		m.Seconds = (p.Run.FLOPs + p.Run.EvalFLOPs) / m.Rate
		m.Lacks = max(p.Total-m.Memory, 0)
		p.Run.Machines = append(p.Run.Machines, m)
	}
}

// printMachines writes the table.
func (r *RunPlan) printMachines(out io.Writer) {
	if len(r.Machines) == 0 {
		return
	}
	fmt.Fprintf(out, "\n  %-24s %14s %14s %14s\n", "machine", "GFLOP/s", "memory", "at least")
	for _, m := range r.Machines {
		note := "fits"
		if m.Lacks > 0 {
			note = fmt.Sprintf("lacks %s: --mem_limit %s", human.Bytes(m.Lacks), strings.ReplaceAll(human.Bytes(m.Memory), " ", ""))
		}
		fmt.Fprintf(out, "  %-24s %14.4g %14s %14s  %s\n", human.Line(m.Name), m.Rate/1e9, human.Bytes(m.Memory), lasting(m.Seconds), note)
	}
}
