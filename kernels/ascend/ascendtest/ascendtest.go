// Package ascendtest gives tests an Ascend device without hardware: the kernels of
// csrc compiled against the twin, behind the stand-in for ACL. LORAC_ASCEND_KERNELS
// names another library of the same kernels, compiled elsewhere; LORAC_ACL another
// stand-in.
package ascendtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"lorac/kernels/ascend/ascendtest/cxx"
	"lorac/runtime/device"
	"lorac/runtime/sys/dl"
)

// root is the directory of kernels/ascend.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

var once = struct {
	sync.Once
	kernels string
	err     error
}{}

// Missing is what tests say that need a compiler where there is none.
const Missing = "the kernels for Ascend need a C++17 compiler: g++ (Debian: apt install g++)"

// Open opens the device for one test, on its goroutine. Tests that use it do not
// run in parallel with each other. Without g++ the test is skipped with the reason.
func Open(t testing.TB) *device.Device {
	t.Helper()
	d, err := device.Open(0, Kernels(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Kernels gives the library of kernels that Open loads.
func Kernels(t testing.TB) string {
	t.Helper()
	once.Do(func() { once.kernels, once.err = Libraries() })
	if once.err != nil {
		t.Fatal(once.err)
	}
	if once.kernels == "" {
		t.Skip(Missing)
	}
	return once.kernels
}

// Counts are what the twin counted in a launch.
type Counts struct {
	In, Out  uint64 // bytes from global memory into a core, and back
	L1       uint64 // bytes from L1 to L0A and L0B
	FLOPs    uint64 // of the cube
	Vectors  uint64 // vector instructions
	Lanes    uint64 // their elements
	Scalars  uint64 // reads of global memory by the scalar unit
	Launches uint64 // so far, this one included
}

// Counters waits for the device and gives the counters of its last launch. The test
// is skipped where the library of kernels does not count.
func Counters(t testing.TB, d *device.Device) Counts {
	t.Helper()
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	lib, err := dl.Open(Kernels(t))
	if err != nil {
		t.Fatal(err)
	}
	var read func(v *uint64, n int32) int32
	if lib.Bind([]dl.Call{{Name: "twin_counters", Func: &read}}) != nil {
		t.Skip("this library of kernels does not count")
	}
	var v [8]uint64
	read(&v[0], 8)
	return Counts{v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]}
}

// Libraries builds what LORAC_ACL and LORAC_ASCEND_KERNELS do not name, sets
// LORAC_ACL and returns the library of kernels; "" where there is no compiler.
func Libraries() (kernels string, err error) {
	kernels, acl := os.Getenv("LORAC_ASCEND_KERNELS"), os.Getenv("LORAC_ACL")
	if kernels != "" && acl != "" {
		return kernels, nil
	}
	if _, err := exec.LookPath("g++"); err != nil {
		return "", nil
	}
	if err := ACL(); err != nil {
		return "", err
	}
	if kernels == "" {
		kernels, err = Twin("kernels.so", filepath.Join(root(), "csrc"))
	}
	return kernels, err
}

// HCCL builds the stand-in for HCCL where LORAC_HCCL names no library, and sets LORAC_HCCL.
func HCCL() error {
	if os.Getenv("LORAC_HCCL") != "" {
		return nil
	}
	dir := filepath.Join(root(), "standin")
	path, err := cxx.Library{Name: "libhccl.so", Include: []string{dir}, Sources: []cxx.Source{{Path: filepath.Join(dir, "hccl.cpp"), Small: true}}}.Build()
	if err == nil {
		os.Setenv("LORAC_HCCL", path)
	}
	return err
}

// ACL is the same for the stand-in for ACL and LORAC_ACL.
func ACL() error {
	if os.Getenv("LORAC_ACL") != "" {
		return nil
	}
	dir := filepath.Join(root(), "standin")
	path, err := cxx.Library{Name: "libascendcl.so", Include: []string{dir}, Sources: []cxx.Source{{Path: filepath.Join(dir, "acl.cpp"), Small: true}}}.Build()
	if err == nil {
		os.Setenv("LORAC_ACL", path)
	}
	return err
}

// Twin builds all sources of a directory, which has their table.h, against the twin;
// shared are further directories of headers.
func Twin(name, dir string, shared ...string) (string, error) {
	twin := filepath.Join(root(), "twin")
	files, err := filepath.Glob(filepath.Join(dir, "*.cpp"))
	if err != nil {
		return "", err
	}
	// Several such libraries may be open in a process: each keeps to its own symbols.
	hidden := []string{"-fvisibility=hidden"}
	engine := cxx.Library{Flags: hidden, Include: []string{twin}, Sources: []cxx.Source{{Path: filepath.Join(twin, "engine.cpp")}}}
	l := cxx.Library{Name: name, Flags: hidden, Include: append([]string{dir, twin}, shared...), Header: filepath.Join(twin, "kernel_operator.h"), With: &engine}
	for _, f := range append(files, filepath.Join(twin, "library.cpp")) {
		l.Sources = append(l.Sources, cxx.Source{Path: f, Small: true})
	}
	return l.Build()
}
