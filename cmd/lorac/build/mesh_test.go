package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/ir"
)

const meshYAML = `
run_mode: finetune
trainer: {model_name: m}
use_parallel: True
parallel: {parallel_mode: 1, full_batch: True}
parallel_config: {data_parallel: %d, model_parallel: %d}
runner_config: {batch_size: %d}
optimizer: {type: AdamW}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-2}
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 4096
    hidden_size: 4096
    num_layers: 3
    num_heads: 8
    vocab_size: 32000
    pet_config: {pet_type: lora, lora_rank: 3, lora_alpha: 6, target_modules: '.*wq|.*wv'}
`

// A config that asks for tensor parallelism gets the mesh that is the fastest: rows are
// divided where there are as many as processes. Others keep the bits of one process.
func TestMeshAsked(t *testing.T) {
	for want, job := range map[string][3]int{"dp=4": {4, 2, 2}, "dp=2,mp=2": {2, 2, 1}, "mp=4": {1, 4, 1}, "": {4, 1, 1}} {
		c, list := config.LoadBytes("m.yaml", fmt.Appendf(nil, meshYAML, job[0], job[1], job[2]), nil)
		if c == nil {
			t.Fatal(list)
		}
		target := Target{Processes: 4, Local: 4, Over: "mpi", Mode: "finetune"}
		mesh, err := target.asked(c, &compiler.Target{})
		if err != nil {
			t.Fatal(err)
		}
		if got := mesh.text(4); want != "" && got != want || want == "" && (mesh != nil || target.why != "") {
			t.Errorf("%v: %s, not %s", job, got, want)
		}
		if target.Mesh = (Mesh{}); target.chooses() {
			t.Error("the user's mesh does not count")
		}
	}
}

// A config that asks for shares of the optimizer's states gets them where a whole model trains,
// and one that asks for tokens to be divided gets that with the mesh.
func TestMeshAskedFor(t *testing.T) {
	text := fmt.Sprintf(meshYAML, 4, 1, 1)
	whole, _, _ := strings.Cut(text, "    pet_config:")
	shares := strings.NewReplacer("full_batch: True", "full_batch: True, enable_parallel_optimizer: True")
	tokens := strings.Replace(fmt.Sprintf(meshYAML, 1, 4, 1), "model_parallel: 4", "model_parallel: 4, use_seq_parallel: True", 1)
	for text, want := range map[string]string{shares.Replace(whole): "dp=4,os=4", shares.Replace(text): "", whole: "", strings.Replace(shares.Replace(whole), "AdamW", "Came", 1): "", tokens: "mp=4,sp=4"} {
		c, list := config.LoadBytes("m.yaml", []byte(text), nil)
		if c == nil {
			t.Fatal(list)
		}
		target := Target{Processes: 4, Local: 4, Over: "mpi", Mode: "finetune"}
		mesh, err := target.asked(c, &compiler.Target{})
		if err != nil {
			t.Fatal(err)
		}
		if got := mesh.text(4); want != "" && got != want || want == "" && mesh != nil {
			t.Errorf("%s, not %q:\n%s", got, want, text)
		}
	}
}

// --mesh is of the processes on all hosts.
func TestMeshOf(t *testing.T) {
	for _, c := range []struct {
		text           string
		workers, hosts int
		each           int
		mesh, err      string
	}{
		{"pp=2,dp=4,mp=1", 0, 1, 8, "dp=4,pp=2", ""},
		{"pp=2,dp=4", 0, 2, 4, "dp=4,pp=2", ""},
		{"pp=2,dp=4", 4, 2, 4, "dp=4,pp=2", ""},
		{"dp=2", 2, 1, 2, "dp=2", ""},
		{"pp=2,dp=4", 8, 2, 8, "", "of 8 processes, --workers says 16"},
		{"pp=3", 0, 2, 0, "", "which 2 hosts cannot divide"},
		{"cp=2", 0, 1, 0, "", "is no axis"},
		{"os=4", 0, 1, 4, "dp=4,os=4", ""},
		{"dp=8,os=4,pp=2", 0, 2, 8, "dp=8,os=4,pp=2", ""},
		{"dp=4,os=3", 0, 1, 0, "", "groups of 3 processes cannot divide the 4 of dp"},
	} {
		workers := c.workers
		mesh, err := MeshOf(c.text, &workers, c.hosts)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.text, err)
			}
			continue
		}
		if err != nil || workers != c.each || mesh == nil || mesh.text(workers*c.hosts) != c.mesh {
			t.Errorf("%+v: %v of %d, %v", c, mesh, workers, err)
		}
	}
}

