//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/cmd/lorac/mpi"
	"lorac/cmd/test/mpitest"
	"lorac/cmd/test/testkit"
	"lorac/compiler"
)

// kinds are how a job of 8 devices makes its steps.
var kinds = map[string]map[string]string{
	"full":    {"parallel.parallel_mode": "1", "parallel.full_batch": "True"},
	"sharded": {"parallel.parallel_mode": "1", "parallel.full_batch": "False"},
	"data":    {"parallel.parallel_mode": "0", "parallel.full_batch": "False"},
}

// Every kind of job comes to the same bits on any number of processes of any MPI.
func TestManyWorkers(t *testing.T) {
	testkit.Slow(t, "mpi")
	for kind, set := range kinds {
		x := newShared(t, set)
		mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
			for _, n := range []int{1, 2, 3, 4, 5, 8} {
				out := filepath.Join(t.TempDir(), "out")
				if text, err := under(x.finetune(out, "--workers", strconv.Itoa(n)), l).CombinedOutput(); err != nil {
					t.Fatalf("%s, %d processes: %v\n%s", kind, n, err, text)
				}
				sameOutcome(t, fmt.Sprintf("%s, %d processes", kind, n), x.alone(), outcome(t, out))
			}
		})
	}
}

// long is a job with time for faults.
func long(t *testing.T) *shared {
	return newShared(t, map[string]string{"runner_config.epochs": "80"})
}

// running is a run that a fault comes to.
type running struct {
	*shared
	t    *testing.T
	cmd  *exec.Cmd
	out  string
	tmp  string
	said bytes.Buffer
	n    int
}

// start starts a run on n processes.
func (x *shared) start(t *testing.T, l mpi.Launcher, n int, out string, env []string, args ...string) *running {
	t.Helper()
	tmp := t.TempDir()
	r := &running{shared: x, t: t, out: out, tmp: tmp, n: n}
	r.cmd = under(x.finetune(out, append([]string{"--workers", strconv.Itoa(n), "--timeout", "4", "--save_checkpoint_steps", "20", "--threads", "1"}, args...)...), l)
	r.cmd.Env = append(append(r.cmd.Env, "TMPDIR="+tmp), env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// pid is the process of a rank, 0 where it has not said it yet.
func (r *running) pid(rank int) int {
	list, _ := filepath.Glob(filepath.Join(r.tmp, "lorac-launch-*", "rank."+strconv.Itoa(rank)))
	for _, path := range list {
		text, _ := os.ReadFile(path)
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return n
	}
	return 0
}

// steps waits until so many steps are done, or the run has ended.
func (r *running) steps(n int) {
	path := filepath.Join(r.out, "metrics.jsonl")
	testkit.Until(r.t, "a step", func() (bool, error) {
		text, _ := os.ReadFile(path)
		return bytes.Count(text, []byte{'\n'}) >= n || r.ended(), nil
	})
}

// ended reports whether lorac has ended.
func (r *running) ended() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	return err != nil || regexp.MustCompile(`\) Z `).Match(text)
}

// end is the exit code of the run, which ends within a bound and leaves no process.
func (r *running) end(bound time.Duration) int {
	r.t.Helper()
	timer := time.AfterFunc(bound, func() {
		r.t.Errorf("it did not end within %v", bound)
		r.cmd.Process.Kill()
	})
	err := r.cmd.Wait()
	timer.Stop()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		r.t.Fatal(err)
	}
	r.noneLeft()
	return r.cmd.ProcessState.ExitCode()
}

// noneLeft fails unless no process of the run is left: they have its directory in their
// environment.
func (r *running) noneLeft() {
	r.t.Helper()
	var left string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left = ""
		list, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, path := range list {
			if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte("TMPDIR="+r.tmp+"\x00")) {
				cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
				left += path + " " + strings.ReplaceAll(string(cmdline), "\x00", " ") + "\n"
			}
		}
		if left == "" {
			return
		}
	}
	r.t.Errorf("processes are left:\n%s", left)
}

