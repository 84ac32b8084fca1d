package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/cmd/test/testkit"
	"lorac/runtime/sys/atomicfile"
)

// What these tests promise: the result of a job is the same bytes for any
// number of threads and after any interruption. A job with everything that
// draws or remembers: dropout, shuffled rows, accumulation, rests, warm-up.
var restless = map[string]string{
	"model.model_config.pet_config.lora_dropout":   "0.2",
	"model.model_config.pet_config.lora_rank":      "16",
	"model.model_config.pet_config.target_modules": ".*wq|.*wv|.*w2",
	"train_dataset.data_loader.shuffle":            "True",
	"runner_config.epochs":                         "16",
}

// outcome is all of a job's result that must not depend on when and how it
// ran: the metrics without speed and time, and every byte of what it exports.
func outcome(t *testing.T, out string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"stopped":`) {
			continue // a run that was asked to stop says so
		}
		fixed, _, ok := strings.Cut(line, `,"tokens_per_second"`)
		if !ok && !strings.Contains(line, "eval_loss") {
			t.Fatalf("a line of metrics without speed: %q", line)
		}
		b.WriteString(fixed + "\n")
	}
	files := 0
	for _, dir := range []string{"adapter", "model"} {
		list, _ := filepath.Glob(filepath.Join(out, dir, "*"))
		sort.Strings(list)
		for _, path := range list {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(path) == ".json" { // an adapter may name the base beside it
				data = bytes.ReplaceAll(data, []byte(out), []byte("OUT"))
			}
			files++
			fmt.Fprintf(&b, "%s %d bytes\n%s\n", filepath.Base(path), len(data), data)
		}
	}
	if files == 0 {
		t.Fatalf("%s has neither adapter nor model", out)
	}
	return b.String()
}

func sameOutcome(t *testing.T, what, want, got string) {
	t.Helper()
	if want != got {
		t.Errorf("%s: the result is another\n%q", what, firstDifference(want, got))
	}
}

func TestThreadsSameBits(t *testing.T) {
	for name, set := range map[string]map[string]string{"lora": restless, "full": {"full": "", "model.model_config.n_kv_heads": "2", "runner_config.gradient_accumulation_steps": "2"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "full" {
				testkit.Slow(t, "crash")
			}
			x := newTiny(t, set)
			results := map[string]string{}
			for _, threads := range []string{"1", "2", "3"} {
				out := filepath.Join(x.dir, "threads"+threads)
				x.run(out, "--threads", threads)
				results[threads] = outcome(t, out)
			}
			sameOutcome(t, "2 threads", results["1"], results["2"])
			sameOutcome(t, "3 threads", results["1"], results["3"])
		})
	}
}

// metricLines is how far a run has come.
func metricLines(out string) int {
	text, _ := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
	return bytes.Count(text, []byte("\n"))
}

// killedAt starts the job, kills it with SIGKILL a random moment after it
// wrote its line number n (0: after its start), and reports whether it was
// still alive.
func (x *tiny) killedAt(out string, n int, wait time.Duration, args ...string) bool {
	x.t.Helper()
	return x.endedAt(syscall.SIGKILL, out, n, wait, args...) != nil
}

// endedAt is killedAt with any signal; it gives how the process ended, nil for
// one that had ended before.
func (x *tiny) endedAt(signal os.Signal, out string, n int, wait time.Duration, args ...string) *os.ProcessState {
	x.t.Helper()
	cmd := x.command(out, args...)
	x.must(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for n > 0 && metricLines(out) < n {
		select {
		case err := <-done:
			if err != nil {
				x.t.Fatalf("the run that was to be killed at line %d failed by itself: %v", n, err)
			}
			return nil
		case <-time.After(200 * time.Microsecond):
		}
	}
	time.Sleep(wait)
	cmd.Process.Signal(signal)
	if <-done == nil {
		return nil
	}
	return cmd.ProcessState
}

func TestKilledSameBits(t *testing.T) {
	ckpt := maps.Clone(restless) // leaves MindFormers' files
	ckpt["callbacks"] = "[{type: CheckpointMointor, prefix: tiny, save_checkpoint_steps: 2, keep_checkpoint_max: 3, checkpoint_format: ckpt, save_trainable_params: True}]"
	for name, set := range map[string]map[string]string{"lora": restless, "full": {"full": "", "train_dataset.data_loader.shuffle": "True", "runner_config.epochs": "16"}, "ckpt": ckpt} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTiny(t, set)
			whole := filepath.Join(x.dir, "whole")
			x.run(whole)
			want := outcome(t, whole)
			total := metricLines(whole)

			seed := rand.Uint64()
			rng := rand.New(rand.NewPCG(seed, 1))
			out := filepath.Join(x.dir, "killed")
			kills := 0
			hit := func(line int, most time.Duration) {
				if x.killedAt(out, line, time.Duration(rng.Int64N(int64(most))), "--resume_training", "True", "--threads", fmt.Sprint(1+rng.IntN(2))) {
					kills++
				}
			}
			hit(0, 20*time.Millisecond) // before or soon after its first step
			for at := 1; at < total; at += 1 + rng.IntN(total/4) {
				hit(at, 3*time.Millisecond)
			}
			for range 3 { // while it saves, exports and ends
				hit(total, 2*time.Millisecond)
			}
			x.run(out, "--resume_training", "True")
			t.Logf("seed %d: %d kills in %d steps", seed, kills, total)
			if kills < 4 {
				t.Errorf("only %d kills met a living run", kills)
			}
			sameOutcome(t, fmt.Sprintf("after %d kills", kills), want, outcome(t, out))
		})
	}
}

// A run that is asked to stop loses no step that finished, whether the one that it is
// in ends or is given up, and resumes to the same bits. It ends by the signal.
func TestInterruptedSameBits(t *testing.T) {
	t.Parallel()
	x := newTiny(t, restless)
	x.interrupted(12)

	// Nobody reads what it says: that is no end either, and it is said.
	out := filepath.Join(x.dir, "unread")
	cmd := x.command(out)
	var said strings.Builder
	read, write, err := os.Pipe()
	x.must(err)
	cmd.Stdout, cmd.Stderr = write, &said
	x.must(cmd.Start())
	x.must(read.Close())
	x.must(write.Close())
	if err := cmd.Wait(); err != nil {
		t.Errorf("without a reader: %v\n%s", err, said.String())
	}
	mustContain(t, said.String(), "standard output is lost", "the run continues")
	sameOutcome(t, "without a reader", outcome(t, filepath.Join(x.dir, "whole")), outcome(t, out))
}

// interrupted runs the job, with up to so many signals.
func (x *tiny) interrupted(signals int, args ...string) {
	t := x.t
	testkit.DeliverHangup(t)
	whole := filepath.Join(x.dir, "whole")
	x.run(whole, args...)
	want := outcome(t, whole)
	total := metricLines(whole)

	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	out := filepath.Join(x.dir, "interrupted")
	stops := 0
	for range signals {
		at := metricLines(out) + 1 + rng.IntN(total/8) // of a run that trains again
		signal := []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP}[rng.IntN(2)]
		grace := []string{"0", "1ms", "10s"}[rng.IntN(3)]
		state := x.endedAt(signal, out, at, time.Duration(rng.Int64N(int64(2*time.Millisecond))),
			append([]string{"--resume_training", "True", "--threads", fmt.Sprint(1 + rng.IntN(2)), "--grace", grace, "--save_checkpoint_steps", "1000000"}, args...)...)
		if state == nil {
			break // all steps are done
		}
		if end := state.Sys().(syscall.WaitStatus); !end.Signaled() || end.Signal() != signal {
			t.Fatalf("seed %d: %v at line %d: the run ended with %v", seed, signal, at, state)
		}
		stops++
		text, err := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
		x.must(err)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		last := lines[len(lines)-1]
		name := map[syscall.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP"}[signal]
		step := 0
		if n, _ := fmt.Sscanf(last, `{"step":%d,`, &step); n != 1 || !strings.Contains(last, `"stopped":"`+name+`"`) {
			t.Fatalf("seed %d: the last line of the metrics is %s", seed, last)
		}
		if before := lines[len(lines)-2]; !strings.HasPrefix(before, fmt.Sprintf(`{"step":%d,`, step)) {
			t.Errorf("seed %d: stopped at step %d after %s", seed, step, before)
		}
		if _, err := os.Stat(checkpointOf(out, step)); err != nil {
			t.Errorf("seed %d: grace %s: step %d finished and is lost: %v", seed, grace, step, err)
		}
		if _, err := os.Stat(filepath.Join(out, "adapter", "adapter_model.safetensors")); err != nil {
			t.Error(err)
		}
	}
	x.run(out, append([]string{"--resume_training", "True"}, args...)...)
	t.Logf("seed %d: %d stops in %d steps", seed, stops, total)
	if stops < 3 {
		t.Errorf("only %d signals met a living run", stops)
	}
	sameOutcome(t, fmt.Sprintf("after %d stops", stops), want, outcome(t, out))
}

// failing runs the job, which must end with the code, and returns what it said.
func (x *tiny) failing(code int, cmd *exec.Cmd) string {
	x.t.Helper()
	text, err := cmd.CombinedOutput()
	var e *exec.ExitError
	if !errors.As(err, &e) || e.ExitCode() != code {
		x.t.Fatalf("%v, want exit code %d\n%s", err, code, text)
	}
	if strings.Contains(string(text), "goroutine ") {
		x.t.Errorf("a stack trace instead of an error:\n%s", text)
	}
	return string(text)
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("the output lacks %q:\n%s", p, text)
		}
	}
}

// ninth is a job stopped after step 9, with checkpoints of 9, 8 and 6, and
// what the whole job of 12 steps would come to.
func ninth(t *testing.T) (x *tiny, stopped, want string) {
	t.Helper()
	set := map[string]string{}
	for k, v := range restless {
		set[k] = v
	}
	set["runner_config.epochs"] = "2"
	x = newTiny(t, set)
	whole := filepath.Join(x.dir, "whole")
	x.run(whole)
	if n := metricLines(whole); n != 12 {
		t.Fatalf("the job has %d steps, 12 were due", n)
	}
	stopped = filepath.Join(x.dir, "stopped")
	x.run(stopped, "--steps", "9")
	files, err := filepath.Glob(filepath.Join(stopped, "checkpoint", "*.safetensors"))
	if err != nil || len(files) != 3 {
		t.Fatalf("checkpoints after step 9: %v", files)
	}
	return x, stopped, outcome(t, whole)
}

func checkpointOf(out string, step int) string {
	return filepath.Join(out, "checkpoint", fmt.Sprintf("tiny-%d.safetensors", step))
}

// copied is the stopped job in a directory of its own.
func copied(t *testing.T, stopped, name string) string {
	t.Helper()
	out := filepath.Join(filepath.Dir(stopped), strings.ReplaceAll(name, " ", "_"))
	if err := os.CopyFS(out, os.DirFS(stopped)); err != nil {
		t.Fatal(err)
	}
	return out
}

func changeFile(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(data), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flipAt changes one bit of the byte that stands after a text, or at an offset
// from the end for the text "".
func flipAt(after string, offset int) func([]byte) []byte {
	return func(b []byte) []byte {
		i := len(b) + offset
		if after != "" {
			i = bytes.Index(b, []byte(after))
			if i < 0 {
				panic("no " + after + " in the checkpoint")
			}
			i += len(after) + offset
		}
		b[i] ^= 1
		return b
	}
}

func TestDamagedCheckpoint(t *testing.T) {
	t.Parallel()
	x, stopped, want := ninth(t)
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
	}{
		{"empty", func(b []byte) []byte { return nil }},
		{"cut in its header", func(b []byte) []byte { return b[:100] }},
		{"cut in half", func(b []byte) []byte { return b[:len(b)/2] }},
		{"cut by a byte", func(b []byte) []byte { return b[:len(b)-1] }},
		{"longer by a byte", func(b []byte) []byte { return append(b, 0) }},
		{"bit in the header's length", func(b []byte) []byte { b[0] ^= 1; return b }},
		{"bit in the step", flipAt(`"step":"`, 0)},
		{"bit in the job", flipAt(`"job":"`, 3)},
		{"bit in the checksum", flipAt(`"crc32":"`, 0)},
		{"bit in a name", flipAt(`param.`, 2)},
		{"bit in the first number", flipAt("", -36*1024)},
		{"bit in the last number", flipAt("", -1)},
	} {
		out := copied(t, stopped, c.name)
		changeFile(t, checkpointOf(out, 9), c.change)
		said := x.run(out, "--resume_training", "True")
		mustContain(t, said, "checkpoint of step 9 is not usable (", "trying the one before", "resumed after step 8")
		sameOutcome(t, c.name, want, outcome(t, out))
	}

	out := copied(t, stopped, "two of three")
	changeFile(t, checkpointOf(out, 9), flipAt("", -9))
	changeFile(t, checkpointOf(out, 8), flipAt("", -99))
	mustContain(t, x.run(out, "--resume_training", "True"), "resumed after step 6")
	sameOutcome(t, "two of three damaged", want, outcome(t, out))

	out = copied(t, stopped, "all three")
	for _, step := range []int{9, 8, 6} {
		changeFile(t, checkpointOf(out, step), flipAt("", -9))
	}
	said := x.failing(1, x.command(out, "--resume_training", "True"))
	mustContain(t, said, "no checkpoint in", "is usable", "checksum", "help:")
}

// TestResumeByName: a checkpoint that is named is the one that is taken, and
// nothing instead of one that is not there or not good.
func TestResumeByName(t *testing.T) {
	t.Parallel()
	x, stopped, want := ninth(t)
	out := copied(t, stopped, "by name")
	mustContain(t, x.run(out, "--resume_training", filepath.Base(checkpointOf(out, 6))), "resumed after step 6")
	sameOutcome(t, "from the third last", want, outcome(t, out))
	for _, name := range []string{"tiny-7.safetensors", "tiny", "Yes"} {
		said := x.failing(1, x.command(stopped, "--resume_training", name))
		mustContain(t, said, name+" is not there", "tiny-9.safetensors tiny-8.safetensors tiny-6.safetensors")
	}
	out = copied(t, stopped, "damaged")
	changeFile(t, checkpointOf(out, 8), flipAt("", -1))
	mustContain(t, x.failing(1, x.command(out, "--resume_training", "tiny-8.safetensors")), "cannot resume from", "checksum", "help:")
}

// TestOneRunADirectory: a second run into the same place is refused, and
// disturbs nothing.
func TestOneRunADirectory(t *testing.T) {
	t.Parallel()
	x, stopped, want := ninth(t)
	f, err := os.Open(filepath.Join(stopped, "metrics.jsonl"))
	x.must(err)
	if !atomicfile.Hold(f) {
		t.Fatal("nobody else holds the file")
	}
	for _, args := range [][]string{nil, {"--resume_training", "True"}} {
		mustContain(t, x.failing(1, x.command(stopped, args...)), "another run writes to "+stopped, "help:")
	}
	f.Close()
	x.run(stopped, "--resume_training", "True")
	sameOutcome(t, "after the other run", want, outcome(t, stopped))
}

func TestCheckpointOfAnotherJob(t *testing.T) {
	t.Parallel()
	x, stopped, want := ninth(t)
	before := dirText(t, filepath.Join(stopped, "checkpoint"))
	said := x.failing(1, x.command(stopped, "--resume_training", "True", "--seed", "8"))
	mustContain(t, said, checkpointOf(stopped, 9), "made by another job", "seed: 7 in the checkpoint, 8 now", "--resume_mismatch seed", "--load_adapter "+filepath.Join(stopped, "adapter"))
	other := newTiny(t, map[string]string{"model.model_config.pet_config.lora_rank": "2"})
	said = other.failing(1, other.command(stopped, "--resume_training", "True"))
	mustContain(t, said, "model.model_config.pet_config.lora_rank: 16 in the checkpoint, 2 now")
	if now := dirText(t, filepath.Join(stopped, "checkpoint")); now != before {
		t.Error("a refused run changed the checkpoints")
	}
	x.run(stopped, "--resume_training", "True")
	sameOutcome(t, "after refused runs", want, outcome(t, stopped))
}

// dirText is names and bytes of all files of a directory.
func dirText(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		fmt.Fprintf(&b, "%s\n%s\n", path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestStartsAnew: without --resume_training, an earlier run's checkpoints are
// moved aside, not lost, and the result is that of a first run.
func TestStartsAnew(t *testing.T) {
	t.Parallel()
	x, stopped, want := ninth(t)
	mustContain(t, x.run(stopped), "was moved: checkpoint to checkpoint.1, metrics.jsonl to metrics.jsonl.1, adapter to adapter.1", "starts from the beginning")
	sameOutcome(t, "started again", want, outcome(t, stopped))
	if _, err := os.Stat(filepath.Join(stopped, "checkpoint.1", "tiny-9.safetensors")); err != nil {
		t.Errorf("the earlier run's checkpoint is gone: %v", err)
	}
	mustContain(t, x.run(stopped, "--resume_training", "True"), "all 12 steps are done already")
	sameOutcome(t, "resumed when it was done", want, outcome(t, stopped))
}

// TestFullDisk stands a limit on the size of files in for a full disk: the
// write that does not fit fails in the same place.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	x, stopped, want := ninth(t)
	limited := func(out string, blocks int) *exec.Cmd {
		cmd := x.command(out, "--resume_training", "True")
		return testkit.Command(t, "sh", append([]string{"-c", fmt.Sprintf(`ulimit -f %d; exec "$0" "$@"`, blocks)}, cmd.Args...)...)
	}
	for _, c := range []struct {
		name   string
		blocks int
		want   []string
	}{
		{"no space for a checkpoint", 16, []string{"cannot write", "tiny-10.safetensors", "file too large", "checkpoints up to step 9 are good", "--resume_training True"}},
		{"no space for the metrics", 2, []string{"cannot write the metrics", "file too large"}},
	} {
		out := copied(t, stopped, c.name)
		last, err := os.ReadFile(checkpointOf(out, 9))
		x.must(err)
		said := x.failing(3, limited(out, c.blocks))
		mustContain(t, said, c.want...)
		if now, err := os.ReadFile(checkpointOf(out, 9)); err != nil || !bytes.Equal(last, now) {
			t.Errorf("%s: the last good checkpoint is not what it was (%v)", c.name, err)
		}
		left, _ := os.ReadDir(filepath.Join(out, "checkpoint"))
		if len(left) != 3 {
			t.Errorf("%s: %d files in checkpoint/, 3 were there before", c.name, len(left))
		}
		x.run(out, "--resume_training", "True")
		sameOutcome(t, c.name, want, outcome(t, out))
	}

	// An adapter that does not fit leaves the run's checkpoint: only the export
	// is to be repeated.
	out := copied(t, stopped, "no space for the adapter")
	x.run(out, "--resume_training", "True")
	x.must(os.RemoveAll(filepath.Join(out, "adapter")))
	mustContain(t, x.failing(3, limited(out, 16)), "cannot write", "adapter_model.safetensors", "file too large")
	x.run(out, "--resume_training", "True")
	sameOutcome(t, "no space for the adapter", want, outcome(t, out))
}
