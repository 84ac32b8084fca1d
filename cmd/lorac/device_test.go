package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// onNPU is lorac in a process of its own, with the stand-in for a card and some
// settings. It returns what was said and the exit code.
func onNPU(t *testing.T, settings []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := selfCommand(t, args...)
	cmd.Env = append(cmd.Env, settings...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return string(out), said.String(), cmd.ProcessState.ExitCode()
}

// npuJob is a config that asks for an NPU, with base and data; the kernels' library
// of the twin is not named.
func npuJob(t *testing.T) (x *tiny, path, kernels string) {
	t.Helper()
	x = newTinyOnAscend(t, nil)
	kernels = os.Getenv("LORAC_ASCEND_KERNELS")
	t.Setenv("LORAC_ASCEND_KERNELS", "")
	t.Setenv("ASCEND_HOME_PATH", "")
	t.Setenv("ASCEND_TOOLKIT_HOME", "")
	t.Setenv("DEVICE_ID", "")
	text := "context: {device_target: Ascend}" + strings.NewReplacer("hidden_size: 16", "hidden_size: 64\n    compute_dtype: bfloat16", "intermediate_size: 24", "intermediate_size: 48").Replace(tinyYAML)
	path = filepath.Join(x.dir, "job.yaml")
	x.must(os.WriteFile(path, []byte(text), 0o666))
	return x, path, kernels
}

// TestDeviceAnswers has a card answer: auto takes it where the config asks for one,
// and which card is said by flag, environment and config, in this order.
func TestDeviceAnswers(t *testing.T) {
	_, job, _ := npuJob(t)
	for _, c := range []struct {
		name     string
		settings []string
		args     []string
		says     string
	}{
		{"auto", nil, nil, "device: Ascend 0 (Ascend910B3, 20 cube and 40 vector cores, 64.00 GiB of 64.00 GiB free, CANN 9.1.0), as context.device_target (job.yaml:1) says\n"},
		{"cpu", nil, []string{"--device", "cpu"}, "device: cpu, as --device says, over context.device_target (job.yaml:1): Ascend\n"},
		{"over the key", nil, []string{"--device", "ascend", "--context.device_target", "CPU"}, "device: Ascend 0 (Ascend910B3, 20 cube and 40 vector cores, 64.00 GiB of 64.00 GiB free, CANN 9.1.0), as --device says, over context.device_target (--set context.device_target): CPU\n"},
		{"config's card", []string{"STANDIN_DEVICES=3"}, []string{"--context.device_id", "2"}, "device: Ascend 2 ("},
		{"environment's card", []string{"STANDIN_DEVICES=3", "DEVICE_ID=1"}, []string{"--context.device_id", "2"}, "device: Ascend 1 ("},
		{"flag's card", []string{"STANDIN_DEVICES=3", "DEVICE_ID=1"}, []string{"--device_id", "0", "--context.device_id", "2"}, "device: Ascend 0 ("},
		{"no such card", nil, []string{"--device_id", "2"}, "device: cpu, though context.device_target (job.yaml:1) is Ascend: no Ascend device 2: this machine has 1, counted from 0\n"},
		{"none", []string{"STANDIN_DEVICES=0"}, nil, "device: cpu, though context.device_target (job.yaml:1) is Ascend: no Ascend device: ACL finds none on this machine\n"},
		{"another chip", []string{"STANDIN_SOC=Ascend310P3"}, nil, "device: cpu, though context.device_target (job.yaml:1) is Ascend: Ascend device 0 is an Ascend310P3; the kernels are for Atlas A2 and A3 (Ascend910B and Ascend910_93)\n"},
		{"a chip to come", []string{"STANDIN_SOC=Ascend910B9", "STANDIN_CUBES=32", "STANDIN_VECTORS=64"}, nil, "device: Ascend 0 (Ascend910B9, 32 cube and 64 vector cores"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, said, code := onNPU(t, c.settings, append([]string{"check", job}, c.args...)...)
			if code != 0 || !strings.HasPrefix(out, c.says) {
				t.Errorf("exit code %d, the first line is not %q\n%s%s", code, c.says, out, said)
			}
		})
	}
	out, said, code := onNPU(t, nil, "plan", job)
	if code != 0 || !strings.HasPrefix(out, "device: Ascend 0 (") || !strings.Contains(out, "memory of Ascend 910b3") {
		t.Errorf("plan: exit code %d\n%s%s", code, out, said)
	}
}

