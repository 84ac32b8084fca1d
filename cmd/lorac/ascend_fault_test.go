package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// launchesOf are the kernels that a run of the stand-in's log launched, in order.
func launchesOf(t *testing.T, log string) (kernels []string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] == "launch" {
			kernels = append(kernels, f[1])
		}
	}
	return kernels
}

// TestAscendFaults has the device fail in the middle of a run: the error says what
// failed and where it stands, the exit code is 3, nothing goes on on the CPU, and the
// run resumes to the same bits.
func TestAscendFaults(t *testing.T) {
	x := newTinyOnAscend(t, restlessOnAscend(nil))
	epochs := []string{"--epochs", "2"}
	whole, log := filepath.Join(x.dir, "whole"), filepath.Join(x.dir, "calls")
	x.env = append(os.Environ(), "STANDIN_LOG="+log)
	x.run(whole, epochs...)
	want := outcome(t, whole)
	launches := launchesOf(t, log)
	steps := metricLines(whole)
	late := len(launches) * 7 / steps  // in step 8 or so: the first is preceded by trials
	at := func(kernel string) string { // its last launch before that
		n := 0
		for _, l := range launches[:late] {
			if l == kernel {
				n++
			}
		}
		if n == 0 {
			t.Fatalf("no %s among the launches", kernel)
		}
		return kernel + ":" + strconv.Itoa(n)
	}
	for _, c := range []struct {
		name     string
		settings []string
		says     []string
		begins   bool // the run ends before a checkpoint
	}{
		{"cube core", []string{"STANDIN_FAULT=507015@" + at("lora_linear_grad_bf16")}, []string{"error: ", "the device failed in ", "lora_linear_grad_bf16", "layer 0", "backward.go:", "exception on a cube core [ACL error 507015]"}, false},
		{"vector core", []string{"STANDIN_FAULT=507035@" + at("add_rmsnorm_bf16")}, []string{"the device failed in ", "kernel add_rmsnorm_bf16", "layer ", "exception on a vector core [ACL error 507035]"}, false},
		{"no callback", []string{"STANDIN_FAULT=507015@" + at("adamw_bf16"), "STANDIN_LACKS=aclrtGetThreadLastTaskId"}, []string{"the device failed in kernel adamw", "[ACL error 507015]"}, false},
		{"memory error", []string{"STANDIN_FAULT=507054@" + strconv.Itoa(late)}, []string{"that cannot be corrected (ECC)", "npu-smi info -t ecc"}, false},
		{"hang", []string{"STANDIN_HANG=" + at("attention_bf16"), "LORAC_DEVICE_TIMEOUT=1s"}, []string{"the device did not finish within 1s: one of ", "LORAC_DEVICE_TIMEOUT"}, false},
		{"lost", []string{"STANDIN_LOST=" + strconv.Itoa(late)}, []string{"the device is lost: it no longer answers", "[ACL error 507010]"}, false},
		{"memory", []string{"STANDIN_HBM=200000"}, []string{"no device memory left: ", "were asked for", " of 195.3 KiB are free", "[ACL error 207001]"}, true},
		{"no device", []string{"STANDIN_DEVICES=0"}, []string{"no Ascend device: ACL finds none on this machine"}, true},
		{"another card", []string{"DEVICE_ID=3"}, []string{"no Ascend device 3: this machine has 1"}, true},
		{"no library", []string{"LORAC_ACL=" + x.dir + "/none.so"}, []string{"no Ascend runtime", "none.so"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name != "cube core" && c.name != "lost" && c.name != "hang" {
				testkit.Slow(t, "ascend")
			}
			x := *x
			x.t = t
			out := filepath.Join(x.dir, strings.ReplaceAll(c.name, " ", "_"))
			x.env = append(os.Environ(), c.settings...)
			text := x.failing(3, x.command(out, epochs...))
			mustContain(t, text, c.says...)
			if strings.Contains(text, "adapter written") {
				t.Errorf("it goes on:\n%s", text)
			}
			saved, _ := filepath.Glob(filepath.Join(out, "checkpoint", "*.safetensors"))
			if c.begins != (len(saved) == 0) {
				t.Fatalf("checkpoints: %v\n%s", saved, text)
			}
			x.env = nil
			text = x.run(out, append(epochs, "--resume_training", "True")...)
			if !c.begins {
				mustContain(t, text, "resum")
			}
			sameOutcome(t, c.name, want, outcome(t, out))
		})
	}
}
