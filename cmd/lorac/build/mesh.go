package build

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"lorac/cmd/lorac/cli"
	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/ir"
	rt "lorac/runtime"
	"lorac/runtime/microbatch"
	"lorac/runtime/sys/human"
)

// Mesh is how processes share each row of a step, and the optimizer's states: the axes that
// change the program. nil where nothing says it. Processes that divide the rows do not
// change it.
type Mesh []ir.Axis

// MeshOf reads --mesh, of the processes on all hosts. The number of them on each follows
// from it; one that --workers says, too, must be the same.
func MeshOf(text string, workers *int, hosts int) (Mesh, error) {
	if text == "" {
		return nil, nil
	}
	axes, err := compiler.ParseMesh(text)
	if err != nil {
		return nil, cli.Usage("--mesh: %w", err)
	}
	n := (&ir.Mesh{Axes: axes}).Size()
	switch {
	case n%hosts != 0:
		return nil, cli.Usage("--mesh %s is of %d processes, which %d hosts cannot divide", text, n, hosts)
	case *workers > 0 && *workers*hosts != n:
		return nil, cli.Usage("--mesh %s is of %d processes, --workers says %d", text, n, *workers*hosts)
	}
	*workers = n / hosts
	return ofRows(axes), nil
}

// ofRows leaves the rows out, which may leave nothing: the user said it.
func ofRows(axes []ir.Axis) Mesh {
	return slices.DeleteFunc(append(Mesh{}, axes...), func(a ir.Axis) bool { return a.Name == ir.Data || a.N == 1 })
}

// text is the mesh of so many processes, as users write it.
func (m Mesh) text(processes int) string {
	return compiler.MeshText(m.whole(processes))
}

// whole is the mesh of so many processes with those that divide the rows.
func (m Mesh) whole(processes int) []ir.Axis {
	axes := append([]ir.Axis(nil), m...)
	if n := processes / m.wide() / m.shards(); n > 1 || len(m) == 0 {
		axes = append([]ir.Axis{{Name: ir.Data, N: n}}, axes...)
	}
	return axes
}

// shards is how many processes have shares of the optimizer's states.
func (m Mesh) shards() int { return (&ir.Mesh{Axes: m}).Axis(ir.Optimizer) }

// wide is how many processes share each row.
func (m Mesh) wide() int {
	mesh := &ir.Mesh{Axes: m}
	return mesh.Axis(ir.Stage) * mesh.Axis(ir.Model)
}

// MeshForecast is a mesh that processes could have, with the step that is forecast.
type MeshForecast struct {
	Mesh string `json:"mesh"`
	cost.Forecast
	axes Mesh
}

// The forecast by which lorac chooses is one for all machines, so that hosts agree: of
// processes that compute at this rate, over memory or over a network.
const (
	meshRate = 1e12
	meshHere = "40Gbit/s:5us"
	meshNet  = "10GbE"
)

// meshStep is a step of the job of a module, with rows of so many tokens; 0: as long as
// they can be.
func meshStep(m *ir.Module, tokens int) (cost.MeshStep, error) {
	j, err := codegen.Job(m)
	if err != nil {
		return cost.MeshStep{}, err
	}
	step := cost.MeshStep{Tokens: tokens, Rows: j.Batch().Rows(), Units: microbatch.Units(max(j.Devices.Count, 1)), Wires: func(n int) (bytes, toOwners int64, rounds int) {
		for _, w := range rt.SumWires(j, trained(m), n) {
			bytes, toOwners, rounds = max(bytes, w.Sent, w.Received), max(toOwners, w.ToOwners), w.Rounds
		}
		return bytes, toOwners, rounds
	}}
	if tokens == 0 {
		step.Tokens, _ = m.Setting("seq_length").(int)
	}
	return step, nil
}

// meshes are those that processes can have, the fastest first; of two as fast, the one
// that shares less of a row. m is the module of one process.
func (t *Target) meshes(m *ir.Module, tokens int, rate float64, l cost.Link) ([]MeshForecast, error) {
	step, err := meshStep(m, tokens)
	if err != nil {
		return nil, err
	}
	var out []MeshForecast
	for _, axes := range compiler.Meshes(m, t.Processes) {
		out = append(out, MeshForecast{compiler.MeshText(axes), cost.MeshForecast(m, &ir.Mesh{Axes: axes}, step, rate, l), axes})
	}
	slices.SortStableFunc(out, func(a, b MeshForecast) int { return cmp.Compare(a.Step, b.Step) })
	return out, nil
}

// network is over which processes are taken to meet.
func (t *Target) network() cost.Link {
	name := meshNet
	if t.Local >= t.Processes {
		name = meshHere
	}
	l, err := cost.ParseLink(name)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return l
}

