package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lorac/cmd/test/testkit"
	"lorac/codegen/toolchain"
	"lorac/runtime/sys/version"
)

const root = "../.."

// Whatever the times and the order of files are, an archive of the same content has the
// same bytes.
func TestArchive(t *testing.T) {
	for _, p := range []toolchain.Platform{{OS: "darwin", Arch: "arm64"}, {OS: "windows", Arch: "amd64"}} {
		var want []byte
		for i := range 3 {
			dir := t.TempDir()
			f := files{}
			for _, name := range []string{"b", "a", "c/d"} {
				at := filepath.Join(dir, path.Base(name))
				if err := os.WriteFile(at, []byte("content of "+name), 0o600+fs.FileMode(i)); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(at, time.Time{}, time.Unix(int64(1e9+i*1e6), 0)); err != nil {
					t.Fatal(err)
				}
				f[name] = file{at, name == "b"}
			}
			got, err := f.write(dir, "x", p, time.Unix(1e9, 0))
			if err != nil {
				t.Fatal(err)
			}
			text := read(t, got)
			if want == nil {
				want = text
			}
			if !bytes.Equal(text, want) {
				t.Errorf("%s: other bytes", p)
			}
			names, modes := contents(t, got)
			if !slices.Equal(names, []string{"x/a", "x/b", "x/c/d"}) || modes["x/b"] != 0o755 || modes["x/a"] != 0o644 {
				t.Errorf("%s: %v %v", p, names, modes)
			}
		}
	}
}

// A program that needs a loader is not released.
func TestStatic(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil || toolchain.Here().OS != "linux" {
		t.Skip("there is no program that is linked dynamically")
	}
	_, err = files{"lorac": {sh, true}}.write(t.TempDir(), "x", toolchain.Here(), time.Unix(1e9, 0))
	if err == nil || err.Error() != "lorac: it is linked dynamically" {
		t.Error(err)
	}
}