// linksTwin is a toolkit whose linker gives the twin's library, the binary of the
// stand-in for a card.
const linksTwin = `#!/bin/sh
echo "$(basename "$0")" >> "$FAKE_LOG"
out= previous=
for a; do [ "$previous" = -o ] && out=$a; previous=$a; done
case "$0" in *ld.lld) cp "$FAKE_KERNELS" "$out" ;; *) : > "$out" ;; esac
`

// TestFinetuneOnNPU runs a job as its config says: the kernels are compiled by the
// toolkit once and found beside the trainer. Without a toolkit nothing runs.
func TestFinetuneOnNPU(t *testing.T) {
	testkit.Slow(t, "ascend")
	x, job, kernels := npuJob(t)
	args := []string{"finetune", job, "--load_checkpoint", filepath.Join(x.dir, "base"), "--train_dataset_dir", filepath.Join(x.dir, "rows.jsonl"), "--steps", "2"}
	_, said, code := onNPU(t, nil, append(args, "--output_dir", filepath.Join(x.dir, "none"))...)
	if code != 3 || !strings.Contains(said, "error: the kernels for Ascend910B3 are not compiled: no CANN toolkit") || strings.Contains(said, "step 1/2") {
		t.Errorf("without a toolkit: exit code %d\n%s", code, said)
	}

	home, log := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	bin := filepath.Join(home, "compiler", "ccec_compiler", "bin")
	x.must(os.MkdirAll(bin, 0o777))
	for _, name := range []string{"bisheng", "ld.lld"} {
		x.must(os.WriteFile(filepath.Join(bin, name), []byte(linksTwin), 0o777))
	}
	x.must(os.WriteFile(filepath.Join(home, "compiler", "version.info"), []byte("version_dir=9.1.0\n"), 0o666))
	settings := []string{"ASCEND_HOME_PATH=" + home, "FAKE_LOG=" + log, "FAKE_KERNELS=" + kernels}
	links := func() int {
		text, _ := os.ReadFile(log)
		return strings.Count(string(text), "ld.lld\n")
	}
	for i, extra := range [][]string{nil, {"--device", "ascend"}} {
		out := filepath.Join(x.dir, []string{"first", "second"}[i])
		printed, said, code := onNPU(t, settings, append(append(args, "--output_dir", out), extra...)...)
		why := []string{"as context.device_target (job.yaml:1) says\n", "as --device says\n"}[i]
		if code != 0 || !strings.HasPrefix(said, "device: Ascend 0 (Ascend910B3, ") || !strings.Contains(said, why) {
			t.Errorf("exit code %d\n%s%s", code, said, printed)
		}
		if !strings.Contains(printed, "on Ascend device 0") || metricLines(out) != 2 || links() != 1 {
			t.Errorf("%d steps, linked %d times\n%s%s", metricLines(out), links(), said, printed)
		}
	}

	dir := filepath.Join(x.dir, "compiled")
	printed, said, code := onNPU(t, settings, "compile", job, "--device", "ascend", "-o", dir)
	if code != 0 || !strings.Contains(printed, "compiled "+filepath.Join(dir, "job.ascend910b3.o")) {
		t.Fatalf("compile: exit code %d\n%s%s", code, printed, said)
	}
	cmd := testkit.Command(t, filepath.Join(dir, "job"), append(args[2:], "--output_dir", filepath.Join(x.dir, "third"))...)
	if text, err := cmd.CombinedOutput(); err != nil || metricLines(filepath.Join(x.dir, "third")) != 2 {
		t.Errorf("%v\n%s", err, text)
	}
	sameOutcome(t, "compiled", outcome(t, filepath.Join(x.dir, "first")), outcome(t, filepath.Join(x.dir, "third")))

	// CPU trainers stay static, and lorac too.
	if out, _ := exec.Command("go", "list", "-deps", ".").Output(); strings.Contains(string(out), "purego") {
		t.Error("lorac links purego")
	}
}
