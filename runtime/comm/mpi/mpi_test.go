package mpi

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	launchers "lorac/cmd/lorac/mpi"
	"lorac/cmd/test/mpitest"
	"lorac/cmd/test/testkit"
)

var dir string

func TestMain(m *testing.M) {
	testkit.LimitFiles()
	var err error
	if dir, err = os.MkdirTemp("", "lorac-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var building sync.Once

// ranks is the program of the tests.
func ranks(t testing.TB) string {
	path := dir + "/ranks"
	building.Do(func() {
		if err := os.Rename(mpitest.Build(t, "./testdata/ranks"), path); err != nil {
			t.Fatal(err)
		}
	})
	return path
}

// result is what a job said and its exit code.
func result(t *testing.T, cmd *exec.Cmd) (string, int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

var digest = regexp.MustCompile(`(?m)^tree [0-9a-f]{12}$`)

var sums = map[string]string{}

// alone is the digest of a tree sum in one process.
func alone(t *testing.T) string {
	numbers := os.Getenv("NUMBERS")
	if sums[numbers] != "" {
		return sums[numbers]
	}
	out, code := result(t, testkit.Command(t, ranks(t), "sum"))
	d := digest.FindString(out)
	if code != 0 || d == "" {
		t.Fatalf("code %d\n%s", code, out)
	}
	sums[numbers] = d
	return d
}

// same runs all operations on n ranks: the same bits as in one process.
func same(t *testing.T, l launchers.Launcher, n int) {
	t.Helper()
	cmd := mpitest.Command(t, l, n, ranks(t), "sum")
	out, code := result(t, cmd)
	if want := alone(t); code != 0 || digest.FindString(out) != want || !strings.Contains(out, " ranks of "+l.Family+" "+l.Version) {
		t.Errorf("%d ranks of %v: code %d, want 0 and %s\n%s", n, l, code, want, out)
	}
}

func TestRanks(t *testing.T) {
	mpitest.Each(t, func(t *testing.T, l launchers.Launcher) {
		same(t, l, 2)
		same(t, l, 3)
	})
}

func TestManyRanks(t *testing.T) {
	testkit.Slow(t, "mpi")
	mpitest.Each(t, func(t *testing.T, l launchers.Launcher) {
		for _, n := range []int{4, 5, 6, 8} {
			same(t, l, n)
		}
	})
}

// Long vectors go by many pieces.
func TestLongVectors(t *testing.T) {
	testkit.Slow(t, "mpi")
	mpitest.Each(t, func(t *testing.T, l launchers.Launcher) {
		t.Setenv("NUMBERS", "6000000")
		same(t, l, 2)
		same(t, l, 3)
	})
}

// A job with a fault ends, with the code and the message that are promised, and leaves
// no process. Under a foreign launcher, which these are, the launcher itself may end the
// job when a rank has ended; then the code is its own.
func TestFaults(t *testing.T) {
	testkit.Slow(t, "mpi")
	lost := func(rank string) string {
		return `error: rank ` + rank + ` \(\S+, process \d+\) gave no sign of life for [3-9]\S* s`
	}
	for _, c := range []struct {
		mode, victim, says string
		code               int // -1: any but 0
	}{
		{"kill", "2", "", -1},
		{"kill", "0", "", -1},
		{"exit", "2", "", -1},
		{"stop", "2", lost("2"), 3},
		{"stop", "0", lost("0"), 3},
		{"leave", "2", `error: nothing has arrived for [6-9]\S* s, and every rank waits`, 3},
		{"error", "1", "error: no space left", 3},
		{"agree", "2", `(?s)error: the ranks differ in data:\n  rank 0 \(\S+, process \d+\): false\n  rank 2 \(\S+, process \d+\): true`, 1},
		{"compute", "1", "3 ranks of", 0},
		{"compute", "0", "3 ranks of", 0},
	} {
		t.Run(c.mode+c.victim, func(t *testing.T) {
			mpitest.Each(t, func(t *testing.T, l launchers.Launcher) {
				program := ranks(t)
				cmd := mpitest.Command(t, l, 3, program, c.mode)
				cmd.Env = append(cmd.Env, "TIMEOUT=3s", "VICTIM="+c.victim)
				out, code := result(t, cmd)
				if code != c.code && (c.code >= 0 || code == 0) {
					t.Errorf("code %d, want %d\n%s", code, c.code, out)
				}
				if found := regexp.MustCompile(c.says).FindAllString(out, -1); len(found) == 0 || c.says != "" && len(found) != 1 {
					t.Errorf("it says %q %d times:\n%s", c.says, len(found), out)
				}
				mpitest.NoneLeft(t, program)
			})
		})
	}
}

// A launcher and a library of two families are an error that names both.
func TestOtherFamily(t *testing.T) {
	testkit.Slow(t, "mpi")
	for launcher, library := range map[string]string{launchers.OpenMPI: "libmpich.so.12", launchers.MPICH: "libmpi.so.40"} {
		l := mpitest.Launcher(t, launcher)
		cmd := mpitest.Command(t, l, 2, ranks(t), "sum")
		cmd.Env = append(cmd.Env, "LORAC_MPI="+library)
		out, code := result(t, cmd)
		if strings.Contains(out, "cannot open shared object file") {
			t.Skipf("no %s", library)
		}
		want := "error: the launcher of " + launcher + " started 2 processes, but the library sees 1: "
		if code != 1 || strings.Count(out, want) != 1 || !strings.Contains(out, "= help: start it with the launcher of ") {
			t.Errorf("code %d\n%s", code, out)
		}
	}
}

// A library that is not there is an error that says what was tried.
func TestNoLibrary(t *testing.T) {
	testkit.Slow(t, "mpi")
	mpitest.Each(t, func(t *testing.T, l launchers.Launcher) {
		cmd := mpitest.Command(t, l, 2, ranks(t), "sum")
		cmd.Env = append(cmd.Env, "LORAC_MPI=libnone.so")
		out, code := result(t, cmd)
		if code != 1 || strings.Count(out, "no MPI library can be used:\n  libnone.so: ") != 1 {
			t.Errorf("code %d\n%s", code, out)
		}
	})
}

// Open MPI binds two processes of a machine with more processors to one each.
func TestBound(t *testing.T) {
	testkit.Slow(t, "mpi")
	l := mpitest.Launcher(t, launchers.OpenMPI)
	for bind, want := range map[string]bool{"core": true, "none": false} {
		cmd := mpitest.Command(t, l, 1, ranks(t), "bound")
		for i, a := range cmd.Args {
			if a == "none" {
				cmd.Args[i] = bind
			}
		}
		out, code := result(t, cmd)
		if code != 0 {
			t.Fatalf("code %d\n%s", code, out)
		}
		if got := strings.Contains(out, "bound to 1 of "); got != want && !strings.Contains(out, " of 1 processors") {
			t.Errorf("--bind-to %s: %v\n%s", bind, got, out)
		}
	}
}