// The archives of a release are what they are said to be, and that of this machine needs
// nothing else.
func TestRelease(t *testing.T) {
	testkit.Slow(t, "release")
	if toolchain.Here().OS == "windows" {
		t.Skip("archives are unpacked as on Unix")
	}
	s, err := sourceIn(root)
	if err != nil {
		t.Fatal(err)
	}
	s.commit = "0123456789ab" // whatever is here
	out, here := t.TempDir(), toolchain.Here()
	made, err := s.release(out, toolchain.Platforms(), []toolchain.Platform{here})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range made {
		t.Log(filepath.Base(path), len(read(t, path)))
	}
	at := func(p toolchain.Platform, more string) string { return filepath.Join(out, s.name(p)+more) }
	t.Run("hashes", func(t *testing.T) { checkHashes(t, out, made) })
	t.Run("contents", func(t *testing.T) {
		all := map[string]bool{}
		for _, path := range made {
			for _, module := range checkContents(t, path) {
				all[module] = true
			}
		}
		linked, _, _ := strings.Cut(string(read(t, root+"/LICENSE")), "Used by tests only:")
		for line := range strings.Lines(linked) {
			if f := strings.Fields(line); strings.HasPrefix(line, "    ") && len(f) > 2 && !all[f[0]] {
				t.Errorf("no archive has the license of %s", f[0])
			}
		}
	})
	withGo := unpack(t, at(here, "-go.tar.gz"), filepath.Join(t.TempDir(), "a path with spaces"))
	t.Run("with Go", func(t *testing.T) {
		for _, program := range []string{"bin/go", "pkg/tool/" + here.OS + "_" + here.Arch + "/compile"} {
			checkProgram(t, filepath.Join(withGo, "go", program), here)
		}
		for _, path := range []string{"go/src/cmd", "go/src/fmt/print_test.go", "go/test", "go/api", "go/doc"} {
			if _, err := os.Stat(filepath.Join(withGo, path)); err == nil {
				t.Errorf("it carries %s", path)
			}
		}
	})
	for _, p := range toolchain.Platforms() {
		t.Run(p.OS+" "+p.Arch, func(t *testing.T) {
			dir := unpack(t, at(p, map[bool]string{true: ".zip", false: ".tar.gz"}[p.OS == "windows"]), t.TempDir())
			for _, name := range programs(t) {
				program := filepath.Join(dir, p.Exe(name))
				checkProgram(t, program, p)
				built, err := buildinfo.ReadFile(program)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range built.Deps {
					if !isDir(filepath.Join(dir, "licenses", filepath.FromSlash(m.Path))) {
						t.Errorf("%s links %s, whose license is not in the archive", name, m.Path)
					}
				}
			}
			var before []string
			if p != here {
				if p.String() != "linux/arm64" {
					return
				}
				if _, err := exec.LookPath("qemu-aarch64"); err != nil {
					t.Skip("qemu-aarch64 is not installed (Debian: qemu-user)")
				}
				before = []string{"qemu-aarch64"}
			}
			args := append(before, filepath.Join(dir, p.Exe("lorac")), "version")
			said, err := testkit.Command(t, args[0], args[1:]...).CombinedOutput()
			if want := "lorac " + version.Release + "\ncommit 0123456789ab\n"; err != nil || !strings.HasPrefix(string(said), want) {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
	t.Run("again", func(t *testing.T) {
		other := *s
		other.dir = copySources(t, filepath.Join(t.TempDir(), "elsewhere"))
		again, err := other.release(t.TempDir(), []toolchain.Platform{here}, []toolchain.Platform{here})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range again {
			if !bytes.Equal(read(t, path), read(t, filepath.Join(out, filepath.Base(path)))) {
				t.Errorf("%s has other bytes when it is made in another directory", filepath.Base(path))
			}
		}
	})
	t.Run("alone", func(t *testing.T) { runAlone(t, withGo) })
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// checkHashes compares SHA256SUMS with the archives.
func checkHashes(t *testing.T, out string, made []string) {
	want := ""
	for _, path := range slices.Sorted(slices.Values(made)) {
		want += fmt.Sprintf("%x  %s\n", sha256.Sum256(read(t, path)), filepath.Base(path))
	}
	if got := string(read(t, filepath.Join(out, "SHA256SUMS"))); got != want || len(made) < 5 {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// programs are the names of lorac and its programs, by their sources.
func programs(t *testing.T) (names []string) {
	err := filepath.WalkDir(filepath.Join(root, "cmd", "lorac"), func(at string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "main.go" && bytes.Contains(read(t, at), []byte("\npackage main\n")) {
			names = append(names, filepath.Base(filepath.Dir(at)))
		}
		return err
	})
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	return names
}

// links are those of a page that name files.
var links = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// checkContents holds an archive to what a user finds in it. It returns the modules whose
// licenses are there.
func checkContents(t *testing.T, archive string) (modules []string) {
	t.Helper()
	base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), ".zip")
	exe := map[bool]string{true: ".exe"}[strings.HasSuffix(archive, ".zip")]
	names, modes := contents(t, archive)
	for _, name := range programs(t) {
		if modes[base+"/"+name+exe] != 0o755 {
			t.Errorf("%s lacks %s", base, name)
		}
	}
	want := []string{"README.md", "LICENSE", "configs/llama2/lora_llama2_7b.yaml", "docs/air-gapped.md", "licenses/go/LICENSE"}
	for _, m := range links.FindAllStringSubmatch(string(read(t, root+"/README.md")), -1) {
		want = append(want, m[1])
	}
	for _, name := range want {
		if modes[base+"/"+name] != 0o644 {
			t.Errorf("%s lacks %s", base, name)
		}
	}
	for _, name := range names {
		if !strings.HasPrefix(name, base+"/") || strings.Contains(name, "..") || strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s has %s", base, name)
		}
		if module, ok := strings.CutPrefix(path.Dir(name), base+"/licenses/"); ok {
			modules = append(modules, module)
		}
	}
	return modules
}

// checkProgram is about the kind of a program's file.
func checkProgram(t *testing.T, path string, p toolchain.Platform) {
	t.Helper()
	fine := false
	switch p.OS {
	case "linux":
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		libraries, _ := f.ImportedLibraries()
		fine = f.Machine == map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[p.Arch] &&
			len(libraries) == 0 && f.Section(".dynamic") == nil && f.Section(".interp") == nil
	case "darwin":
		f, err := macho.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fine = f.Cpu == macho.CpuArm64 && f.Type == macho.TypeExec
	case "windows":
		f, err := pe.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fine = f.Machine == pe.IMAGE_FILE_MACHINE_AMD64
	}
	if !fine {
		t.Errorf("%s is no static program for %s", filepath.Base(path), p)
	}
}

// each calls fn with the files of an archive.
func each(t *testing.T, archive string, fn func(name string, mode fs.FileMode, r io.Reader)) {
	t.Helper()
	if strings.HasSuffix(archive, ".zip") {
		z, err := zip.OpenReader(archive)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			fn(f.Name, f.Mode(), r)
		}
		return
	}
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pressed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(pressed); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		fn(h.Name, h.FileInfo().Mode(), r)
	}
}

// contents are the names in an archive, in its order, and their modes.
func contents(t *testing.T, archive string) (names []string, modes map[string]fs.FileMode) {
	t.Helper()
	modes = map[string]fs.FileMode{}
	each(t, archive, func(name string, mode fs.FileMode, _ io.Reader) {
		names = append(names, name)
		modes[name] = mode
	})
	if len(names) != len(slices.Collect(maps.Keys(modes))) {
		t.Errorf("%s has a file twice", archive)
	}
	return names, modes
}

// unpack unpacks an archive into a directory and returns that of its files.
func unpack(t *testing.T, archive, dir string) string {
	t.Helper()
	first := ""
	each(t, archive, func(name string, mode fs.FileMode, r io.Reader) {
		first, _, _ = strings.Cut(name, "/")
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, text, mode); err != nil {
			t.Fatal(err)
		}
	})
	return filepath.Join(dir, first)
}

// copySources copies what git knows, as it is here.
func copySources(t *testing.T, to string) string {
	t.Helper()
	cmd := testkit.Command(t, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	list, err := cmd.Output()
	if err != nil {
		t.Skip("git does not list the sources:", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil || !info.Mode().IsRegular() {
			continue // removed, not yet committed
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), read(t, filepath.Join(root, name)), info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	return to
}