// chooses reports whether the processes of the job may have another mesh than rows: the
// user named none, and several train on processors.
func (t *Target) chooses() bool {
	return t.Mesh == nil && t.Processes > 1 && t.Over != "" && t.Ascend == nil && (t.Mode == "finetune" || t.Mode == "train")
}

// asked is the mesh of a config that asks for tensor parallelism: the fastest. Its bits
// are those of its model axis, so that no other config gets one. Where a whole model trains
// and the config asks for it, processes have shares of the optimizer's states.
func (t *Target) asked(c *config.Config, facts *compiler.Target) (Mesh, error) {
	shares := c.Parallel.Optimizer.V && c.LoRA == nil
	if !t.chooses() || c.Parallel.Model.V <= 1 && !shares {
		return nil, nil
	}
	one, err := compiler.Compile(c, &compiler.Target{Base: facts.Base, Blocks: facts.Blocks})
	if err != nil {
		return nil, err
	}
	if c.Parallel.Model.V <= 1 {
		mesh := Mesh{{Name: ir.Optimizer, N: t.Processes}}
		if compiler.Fits(one.Module, mesh) != nil { // the optimizer reads whole tensors
			return nil, nil
		}
		t.why = "the config has enable_parallel_optimizer: True, and a whole model trains"
		return mesh, nil
	}
	list, err := t.meshes(one.Module, 0, meshRate, t.network())
	if err != nil || len(list) == 0 {
		return nil, err
	}
	t.why = fmt.Sprintf("the config has model_parallel: %d, and this is the fastest by forecast", c.Parallel.Model.V)
	mesh := ofRows(list[0].axes)
	for i := range mesh {
		mesh[i].Tokens = c.Parallel.Tokens.V && mesh[i].Name == ir.Model
	}
	return mesh, nil
}

// shared is the mesh with shares of the optimizer's states for all that divide the rows; none
// where one has all rows.
func (m Mesh) shared() (out Mesh) {
	if (&ir.Mesh{Axes: m}).Axis(ir.Data) == 1 {
		return nil
	}
	for _, a := range m {
		if a.Name == ir.Data {
			a.Name = ir.Optimizer
		}
		out = append(out, a)
	}
	return out
}

// smaller compiles for a mesh whose processes take less memory each, where the one that
// was tried takes too much: rows first, then layers in turn, which keep the bits, then
// parts of layers; each with whole states of the optimizer, then with shares of them. It returns the first error where none fits. Hosts that differ in memory
// must not choose differently: a limit is the same on all.
func (t *Target) smaller(c *config.Config, facts *compiler.Target, first error) (*compiler.Result, error) {
	var short *compiler.Shortfall
	if !t.chooses() || !errors.As(first, &short) || t.Limit == 0 && t.Local < t.Processes {
		return nil, first
	}
	list, err := t.meshes(short.Module, 0, meshRate, t.network())
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b MeshForecast) int {
		parts := func(x MeshForecast) int { return min((&ir.Mesh{Axes: x.axes}).Axis(ir.Model), 2) }
		return cmp.Compare(parts(a), parts(b))
	})
	for _, x := range list {
		for _, mesh := range []Mesh{ofRows(x.axes), x.axes.shared()} {
			if len(mesh) == 0 {
				continue
			}
			facts.Mesh = mesh
			r, err := compiler.Compile(c, facts)
			if err == nil {
				t.why = fmt.Sprintf("each process that has whole layers of all would need %s, there are %s", human.Bytes(short.Process.Total), human.Bytes(short.Limit))
				return r, nil
			}
		}
	}
	facts.Mesh = nil
	return nil, first
}

// sayMesh says what was chosen.
func (t *Target) sayMesh(r *compiler.Result) {
	if r != nil && t.why != "" {
		fmt.Fprintf(os.Stderr, "mesh: %s: %s; --mesh names another\n", ofRows(r.Module.Mesh.All()).text(t.Processes), t.why)
	}
}

// mostMeshes is how many a plan lists.
const mostMeshes = 8

// PrintMeshes lists what else the processes could be.
func (p *Plan) PrintMeshes(out io.Writer) {
	if len(p.Meshes) < 2 {
		return
	}
	fmt.Fprintf(out, "\nmeshes of these processes (--mesh), by forecast over %s; dp, os and pp keep every bit, mp rounds otherwise:\n", p.Workers.Forecasts[0].Network)
	for _, x := range p.Meshes[:min(len(p.Meshes), mostMeshes)] {
		mark := ""
		if x.Mesh == p.Mesh {
			mark = "  this one"
		}
		fmt.Fprintf(out, "  %-20s step %10s s, efficiency %.3f%s\n", x.Mesh, seconds(x.Step), x.Efficiency, mark)
	}
}