// resume runs to the end on n processes and compares.
func (r *running) resume(l mpi.Launcher, n int) {
	r.t.Helper()
	text, err := under(r.finetune(r.out, "--workers", strconv.Itoa(n), "--save_checkpoint_steps", "20", "--resume_training", "True", "--threads", "1"), l).CombinedOutput()
	if err != nil {
		r.t.Fatalf("it does not resume: %v\n%s", err, text)
	}
	sameOutcome(r.t, "resumed", r.alone(), outcome(r.t, r.out))
}

// A run that is killed at a random step resumes on another number of processes of
// another MPI with the bits of one that was not disturbed.
func TestWorkersKilled(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := long(t)
	launchers := map[string]mpi.Launcher{}
	for _, family := range mpitest.Families {
		launchers[family] = mpitest.Launcher(t, family)
	}
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	counts := []int{1, 2, 3, 4, 5, 8}
	for i := range 12 {
		family, other := mpitest.Families[i%2], mpitest.Families[rng.IntN(2)]
		n, m := counts[1+rng.IntN(5)], counts[rng.IntN(6)]
		step, rank := 1+rng.IntN(200), rng.IntN(n)
		t.Run(fmt.Sprintf("%d on %d, then %d, step %d, rank %d", i, n, m, step, rank), func(t *testing.T) {
			r := x.start(t, launchers[family], n, filepath.Join(t.TempDir(), "out"), nil)
			r.steps(step)
			syscall.Kill(r.pid(rank), syscall.SIGKILL)
			if code := r.end(time.Minute); code != 3 {
				t.Errorf("code %d\n%s", code, r.said.String())
			}
			r.resume(launchers[other], m)
		})
	}
}

// wrapped is a launcher that starts one rank by a script: $BIN is the program. What it
// is given as environment the script sees, too.
func wrapped(t *testing.T, l mpi.Launcher, rank int, script string) mpi.Launcher {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o777); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrap := write("wrap", fmt.Sprintf("[ \"${OMPI_COMM_WORLD_RANK:-$PMI_RANK}\" = %d ] || exec \"$@\"\n%s\n", rank, script))
	l.Path = write("mpirun", fmt.Sprintf(`first=yes
for a; do
  shift
  case $first$a in yes*/lorac/*) set -- "$@" %s "$a"; first=no;; *) set -- "$@" "$a";; esac
done
exec %s "$@"
`, wrap, l.Path))
	return l
}

// fault is what happens to one rank of a run.
type fault struct {
	name   string
	signal syscall.Signal // at some step
	script string         // that starts the rank
	do     func(r *running)
	code   int
	says   string // a regular expression; RANK is the rank
	before bool   // it is found before step 1
	disk   bool   // output_dir is a disk that becomes full
}

const lostRank = `error: (process RANK on \S+ (was ended|ended)|process \d+ on \S+ [^\n]*\(or [\d, ]*\bRANK\b|rank RANK \(\S+, process \d+\)|process RANK on \S+: )`