// A plan says the mesh of its processes, what each takes, and what else they could be.
func TestPlanOfMesh(t *testing.T) {
	testkit.Slow(t, "passes")
	path := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, meshYAML, 4, 1, 2), 0o666); err != nil {
		t.Fatal(err)
	}
	plan := func(mesh string) *Plan {
		t.Helper()
		target := Target{Processes: 4, Local: 4, Over: "mpi"}
		if mesh != "" {
			var err error
			if target.Mesh, err = MeshOf(mesh, &target.Processes, 1); err != nil {
				t.Fatal(err)
			}
		}
		p, err := PlanOf(Source{Config: path}, target, 256)
		if err != nil {
			t.Fatal(err)
		}
		l, _ := cost.ParseLink("10GbE")
		p.Forecast(1e12, []cost.Link{l}, 1)
		return p
	}
	text, _, err := Dump(Source{Config: path}, Target{Mesh: Mesh{{Name: ir.Stage, N: 3}}}, "partition", "")
	if err != nil || !strings.Contains(text, "entry func step.2(") || !strings.Contains(text, "{axis=stage, by=1, bytes=") {
		t.Errorf("%v\n%s", err, text)
	}
	rows, staged := plan(""), plan("dp=2,pp=2")
	if rows.Mesh != "dp=4" || staged.Mesh != "dp=2,pp=2" || staged.Workers.Memory >= rows.Workers.Memory {
		t.Errorf("%s takes %d, %s %d", rows.Mesh, rows.Workers.Memory, staged.Mesh, staged.Workers.Memory)
	}
	if staged.Workers.Forecasts[0].Step <= rows.Workers.Forecasts[0].Step || len(rows.Meshes) != 5 || rows.Meshes[0].Mesh != "dp=4" {
		t.Errorf("%+v, %+v, %+v", staged.Workers.Forecasts, rows.Workers.Forecasts, rows.Meshes)
	}
	var out strings.Builder
	staged.Workers.Print(&out, staged)
	staged.PrintMeshes(&out)
	for _, want := range []string{"4 processes for 4 devices: a step is 4 units: by group 0-1 | 2-3\n", "  mesh dp=2,pp=2: 2 processes share each row", "  dp=2,pp=2            step "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// Where a process with all layers takes too much, the layers are divided: in turn before
// within, which rounds otherwise.
func TestMeshForMemory(t *testing.T) {
	testkit.Slow(t, "passes")
	c, list := config.LoadBytes("m.yaml", fmt.Appendf(nil, meshYAML, 4, 1, 1), nil)
	if c == nil {
		t.Fatal(list)
	}
	target := Target{Processes: 4, Over: "mpi", Mode: "finetune", Limit: 1400 << 20}
	facts := &compiler.Target{Use: &cost.Use{Mode: "finetune", Threads: 1, Env: ir.Env{"T": 64, "S": 64, "N": 1}}, Device: device(false), Limit: 1400 << 20}
	_, err := compiler.Compile(c, facts)
	r, err := target.smaller(c, facts, err)
	if err != nil {
		t.Fatal(err)
	}
	if got := ofRows(r.Module.Mesh.All()).text(4); got != "dp=2,pp=2" || !strings.Contains(target.why, "would need") {
		t.Errorf("%s: %s", got, target.why)
	}
	facts.Limit, facts.Mesh = 1<<20, nil
	_, short := compiler.Compile(c, facts)
	if _, err := target.smaller(c, facts, short); err != short || facts.Mesh != nil {
		t.Errorf("where no mesh suffices: %v", err)
	}
}
