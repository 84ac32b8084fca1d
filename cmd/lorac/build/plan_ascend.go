package build

import (
	"fmt"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/compiler/cost"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/kernels"
	"lorac/kernels/ascend"
	"lorac/runtime/sys/human"
)

// AscendPlan is what a job takes on an Ascend device.
type AscendPlan struct {
	SoC       string          `json:"soc"`
	Cubes     int             `json:"cubes"`
	Vectors   int             `json:"vectors"`
	Memory    []cost.Part     `json:"memory"`
	Bytes     int             `json:"memory_total"`
	HBM       int             `json:"memory_of_device"`
	Host      []cost.Part     `json:"memory_of_host"` // what the driver takes comes on top
	HostBytes int             `json:"memory_of_host_total"`
	Launches  int             `json:"launches"`
	Update    int             `json:"launches_of_update"`
	Seconds   float64         `json:"seconds"` // of a step of one micro-batch, at best
	Peak      float64         `json:"peak_flops"`
	Bandwidth float64         `json:"bandwidth"`
	Calls     []cost.CallTime `json:"calls"`
	Saved     []cost.Saving   `json:"saved"`
}

// DefaultSoC is the device that plans are for where none is named or found.
const DefaultSoC = "910b3"

// CardOf is the device of a name, as plans take it.
func CardOf(soc string) (*passes.Ascend, error) {
	if soc == "" {
		soc = DefaultSoC
	}
	s, ok := cost.SoCOf(soc)
	if !ok {
		return nil, cli.Usage("--soc %s: is none of %s", soc, strings.Join(cost.SoCNames(), ", "))
	}
	return &passes.Ascend{SoC: s.Name, Cubes: s.Cubes, Vectors: s.Vectors, HBM: s.HBM}, nil
}

// SpeedOf is what is known of a card's kind, with the cores and the memory that it has.
func SpeedOf(card *passes.Ascend) (cost.SoC, error) {
	soc, ok := cost.SoCOf(card.SoC)
	if !ok {
		return soc, fmt.Errorf("the device is %s, whose speed is not known; name a like one with --soc: %s", card.SoC, strings.Join(cost.SoCNames(), ", "))
	}
	soc.Cubes, soc.Vectors, soc.HBM = card.Cubes, card.Vectors, card.HBM
	return soc, nil
}

// ascendPlan is PlanOf for a module of a device, as a dump may be of, too.
func ascendPlan(m *ir.Module, card *passes.Ascend, tokens int, complete *ir.Module, use cost.Use) (*Plan, error) {
	if card == nil {
		card, _ = CardOf("")
	}
	env := cost.LargestMicroBatch(m)
	switch {
	case tokens > env["T"]:
		return nil, cli.Usage("--tokens %d: a micro-batch takes at most %d", tokens, env["T"])
	case tokens > 0:
		env = ir.Env{"T": tokens, "S": tokens, "N": 1}
	}
	p := &Plan{Config: human.Line(m.Source), Tokens: env["T"]}
	if err := p.batch(m); err != nil {
		return nil, err
	}
	p.Limit, _ = m.Setting("memory.limit").(int)
	p.Choice, _ = m.Setting("memory.choice").(string)
	p.count(m)
	var unpruned []ir.Work
	if complete != nil {
		unpruned = cost.Work(cost.Root(complete), env)
	}
	p.flops(unpruned, cost.Work(cost.Root(m), env))
	return p, p.onAscend(m, env, card, use)
}

// scratchOn is the workspace of the kernels on a device.
func scratchOn(card *passes.Ascend) func(z cost.KernelSizes) int {
	return func(z cost.KernelSizes) int {
		return ascend.ScratchBytes(kernels.Sizes(z), max(1, min(card.Cubes, card.Vectors/2)))
	}
}

// onAscend adds what a module for a device takes there.
func (p *Plan) onAscend(m *ir.Module, env ir.Env, card *passes.Ascend, use cost.Use) error {
	soc, err := SpeedOf(card)
	if err != nil {
		return err
	}
	s := cost.StepOn(m, env, soc)
	a := &AscendPlan{SoC: soc.Name, Cubes: soc.Cubes, Vectors: soc.Vectors, HBM: soc.HBM, Launches: s.Launches, Update: s.Update,
		Seconds: s.Seconds, Peak: soc.Peak(), Bandwidth: soc.Bandwidth(), Calls: s.Calls, Saved: s.Saved}
	a.Memory, a.Bytes = cost.MemoryOn(m, scratchOn(card), use.Sums)
	a.Host, a.HostBytes = cost.HostOf(m, use, device(false))
	p.Ascend = a
	return nil
}

// Print writes the plan of the device for people.
func (a *AscendPlan) Print(tokens int) {
	fmt.Printf("memory of Ascend %s (%d cube and %d vector cores):\n", a.SoC, a.Cubes, a.Vectors)
	row := func(name string, n int) {
		fmt.Printf("  %-52s %14s bytes %10.1f MiB\n", name, human.Thousands(n), float64(n)/(1<<20))
	}
	for _, b := range a.Memory {
		row(b.Name, b.Bytes)
	}
	row(fmt.Sprintf("all, %.0f %% of the device's %s", 100*float64(a.Bytes)/float64(a.HBM), human.Bytes(a.HBM)), a.Bytes)
	fmt.Printf("\nmemory of the host, besides what the device's driver takes:\n")
	for _, b := range a.Host {
		row(b.Name, b.Bytes)
	}
	row("all", a.HostBytes)
	fmt.Printf("\na step of one micro-batch launches %s kernels, %d of them in the optimizer\n\n", human.Thousands(a.Launches), a.Update)
	most := a.Calls[0]
	for _, c := range a.Calls {
		most.FLOPs, most.Bytes = max(most.FLOPs, c.FLOPs), max(most.Bytes, c.Bytes)
	}
	flop, flopName := cost.FLOPUnit(most.FLOPs)
	byte, byteName := 1e9, "GB"
	if most.Bytes < 1e9 {
		byte, byteName = 1e6, "MB"
	}
	sec, secName := 1e-3, "ms"
	if a.Seconds < 0.01 {
		sec, secName = 1e-6, "µs"
	}
	fmt.Printf("  %-16s %8s %9s %10s %10s %10s %7s  %s\n", "call", "runs", "launches", flopName, byteName, secName, "share", "bound by")
	for _, c := range a.Calls {
		fmt.Printf("  %-16s %8d %9d %10.3f %10.3f %10.3f %6.1f%%  %s\n", c.Call, c.Runs, c.Launches, c.FLOPs/flop, c.Bytes/byte, c.Seconds/sec, 100*c.Share, c.Bound)
	}
	fmt.Printf("\na step takes at least %.1f %s, %s tokens a second: every call at %.1f TFLOP/s or %.1f TB/s, no forecast\n",
		a.Seconds/sec, secName, human.Thousands(int(float64(tokens)/a.Seconds)), a.Peak/1e12, a.Bandwidth/1e12)
	if host := float64(a.Launches) * launchSeconds; host > a.Seconds {
		fmt.Printf("its launches take the host longer, about %.1f %s: more rows a micro-batch cost little\n", host/sec, secName)
	}
	fmt.Printf("\nwhat fusions save of it, against a kernel for each part:\n")
	for _, s := range a.Saved {
		fmt.Printf("  %-52s %10.3f %s %10.3f %s %6.2f%%\n", s.Fusion, s.Bytes/byte, byteName, s.Seconds/sec, secName, 100*s.Share)
	}
}

// launchSeconds is what a launch takes the host, at a guess: twelve calls of the
// driver, which run ahead of the device.
const launchSeconds = 2e-6