var faults = []fault{
	{name: "killed", signal: syscall.SIGKILL, code: 3, says: lostRank},
	{name: "stopped", signal: syscall.SIGSTOP, code: 3, says: `error: (process \d+ on \S+: )?rank RANK \(\S+, process \d+\) gave no sign of life`},
	{name: "crashed", signal: syscall.SIGSEGV, code: 3, says: lostRank},
	{name: "memory", script: `ulimit -v 200000; exec "$@"`, code: 3, says: `process .*RANK on \S+ (ended|did not start)`, before: true},
	{name: "exit", script: `exit 7`, code: 3, says: `process .*RANK on \S+ (ended with code 7|did not start)`, before: true},
	{name: "base", script: `exec "$@" --load_checkpoint "$OTHER_BASE"`, code: 1, says: `(?s)error: the ranks differ in base.*rank RANK`, before: true},
	{name: "data", script: `exec "$@" --train_dataset_dir "$OTHER_ROWS"`, code: 1, says: `(?s)error: the ranks differ in .*rank RANK`, before: true},
	{name: "flag", script: `exec "$@" --seed 4711`, code: 1, says: `(?s)error: the ranks differ in seed.*4711`, before: true},
	{name: "instructions", script: `LORAC_CPU=go exec "$@"`, code: 1, says: `(?s)error: the ranks differ in instruction set.*rank RANK`, before: true},
	{name: "program", script: `shift; exec "$OTHER_PROGRAM" "$@"`, code: 1, says: `(?s)error: the ranks differ in .*rank RANK`, before: true},
	{name: "usage", script: `exec "$@" --steps none`, code: 2, says: `--steps none: must be a whole number`, before: true},
	{name: "library", script: `LORAC_MPI=libnone.so exec "$@"`, code: 1, says: `no MPI library can be used`, before: true},
	{name: "disk", disk: true, code: 3, says: `error: .*no space left on device`},
	{name: "launcher", code: 3, says: `error: \S+ on \S+, which started the processes, was ended by SIGKILL|\nadapter written to`, do: func(r *running) {
		list, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range list { // children of lorac
			text, _ := os.ReadFile(path)
			if f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])); len(f) > 1 && f[1] == strconv.Itoa(r.cmd.Process.Pid) {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}},
	{name: "output", code: 3, says: `error: `, do: func(r *running) {
		aside := r.out + ".aside"
		os.Rename(r.out, aside)
		os.WriteFile(r.out, nil, 0o666)
	}},
}

// Every fault ends the job within the timeout, with the promised code, names the rank
// and its host, and leaves a good checkpoint and no process.
func TestWorkersFaults(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := long(t)
	x.alone()
	only := os.Getenv("LORAC_FAULT") // one of them, for whoever looks into it
	rng := rand.New(rand.NewPCG(2, uint64(time.Now().UnixNano())))
	y := &shared{tiny: &tiny{t: t, dir: t.TempDir(), cfg: x.cfg, weights: map[string][]float32{}, shapes: map[string][]int{}}}
	y.other(x)
	env := []string{"OTHER_BASE=" + filepath.Join(y.dir, "base"), "OTHER_ROWS=" + filepath.Join(y.dir, "rows.jsonl"),
		"OTHER_PROGRAM=" + newTinyFor(t, merged(x.settings, map[string]string{"lr_schedule.warmup_steps": "3"}), &compiler.Target{Over: "mpi"}).bin}
	injected := 0
	for round := range 4 {
		for i, f := range faults {
			if only != "" && f.name != only {
				continue
			}
			mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
				n := 2 + rng.IntN(3)
				rank, step := round%n, 1+rng.IntN(120)
				if round == 3 {
					rank = n - 1
				}
				if rank == 0 && (f.name == "usage" || f.name == "flag") {
					rank = 1
				}
				t.Run(fmt.Sprintf("%s, rank %d of %d, step %d", f.name, rank, n, step), func(t *testing.T) {
					injected++
					launcher := l
					if f.script != "" {
						launcher = wrapped(t, l, rank, f.script)
					}
					out := filepath.Join(t.TempDir(), "out")
					if f.disk {
						smallDisk(t, out)
					}
					r := x.start(t, launcher, n, out, env)
					switch {
					case f.signal != 0:
						r.steps(step)
						syscall.Kill(r.pid(rank), f.signal)
					case f.do != nil:
						r.steps(step)
						f.do(r)
					}
					code := r.end(40 * time.Second)
					said := r.said.String()
					done := f.name == "launcher" && code == 0 && strings.Contains(said, "\nadapter written to") // faster than Open MPI, which takes seconds to notice
					if code != f.code && !done {
						t.Errorf("code %d, want %d\n%s", code, f.code, said)
					}
					if !regexp.MustCompile(strings.ReplaceAll(f.says, "RANK", strconv.Itoa(rank))).MatchString(said) {
						t.Errorf("it does not say %s\n%s", f.says, said)
					}
					if f.before == strings.Contains(said, "\nstep ") {
						t.Errorf("found before step 1: %v\n%s", !f.before, said)
					}
					if f.disk {
						if text, err := exec.Command("mount", "-o", "remount,size=8m", out).CombinedOutput(); err != nil {
							t.Fatalf("%v\n%s", err, text)
						}
					}
					if f.name == "output" {
						os.Remove(r.out)
						os.Rename(r.out+".aside", r.out)
					}
					if !f.before && (i+round)%2 == 0 {
						r.resume(l, 1+rng.IntN(4))
					}
				})
			})
		}
	}
	t.Logf("%d faults", injected)
}

