package build

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/ir"
	rt "lorac/runtime"
	"lorac/runtime/comm"
	"lorac/runtime/data/dataset"
	keys "lorac/runtime/job"
	"lorac/runtime/microbatch"
	"lorac/runtime/sys/human"
)

var update = flag.Bool("update", false, "rewrite the tables in docs/distributed.md")

const (
	docRate   = 5e12 // FLOPs a second of a process
	docTokens = 232  // of a row of alpaca, on average
	docRows   = 2    // of a process
)

// tables are those of docs/distributed.md by name.
var tables = map[string]func(t *testing.T, models []*docModel) string{
	"data": dataTable, "balance": balanceTable, "tensor": tensorTable, "pipeline": pipelineTable, "memory": sumsTable, "shares": sharesTable,
}

// docModel is a config whose step is computed.
type docModel struct {
	name string
	m    *ir.Module
	job  *rt.Job
}

func docModels(t *testing.T) (list []*docModel) {
	for _, name := range []string{"7B", "70B"} {
		c, bad := config.Load("../../../configs/llama2/lora_llama2_"+strings.ToLower(name)+".yaml", nil)
		if bad.HasErrors() {
			t.Fatal(bad)
		}
		r, err := compiler.Compile(c, &compiler.Target{})
		if err != nil {
			t.Fatal(err)
		}
		j, err := codegen.Job(r.Module)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, &docModel{name, r.Module, j})
	}
	return list
}

// on is the job of so many devices.
func (d *docModel) on(devices int) *rt.Job {
	j := *d.job
	j.Devices = keys.Devices{Count: devices, Mode: "semi", FullBatch: true, Replicas: devices}
	return &j
}

