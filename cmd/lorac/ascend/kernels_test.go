package ascend

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/runtime/sys/signals"
)

// bishengRecords is a compiler and a linker that record their arguments and make
// what they are asked for; FAKE_FAILS is a source that does not compile, FAKE_WAITS
// a file that is waited for, FAKE_TEXT is said where no binary is made.
const bishengRecords = `#!/bin/sh
echo "$(basename "$0") $*" >> "$FAKE_LOG"
out= previous=
for a; do
  case "$a" in *"$FAKE_FAILS") [ -n "$FAKE_FAILS" ] && { echo "$a:7:1: error: no matching function for call to 'Mmad'" >&2; exit 1; } ;; esac
  [ "$previous" = -o ] && out=$a
  previous=$a
done
if [ -n "$FAKE_WAITS" ]; then printf half > "$out"; sleep 60 & echo $! > "$FAKE_WAITS"; wait; fi
[ -n "$FAKE_TEXT" ] && { echo "$FAKE_TEXT"; echo text > "$out"; exit 0; }
printf '\177ELFmade of %s%64s\n' "$*" > "$out"
`

// cmakeRecords is a cmake that builds what a toolkit of 8.x would.
const cmakeRecords = `#!/bin/sh
echo "cmake $*" >> "$FAKE_LOG"
if [ "$1" = --build ]; then mkdir -p out/fatbin/kernels && { printf '\177ELF'; cat CMakeLists.txt; } > out/fatbin/kernels/kernels.o; fi
`

// fake sets up a toolkit of a version, and a cache of the test's own. It returns the
// file that the calls are recorded in.
func fake(t *testing.T, version string) (home, log string) {
	t.Helper()
	home, log = t.TempDir(), filepath.Join(t.TempDir(), "calls")
	bin := filepath.Join(home, arch(), "ccec_compiler", "bin")
	write(t, filepath.Join(bin, "bisheng"), bishengRecords)
	write(t, filepath.Join(bin, "ld.lld"), bishengRecords)
	write(t, filepath.Join(home, arch(), "ascend_toolkit_install.info"), "package_name=Ascend-cann-toolkit\nversion="+version+"\narch=x86_64\n")
	path := t.TempDir()
	write(t, filepath.Join(path, "cmake"), cmakeRecords)
	for name, value := range map[string]string{"ASCEND_HOME_PATH": home, "ASCEND_TOOLKIT_HOME": "", "LORAC_ASCEND_KERNELS": "", "FAKE_LOG": log, "FAKE_FAILS": "", "FAKE_WAITS": "", "FAKE_TEXT": "",
		"XDG_CACHE_HOME": t.TempDir(), "PATH": path + ":" + os.Getenv("PATH")} {
		t.Setenv(name, value)
	}
	return home, log
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o777); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

var some = map[string][]byte{"csrc/b.cpp": []byte("b"), "csrc/a.cpp": []byte("a"), "csrc/a.h": []byte("h")}

func toolkit(t *testing.T) *Toolkit {
	t.Helper()
	tk, err := FindToolkit()
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

// A toolkit of 9.x compiles each source and links; the second time nothing is done,
// and another source, version or chip is another binary.
func TestCompile(t *testing.T) {
	home, log := fake(t, "9.1.0")
	cache := t.TempDir()
	path, err := toolkit(t).cached(cache, "Ascend910B3", some)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); !strings.HasPrefix(got, "\x7fELFmade of -m aicorelinux") {
		t.Errorf("the binary is %q", got)
	}
	calls := strings.Split(strings.TrimSpace(read(t, log)), "\n")
	want := map[string]bool{
		"bisheng -Icsrc -std=c++17 -O3 -fPIC --npu-arch=dav-2201 --aicore-only -o a.o -c -x asc csrc/a.cpp": true,
		"bisheng -Icsrc -std=c++17 -O3 -fPIC --npu-arch=dav-2201 --aicore-only -o b.o -c -x asc csrc/b.cpp": true,
		"ld.lld -m aicorelinux -Ttext=0 a.o b.o -static -o kernels.o":                                       true,
	}
	for _, c := range calls {
		if !want[c] {
			t.Errorf("not wanted: %s", c)
		}
	}
	if len(calls) != 3 || !strings.HasPrefix(calls[2], "ld.lld") {
		t.Errorf("the calls are\n%s", strings.Join(calls, "\n"))
	}
	if again, err := toolkit(t).cached(cache, "Ascend910B3", some); err != nil || again != path || strings.Count(read(t, log), "\n") != 3 {
		t.Errorf("the second time: %s, %v, %s", again, err, read(t, log))
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".new-*")); left != nil {
		t.Errorf("left: %v", left)
	}
	other := map[string][]byte{"csrc/a.cpp": []byte("a"), "csrc/b.cpp": []byte("b"), "csrc/a.h": []byte("H")}
	seen := map[string]bool{path: true}
	for _, do := range []func() (string, error){
		func() (string, error) { return toolkit(t).cached(cache, "Ascend910B3", other) },
		func() (string, error) { return toolkit(t).cached(cache, "Ascend910B1", some) },
		func() (string, error) {
			write(t, filepath.Join(home, arch(), "ascend_toolkit_install.info"), "version=9.2.0\n")
			return toolkit(t).cached(cache, "Ascend910B3", some)
		},
	} {
		if p, err := do(); err != nil || seen[p] {
			t.Errorf("%s, %v", p, err)
		} else {
			seen[p] = true
		}
	}
}

