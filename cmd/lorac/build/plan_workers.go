package build

import (
	"fmt"
	"io"
	"strings"
	"time"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/ir"
	"lorac/kernels"
	rt "lorac/runtime"
	"lorac/runtime/comm"
	"lorac/runtime/microbatch"
	"lorac/runtime/sys/human"
)

// Workers is what a job takes of each process when several share it.
type Workers struct {
	Processes int              `json:"processes"`
	Units     []int            `json:"units"` // process i computes those from [i] up to [i+1]
	Data      bool             `json:"from_data"`
	Balance   float64          `json:"balance"` // mean load by largest load, the mean of it over the steps
	Least     float64          `json:"balance_least"`
	Steps     int              `json:"balance_steps"`
	Rows      float64          `json:"rows"`   // of a process and step, on average
	Tokens    float64          `json:"tokens"` // the same
	Most      float64          `json:"tokens_largest"`
	FLOPs     float64          `json:"flops"`         // of a process and step, on average
	Largest   float64          `json:"flops_largest"` // of the process that has most to do
	Trained   int              `json:"numbers_exchanged"`
	Sent      int64            `json:"bytes_sent"`     // of a process and step, at most
	Received  int64            `json:"bytes_received"` // the same
	Ring      int64            `json:"bytes_of_a_ring"`
	Sums      int              `json:"memory_of_sums"`
	Memory    int              `json:"memory"` // of a process
	Rate      float64          `json:"rate"`   // FLOPs a second of a process
	RateFrom  string           `json:"rate_from"`
	Forecasts []WorkerForecast `json:"forecasts"`

	toOwners int64
	rounds   int
	mesh     Mesh // of processes that share rows
	length   int  // of rows, where no data say it
}

// WorkerForecast is the step over a network.
type WorkerForecast struct {
	Network string  `json:"network"`
	Bytes   float64 `json:"bytes_per_second"`
	Delay   float64 `json:"delay_seconds"`
	cost.Forecast
}

// workers counts what a process takes. tokens is the length of rows where no data say
// it; 0: as long as they can be.
func (p *Plan) workers(s Source, t Target, m *ir.Module, tokens int) error {
	if s.From == "" {
		if c, _ := config.Load(s.Config, s.Overrides); c != nil { // what is wrong with it was shown
			t.complete(c)
		}
	}
	j, err := codegen.Job(m)
	if err != nil {
		return err
	}
	mesh := ofRows(m.Mesh.All())
	n := max(t.Processes/mesh.wide(), 1) // that have other rows
	w := &Workers{Processes: t.Processes, Trained: trained(m), Units: comm.Even(microbatch.UnitsOf(&j.Devices), n, 1), Sums: rt.SumBytes(j, trained(m), n), Memory: p.Total, mesh: mesh}
	if p.Ascend != nil {
		w.Memory = p.Ascend.HostBytes
	}
	f := cost.RowFLOPsOf(m)
	if w.Data = t.Runs && t.hasData(j); w.Data {
		j.RunMode, j.LoadCheckpoint = t.Mode, t.Weights
		b, err := rt.BalanceOf(j, t.Args, n)
		if err != nil {
			return err
		}
		w.loads(&b, f)
	} else {
		w.length, _ = m.Setting("seq_length").(int)
		if tokens > 0 {
			w.length = min(w.length, tokens)
		}
		w.same(p.Rows, f)
	}
	w.wires(rt.SumWires(j, w.Trained, n))
	if shards := mesh.shards(); shards > 1 && n > shards { // what is summed in all is gathered in each group
		more := int64(4 * w.Trained / shards * (shards - 1))
		w.Sent, w.Received = w.Sent+more, w.Received+more
	}
	p.Workers = w
	if w.Processes > 1 && p.Ascend == nil && s.From == "" {
		return p.chosen(s, t, m, mesh)
	}
	return nil
}

// chosen is the mesh of the processes, and what it was chosen from.
func (p *Plan) chosen(s Source, t Target, m *ir.Module, mesh Mesh) error {
	p.Mesh, p.one = mesh.text(t.Processes), m
	if len(mesh) > 0 {
		c, _ := config.Load(s.Config, s.Overrides) // what is wrong with it was shown
		if c == nil {
			return nil
		}
		r, err := compiler.Compile(c, nil)
		if err != nil {
			return err
		}
		p.one = r.Module
	}
	p.meshes = func(tokens int, rate float64, l cost.Link) ([]MeshForecast, error) {
		return t.meshes(p.one, tokens, rate, l)
	}
	return nil
}

