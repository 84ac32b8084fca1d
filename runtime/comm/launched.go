package comm

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Launch is what a launcher left in the environment of a process that it started.
type Launch struct {
	// Family is whose launcher it is: "lorac" (package star), "Open MPI", "MPICH" (Hydra: MPICH, Intel MPI,
	// MVAPICH), "Slurm" or "PMIx"; "" without one.
	Family    string
	Rank      int // of this process
	Size      int // processes of the job; 0 where the environment does not say
	LocalSize int // of them on this machine; 0 where it does not say
	LocalRank int // of this process among them; -1 where it does not say
}

// marks are the variables of launchers. Those that start another's processes (Slurm) are
// last; lorac may be started by any of them and is first.
var marks = []struct{ family, size, rank, local, localRank string }{
	{"lorac", "LORAC_RANKS", "LORAC_RANK", "LORAC_LOCAL_RANKS", "LORAC_LOCAL_RANK"},
	{"Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
	{"MPICH", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_RANK"},
	{"MPICH", "PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS", "MPI_LOCALRANKID"},
	{"Slurm", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "", "SLURM_LOCALID"},
	{"PMIx", "", "PMIX_RANK", "", ""},
}

// IsMark reports whether a variable of the environment is a launcher's.
func IsMark(name string) bool {
	for _, m := range marks {
		if name == m.size || name == m.rank || name == m.local || name == m.localRank {
			return name != ""
		}
	}
	return false
}

// Launched says which launcher started this process. It looks at the environment alone,
// so a program that opens no MPI library can call it.
func Launched() Launch {
	for _, m := range marks {
		size, err := strconv.Atoi(os.Getenv(m.size))
		rank, errRank := strconv.Atoi(os.Getenv(m.rank))
		if (m.size == "" || err == nil && size > 0) && errRank == nil {
			local, _ := strconv.Atoi(os.Getenv(m.local))
			at, err := strconv.Atoi(os.Getenv(m.localRank))
			if err != nil {
				at = -1
			}
			return Launch{m.family, rank, size, local, at}
		}
	}
	return Launch{}
}

// Binding is on how many processors a process may run.
type Binding struct {
	Usable int    // runtime.NumCPU
	Node   int    // what the launcher itself may use
	Help   string // the launcher's flag for no binding
}

// Bound reports whether the launcher has bound this process to fewer processors than
// its share of the machine. It is false where the launcher's process is not found.
func Bound() (Binding, bool) {
	l := Launched()
	b := Binding{Usable: runtime.NumCPU()}
	pid, _, ok := launcher()
	if !ok {
		return b, false
	}
	b.Node = allowed(pid)
	b.Help = map[string]string{
		"Open MPI": "mpirun --bind-to none",
		"MPICH":    "mpiexec -bind-to none (Intel MPI: I_MPI_PIN=0)",
		"Slurm":    "srun --cpu-bind=none",
	}[l.Family]
	return b, b.Usable < b.Node/max(l.LocalSize, 1)
}

// launchers are the names of processes that start ranks, as the kernel shortens them.
var launchers = []string{"mpirun", "mpiexec", "orterun", "orted", "prterun", "prted", "prte", "hydra_pmi_proxy", "slurmstepd", "hydra_bstrap_pr"}

// launcher is the process above this one that started it, and its program.
func launcher() (pid int, path string, ok bool) {
	pid = os.Getppid()
	for range 6 { // shells and wrappers lie between
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			break
		}
		base, _, _ := strings.Cut(strings.TrimSpace(string(name)), ".")
		for _, l := range launchers {
			if base == l {
				path, _ = os.Readlink(filepath.Join(dir, "exe"))
				return pid, path, true
			}
		}
		if pid, err = strconv.Atoi(status(pid, "PPid")); err != nil || pid <= 1 {
			break
		}
	}
	return 0, "", false
}

// LauncherProcess names the process of the launcher that started this one, as no other
// process of this machine is named until it restarts; "" where it is not found.
func LauncherProcess() string {
	pid, _, ok := launcher()
	if !ok {
		return ""
	}
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return strconv.Itoa(pid) + "-" + fields[19] // when it started
}

// LauncherPath is the program of the launcher that started this process, "" where it is
// not found. Its library is often near it.
func LauncherPath() string {
	_, path, _ := launcher()
	return path
}

// allowed is the number of processors that a process may run on.
func allowed(pid int) (n int) {
	for _, part := range strings.Split(status(pid, "Cpus_allowed_list"), ",") {
		from, to, more := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			return 0
		}
		b := a
		if more {
			if b, err = strconv.Atoi(to); err != nil {
				return 0
			}
		}
		n += b - a + 1
	}
	return n
}

// status is a line of /proc/PID/status.
func status(pid int, key string) string {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && k == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
