package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lorac/cmd/lorac/mpi"
	"lorac/cmd/test/mpitest"
	"lorac/compiler"
	"lorac/compiler/config"
)

// shared is a job of 8 devices for several processes: a config with its base and rows,
// and the adapter that one process comes to.
type shared struct {
	*tiny
	yaml string
	want string
}

// sharedSettings are of a job with everything that draws or remembers.
var sharedSettings = map[string]string{
	"devices":      "8",
	"use_parallel": "True",
	"model.model_config.pet_config.lora_dropout": "0.2",
	"model.model_config.pet_config.lora_rank":    "8",
	"train_dataset.data_loader.shuffle":          "True",
	"train_dataset.drop_remainder":               "True",
	"runner_config.batch_size":                   "1",
	"runner_config.epochs":                       "6",
}

// newShared makes the job and runs it in one process.
func newShared(t *testing.T, more map[string]string) *shared {
	t.Helper()
	set := map[string]string{}
	for k, v := range sharedSettings {
		set[k] = v
	}
	for k, v := range more {
		set[k] = v
	}
	x := &shared{tiny: &tiny{t: t, dir: t.TempDir(), settings: set, weights: map[string][]float32{}, shapes: map[string][]int{}}}
	var o []config.Override
	for k, v := range set {
		o = append(o, config.Override{Path: k, Value: v, Origin: "test"})
	}
	cfg, list := config.LoadBytes("tiny.yaml", []byte(tinyYAML), o)
	if cfg == nil {
		t.Fatal(list)
	}
	x.cfg = cfg
	r, err := compiler.Compile(cfg, nil)
	x.must(err)
	x.makeWeights(r.Module)
	x.makeRows(27)
	x.yaml = filepath.Join(x.dir, "tiny.yaml")
	x.must(os.WriteFile(x.yaml, []byte(tinyYAML), 0o666))
	return x
}

// finetune is a call of lorac for the job, whose launcher's directory is in the test's.
func (x *shared) finetune(out string, args ...string) *exec.Cmd {
	all := []string{"finetune", x.yaml, "--load_checkpoint", filepath.Join(x.dir, "base"), "--load_adapter", filepath.Join(x.dir, "init"),
		"--train_dataset_dir", filepath.Join(x.dir, "rows.jsonl"), "--output_dir", out, "--mem_limit", "1GiB"} // which leaves no choice to what is free
	for k, v := range x.settings {
		all = append(all, "--"+k, v)
	}
	cmd := selfCommand(x.t, append(all, args...)...)
	cmd.Env = append(mpitest.Environ(), "LORAC_TEST_AS_LORAC=1", "TMPDIR="+x.dir)
	return cmd
}

// alone is the outcome of one process, of the plain trainer.
func (x *shared) alone() string {
	if x.want == "" {
		out := filepath.Join(x.dir, "alone")
		if text, err := x.finetune(out).CombinedOutput(); err != nil {
			x.t.Fatalf("%v\n%s", err, text)
		}
		x.want = outcome(x.t, out)
	}
	return x.want
}

// under has a call of lorac use a launcher.
func under(cmd *exec.Cmd, l mpi.Launcher) *exec.Cmd {
	cmd.Env = append(cmd.Env, mpi.Variable+"="+l.Path)
	return cmd
}

// directory of a trainer that was built.
var compiledTo = regexp.MustCompile(`(?m)^compiled \S+ to (\S+)$`)

// The bits of a job do not depend on the number of its processes, nor on the MPI, and
// its output is that of one process.
func TestWorkersSameBits(t *testing.T) {
	x := newShared(t, nil)
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		for _, n := range []int{2, 3} {
			out := filepath.Join(t.TempDir(), "out")
			text, err := under(x.finetune(out, "--workers", strconv.Itoa(n)), l).CombinedOutput()
			if err != nil {
				t.Fatalf("%d processes of %v: %v\n%s", n, l, err, text)
			}
			if outcome(t, out) != x.alone() {
				t.Errorf("%d processes of %v come to other bits", n, l)
			}
			for _, want := range []string{
				"processes: " + strconv.Itoa(n) + ", started by " + l.Family + " " + l.Version + " (" + l.Path + ")\n",
				"\n" + strconv.Itoa(n) + " processes on 1 host over " + l.Family + " " + l.Version,
				"\nadapter written to " + out,
			} {
				if strings.Count(string(text), want) != 1 {
					t.Errorf("%q is not said once:\n%s", want, text)
				}
			}
		}
	})
}