// loads takes the loads from an epoch of the data.
func (w *Workers) loads(b *microbatch.Balance, f cost.RowFLOPs) {
	steps := float64(max(b.Steps, 1))
	all := steps * float64(w.lanes())
	w.Balance, w.Least, w.Steps = b.Mean(), b.Least, b.Steps
	w.Rows, w.Tokens, w.Most = float64(b.All.Rows)/all, float64(b.All.Tokens)/all, float64(b.Largest.Tokens)/steps
	w.FLOPs, w.Largest = f.Of(rowsOf(b.All))/all, f.Of(rowsOf(b.Largest))/steps
}

// rowsOf is a load as its cost depends on it.
func rowsOf(l microbatch.Load) cost.Rows {
	return cost.Rows{Tokens: float64(l.Tokens), Targets: float64(l.Targets), Squares: float64(l.Squares), Cross: float64(l.Cross)}
}

// same takes rows of one length: the loads differ where they cannot be divided evenly.
func (w *Workers) same(rows int, f cost.RowFLOPs) {
	lanes := w.lanes()
	units := w.Units[lanes]
	most := 0
	for i := range lanes { // a unit has as many rows as another, or one more
		n := (w.Units[i+1] - w.Units[i]) * (rows / units)
		most = max(most, n+min(w.Units[i+1]-w.Units[i], rows%units))
	}
	w.Rows = float64(rows) / float64(lanes)
	w.Tokens, w.Most = w.Rows*float64(w.length), float64(most*w.length)
	one := f.Of(cost.Same(1, w.length))
	w.FLOPs, w.Largest = w.Rows*one, float64(most)*one
	w.Balance = w.Rows / float64(most)
	w.Least = w.Balance
}

// wires takes the bytes of the process that sends or receives most.
func (w *Workers) wires(list []comm.Wire) {
	for _, x := range list {
		w.Sent, w.Received = max(w.Sent, x.Sent), max(w.Received, x.Received)
		w.toOwners, w.rounds = max(w.toOwners, x.ToOwners), x.Rounds
	}
	lanes := int64(w.lanes())
	w.Ring = int64(8*w.Trained) * (lanes - 1) / lanes
}

// links are those of a forecast where none is named.
var links = []string{"1GbE", "10GbE", "25GbE", "100GbE"}

// Forecast adds the time of a step over each link; none: over some usual ones. rate is
// the FLOPs a second that a process keeps up; 0: as many as this machine is measured to
// do, or a card does at best.
func (p *Plan) Forecast(rate float64, over []cost.Link, threads int) {
	w := p.Workers
	switch {
	case rate > 0:
		w.Rate, w.RateFrom = rate, "--rate"
	case p.Ascend != nil:
		w.Rate, w.RateFrom = p.FLOPs/p.Ascend.Seconds, "the roofline of a step: at best"
	default:
		w.Rate, w.RateFrom = measureRate(threads)
	}
	if len(over) == 0 {
		for _, name := range links {
			l, _ := cost.ParseLink(name)
			over = append(over, l)
		}
	}
	if w.Processes == 1 {
		over = []cost.Link{{Name: "none"}}
	}
	tokens := int(w.Tokens / max(w.Rows, 1e-9))
	for _, l := range over {
		wire := 0.0
		if w.Processes > 1 {
			wire = l.Exchange(max(w.Sent, w.Received), w.toOwners, w.rounds)
		}
		f := cost.ForecastOf(w.FLOPs, w.Largest, w.Rate, wire)
		if len(w.mesh) > 0 && p.one != nil {
			step, err := meshStep(p.one, tokens)
			if err != nil {
				break
			}
			f = cost.MeshForecast(p.one, &ir.Mesh{Axes: w.mesh.whole(w.Processes)}, step, w.Rate, l)
		}
		w.Forecasts = append(w.Forecasts, WorkerForecast{l.Name, l.Bytes(), l.Delay.Seconds(), f})
	}
	if p.meshes != nil {
		if list, err := p.meshes(tokens, w.Rate, over[0]); err == nil {
			p.Meshes = list
		}
	}
}

// measureRate is what a product of matrices does here, which a step mostly consists of.
func measureRate(threads int) (rate float64, from string) {
	if threads == 0 {
		threads = DefaultThreads()
	}
	k := kernels.New(min(threads, DefaultThreads()))
	defer k.Close()
	const rows, width, times = 256, 1024, 20
	x, y, m := kernels.NewMat(rows, width), kernels.NewMat(rows, width), kernels.NewMat(width, width)
	for i := range x.Data {
		x.Data[i] = float32(i%13) - 6
	}
	for i := range m.Data {
		m.Data[i] = float32(i%7) - 3
	}
	w := m.Weight()
	least := time.Duration(1 << 62) // what else runs here is not part of it
	for range times {
		start := time.Now()
		k.MatMulNT(y, x, w)
		least = min(least, max(time.Since(start), 1))
	}
	return 2 * rows * width * width / least.Seconds(), fmt.Sprintf("measured: the fastest of %d products of matrices here, %s", times, human.Count(k.Threads(), "thread"))
}