func link(t *testing.T, name string) cost.Link {
	l, err := cost.ParseLink(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// row is a line of a table.
func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

func header(cells ...string) string {
	return row(cells...) + row(slices.Repeat([]string{"---"}, len(cells))...)
}

func share(x float64) string { return fmt.Sprintf("%.3f", x) }

// exchange is the forecast of a step over a link, and the bytes of a process.
func (d *docModel) exchange(ranks int, mean, most float64, l cost.Link) (cost.Forecast, int64) {
	w := &Workers{Processes: ranks, Trained: trained(d.m)}
	w.wires(rt.SumWires(d.on(ranks), w.Trained, ranks))
	return cost.ForecastOf(mean, most, docRate, l.Exchange(max(w.Sent, w.Received), w.toOwners, w.rounds)), w.Sent
}

func dataTable(t *testing.T, models []*docModel) string {
	nets := []string{"1GbE", "10GbE", "25GbE", "100GbE", "200GbE"}
	out := header(append([]string{"model", "processes", "MB sent by each", "compute s"}, nets...)...)
	for _, d := range models {
		flops := cost.RowFLOPsOf(d.m).Of(cost.Same(docRows, docTokens))
		for _, ranks := range []int{2, 3, 8, 16, 64, 256, 1024} {
			var cells []string
			for _, name := range nets {
				f, sent := d.exchange(ranks, flops, flops, link(t, name))
				if cells == nil {
					cells = []string{d.name, fmt.Sprint(ranks), fmt.Sprintf("%.1f", float64(sent)/1e6), fmt.Sprintf("%.2f", f.Compute)}
				}
				cells = append(cells, share(f.Efficiency))
			}
			out += row(cells...)
		}
	}
	return out
}

// alpacaSet is rows as long as those of alpaca, all supervised.
func alpacaSet(t *testing.T, n int) *dataset.Set {
	var b strings.Builder
	for _, m := range testkit.AlpacaLengths(n) {
		fmt.Fprintf(&b, "{\"input_ids\":[%s]}\n", strings.TrimSuffix(strings.Repeat("5,", m+1), ","))
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(path, dataset.Options{SeqLength: 1024, Vocab: 20, IgnoreID: -100})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func balanceTable(t *testing.T, models []*docModel) string {
	set := alpacaSet(t, 4096)
	defer set.Close()
	d := models[0]
	f := cost.RowFLOPsOf(d.m)
	out := header("processes", "rows of each", "steps", "mean load / largest", "in the worst step", "7B over 10GbE, with it")
	for _, ranks := range []int{2, 3, 8, 64, 1024} {
		for _, rows := range []int{1, 2, 4} {
			j := d.on(ranks)
			j.Seed, j.BatchSize, j.GradAccum, j.TrainData = 1, rows, 1, keys.Data{Shuffle: true, DropRemainder: true}
			batches := microbatch.NewBatcher(set, j)
			b, w := microbatch.Balance{}, &Workers{Processes: ranks}
			owns := comm.Even(microbatch.Units(ranks), ranks, 1)
			for step := range min(batches.StepsPerEpoch(), 64) {
				b.Add(batches, batches.Divide(step, ranks, false, microbatch.CostOf(&j.Model, j.Vocab)), owns)
			}
			w.loads(&b, f)
			all, _ := d.exchange(ranks, w.FLOPs, w.Largest, link(t, "10GbE"))
			out += row(fmt.Sprint(ranks), fmt.Sprint(rows), fmt.Sprint(w.Steps), fmt.Sprintf("%.2f", w.Balance), fmt.Sprintf("%.2f", w.Least), fmt.Sprintf("%.2f", all.Efficiency))
		}
	}
	return out
}

func tensorTable(t *testing.T, models []*docModel) string {
	nets := []string{"10GbE", "25GbE", "100GbE", "200GbE"}
	out := header(append([]string{"model", "mp", "GB sent by each"}, nets...)...)
	for _, d := range models {
		for _, n := range []int{2, 4, 8} {
			bytes, _ := cost.TensorBytes(d.m, n, 4096, false)
			cells := []string{d.name, fmt.Sprint(n), fmt.Sprintf("%.1f", bytes/1e9)}
			for _, name := range nets {
				cells = append(cells, share(cost.TensorForecast(d.m, n, 4096, docRate, link(t, name)).Efficiency))
			}
			out += row(cells...)
		}
	}
	return out
}

func pipelineTable(t *testing.T, models []*docModel) string {
	nets := []string{"100Mbit/s:30ms", "1GbE", "10GbE"}
	out := header(append([]string{"model", "pp", "micro-batches"}, nets...)...)
	for _, d := range models {
		for _, n := range []int{4, 8, 16} {
			for _, micro := range []int{2 * n, 8 * n} {
				cells := []string{d.name, fmt.Sprint(n), fmt.Sprint(micro)}
				for _, name := range nets {
					cells = append(cells, share(cost.PipelineForecast(d.m, n, micro, 4096, docRate, link(t, name)).Efficiency))
				}
				out += row(cells...)
			}
		}
	}
	return out
}

func sumsTable(_ *testing.T, models []*docModel) string {
	out := header("model", "numbers that train", "8 devices, 1 process", "8 devices, 2", "8 devices, 3", "8 devices, 8", "1024 devices, 1024")
	for _, d := range models {
		cells := []string{d.name, human.Thousands(trained(d.m))}
		for _, x := range [][2]int{{8, 1}, {8, 2}, {8, 3}, {8, 8}, {1024, 1024}} {
			cells = append(cells, human.Bytes(rt.SumBytes(d.on(x[0]), trained(d.m), x[1])))
		}
		out += row(cells...)
	}
	return out
}

// sharesTable is what the optimizer's states take where processes have shares of them, of
// adapters and of a model that trains whole.
func sharesTable(t *testing.T, models []*docModel) string {
	text, err := os.ReadFile("../../../configs/llama2/lora_llama2_7b.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "    pet_config:")
	_, after, _ := strings.Cut(rest, "  arch:")
	c, bad := config.LoadBytes("whole.yaml", []byte(before+"  arch:"+after), nil)
	if c == nil {
		t.Fatal(bad)
	}
	whole, err := compiler.Compile(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	counts := []int{1, 2, 4, 8, 64}
	head := []string{"what trains", "numbers", "MB sent by each of 8"}
	for _, n := range counts {
		head = append(head, processes(n))
	}
	out := header(head...)
	for _, x := range []struct {
		name string
		m    *ir.Module
	}{{"7B, adapters", models[0].m}, {"7B, all of it", whole.Module}} {
		sent := float64(8*trained(x.m)) * 7 / 8 / 1e6
		cells := []string{x.name, human.Thousands(trained(x.m)), fmt.Sprintf("%.1f", sent)}
		for _, n := range counts {
			cells = append(cells, human.Bytes(cost.StateBytes(x.m, n)))
		}
		out += row(cells...)
	}
	return out
}

// The tables of docs/distributed.md are what the model that is shipped computes.
func TestDistributedDoc(t *testing.T) {
	const file = "../../../docs/distributed.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, models := string(text), docModels(t)
	for name, table := range tables {
		begin := "<!-- computed: " + name + " -->\n"
		before, rest, ok := strings.Cut(doc, begin)
		old, after, closed := strings.Cut(rest, "<!-- end -->")
		if !ok || !closed {
			t.Errorf("%s has no table %q", file, name)
			continue
		}
		want := "\n" + table(t, models) + "\n"
		if old != want && !*update {
			t.Errorf("table %s of %s:\n%s\nthe model says\n%s\n-update rewrites it", name, file, old, want)
		}
		doc = before + begin + want + "<!-- end -->" + after
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(file, []byte(doc), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// What plan says of a config is what the tables say.
func TestPlanOfWorkers(t *testing.T) {
	models := docModels(t)
	p, err := PlanOf(Source{Config: "../../../configs/llama2/lora_llama2_7b.yaml"}, Target{Processes: 8, Over: "mpi"}, docTokens)
	if err != nil {
		t.Fatal(err)
	}
	p.Forecast(docRate, nil, 0)
	flops := cost.RowFLOPsOf(models[0].m).Of(cost.Same(docRows, docTokens))
	for _, f := range p.Workers.Forecasts {
		want, sent := models[0].exchange(8, flops, flops, link(t, f.Network))
		if math.Abs(f.Efficiency-want.Efficiency) > 1e-9 || p.Workers.Sent != sent {
			t.Errorf("%+v, want %+v", f, want)
		}
	}
	w := p.Workers
	if len(w.Forecasts) != len(links) || w.Rows != docRows || w.Tokens != docRows*docTokens || w.Balance != 1 || w.Sums == 0 || w.Memory != p.Total {
		t.Errorf("%+v", w)
	}
}