// A toolkit of 8.x is given a project.
func TestCompileOld(t *testing.T) {
	home, log := fake(t, "8.1.RC1")
	path, err := toolkit(t).cached(t.TempDir(), "Ascend910B3", some)
	if err != nil {
		t.Fatal(err)
	}
	if want := "cmake -S . -B build -DSOC_VERSION=Ascend910B3 -DASCEND_CANN_PACKAGE_PATH=" + home + "\ncmake --build build\n"; read(t, log) != want {
		t.Errorf("the calls are\n%s", read(t, log))
	}
	if !strings.Contains(read(t, path), "ascendc_fatbin_library(kernels ${sources})") {
		t.Errorf("the project is\n%s", read(t, path))
	}
	t.Setenv("PATH", "")
	if _, err := toolkit(t).cached(t.TempDir(), "Ascend910B3", some); err == nil || !strings.Contains(err.Error(), "CANN 8.1.RC1 compiles kernels with CMake, which is not in PATH") {
		t.Errorf("without CMake: %v", err)
	}
}

// What a compiler says is shown, and nothing is kept: the next run compiles again.
func TestCompileFails(t *testing.T) {
	_, log := fake(t, "9.1.0")
	cache := t.TempDir()
	t.Setenv("FAKE_FAILS", "b.cpp")
	_, err := toolkit(t).cached(cache, "Ascend910B3", some)
	for _, want := range []string{"compiling the kernels for Ascend910B3 with CANN 9.1.0 failed: exit status 1: ", "bisheng -Icsrc", "csrc/b.cpp:7:1: error: no matching function for call to 'Mmad'"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if strings.Contains(read(t, log), "ld.lld") {
		t.Error("it is linked")
	}
	t.Setenv("FAKE_FAILS", "")
	t.Setenv("FAKE_TEXT", "ld.lld: warning: nothing to link")
	if _, err := toolkit(t).cached(cache, "Ascend910B3", some); err == nil || !strings.Contains(err.Error(), "made a kernels.o that is no ELF file; its commands said\nld.lld: warning: nothing to link") {
		t.Errorf("no binary: %v", err)
	}
	t.Setenv("FAKE_TEXT", "")
	if _, err := toolkit(t).cached(cache, "Ascend910B3", some); err != nil {
		t.Error(err)
	}
}

// A process that is killed while it compiles leaves nothing that the next one takes.
func TestCompileKilled(t *testing.T) {
	if cache := os.Getenv("LORAC_TEST_COMPILE"); cache != "" {
		tk, err := FindToolkit()
		if err == nil {
			_, err = tk.cached(cache, "Ascend910B3", some)
		}
		fmt.Println(err)
		return
	}
	fake(t, "9.1.0")
	cache, waits := t.TempDir(), filepath.Join(t.TempDir(), "reached")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=TestCompileKilled")
	cmd.Env = append(os.Environ(), "LORAC_TEST_COMPILE="+cache, "FAKE_WAITS="+waits)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Until(t, "the compiler starts", func() (bool, error) { _, err := os.Stat(waits); return err == nil, nil })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if half, _ := filepath.Glob(filepath.Join(cache, "*", ".new-*")); len(half) != 1 {
		t.Fatalf("%v is left", half)
	}
	path, err := toolkit(t).cached(cache, "Ascend910B3", some)
	if err != nil || !strings.HasPrefix(read(t, path), "\x7fELFmade of") {
		t.Errorf("%s: %q, %v", path, read(t, path), err)
	}
	if half, _ := filepath.Glob(filepath.Join(cache, "*", ".new-*")); half != nil {
		t.Errorf("%v is left", half)
	}
}

// A compiler that hangs is ended with all that it started, when its time is over or
// the process is asked to end; nothing is left, and the process ends by the signal.
func TestCompileEnds(t *testing.T) {
	if cache := os.Getenv("LORAC_TEST_ENDS"); cache != "" {
		tk, err := FindToolkit()
		if err == nil {
			_, err = tk.cached(cache, "Ascend910B3", some)
		}
		if ended := (*signals.Ended)(nil); errors.As(err, &ended) {
			signals.Raise(ended.Signal)
		}
		fmt.Println(err)
		return
	}
	fake(t, "9.1.0")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []string{"", "300ms"} {
		cache, waits := t.TempDir(), filepath.Join(t.TempDir(), "reached")
		cmd := testkit.Command(t, self, "-test.run=TestCompileEnds")
		cmd.Env = append(os.Environ(), "LORAC_TEST_ENDS="+cache, "FAKE_WAITS="+waits, "LORAC_COMPILE_TIMEOUT="+limit)
		var said strings.Builder
		cmd.Stdout = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		child := 0
		testkit.Until(t, "the compiler starts", func() (bool, error) { n, _ := fmt.Sscan(read(t, waits), &child); return n == 1, nil })
		if limit == "" {
			cmd.Process.Signal(syscall.SIGTERM)
		}
		cmd.Wait()
		if w := cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() != (limit == "") || w.Signaled() && w.Signal() != syscall.SIGTERM {
			t.Errorf("limit %q: it ended with %v: %s", limit, cmd.ProcessState, said.String())
		}
		if want := "it did not end in time (300ms; LORAC_COMPILE_TIMEOUT"; limit != "" && !strings.Contains(said.String(), want) {
			t.Errorf("%q is not said: %s", want, said.String())
		}
		testkit.Until(t, "what the compiler started ends", func() (bool, error) {
			text := read(t, fmt.Sprintf("/proc/%d/stat", child))
			return text == "" || strings.Contains(text, ") Z "), nil // ended, if nobody waits for it
		})
		if half, _ := filepath.Glob(filepath.Join(cache, "*", ".new-*")); half != nil {
			t.Errorf("%v is left", half)
		}
	}
	t.Setenv("LORAC_COMPILE_TIMEOUT", "soon")
	if _, err := toolkit(t).cached(t.TempDir(), "Ascend910B3", some); err == nil || !strings.Contains(err.Error(), "is no time") {
		t.Errorf("a wrong limit: %v", err)
	}
}

// Kernels takes the file that is named, else the toolkit, else says what to do.
func TestKernels(t *testing.T) {
	home, log := fake(t, "9.1.0")
	path, err := Kernels("Ascend910B3")
	if err != nil || read(t, path) == "" {
		t.Fatalf("%s: %v", path, err)
	}
	sources, err := Sources()
	if err != nil || len(sources) == 0 {
		t.Fatalf("%d sources: %v", len(sources), err)
	}
	if n := strings.Count(read(t, log), "bisheng "); n != len(units(sources)) {
		t.Errorf("%d of %d sources are compiled", n, len(units(sources)))
	}
	t.Setenv("LORAC_ASCEND_KERNELS", path)
	t.Setenv("ASCEND_HOME_PATH", "")
	if got, err := Kernels("Ascend910B1"); err != nil || got != path {
		t.Errorf("the file that is named: %s, %v", got, err)
	}
	t.Setenv("LORAC_ASCEND_KERNELS", log)
	if _, err := Kernels("Ascend910B1"); err == nil || !strings.Contains(err.Error(), "which is no binary of kernels") {
		t.Errorf("a text: %v", err)
	}
	t.Setenv("LORAC_ASCEND_KERNELS", home+"/none.o")
	if _, err := Kernels("Ascend910B1"); err == nil || !strings.Contains(err.Error(), "none.o, which is no file") {
		t.Errorf("no file: %v", err)
	}
	t.Setenv("LORAC_ASCEND_KERNELS", "")
	_, err = Kernels("Ascend910B1")
	if !errors.As(err, new(*NoToolkit)) || !strings.Contains(err.Error(), "the kernels for Ascend910B1 are not compiled: no CANN toolkit") || !strings.Contains(err.Error(), "--device ascend -o DIR") {
		t.Errorf("no toolkit: %v", err)
	}
	t.Setenv("ASCEND_HOME_PATH", t.TempDir())
	_, err = Kernels("Ascend910B1")
	for _, want := range []string{"has no compiler: there is no", "install Ascend-cann-toolkit", "compile.sh", "LORAC_ASCEND_KERNELS"} {
		if !errors.As(err, new(*NoToolkit)) || !strings.Contains(err.Error(), want) {
			t.Errorf("no compiler: %v lacks %s", err, want)
		}
	}
}

// A toolkit is found where those of 8.x and 9.x have their compiler; what is missing
// is said.
func TestFindToolkit(t *testing.T) {
	for _, c := range []struct {
		compiler, file, text, version string
	}{
		{"compiler/ccec_compiler/bin", "version.cfg", "# version: 1.0\nruntime_running_version=[7.7.0.1.238:8.1.RC1]\n", "8.1.RC1"},
		{"compiler/ccec_compiler/bin", "compiler/version.info", "Version=7.7.0.1.238\nversion_dir=8.1.RC1\n", "8.1.RC1"},
		{"tools/bisheng_compiler/bin", "share/info/asc-devkit/version.info", "Version=9.1.0\n", "9.1.0"},
		{"bin", "x", "", ""},
	} {
		home, _ := fake(t, "1")
		os.RemoveAll(filepath.Join(home, arch()))
		write(t, filepath.Join(home, c.compiler, "bisheng"), bishengRecords)
		write(t, filepath.Join(home, c.file), c.text)
		tk, err := FindToolkit()
		switch {
		case c.version == "" && (err == nil || !strings.Contains(err.Error(), "does not say its version")):
			t.Errorf("no version: %+v, %v", tk, err)
		case c.version != "" && (err != nil || tk.Version != c.version || tk.Bisheng != filepath.Join(home, c.compiler, "bisheng")):
			t.Errorf("%s: %+v, %v", c.file, tk, err)
		}
	}
	home, _ := fake(t, "9.1.0")
	os.Remove(filepath.Join(home, arch(), "ccec_compiler", "bin", "ld.lld"))
	if _, err := toolkit(t).cached(t.TempDir(), "x", some); err == nil || !strings.Contains(err.Error(), "has no linker") {
		t.Errorf("no linker: %v", err)
	}
	os.RemoveAll(filepath.Join(home, arch(), "ccec_compiler"))
	if _, err := FindToolkit(); err == nil || !strings.Contains(err.Error(), "has no compiler: there is no\n    "+home) {
		t.Errorf("no compiler: %v", err)
	}
}

// The script that is written for another machine makes the binary there.
func TestProject(t *testing.T) {
	home, log := fake(t, "9.1.0")
	t.Setenv("ASCEND_HOME_PATH", "")
	dir := t.TempDir()
	commands, err := WriteProject(filepath.Join(dir, "kernels"), "Ascend910B3", "../"+FileName("job", "Ascend910B3"))
	if err != nil {
		t.Fatal(err)
	}
	if sources, err := Sources(); err != nil || strings.Count(commands, "bisheng -Icsrc") != len(units(sources)) || !strings.Contains(commands, "/ld.lld\" -m aicorelinux") {
		t.Errorf("the commands are\n%s", commands)
	}
	t.Setenv("PATH", filepath.Join(home, arch(), "ccec_compiler", "bin")+":"+os.Getenv("PATH")) // as set_env.sh does
	if out, err := testkit.Command(t, filepath.Join(dir, "kernels", script)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := read(t, filepath.Join(dir, "job.ascend910b3.o")); !strings.HasPrefix(got, "\x7fELFmade of -m aicorelinux") {
		t.Errorf("it makes %q with\n%s", got, read(t, log))
	}
}
