package config

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// golden compares with a file in testdata, which -update rewrites.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	goldenFile(t, "testdata/"+name, got)
}

// goldenFile compares with any file, which -update rewrites.
func goldenFile(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs, run with -update to accept:\n%s", path, got)
	}
}

func TestReports(t *testing.T) {
	text := edit(minimal, "runner_config:", "runner_config:\n  sink_size: 2") + `auto_trans_ckpt: False
use_parallel: True
parallel:
  parallel_mode: 1
  strategy_ckpt_config: {save_file: "./x"}
parallel_config:
  data_parallel: 8
`
	c := load(t, text, Override{"runner_config.epochs", "2", "--epochs"})
	var b bytes.Buffer
	c.ReportText(&b)
	golden(t, "report.txt", b.Bytes())
	b.Reset()
	if err := c.ReportJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b.Bytes())
}

func TestReportsOfABadConfig(t *testing.T) {
	c, l := CheckBytes("config.yaml", []byte(edit(minimal, "lora_rank: 4", "lora_rnk: 4")+"eval_dataset_task: {auto_register: x}\n"), nil)
	if !l.HasErrors() {
		t.Fatal("accepted")
	}
	var b bytes.Buffer
	c.ReportText(&b)
	for _, want := range []string{"1 refused, 1 unknown", "unknown:\n  model.model_config.pet_config.lora_rnk", "refused:\n  eval_dataset_task.auto_register"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "trainable parameters") {
		t.Error("the report speaks of a job that cannot run")
	}
	b.Reset()
	if err := c.ReportJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back struct {
		OK       bool
		Problems []struct {
			Severity, Code, Message string
			Line, Column            int
		}
		Keys []struct{ Key, Status string }
	}
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if back.OK || len(back.Problems) != 2 || back.Problems[0].Code != "unknown-key" || back.Problems[0].Line != 39 || back.Problems[0].Column != 7 {
		t.Errorf("the problems are %+v", back.Problems)
	}
	counts := map[string]int{}
	for _, k := range back.Keys {
		counts[k.Status]++
	}
	if counts["unknown"] != 1 || counts["refused"] != 1 || counts["used"] < 20 || counts["no effect"] == 0 {
		t.Errorf("keys by status: %v", counts)
	}
}

func TestWrap(t *testing.T) {
	if got := wrap([]string{"aaa", "bbb", "ccc"}, 2, 12); got != "  aaa, bbb,\n  ccc\n" {
		t.Errorf("%q", got)
	}
	if got := strings.Join(bySection([]string{"a.x", "b", "a.y", "c.z"}), " "); got != "a.{x y} b c.z" {
		t.Errorf("%q", got)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 6738415616: "6,738,415,616"} {
		if got := thousands(n); got != want {
			t.Errorf("%d prints %s", n, got)
		}
	}
}
