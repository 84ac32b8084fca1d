// Package mpitest runs programs as several processes under the MPI launchers of the
// machine. Tests of every package may use it.
package mpitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lorac/cmd/lorac/mpi"
	"lorac/cmd/test/testkit"
)

// debian is the Debian package of a family's launcher, and the name it has there.
var debian = map[string]struct{ name, launcher string }{
	mpi.OpenMPI: {"openmpi-bin", "mpirun.openmpi"},
	mpi.MPICH:   {"mpich", "mpirun.mpich"},
}

// Families are those that tests run under.
var Families = []string{mpi.OpenMPI, mpi.MPICH}

var found = sync.OnceValue(mpi.Local)

// Launcher is that of a family. The test is skipped where there is none.
func Launcher(t testing.TB, family string) mpi.Launcher {
	t.Helper()
	for _, l := range found() {
		if l.Family == family {
			return l
		}
	}
	if path, err := exec.LookPath(debian[family].launcher); err == nil {
		t.Fatalf("BUG: %s is not known as %s's", path, family)
	}
	t.Skipf("no launcher of %s (Debian: %s)", family, debian[family].name)
	return mpi.Launcher{}
}

// Each runs a test under every family, those that are missing skipped.
func Each(t *testing.T, f func(t *testing.T, l mpi.Launcher)) {
	for _, family := range Families {
		t.Run(strings.ReplaceAll(family, " ", ""), func(t *testing.T) { f(t, Launcher(t, family)) })
	}
}

// Command is a program as n processes on this machine, bounded as testkit.Command is.
// Its environment has nothing of another launcher.
func Command(t testing.TB, l mpi.Launcher, n int, program string, args ...string) *exec.Cmd {
	t.Helper()
	line, env := l.Args(n, append([]string{program}, args...)...)
	cmd := testkit.Command(t, line[0], line[1:]...)
	cmd.Env = append(Environ(), env...)
	return cmd
}

// Environ is that of this process without what is another launcher's.
func Environ() (list []string) {
	for _, v := range os.Environ() {
		if !ours(v) {
			list = append(list, v)
		}
	}
	return list
}

func ours(v string) bool {
	for _, p := range []string{"OMPI_", "PMIX_", "PMI_", "MPI_LOCAL", "LORAC_MPI"} {
		if strings.HasPrefix(v, p) {
			return true
		}
	}
	return false
}

// Build builds a program of this module, without cgo, and returns its path. It reads the
// sources itself, too: go test keeps the result of a test for as long as what the test
// read is the same.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	const files = `{{if not .Standard}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}`
	list, err := testkit.Command(t, "go", "list", "-deps", "-f", files, pkg).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	for _, file := range strings.Fields(string(list)) {
		if _, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "ranks")
	cmd := testkit.Command(t, "go", "build", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// NoneLeft fails the test unless all processes of a program end.
func NoneLeft(t testing.TB, program string) {
	t.Helper()
	testkit.Until(t, "processes of "+program+" end", func() (bool, error) {
		list, err := filepath.Glob("/proc/[0-9]*/exe")
		for _, exe := range list {
			if at, err := os.Readlink(exe); err == nil && at == program {
				return false, nil
			}
		}
		return true, err
	})
}
