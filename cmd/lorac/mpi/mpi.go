// Package mpi finds the MPI launchers of this machine and says how each starts some
// processes on it.
package mpi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Families of launchers.
const (
	OpenMPI = "Open MPI"
	MPICH   = "MPICH"
	Intel   = "Intel MPI"
	Slurm   = "Slurm"
)

// Launcher is a program that starts the processes of a job.
type Launcher struct {
	Path    string // as PATH has it
	Family  string
	Version string // "4.1.4"; "" where it does not say
}

// String is the launcher for people.
func (l Launcher) String() string {
	return strings.TrimSpace(l.Family+" "+l.Version) + " (" + l.Path + ")"
}

// names are looked up in this order: the one that the system chose first.
var names = []string{"mpirun", "mpiexec", "mpiexec.hydra", "mpirun.openmpi", "mpiexec.openmpi", "mpirun.mpich", "mpiexec.mpich", "srun"}

// Launchers are those that PATH has, each program once. Of srun it says nothing about
// whether there is a cluster or an allocation.
func Launchers() (list []Launcher) {
	seen := map[string]bool{}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		file, err := filepath.EvalSymlinks(path)
		if err != nil || seen[file] {
			continue
		}
		seen[file] = true
		if l, ok := identify(path); ok {
			list = append(list, l)
		}
	}
	return list
}

// Local are the launchers that start processes on this machine by themselves: all but
// Slurm's.
func Local() (list []Launcher) {
	for _, l := range Launchers() {
		if l.Family != Slurm {
			list = append(list, l)
		}
	}
	return list
}

// Find is the launcher to use: the one that the variable LORAC_MPIRUN names, else the
// first of Local. ok is false where there is none.
func Find() (l Launcher, ok bool, err error) {
	if path := os.Getenv(Variable); path != "" {
		file, err := exec.LookPath(path)
		if err == nil {
			if l, ok = identify(file); !ok {
				err = errors.New("it does not say that it is a launcher of Open MPI, MPICH, Intel MPI or Slurm")
			}
		}
		if err != nil {
			return l, false, fmt.Errorf("%s=%s: %w", Variable, path, err)
		}
		return l, true, nil
	}
	if list := Local(); len(list) > 0 {
		return list[0], true, nil
	}
	return l, false, nil
}

// Variable names the launcher.
const Variable = "LORAC_MPIRUN"

// identify asks a program for its version.
func identify(path string) (Launcher, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	text, _ := cmd.CombinedOutput()
	l := parse(string(text))
	l.Path = path
	return l, l.Family != ""
}

var (
	intelVersion = regexp.MustCompile(`Version\s+(\d+(\.\d+)*)`)
	hydraVersion = regexp.MustCompile(`Version:\s+(\d+(\.\d+)*)`)
	openVersion  = regexp.MustCompile(`Open\s?(?:MPI|RTE)\)?\s+v?(\d+(\.\d+)*)`)
	anyVersion   = regexp.MustCompile(`\d+(\.\d+)+`)
)

// parse reads what a launcher says of its version.
func parse(text string) (l Launcher) {
	version := func(re *regexp.Regexp) string {
		if m := re.FindStringSubmatch(text); m != nil {
			return m[1]
		}
		return ""
	}
	switch {
	case strings.Contains(text, "Open MPI"), strings.Contains(text, "OpenRTE"):
		l = Launcher{Family: OpenMPI, Version: version(openVersion)}
	case strings.Contains(text, "PRRTE"), strings.Contains(text, "prterun"): // the launcher of Open MPI 5 and later
		l = Launcher{Family: OpenMPI, Version: "5"}
	case strings.Contains(text, "Intel(R) MPI"):
		l = Launcher{Family: Intel, Version: version(intelVersion)}
	case strings.Contains(text, "HYDRA"):
		l = Launcher{Family: MPICH, Version: version(hydraVersion)}
	case strings.HasPrefix(text, "slurm"):
		l = Launcher{Family: Slurm, Version: anyVersion.FindString(text)}
	}
	return l
}

// Major is the first number of the version, 0 where it is unknown.
func (l Launcher) Major() int {
	major, _, _ := strings.Cut(l.Version, ".")
	n, _ := strconv.Atoi(major)
	return n
}

// Args is the command line that starts n processes of a program on this machine, not
// bound to processors, more than there are processors where n is larger, and as root
// where the caller is root. Env are variables that it needs beside the caller's.
func (l Launcher) Args(n int, program ...string) (args, env []string) {
	args = []string{l.Path}
	switch l.Family {
	case OpenMPI:
		if l.Major() >= 5 {
			args = append(args, "--map-by", ":OVERSUBSCRIBE")
		} else {
			args = append(args, "--oversubscribe")
		}
		args = append(args, "--bind-to", "none")
		if os.Geteuid() == 0 {
			args = append(args, "--allow-run-as-root")
		}
	case MPICH:
		args = append(args, "-bind-to", "none")
	case Intel:
		env = []string{"I_MPI_PIN=0", "I_MPI_HYDRA_BOOTSTRAP=fork"}
	case Slurm:
		args = append(args, "--nodes=1", "--overcommit", "--cpu-bind=none")
	}
	return append(append(args, "-n", strconv.Itoa(n)), program...), env
}

// Install says how to get a launcher.
const Install = "install Open MPI or MPICH (Debian and Ubuntu: apt install openmpi-bin, or mpich)"
