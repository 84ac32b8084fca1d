package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/convert"
	"lorac/compiler/cost"
	rt "lorac/runtime"
	"lorac/runtime/sys/human"
)

type planCmd struct {
	source
	baseFlags
	Tokens  *int     `help:"Live tokens of a micro-batch (default: those of the largest of the data, or the most one takes)." placeholder:"N"`
	Data    string   `name:"train_dataset_dir" help:"Training data, for the rows a micro-batch will have." placeholder:"PATH"`
	Trainer []string `name:"trainer" hidden:"" sep:"none" help:"Flags of the trainer (keysAsSet)."`
	GFLOPS  *float64 `name:"gflops" help:"GFLOP/s of the machine, for the time of the run (default: those of a product of matrices here)." placeholder:"GFLOP/s"`
	Machine []string `sep:"none" help:"Another machine to do the run on, NAME=GFLOP/s,MEMORY, as server=900,64GiB; may be given several times." placeholder:"MACHINE"`
	JSON    bool     `help:"For programs."`
	workersFlags
	deviceFlags
	socFlag
}

// workersFlags ask what a job takes when processes share it.
type workersFlags struct {
	Workers *int     `help:"Processes that share the job: what each computes, sends and takes, and how long a step will be." placeholder:"N"`
	Mesh    string   `help:"How they share the work: dp=2,mp=4 (default: as finetune would choose)." placeholder:"MESH"`
	Network []string `help:"The network between them: 10GbE, 100Mbit/s, 1Gbit/s:30ms with the delay of one direction (default: some usual ones)." placeholder:"RATE"`
	Rate    *float64 `help:"GFLOP/s that a process keeps up (default: those of a product of matrices here)." placeholder:"GFLOP/s"`

	mesh build.Mesh
}

// links are the networks; none are right without processes.
func (f *workersFlags) links() (list []cost.Link, err error) {
	switch {
	case f.Workers != nil && (*f.Workers < 1 || *f.Workers > mostWorkers):
		return nil, cli.Usage("--workers %d: must be a whole number from 1 to %d", *f.Workers, mostWorkers)
	case f.Workers == nil && len(f.Network) > 0:
		return nil, cli.Usage("--network %s: goes with --workers", f.Network[0])
	case f.Workers == nil && f.Rate != nil:
		return nil, cli.Usage("--rate %v: goes with --workers", *f.Rate)
	case f.Rate != nil && !(*f.Rate > 0 && *f.Rate < 1e12):
		return nil, cli.Usage("--rate %v: must be GFLOP/s above 0", *f.Rate)
	}
	for _, text := range f.Network {
		l, err := cost.ParseLink(text)
		if err != nil {
			return nil, cli.Usage("--network %s: %v", text, err)
		}
		list = append(list, l)
	}
	return list, nil
}

// mostWorkers is more processes than a job has devices for.
const mostWorkers = 1 << 16

// Run prints the plan.
func (c *planCmd) Run() error {
	tokens := 0
	if c.Tokens != nil {
		if tokens = *c.Tokens; tokens < 1 {
			return cli.Usage("--tokens %d: must be a whole number from 1 up", tokens)
		}
	}
	switch {
	case c.GFLOPS == nil:
	case !(*c.GFLOPS > 0 && *c.GFLOPS < 1e12):
		return cli.Usage("--gflops %v: must be GFLOP/s above 0", *c.GFLOPS)
	case c.Workers != nil || c.Mesh != "":
		return cli.Usage("--gflops %v is for the run of one process; --rate is that of each of several", *c.GFLOPS)
	}
	if c.Mesh != "" {
		if c.Workers == nil {
			c.Workers = new(int)
		}
		mesh, err := build.MeshOf(c.Mesh, c.Workers, 1)
		if err != nil {
			return err
		}
		c.mesh = mesh
	}
	var machines []build.Machine
	for _, text := range c.Machine {
		m, err := build.ParseMachine(text)
		if err != nil {
			return cli.Usage("--machine %s: %v", text, err)
		}
		machines = append(machines, m)
	}
	links, err := c.links()
	if err != nil {
		return err
	}
	base, err := c.base()
	if err != nil {
		return err
	}
	s, err := c.source.source()
	if err != nil {
		return err
	}
	s.Base = base
	args, err := convert.ReadableRows(configOf(s), c.args())
	if err != nil {
		return err
	}
	t := build.Target{}
	if err := t.Read(args); err != nil {
		return err
	}
	d, err := c.choose(s)
	if err != nil {
		return err
	}
	t.For(d)
	t.Mesh = c.mesh
	if c.Workers != nil {
		if t.Processes = *c.Workers; t.Processes > 1 && t.Ascend == nil {
			t.Over, t.Local = "mpi", t.Processes
		}
	}
	p, err := build.PlanOf(s, t, tokens)
	if err != nil {
		return err
	}
	p.Device = d.String()
	if p.Workers != nil {
		rate := 0.0
		if c.Rate != nil {
			rate = *c.Rate * 1e9
		}
		p.Forecast(rate, links, t.Threads)
	}
	if p.Run != nil {
		rate := 0.0
		if c.GFLOPS != nil {
			rate = *c.GFLOPS * 1e9
		}
		p.TimeRun(rate, t.Threads)
		p.On(machines)
	} else if len(machines) > 0 {
		return cli.Usage("--machine %s: what a run takes follows from its data; give --train_dataset_dir", c.Machine[0])
	} else if c.GFLOPS != nil {
		return cli.Usage("--gflops %v: the time of a run follows from its data; give --train_dataset_dir", *c.GFLOPS)
	}
	slow := build.SlowPaths(configOf(s), d, &t)
	for _, x := range slow {
		p.Slow = append(p.Slow, x.String())
	}
	if c.JSON {
		return printJSON(p)
	}
	fmt.Println(d)
	if c.Workers != nil && *c.Workers > 1 {
		fmt.Printf("processes: %d\n", *c.Workers)
	} else {
		sayProcesses(os.Stdout, p.Devices)
	}
	printSlow(os.Stdout, slow)
	printPlan(p)
	return nil
}

