// Package ascendtest gives tests an Ascend device without hardware: the kernels of
// csrc compiled against the twin, behind the stand-in for ACL. LORAC_ASCEND_KERNELS
// names another library of the same kernels, compiled elsewhere; LORAC_ACL another
// stand-in.
package ascendtest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"lorac/runtime/device"
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

// Open opens the device for one test, on its goroutine. Tests that use it do not
// run in parallel with each other. Without g++ the test is skipped with the reason.
func Open(t testing.TB) *device.Device {
	t.Helper()
	once.Do(func() { once.kernels, once.err = Libraries() })
	if once.err != nil {
		t.Fatal(once.err)
	}
	if once.kernels == "" {
		t.Skip("the kernels for Ascend need a C++17 compiler: g++ (Debian: g++)")
	}
	d, err := device.Open(0, once.kernels)
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
	dir := root()
	if acl == "" {
		acl, err = compile("libascendcl.so", []string{filepath.Join(dir, "standin")}, filepath.Join(dir, "standin", "acl.cpp"))
		if err != nil {
			return "", err
		}
		os.Setenv("LORAC_ACL", acl)
	}
	if kernels == "" {
		sources, _ := filepath.Glob(filepath.Join(dir, "csrc", "*.cpp"))
		sources = append(sources, filepath.Join(dir, "twin", "library.cpp"))
		kernels, err = compile("kernels.so", []string{filepath.Join(dir, "twin"), filepath.Join(dir, "csrc")}, sources...)
	}
	return kernels, err
}

// cache is the user's cache directory as it was when the process began: tests may
// give what they start one of its own.
var cache = func() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return os.TempDir()
	}
	return dir
}()

// compile makes a library of sources, once for each content: objects and library
// are kept in the user's cache directory under the hash of all files they may read.
func compile(name string, include []string, sources ...string) (string, error) {
	h := sha256.New()
	flags := []string{"-std=c++17", "-O2", "-Wall", "-fPIC"}
	fmt.Fprintln(h, flags)
	for _, d := range include {
		flags = append(flags, "-I"+d)
		err := filepath.WalkDir(d+"/", func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			fmt.Fprintf(h, "%s %x\n", path, sha256.Sum256(text))
			return err
		})
		if err != nil {
			return "", err
		}
	}
	dir := filepath.Join(cache, "lorac-test", fmt.Sprintf("%x", h.Sum(nil)[:12]))
	out := filepath.Join(dir, name)
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	var objects []string
	errs := make(chan error, len(sources))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, s := range sources {
		o := filepath.Join(dir, strings.TrimSuffix(filepath.Base(s), ".cpp")+".o")
		objects = append(objects, o)
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs <- run(append(append([]string{}, flags...), "-c", s, "-o", o)...)
		}()
	}
	var err error
	for range sources {
		if e := <-errs; e != nil {
			err = e
		}
	}
	if err != nil {
		return "", err
	}
	tmp := out + fmt.Sprint(".", os.Getpid())
	if err := run(append([]string{"-shared", "-o", tmp}, append(objects, "-ldl", "-lpthread")...)...); err != nil {
		return "", err
	}
	return out, os.Rename(tmp, out)
}

func run(args ...string) error {
	if out, err := exec.Command("g++", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("g++: %w\n%s", err, out)
	}
	return nil
}
