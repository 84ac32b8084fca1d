package launch

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/lorac/cli"
	"lorac/compiler/config"
	"lorac/ir/diag"
)

// Settings of the commands that compile are keys of the config, or the
// trainer's where plan has them.
func TestKeysAsSet(t *testing.T) {
	for args, want := range map[string]string{
		"":                                 "",
		"finetune x.yaml --a.b 1":          "finetune x.yaml --a.b 1",
		"check x.yaml --a.b.c 1 -v":        "check x.yaml --set=a.b.c=1 -v",
		"compile x.yaml --a.b=c=d -o out":  "compile x.yaml --set=a.b=c=d -o out",
		"plan x.yaml --num_samples 3":      "plan x.yaml --set=train_dataset.data_loader.num_samples=3 --set=eval_dataset.data_loader.num_samples=3",
		"check x.yaml --epochs 4 --seed=2": "check x.yaml --set=runner_config.epochs=4 --set=seed=2",
		"check x.yaml --micro_batch_interleave_num 2 --device cpu": "check x.yaml --set=micro_batch_interleave_num=2 --device cpu",
		"plan x.yaml --threads 2":                                  "plan x.yaml --trainer=--threads --trainer=2",
		"plan x.yaml --no_progress":                                "plan x.yaml --trainer=--no_progress",
		"plan x.yaml --mem_limit 1GiB":                             "plan x.yaml --mem_limit 1GiB",
		"compile x.yaml --threads 2":                               "compile x.yaml --threads 2",
		"inspect x.yaml --threads=2 --a.b=1":                       "inspect x.yaml --threads=2 --set=a.b=1",
	} {
		got, err := KeysAsSet(words(args))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %q", args, got, err, want)
		}
	}
	if _, err := KeysAsSet(words("check x.yaml --a.b")); err == nil || !cli.IsUsage(err) || !strings.Contains(err.Error(), "--a.b needs a value") {
		t.Errorf("a key without a value: %v", err)
	}
}

// Flags that the trainer would refuse are refused before it is built.
func TestCheck(t *testing.T) {
	if err := (&Call{Rest: words("--steps 3 --no_progress")}).Check("finetune"); err != nil {
		t.Error(err)
	}
	if err := (&Call{Rest: words("--steps 0")}).Check("finetune"); err == nil || !cli.IsUsage(err) || !strings.Contains(err.Error(), "must be a whole number from 1 up") {
		t.Errorf("no steps: %v", err)
	}
}

// said is what f writes to standard error.
func said(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = w
	f()
	os.Stderr = before
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What has no effect is said.
func TestSay(t *testing.T) {
	file := "../../../testdata/cases/two_layers/config.yaml"
	c, err := Parse([]string{"bash", "msrun_launcher.sh", "run_mindformer.py --config " + file + " --use_parallel True --remote_save_url u --epochs 5", "8", "8118", "logs", "False", "60"})
	if err != nil {
		t.Fatal(err)
	}
	say := func() {
		c.Say(func(o []config.Override) (*config.Config, diag.List) { return config.Check(c.Config, o) })
	}
	text := said(t, say)
	for _, want := range []string{"note: msrun_launcher.sh: addresses, ports, logs, join and timeout have no effect", "note: 8 devices: a step takes ", "--remote_save_url has no effect here: "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not said in\n%s", want, text)
		}
	}
	c.Config = filepath.Join(t.TempDir(), "none.yaml") // what is wrong with it, others say
	if text := said(t, say); strings.Count(text, "\n") != 1 {
		t.Errorf("of a config that is not there: %s", text)
	}
}

// The exit code of a trainer is passed on.
func TestRun(t *testing.T) {
	sh := "/bin/sh"
	if _, err := os.Stat(sh); err != nil {
		t.Skip(err)
	}
	if err := Run(sh, "-c", "exit 0"); err != nil {
		t.Error(err)
	}
	if err := Run(sh, "-c", "exit 7"); err != (cli.Exit{Code: 7}) {
		t.Errorf("exit 7: %v", err)
	}
	if err := Run(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("no trainer: %v", err)
	}
}
