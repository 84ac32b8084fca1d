// Package doctor says whether a machine has what lorac needs. It must not know configs.
package doctor

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"lorac/cmd/lorac/ascend"
	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cache"
	"lorac/cmd/lorac/mpi"
	"lorac/codegen/toolchain"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/limits"
	"lorac/runtime/sys/version"
)

// State is how a finding stands.
type State string

// The states.
const (
	OK     State = "ok"
	Absent State = "absent" // and needed for some jobs alone
	Poor   State = "poor"
	Fails  State = "fails" // nothing can be compiled or run before it is mended
)

// Finding is one fact of the machine.
type Finding struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Text  string `json:"text"`
	Help  string `json:"help,omitempty"`
}

// Examine calls show with each finding as soon as it is known, and reports whether all
// that lorac needs is there.
func Examine(show func(Finding)) bool {
	fine := true
	for _, look := range []func() Finding{program, processor, memory, goes, trainers, space, temporary, launchers, cann} {
		f := look()
		if err, help, ok := strings.Cut(f.Text, "\n  = help: "); ok {
			f.Text, f.Help = err, help
		}
		fine = fine && f.State != Fails
		show(f)
	}
	return fine
}

// Print writes a finding.
func (f Finding) Print(w io.Writer) {
	fmt.Fprintf(w, "%-7s %-10s %s\n", f.State, f.Name, f.Text)
	if f.Help != "" {
		fmt.Fprintf(w, "%18s = help: %s\n", "", f.Help)
	}
}

func program() Finding {
	return Finding{"lorac", OK, fmt.Sprintf("%s, commit %s, built by %s for %s/%s", version.Release, version.Commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH), ""}
}

func processor() Finding {
	if err := build.CheckCPU(); err != nil {
		return Finding{"processor", Fails, err.Error(), ""}
	}
	n := limits.Here().Processors()
	text := fmt.Sprintf("%d threads, %s", build.DefaultThreads(), build.VectorUnits())
	if n.N > 0 && n.N < runtime.NumCPU() {
		text += fmt.Sprintf(" (%s)", n.From)
	}
	if build.VectorUnits() == "plain Go" {
		return Finding{"processor", Poor, text, "the assembly is for AVX2, AVX-512 and NEON; LORAC_CPU must not ask for less"}
	}
	return Finding{"processor", OK, text, ""}
}

func memory() Finding {
	m := limits.Here().Memory()
	if m.Free.N == 0 {
		return Finding{"memory", OK, "the system does not say what is free; --mem_limit bounds a run", ""}
	}
	text := fmt.Sprintf("%s free of %s", human.Bytes(m.Free.N), human.Bytes(m.Limit.N))
	if m.Limit.From != "the memory of the machine" {
		text += fmt.Sprintf(" (%s)", m.Limit.From)
	}
	if m.Free.N < needed {
		return Finding{"memory", Poor, text, fmt.Sprintf("compiling a trainer takes up to %s; lorac compile does it elsewhere", human.Bytes(needed))}
	}
	return Finding{"memory", OK, text, ""}
}

// needed is what building a trainer may take, in bytes.
const needed = 1 << 30

func goes() Finding {
	v, path, err := toolchain.Version()
	switch {
	case err != nil:
		return Finding{"Go", Fails, err.Error(), ""}
	case older(v, runtime.Version()):
		return Finding{"Go", Fails, fmt.Sprintf("%s in %s is older than %s, which lorac was built by", v, path, runtime.Version()), "install a newer one, from https://go.dev/dl, and have it first in PATH"}
	}
	return Finding{"Go", OK, fmt.Sprintf("%s in %s", v, path), ""}
}

// older compares versions such as go1.26.1 by their first two numbers, which a trainer's
// go.mod names.
func older(a, b string) bool {
	var a1, a2, b1, b2 int
	if n, _ := fmt.Sscanf(a, "go%d.%d", &a1, &a2); n < 2 {
		return false // a development version
	}
	if n, _ := fmt.Sscanf(b, "go%d.%d", &b1, &b2); n < 2 {
		return false
	}
	return a1 < b1 || a1 == b1 && a2 < b2
}

func trainers() Finding {
	dir, err := cache.Dir()
	if err != nil {
		return Finding{"cache", Fails, err.Error(), ""}
	}
	size, count := 0, 0
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // what cannot be read is not counted
		if err != nil {
			return nil
		}
		if d.Name() == ".built" {
			count++
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			size += int(info.Size())
		}
		return nil
	})
	return Finding{"cache", OK, fmt.Sprintf("%s: %s, %s", dir, human.Count(count, "trainer"), human.Bytes(size)), ""}
}

// least is the space below which a run is likely to fail.
const least = 256 << 20

func space() Finding {
	return spaceAt("disk", ".", "results go to output_dir, which is here unless a config says otherwise")
}

func temporary() Finding {
	return spaceAt("temporary", os.TempDir(), "set TMPDIR to another disk")
}

func spaceAt(name, dir, help string) Finding {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	n := disk.Free(dir)
	switch {
	case n < 0:
		return Finding{name, OK, dir + ": the system does not say what is free", ""}
	case n < least:
		return Finding{name, Fails, fmt.Sprintf("%s: %s free", dir, human.Bytes(n)), help}
	}
	return Finding{name, OK, fmt.Sprintf("%s: %s free", dir, human.Bytes(n)), ""}
}

func launchers() Finding {
	list := mpi.Launchers()
	if len(list) == 0 {
		return Finding{"MPI", Absent, "no launcher is in PATH; --workers alone needs one", mpi.Install}
	}
	var names []string
	for _, l := range list {
		names = append(names, l.String())
	}
	return Finding{"MPI", OK, strings.Join(names, ", "), ""}
}

func cann() Finding {
	library, why := ascend.Library()
	if library == "" {
		return Finding{"CANN", Absent, why + "; --device ascend alone needs it", ""}
	}
	t, err := ascend.FindToolkit()
	if err != nil {
		return Finding{"CANN", Absent, fmt.Sprintf("%s, but kernels cannot be compiled: %v", library, err), ""}
	}
	return Finding{"CANN", OK, fmt.Sprintf("%s, toolkit %s in %s", library, t.Version, t.Home), ""}
}