// Print writes it for people.
func (w *Workers) Print(out io.Writer, p *Plan) {
	lanes := w.lanes()
	units := w.Units[lanes]
	fmt.Fprintf(out, "\n%s for %s: a step is %s: %s\n", processes(w.Processes), human.Count(p.Devices, "device"), human.Count(units, "unit"), w.owners())
	if len(w.mesh) > 0 {
		how := ""
		if n := w.mesh.wide(); n > 1 {
			how = fmt.Sprintf("%d processes share each row; what follows is of the one that has most, rows and sums of gradients those of the %d together", n, n)
		}
		if n := w.mesh.shards(); n > 1 {
			how = strings.TrimPrefix(how+fmt.Sprintf("; each of %d has a share of the optimizer's states", n), "; ")
		}
		fmt.Fprintf(out, "  mesh %s: %s\n", p.Mesh, how)
	}
	if w.Data {
		fmt.Fprintf(out, "  balance: mean load %.2f of the largest (mean of the %s of an epoch; the least is %.2f)\n", w.Balance, human.Count(w.Steps, "step"), w.Least)
		fmt.Fprintf(out, "  a process computes %s and %s tokens a step on average, %s tokens where it has most\n", trim(w.Rows), human.Thousands(int(w.Tokens+0.5)), human.Thousands(int(w.Most+0.5)))
	} else {
		fmt.Fprintf(out, "  a process computes %s a step on average; no data are given, so each is taken to have %s, all supervised\n", trim(w.Rows), human.Count(w.length, "token"))
	}
	fmt.Fprintf(out, "  %s, %s where it has most\n", cost.FLOPs(w.FLOPs), cost.FLOPs(w.Largest))
	if w.Processes > 1 {
		fmt.Fprintf(out, "  a process sends at most %s bytes a step and receives %s (a ring: %s)\n", human.Thousands(int(w.Sent)), human.Thousands(int(w.Received)), human.Thousands(int(w.Ring)))
	}
	fmt.Fprintf(out, "  memory of each process: %s, of which sums take %s\n", human.Bytes(w.Memory), human.Bytes(w.Sums))
	fmt.Fprintf(out, "\nforecast, each process on a machine of its own at %.4g GFLOP/s (%s); nothing is computed while bytes are on the wire:\n", w.Rate/1e9, w.RateFrom)
	fmt.Fprintf(out, "  %-16s %12s %12s %12s %12s\n", "network", "compute s", "wire s", "step s", "efficiency")
	for _, f := range w.Forecasts {
		fmt.Fprintf(out, "  %-16s %12s %12s %12s %12.3f\n", f.Network, seconds(f.Compute), seconds(f.Wire), seconds(f.Step), f.Efficiency)
	}
}

// owners says who computes the units.
func (w *Workers) owners() string {
	lanes := w.lanes()
	least, most := w.Units[lanes], 0
	var list []string
	for i := range lanes {
		from, to := w.Units[i], w.Units[i+1]
		least, most = min(least, to-from), max(most, to-from)
		switch {
		case to == from:
			list = append(list, "none")
		case to == from+1:
			list = append(list, fmt.Sprint(from))
		default:
			list = append(list, fmt.Sprintf("%d-%d", from, to-1))
		}
	}
	switch {
	case lanes == 1 && w.Processes == 1:
		return "it computes all"
	case lanes == 1:
		return "together they compute all"
	case least == 0:
		return fmt.Sprintf("%d of the processes have nothing to compute; --units %d divides it further, which changes roundings", idle(w.Units), microbatch.Units(w.Processes))
	case lanes <= 16 && lanes < w.Processes:
		return "by group " + strings.Join(list, " | ")
	case lanes <= 16:
		return "by process " + strings.Join(list, " | ")
	case least == most:
		return fmt.Sprintf("%d for each process", most)
	}
	return fmt.Sprintf("%d or %d for each process", least, most)
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

// idle counts the processes without a unit.
func idle(units []int) (n int) {
	for i := range len(units) - 1 {
		if units[i] == units[i+1] {
			n++
		}
	}
	return n
}

// trim is a number of rows, whole where it is.
func trim(n float64) string {
	if n == float64(int(n)) {
		return human.Count(int(n), "row")
	}
	return fmt.Sprintf("%.2f rows", n)
}

func seconds(s float64) string {
	if s >= 1000 {
		return human.Thousands(int(s + 0.5))
	}
	return fmt.Sprintf("%.3g", s)
}

// lanes is how many processes, or groups that share each row, have rows of their own.
func (w *Workers) lanes() int { return max(w.Processes/w.mesh.wide(), 1) }
