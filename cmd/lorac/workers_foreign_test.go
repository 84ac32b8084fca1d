//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lorac/cmd/lorac/mpi"
	"lorac/cmd/test/mpitest"
	"lorac/cmd/test/testkit"
)

// foreign is lorac as n ranks of a launcher that it did not start.
func (x *shared) foreign(t *testing.T, l mpi.Launcher, n int, out string, args ...string) *exec.Cmd {
	self := x.finetune(out, args...)
	cmd := mpitest.Command(t, l, n, self.Args[0], self.Args[1:]...)
	cmd.Env = append(cmd.Env, "LORAC_TEST_AS_LORAC=1", "TMPDIR="+x.dir)
	return cmd
}

// Under a launcher of the user's one process of the host compiles, the first one
// speaks, and the bits are those of one process.
func TestWorkersAsRanks(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := newShared(t, nil)
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		t.Setenv("XDG_CACHE_HOME", t.TempDir()) // so that it compiles
		out := filepath.Join(t.TempDir(), "out")
		text, err := x.foreign(t, l, 3, out).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		sameOutcome(t, "three ranks", x.alone(), outcome(t, out))
		for _, want := range []string{"processes: 3, started by " + l.Family, "compiling ", "compiled ", "device: ", "18 steps, 8 rows a step"} {
			if strings.Count(string(text), want) != 1 {
				t.Errorf("%q is not said once:\n%s", want, text)
			}
		}

		// What is wrong is said once, too.
		text, err = x.foreign(t, l, 3, out, "--model.model_config.hidden_size", "17").CombinedOutput()
		if err == nil || strings.Count(string(text), "must be a multiple of `num_heads`") != 1 {
			t.Errorf("%v\n%s", err, text)
		}
		text, err = x.foreign(t, l, 3, out, "--seed", "none").CombinedOutput()
		if err == nil || strings.Count(string(text), "error: --seed none") != 1 {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

// A launcher and a library of two families, and a lone rank that is bound to one of
// several cores, are errors with the way out.
func TestWorkersMisfits(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := newShared(t, nil)
	out := filepath.Join(t.TempDir(), "out")
	for launcher, library := range map[string]string{mpi.OpenMPI: "libmpich.so.12", mpi.MPICH: "libmpi.so.40"} {
		l := mpitest.Launcher(t, launcher)
		for _, cmd := range []*exec.Cmd{x.foreign(t, l, 2, out), under(x.finetune(out, "--workers", "2"), l)} {
			cmd.Env = append(cmd.Env, "LORAC_MPI="+library)
			text, _ := cmd.CombinedOutput()
			want := "error: the launcher of " + launcher + " started 2 processes, but the library sees 1: "
			if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Count(string(text), want) != 1 {
				t.Errorf("%v: code %d\n%s", l, code, text)
			}
		}
	}
	l := mpitest.Launcher(t, mpi.OpenMPI)
	cmd := x.foreign(t, l, 1, out)
	for i, a := range cmd.Args {
		if a == "none" {
			cmd.Args[i] = "core"
		}
	}
	text, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(text), "lets each process use 1 of ") {
		if n := cores(t); n < 2 {
			t.Skip("one core")
		}
		t.Errorf("code %d\n%s", code, text)
	}
}

func cores(t *testing.T) int {
	out, err := exec.Command("nproc").Output()
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	return n
}

// Two hosts, which are network namespaces, are started as msrun's nine arguments say. A
// host that is cut off ends the run on both; one that is killed leaves the other to
// complete it.
func TestTwoHosts(t *testing.T) {
	testkit.Slow(t, "mpi")
	mpitest.Launcher(t, mpi.MPICH)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip (Debian: iproute2)")
	}
	x := long(t)
	names := [2]string{fmt.Sprintf("lorac%da", os.Getpid()), fmt.Sprintf("lorac%db", os.Getpid())}
	ip := func(args ...string) error {
		text, err := testkit.Command(t, "ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, text)
		}
		return nil
	}
	if err := ip("netns", "add", names[0]); err != nil {
		t.Skipf("this system gives no network namespace (root may have one): %v", err)
	}
	t.Cleanup(func() {
		for _, n := range names {
			exec.Command("ip", "netns", "del", n).Run()
		}
	})
	x.must(ip("netns", "add", names[1]))
	v := [2]string{fmt.Sprintf("lv%da", os.Getpid()), fmt.Sprintf("lv%db", os.Getpid())}
	x.must(ip("link", "add", v[0], "netns", names[0], "type", "veth", "peer", "name", v[1], "netns", names[1]))
	for i := range names {
		x.must(ip("-n", names[i], "addr", "add", fmt.Sprintf("10.9.0.%d/24", i+1), "dev", v[i]))
		x.must(ip("-n", names[i], "link", "set", v[i], "up"))
		x.must(ip("-n", names[i], "link", "set", "lo", "up"))
	}
	port := 8118
	start := func(t *testing.T, out string, more ...string) (r [2]*running) {
		port += 2
		for i := range r {
			words := []string{"run_mindformer.py", "--config", x.yaml, "--load_checkpoint", filepath.Join(x.dir, "base"), "--load_adapter", filepath.Join(x.dir, "init"),
				"--train_dataset_dir", filepath.Join(x.dir, "rows.jsonl"), "--output_dir", out, "--mem_limit", "1GiB", "--save_checkpoint_steps", "20", "--threads", "1", "--timeout", "5"}
			for k, v := range x.settings {
				words = append(words, "--"+k, "'"+v+"'")
			}
			r[i] = &running{shared: x, t: t, out: out, tmp: t.TempDir(), n: 2}
			self := selfCommand(t, append([]string{"finetune", "bash", "scripts/msrun_launcher.sh", strings.Join(words, " "), "8", "4", "10.9.0.1", strconv.Itoa(port), strconv.Itoa(i), "log", "False", "120"}, more...)...)
			r[i].cmd = testkit.Command(t, "ip", append([]string{"netns", "exec", names[i]}, self.Args...)...)
			r[i].cmd.Env = append(mpitest.Environ(), "LORAC_TEST_AS_LORAC=1", "TMPDIR="+r[i].tmp, "UCX_TLS=tcp", "MPIR_CVAR_NOLOCAL=1") // one kernel would be one host
			r[i].cmd.Stdout, r[i].cmd.Stderr = &r[i].said, &r[i].said
			x.must(r[i].cmd.Start())
		}
		return r
	}
	ends := func(t *testing.T, r [2]*running, codes ...int) {
		t.Helper()
		for i := range r {
			if code := r[i].end(testkit.Limit); code != codes[i] {
				t.Errorf("host %d: code %d\n%s", i, code, r[i].said.String())
			}
		}
	}
	t.Run("bits", func(t *testing.T) {
		r := start(t, filepath.Join(t.TempDir(), "out"))
		ends(t, r, 0, 0)
		sameOutcome(t, "two hosts", x.alone(), outcome(t, r[0].out))
		mustContain(t, r[1].said.String(), "processes: 2, 1 process on each of 2 hosts, started by MPICH", "this is host 1")
	})
	t.Run("asked to stop", func(t *testing.T) {
		r := start(t, filepath.Join(t.TempDir(), "out"))
		r[0].steps(30)
		r[1].cmd.Process.Signal(syscall.SIGTERM) // ip became lorac
		for i := range r {
			r[i].end(testkit.Limit)
			if w := r[i].cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signal() != syscall.SIGTERM {
				t.Errorf("host %d ended with %v\n%s", i, r[i].cmd.ProcessState, r[i].said.String())
			}
		}
		mustContain(t, r[0].said.String(), "stopped by SIGTERM")
	})
	t.Run("killed", func(t *testing.T) {
		r := start(t, filepath.Join(t.TempDir(), "out"), "--restarts", "1")
		r[0].steps(30)
		r[1].cmd.Process.Kill()
		syscall.Kill(r[1].pid(1), syscall.SIGKILL) //nolint:errcheck // it may have ended with it
		ends(t, r, 0, -1)
		mustContain(t, r[0].said.String(), "note: restart 1 of 1", "note: 1 of 2 hosts are left")
		sameOutcome(t, "one host left", x.alone(), outcome(t, r[0].out))
	})
	t.Run("cut off", func(t *testing.T) {
		r := start(t, filepath.Join(t.TempDir(), "out"))
		r[0].steps(30)
		x.must(ip("-n", names[1], "link", "set", v[1], "down"))
		ends(t, r, 3, 3)
		mustContain(t, r[0].said.String(), "gave no sign of life")
		x.must(ip("-n", names[1], "link", "set", v[1], "up"))
	})
}
