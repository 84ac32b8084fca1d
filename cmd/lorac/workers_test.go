package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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

// merged is settings with others over them.
func merged(a, b map[string]string) map[string]string {
	a = maps.Clone(a)
	maps.Copy(a, b)
	return a
}

// newShared makes the job and runs it in one process.
func newShared(t *testing.T, more map[string]string) *shared {
	t.Helper()
	set := merged(sharedSettings, more)
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

// The bits of a job do not depend on the number of its processes, nor on the MPI, and
// its output is that of one process.
func TestWorkersSameBits(t *testing.T) {
	x := newShared(t, nil)
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		for _, n := range []int{3} { // the slow tier has others
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

// Without MPI the run is that of one process, and what would have it is said.
func TestWorkersWithoutMPI(t *testing.T) {
	x := newShared(t, nil)
	path, err := exec.LookPath("go")
	x.must(err)
	cmd := x.finetune(filepath.Join(x.dir, "out"), "--workers", "4")
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(path))
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), "mpirun")); err == nil {
		t.Skip("an mpirun stands beside go")
	}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	mustContain(t, string(text), "processes: one, with the same result: --workers 4 needs MPI, and there is no mpirun on this machine", "apt install openmpi-bin, or mpich")
	sameOutcome(t, "without MPI", x.alone(), outcome(t, filepath.Join(x.dir, "out")))
}

// What is wrong with a launch is said before anything is compiled.
func TestWorkersWrong(t *testing.T) {
	yaml := filepath.Join(t.TempDir(), "job.yaml")
	if err := os.WriteFile(yaml, []byte(tinyYAML), 0o666); err != nil {
		t.Fatal(err)
	}
	line := "run_mindformer.py --config " + yaml
	for _, c := range []struct {
		env  string
		args []string
		code int
		want string
	}{
		{"", []string{yaml, "--workers", "0"}, 2, "--workers 0: must be a whole number from 1 to 65536"},
		{"", []string{yaml, "--workers", "two"}, 2, "--workers two: must be"},
		{"", []string{yaml, "--restarts", "-1"}, 2, "--restarts -1: must be a whole number from 0"},
		{"", []string{yaml, "--worker", "2"}, 2, "did you mean --workers?"},
		{"", []string{yaml, "--timeout", "0"}, 2, "--timeout 0: must be at least 1s"},
		{"LORAC_MPIRUN=/none/mpirun", []string{yaml, "--workers", "2"}, 2, "LORAC_MPIRUN=/none/mpirun: "},
		{"LORAC_MPIRUN=/bin/true", []string{yaml, "--workers", "2"}, 2, "it does not say that it is a launcher"},
		{"PMI_RANK=0 PMI_SIZE=8", []string{yaml, "--workers", "4"}, 2, "--workers 4, but the launcher of MPICH started 8 processes"},
		{"PMI_RANK=0 PMI_SIZE=8", []string{yaml, "--restarts", "4"}, 2, "--restarts goes with --workers"},
		{"PMI_RANK=0 PMI_SIZE=8", []string{line, "8", "4", "10.0.0.1", "8118", "0", "log", "False", "60"}, 2, "a launcher of MPICH started this process: leave one of them out"},
		{"PMI_RANK=1 PMI_SIZE=8", []string{yaml, "--workers", "4"}, 2, ""},
		{"PATH=/none", []string{line, "8", "4", "10.0.0.1", "8118", "0", "log", "False", "60"}, 1, "several hosts (msrun_launcher.sh) need MPICH on each of them"},
	} {
		cmd := selfCommand(t, append([]string{"finetune"}, c.args...)...)
		cmd.Env = append(append(mpitest.Environ(), "LORAC_TEST_AS_LORAC=1"), strings.Fields(c.env)...)
		text, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(text), c.want) || c.want == "" && len(text) > 0 {
			t.Errorf("%s %q: code %d, want %d and %q\n%s", c.env, c.args, code, c.code, c.want, text)
		}
	}
}