// smallDisk has a directory be a disk that a few checkpoints fill.
func smallDisk(t *testing.T, dir string) {
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=80k", "none", dir).CombinedOutput(); err != nil {
		t.Skipf("a small disk cannot be mounted (root may): %s", text)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
}

// other is another base and other rows for the same config.
func (y *shared) other(x *shared) {
	text, err := os.ReadFile(filepath.Join(x.dir, "rows.jsonl"))
	y.must(err)
	lines := bytes.SplitAfter(text, []byte{'\n'})
	lines[0], lines[1] = lines[1], lines[0]
	y.must(os.WriteFile(filepath.Join(y.dir, "rows.jsonl"), bytes.Join(lines, nil), 0o666))
	base, err := os.ReadFile(filepath.Join(x.dir, "base", "model.safetensors"))
	y.must(err)
	y.must(os.Mkdir(filepath.Join(y.dir, "base"), 0o777))
	base[len(base)-2] ^= 1
	y.must(os.WriteFile(filepath.Join(y.dir, "base", "model.safetensors"), base, 0o666))
}

// Faults do not end a run that may restart.
func TestWorkersRestart(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := long(t)
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		r := x.start(t, l, 3, filepath.Join(t.TempDir(), "out"), nil, "--restarts", "3")
		for i, at := range []int{30, 100} {
			r.steps(at)
			victim := r.pid(i + 1)
			syscall.Kill(victim, syscall.SIGKILL)
			testkit.Until(t, "a restart", func() (bool, error) { p := r.pid(0); return p > 0 && r.pid(i+1) != victim || r.ended(), nil })
		}
		if code := r.end(2 * time.Minute); code != 0 {
			t.Errorf("code %d\n%s", code, r.said.String())
		}
		for _, want := range []string{"note: restart 1 of 3", "note: restart 2 of 3"} {
			mustContain(t, r.said.String(), want)
		}
		sameOutcome(t, "restarted", x.alone(), outcome(t, r.out))
	})
}

// A signal to lorac ends all processes after the same step; a second one at once.
func TestWorkersSignals(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := long(t)
	testkit.DeliverHangup(t)
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
			r := x.start(t, l, 3, filepath.Join(t.TempDir(), "out"), nil)
			r.steps(40)
			r.cmd.Process.Signal(s)
			r.end(time.Minute)
			if w := r.cmd.ProcessState.Sys().(syscall.WaitStatus); !w.Signaled() || w.Signal() != s {
				t.Errorf("it ended with %v\n%s", r.cmd.ProcessState, r.said.String())
			}
			mustContain(t, r.said.String(), "stopped by SIG", "resume with")
			r.resume(l, 2)
		}
		r := x.start(t, l, 2, filepath.Join(t.TempDir(), "out"), nil)
		r.steps(40)
		syscall.Kill(r.pid(1), syscall.SIGSTOP) // so that the step does not end
		r.cmd.Process.Signal(syscall.SIGINT)
		time.Sleep(400 * time.Millisecond)
		r.cmd.Process.Signal(syscall.SIGINT)
		r.end(20 * time.Second)
		if w := r.cmd.ProcessState.Sys().(syscall.WaitStatus); !w.Signaled() || w.Signal() != syscall.SIGINT {
			t.Errorf("it ended with %v\n%s", r.cmd.ProcessState, r.said.String())
		}
	})
}