// choose is the device that the plan is for.
func (c *planCmd) choose(s build.Source) (*build.Device, error) {
	dump, err := s.ForAscend()
	if err != nil {
		return nil, err
	}
	if c.Device != "ascend" && !dump {
		if err := c.unused(); err != nil {
			return nil, err
		}
	}
	f := c.flags(c.SoC)
	f.Read(c.Trainer)
	f.Device, f.Dump = c.Device, dump
	return build.ChooseDevice(configOf(s), f, false)
}

// args are the flags of the plan as those of the trainer that it is about.
func (c *planCmd) args() []string {
	args := []string{"--run_mode", "finetune"}
	add := func(name, value string) {
		if value != "" {
			args = append(args, "--"+name, value)
		}
	}
	add("load_checkpoint", c.Weights)
	add("auto_trans_ckpt", c.Trans)
	add("src_strategy_path_or_dir", c.Layout)
	add("base_config", c.Ignore)
	if c.Limit > 0 {
		add("mem_limit", fmt.Sprint(int(c.Limit)))
	}
	args = append(args, c.Trainer...)
	add("train_dataset_dir", c.Data)
	return args
}

func printPlan(p *build.Plan) {
	fmt.Printf("%s, a step of %d live tokens\n", p.Config, p.Tokens)
	fmt.Printf("%s\n\n", p.Batch)
	fmt.Printf("parameters %s, trainable %s\n\n", human.Thousands(p.Parameters), human.Thousands(p.Trainable))
	unit, name := cost.FLOPUnit(max(p.Unpruned, p.FLOPs))
	row := func(what string, columns ...any) {
		format := "%14.4f"
		if _, title := columns[0].(string); title {
			format = "%14s"
		}
		if !p.Pruned() {
			columns = columns[1:] // the gradients of everything are in no dump of after
		}
		fmt.Printf("%-18s"+strings.Repeat(" "+format, len(columns))+"\n", append([]any{what}, columns...)...)
	}
	row(name, "unpruned", "a step")
	for _, g := range p.Step {
		row("  "+g.Group, g.Unpruned/unit, g.FLOPs/unit)
	}
	row("  total", p.Unpruned/unit, p.FLOPs/unit)
	if p.Ascend != nil {
		fmt.Println()
		p.Ascend.Print(p.Tokens)
		printAfter(p)
		return
	}
	fmt.Printf("\na step takes %s", cost.FLOPs(p.FLOPs))
	if p.Pruned() {
		fmt.Printf("; before pruning %s (and %s for the adapters)", cost.FLOPs(p.BaseOnly), cost.FLOPs(p.Unpruned-p.BaseOnly))
	}
	fmt.Print("\n\n")
	for _, b := range p.Bytes {
		fmt.Printf("  %-52s %12s bytes %10.1f MiB\n", b.Name, human.Thousands(b.Bytes), float64(b.Bytes)/(1<<20))
	}
	fmt.Printf("  %-52s %12s bytes %10.1f MiB\n", "peak resident memory", human.Thousands(p.Total), float64(p.Total)/(1<<20))
	if p.Choice != "" {
		fmt.Printf("\nfor --mem_limit %s: %s\n", human.Bytes(p.Limit), p.Choice)
	}
	printAfter(p)
}

// printAfter says what of a plan does not depend on what computes.
func printAfter(p *build.Plan) {
	if p.Here != nil {
		printMemory(p.Here)
	}
	if p.Run != nil {
		p.Run.Print(os.Stdout)
	}
	if p.Workers != nil {
		p.Workers.Print(os.Stdout, p)
		p.PrintMeshes(os.Stdout)
	}
}

// printMemory says what this machine has and what a run on it would do.
func printMemory(m *build.Memory) {
	size := func(n int) string {
		if n <= 1 { // 0 is not known
			return "nothing"
		}
		return human.Bytes(n)
	}
	fmt.Printf("\nthis machine: %s (%s), %s free (%s)\n", size(m.Limit), m.LimitFrom, size(m.Free), m.FreeFrom)
	switch {
	case m.Refused != "":
		fmt.Printf("warning: a run here would be refused: %s\n", m.Refused)
	case m.Fit != "":
		fmt.Printf("a run here would recompute, with the same result: %s\n", m.Fit)
	}
}

// printSlow says what will be slow on this machine.
func printSlow(out io.Writer, list []rt.Slow) {
	for _, s := range list {
		if fmt.Fprintln(out, s); s.Refused() {
			fmt.Fprintln(out, "  = note: a run here is refused, unless --allow_slow True asks for it")
		}
	}
}
