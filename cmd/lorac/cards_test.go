package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/cmd/lorac/mpi"
	"lorac/cmd/test/mpitest"
	"lorac/cmd/test/testkit"
	"lorac/kernels/ascend/ascendtest"
)

// cards is a job of several devices on stand-ins for cards, a process each.
type cards struct {
	*shared
	devices int
}

// newCards makes the job of so many devices.
func newCards(t *testing.T, devices int) *cards {
	t.Helper()
	kernels, err := ascendtest.Libraries()
	if err != nil {
		t.Fatal(err)
	}
	if kernels == "" {
		t.Skip(ascendtest.Missing)
	}
	if err := ascendtest.HCCL(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LORAC_ASCEND_KERNELS", kernels)
	set := maps.Clone(ascendSizes)
	maps.Copy(set, map[string]string{"devices": strconv.Itoa(devices), "runner_config.epochs": "1", "runner_config.batch_size": strconv.Itoa(8 / devices), "model.model_config.n_kv_heads": "2"})
	return &cards{newShared(t, set), devices}
}

// run is a call of lorac on so many cards; 0: on one a device.
func (x *cards) run(out string, cards int, args ...string) *exec.Cmd {
	if cards == 0 {
		cards = x.devices
	}
	cmd := x.finetune(out, append([]string{"--device", "ascend"}, args...)...)
	cmd.Env = append(cmd.Env, "STANDIN_DEVICES="+strconv.Itoa(cards))
	return cmd
}

// same runs the job and holds it to the bits of another run.
func (x *cards) same(t *testing.T, want string, cmd *exec.Cmd, out string, says ...string) string {
	t.Helper()
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	mustContain(t, string(text), says...)
	got := outcome(t, out)
	if want != "" && got != want {
		t.Errorf("other bits:\n%s", text)
	}
	return got
}

// TestAscendCards: a job of two devices has the same bits on one card and on two.
func TestAscendCards(t *testing.T) {
	x := newCards(t, 2)
	at := func(name string) string { return filepath.Join(x.dir, name) }
	want := x.same(t, "", x.run(at("one"), 1), at("one"), "processes: one, on card 0, which does the work of 2 devices with the same result")
	x.same(t, want, x.run(at("two"), 2), at("two"), "processes: 2, on the cards 0 to 1\n", "2 processes on 1 host over connections to lorac")
}

// TestAscendEightCards runs the line that users type, with a small model in place of the
// 7B's, on 1, 2, 3 and 8 cards.
func TestAscendEightCards(t *testing.T) {
	testkit.Slow(t, "ascend")
	x := newCards(t, 8)
	at := func(name string) string { return filepath.Join(x.dir, name) }
	want := x.same(t, "", x.run(at("one"), 1), at("one"), "processes: one, on card 0")
	x.same(t, want, x.run(at("two"), 2), at("two"), "processes: 2, on the cards 0 to 1, which do the work of 8 devices with the same result")
	x.same(t, want, x.run(at("three"), 8, "--workers", "3"), at("three"), "processes: 3, on the cards 0 to 2, which do the work of 8 devices")
	line := "run_mindformer.py --config " + x.yaml + " --train_dataset_dir " + at("rows.jsonl") + " --load_checkpoint " + at("base") + " --auto_trans_ckpt False --use_parallel True --run_mode finetune"
	flags := []string{"--load_adapter", at("init"), "--output_dir", at("eight"), "--mem_limit", "1GiB", "--device", "ascend"}
	for k, v := range x.settings {
		if k != "devices" && k != "use_parallel" {
			flags = append(flags, "--"+k, v)
		}
	}
	cmd := selfCommand(t, append([]string{"finetune", "bash", "scripts/msrun_launcher.sh", line, "8"}, flags...)...)
	cmd.Env = append(x.run("", 8).Env, "STANDIN_DEVICES=8")
	x.same(t, want, cmd, at("eight"), "processes: 8, on the cards 0 to 7\n", "8 processes on 1 host over connections to lorac")
}

// TestAscendCardsFaults: a process that is killed and errors of HCCL end the job with a
// clear error and code 3, no process is left, and the run resumes to the same bits on
// another number of cards.
func TestAscendCardsFaults(t *testing.T) {
	testkit.Slow(t, "ascend")
	x := newCards(t, 2)
	at := func(name string) string { return filepath.Join(x.dir, strings.ReplaceAll(name, " ", "_")) }
	save := []string{"--save_checkpoint_steps", "1"}
	want := x.same(t, "", x.run(at("whole"), 2, save...), at("whole"))
	for _, c := range []struct {
		name   string
		env    []string
		says   []string
		begins bool // the run ends before a checkpoint
	}{
		{"killed", []string{"STANDIN_HCCL_DIE=HcclRecv:5", "STANDIN_HCCL_RANK=1"}, []string{"error: process 1 on ", ", with card 1, was ended by SIGKILL", "--resume_training True"}, false},
		{"first killed", []string{"STANDIN_HCCL_DIE=HcclRecv:5", "STANDIN_HCCL_RANK=0"}, []string{"error: process 0 on ", ", with card 0, was ended by SIGKILL"}, false},
		{"send", []string{"STANDIN_HCCL_FAULT=7@HcclSend:5", "STANDIN_HCCL_RANK=1"}, []string{"HcclSend of ", " bytes to rank 0 failed: unavailable: HcclSend: injected [HCCL error 7]"}, false},
		{"hang", []string{"STANDIN_HCCL_HANG=HcclSend:5", "STANDIN_HCCL_RANK=0", "HCCL_EXEC_TIMEOUT=2"}, []string{"[ACL error 507048]", "HcclSend: injected: it never ends"}, false},
		{"slow", []string{"STANDIN_HCCL_HANG=HcclSend:5", "STANDIN_HCCL_RANK=0", "LORAC_DEVICE_TIMEOUT=2s"}, []string{"the device did not finish within 2s", "transfers with other devices are among them, such as HcclSend of "}, false},
		{"no communicator", []string{"STANDIN_HCCL_FAULT=4@HcclCommInitRootInfo", "STANDIN_HCCL_RANK=0", "HCCL_CONNECT_TIMEOUT=1"}, []string{"HcclCommInitRootInfo failed: internal error"}, true},
		{"no library", []string{"LORAC_HCCL=/none/libhccl.so"}, []string{"several devices need HCCL", "--workers 1"}, true},
		{"device", []string{"STANDIN_FAULT=507015@adamw_bf16:12"}, []string{"the device failed in ", "kernel adamw_bf16"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := at(c.name)
			cmd := x.run(out, 2, save...)
			cmd.Env = append(cmd.Env, c.env...)
			text, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 3 {
				t.Fatalf("code %d, %v\n%s", code, err, text)
			}
			mustContain(t, string(text), c.says...)
			if n := strings.Count("\n"+string(text), "\nerror: "); n != 1 {
				t.Errorf("%d errors:\n%s", n, text)
			}
			saved, _ := filepath.Glob(filepath.Join(out, "checkpoint", "*.safetensors"))
			if c.begins != (len(saved) == 0) {
				t.Fatalf("checkpoints: %v\n%s", saved, text)
			}
			if left, _ := os.ReadDir("/dev/shm"); len(left) > 0 {
				for _, f := range left {
					if strings.HasPrefix(f.Name(), "lorac-hccl-") {
						t.Errorf("%s is left", f.Name())
					}
				}
			}
			x.same(t, want, x.run(out, 1, append(save, "--resume_training", "True")...), out)
		})
	}
}

// TestAscendCardsSignals: a job on two cards that is asked to end saves and ends by the
// signal, all of it; when lorac itself is killed no process is left. Both resume.
func TestAscendCardsSignals(t *testing.T) {
	testkit.Slow(t, "ascend")
	x := newCards(t, 2)
	save := []string{"--save_checkpoint_steps", "1", "--epochs", "8"}
	at := func(name string) string { return filepath.Join(x.dir, name) }
	want := x.same(t, "", x.run(at("whole"), 2, save...), at("whole"))
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		out := at(s.String())
		cmd := x.run(out, 2, save...)
		var text bytes.Buffer
		cmd.Stdout, cmd.Stderr = &text, &text
		cmd.WaitDelay = 20 * time.Second
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); metricLines(out) < 2; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				cmd.Process.Kill() //nolint:errcheck // the test has failed
				t.Fatalf("no step is done")
			}
		}
		cmd.Process.Signal(s) //nolint:errcheck // it may have ended
		cmd.Wait()            //nolint:errcheck // the state says it
		if state := cmd.ProcessState.Sys().(syscall.WaitStatus); !state.Signaled() || state.Signal() != s {
			t.Errorf("%v: it ends by %v\n%s", s, cmd.ProcessState, text.String())
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			left := workingFor(out)
			if len(left) == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%v: processes %v are left", s, left)
			}
		}
		x.same(t, want, x.run(out, 1, append(save, "--resume_training", "True")...), out, "resum")
	}
}

// workingFor are the processes whose command line names a directory.
func workingFor(dir string) (list []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), "\x00"+dir+"\x00") {
			list = append(list, path)
		}
	}
	return list
}

// TestAscendCardsMPI: under an MPI launcher each process takes the card of its number, and
// all but the vectors goes over MPI.
func TestAscendCardsMPI(t *testing.T) {
	testkit.Slow(t, "ascend")
	x := newCards(t, 2)
	at := func(name string) string { return filepath.Join(x.dir, name) }
	want := x.same(t, "", x.run(at("one"), 1), at("one"))
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		out := filepath.Join(t.TempDir(), "out")
		typed := x.run(out, 2)
		cmd := mpitest.Command(t, l, 2, typed.Path, typed.Args[1:]...)
		cmd.Env = append(append(cmd.Env, typed.Env...), "LORAC_TEST_AS_LORAC=1")
		x.same(t, want, cmd, out, "processes: 2, started by "+l.Family, "2 processes on 1 host over "+l.Family)
	})
}
