package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// callsOf are the calls in a log of the stand-in, in order: the names of kernels
// launched, and of other functions of ACL.
func callsOf(t *testing.T, log string) (calls []string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if f[0] == "launch" {
			f = f[1:]
		}
		calls = append(calls, f[0])
	}
	return calls
}

// kernels are those among calls.
func kernelsOf(calls []string) (list []string) {
	for _, c := range calls {
		if !strings.HasPrefix(c, "acl") {
			list = append(list, c)
		}
	}
	return list
}

// A run on a device that is asked to stop loses no step that finished either. A step
// that is given up ends at its next launch.
func TestAscendInterrupted(t *testing.T) {
	testkit.Slow(t, "ascend")
	newTinyOnAscend(t, restlessOnAscend(nil)).interrupted(6, "--epochs", "4")
}

// TestAscendFaults has the device fail in the middle of a run: the error says what
// failed and where it stands, the exit code is 3, nothing continues on the CPU, and the
// run resumes to the same bits.
func TestAscendFaults(t *testing.T) {
	x := newTinyOnAscend(t, restlessOnAscend(nil))
	epochs := []string{"--epochs", "2"}
	whole, log := filepath.Join(x.dir, "whole"), filepath.Join(x.dir, "calls")
	x.env = append(os.Environ(), "STANDIN_LOG="+log)
	x.run(whole, epochs...)
	want := outcome(t, whole)
	launches := kernelsOf(callsOf(t, log))
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
		{"memory in a step", []string{"STANDIN_FAULT=207001@" + at("attention_bf16")}, []string{"no device memory left", "[ACL error 207001]", "npu-smi info shows what other processes hold"}, false},
		{"memory", []string{"STANDIN_HBM=200000"}, []string{"no device memory left: ", "were asked for", " of 195.3 KiB are free", "[ACL error 207001]"}, true},
		{"no device", []string{"STANDIN_DEVICES=0"}, []string{"no Ascend device: ACL finds none on this machine"}, true},
		{"another card", []string{"DEVICE_ID=3"}, []string{"no Ascend device 3: this machine has 1"}, true},
		{"no library", []string{"LORAC_ACL=" + x.dir + "/none.so"}, []string{"no Ascend runtime", "none.so"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			switch c.name {
			case "cube core", "lost", "hang", "memory in a step":
			default:
				testkit.Slow(t, "ascend")
			}
			x := *x
			x.t = t
			out := filepath.Join(x.dir, strings.ReplaceAll(c.name, " ", "_"))
			x.env = append(os.Environ(), c.settings...)
			text := x.failing(3, x.command(out, epochs...))
			mustContain(t, text, c.says...)
			if strings.Contains(text, "adapter written") {
				t.Errorf("it continues:\n%s", text)
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

// TestAscendLostWhileSaving: the device is lost while a checkpoint is read from it. No
// part of that checkpoint is left, and the run resumes from the one before.
func TestAscendLostWhileSaving(t *testing.T) {
	testkit.Slow(t, "ascend")
	x := newTinyOnAscend(t, restlessOnAscend(nil))
	for _, format := range []string{"lorac", "ckpt"} {
		args := []string{"--epochs", "2", "--checkpoint_format", format}
		whole, log := filepath.Join(x.dir, "whole"+format), filepath.Join(x.dir, "calls"+format)
		x.env = append(os.Environ(), "STANDIN_LOG="+log)
		x.run(whole, args...)
		calls := callsOf(t, log)
		const of = 6 // stacks with an optimizer: a and b of three linears in all layers
		copies, first, last := 0, 0, 0
		updates := of * metricLines(whole)
		for _, c := range calls {
			if c == "adamw_bf16" {
				updates-- // below zero, those that the kernel is tried with before
			}
		}
		for _, c := range calls {
			switch {
			case c == "adamw_bf16":
				updates++
			case c == "aclrtMemcpy":
				copies++
			}
			if updates == 4*of && c == "adamw_bf16" {
				first = copies // those before the fourth step ends
			}
			if updates == 4*of {
				last = copies // and before the fifth ends
			}
		}
		if last-first < 3*of {
			t.Fatalf("%d copies after step 4, with %d updates left of %d steps", last-first, updates, metricLines(whole))
		}
		for _, at := range []int{first + of, first + 2*of} {
			out := filepath.Join(x.dir, format+strconv.Itoa(at))
			x.env = append(os.Environ(), "STANDIN_LOST_COPY="+strconv.Itoa(at))
			mustContain(t, x.failing(3, x.command(out, args...)), "the device is lost: it no longer answers (download)", "checkpoints up to step 2 are good", "--resume_training True")
			if n := metricLines(out); n != 4 {
				t.Errorf("lost after %d steps", n)
			}
			x.env = nil
			mustContain(t, x.run(out, append(args, "--resume_training", "True")...), "resumed after step 2")
			sameOutcome(t, format, outcome(t, whole), outcome(t, out))
		}
	}
}

// TestAscendMemoryFirst: all memory is taken before the first step, though the largest
// micro-batch comes last and its workspace is larger than that of any kernel's trial. So
// memory that runs out ends a run before it trained, and one that trains needs no more.
func TestAscendMemoryFirst(t *testing.T) {
	x := newTinyOnAscend(t, restlessOnAscend(map[string]string{"train_dataset.data_loader.shuffle": "False", "model.model_config.vocab_size": "8192"}))
	x.rowsOf(3, 3, 3, 3, 3, 3, 3, 3, 13, 13)
	log := filepath.Join(x.dir, "calls")
	// One group of cores: of many, what they take to themselves hides what rows take.
	few := append(os.Environ(), "STANDIN_CUBES=1", "STANDIN_VECTORS=2")
	x.env = append(few, "STANDIN_LOG="+log)
	out := filepath.Join(x.dir, "out")
	x.run(out, "--epochs", "1")
	taken, after := 0, 0 // allocations, and steps after the last
	for _, c := range callsOf(t, log) {
		switch c {
		case "clip": // once a step, and in trials
			after++
		case "aclrtMalloc":
			taken++
			after = 0
		}
	}
	if steps := metricLines(out); after < steps {
		t.Errorf("memory is taken with %d of %d steps to come", after, steps)
	}
	for _, n := range []int{1, taken / 2, taken} {
		out := filepath.Join(x.dir, "refused"+strconv.Itoa(n))
		x.env = append(few, "STANDIN_OOM="+strconv.Itoa(n))
		mustContain(t, x.failing(3, x.command(out, "--epochs", "1")), "no device memory left: ", "were asked for", "[ACL error 207001]")
		if n := metricLines(out); n != 0 {
			t.Errorf("it ended after %d steps", n)
		}
	}
}
