package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/codegen/toolchain"
)

// alone runs a program where there is no network, no Go, nothing in PATH and no setting,
// with an empty home. Directories are hidden, or can only be read.
type alone struct {
	home         string
	hide, freeze []string
}

// script hides and freezes directories, says which network interfaces there are, and
// becomes the program.
const script = `mount=$1; shift
while [ "$1" != -- ]; do
	case $1 in
	hide) $mount -t tmpfs none "$2" ;;
	freeze) $mount --bind "$2" "$2"; $mount -o remount,bind,ro "$2"
		if (: > "$2/written") 2>/dev/null; then echo "$2 can be written to"; exit 9; fi ;;
	esac
	shift 2
done
shift
while read -r name rest; do case $name in *:*) echo "interface $name" ;; esac; done < /proc/net/dev
exec "$@"`

// run runs a program in a directory; it must succeed. It returns what the program wrote.
func (a alone) run(t *testing.T, dir string, command ...string) string {
	t.Helper()
	mount, err := exec.LookPath("mount")
	if err != nil {
		t.Skip("mount is not installed (Debian: mount)")
	}
	args := []string{"-rnm", "/bin/sh", "-ec", script, "sh", mount}
	for _, path := range a.hide {
		args = append(args, "hide", path)
	}
	for _, path := range a.freeze {
		args = append(args, "freeze", path)
	}
	cmd := testkit.Command(t, "unshare", append(append(args, "--"), command...)...)
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + a.home, "PATH=/nonexistent"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	if n := strings.Count(string(out), "interface "); n > 1 || !strings.Contains(string(out), "interface lo:\n") {
		t.Fatalf("%d network interfaces\n%s", n, out)
	}
	return string(out)
}

// runAlone follows docs/air-gapped.md: the archive with Go compiles and trains where
// nothing else is, and a trainer that it compiled needs nothing but itself.
func runAlone(t *testing.T, tools string) {
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("unshare is not installed (Debian: util-linux)")
	}
	if err := testkit.Command(t, "unshare", "-rnm", "true").Run(); err != nil {
		t.Skip("unshare -rnm, for a place without a network, is not permitted here:", err)
	}
	a := alone{home: t.TempDir(), freeze: []string{tools}}
	for _, name := range []string{"GOROOT", "GOCACHE", "GOMODCACHE"} {
		out, err := testkit.Command(t, "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		if dir := strings.TrimSpace(string(out)); isDir(dir) && !slices.Contains(a.hide, dir) {
			a.hide = append(a.hide, dir)
		}
	}
	work := filepath.Join(t.TempDir(), "work here")
	if err := os.Mkdir(work, 0o777); err != nil {
		t.Fatal(err)
	}
	lorac := filepath.Join(tools, "lorac")
	if said, want := a.run(t, work, lorac, "doctor"), " in "+filepath.Join(tools, "go", "bin", "go")+"\n"; !strings.Contains(said, want) {
		t.Errorf("no %q in\n%s", want, said)
	}
	if said := a.run(t, work, lorac, "quickstart", "-o", "q"); !strings.Contains(said, "→ TOMATO\n") {
		t.Errorf("what was learned is not shown:\n%s", said)
	}
	write(t, filepath.Join(work, "text.txt"), " = one = \n\nriver melon tomato\n\n = two = \n\nsunset kolibri\n")
	a.run(t, work, lorac, "convert", "mindrecord", "--dataset_type", "wiki", "--input_glob", "text.txt", "--model_file", "q/tokenizer.model", "--seq_length", "15", "--output_file", "rows.mindrecord")
	if _, err := os.Stat(filepath.Join(work, "rows.mindrecord.db")); err != nil { // by a program beside lorac
		t.Error(err)
	}
	config := filepath.Join(tools, "configs", "quickstart.yaml")
	for _, target := range []string{toolchain.Here().String(), "linux/arm64"} {
		dir := "build-" + filepath.Base(target)
		if said := a.run(t, work, lorac, "compile", config, "--target", target, "-o", dir); !strings.Contains(said, "built ") {
			t.Errorf("%s: %s", target, said)
		}
	}

	// One file is carried, besides the base and the data: there is no lorac there.
	there := t.TempDir()
	carry := map[string]string{"build-" + toolchain.Here().Arch + "/quickstart": "trainer", "q/base/model": "base", "q/lora.jsonl": "rows.jsonl"}
	for from, to := range carry {
		if err := os.Rename(filepath.Join(work, from), filepath.Join(there, to)); err != nil {
			t.Fatal(err)
		}
	}
	a.hide, a.freeze, a.home = append(a.hide, tools, work), nil, t.TempDir()
	said := a.run(t, there, "./trainer", "--load_checkpoint", "base", "--train_dataset_dir", "rows.jsonl", "--output_dir", "out", "--steps", "20")
	for _, name := range []string{"metrics.jsonl", "adapter/adapter_model.safetensors", "report.html"} {
		if info, err := os.Stat(filepath.Join(there, "out", name)); err != nil || info.Size() == 0 {
			t.Errorf("%v\n%s", err, said)
		}
	}
	if list, err := os.ReadDir(a.home); err != nil || len(list) > 0 {
		t.Errorf("a trainer left %v in an empty home (%v)", list, err)
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// What the container file copies is there, each of its instructions is one, and its
// commands make a lorac that runs. Building the images takes a container runtime.
func TestContainerfile(t *testing.T) {
	steps := containerSteps(t)
	stages := map[string]bool{}
	kinds := ""
	for _, s := range steps {
		kinds += s.kind + " "
		f := strings.Fields(s.rest)
		switch s.kind {
		case "FROM":
			if len(f) == 3 && f[1] == "AS" {
				stages[f[2]] = true
			} else if len(f) != 1 {
				t.Errorf("FROM %s", s.rest)
			}
		case "COPY":
			if stage, ok := strings.CutPrefix(f[0], "--from="); ok {
				if !stages[stage] || len(f) != 3 {
					t.Errorf("COPY %s: no stage %s", s.rest, stage)
				}
				continue
			}
			for _, from := range f[:len(f)-1] {
				if _, err := os.Stat(filepath.Join(root, from)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if want := "FROM WORKDIR COPY RUN RUN FROM COPY ENV WORKDIR ENTRYPOINT CMD "; kinds != want {
		t.Errorf("%s, want %s", kinds, want)
	}
	if !strings.Contains(fmt.Sprint(steps), "golang:"+goMod(t)) {
		t.Errorf("Go in the container is not that of go.mod, %s", goMod(t))
	}
	if !testkit.Wanted("release") {
		return
	}
	to := t.TempDir()
	places := strings.NewReplacer("/opt/lorac", filepath.Join(to, "lorac"), "/release/", filepath.Join(to, "release")+"/", "/release\n", filepath.Join(to, "release")+"\n")
	for _, s := range steps {
		if s.kind != "RUN" {
			continue
		}
		cmd := testkit.Command(t, "sh", "-ec", places.Replace(s.rest+"\n"))
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", s.rest, err, out)
		}
	}
	if out, err := testkit.Command(t, filepath.Join(to, "lorac", "lorac"), "--help").CombinedOutput(); err != nil || !strings.Contains(string(out), "quickstart") {
		t.Errorf("%v\n%s", err, out)
	}
}

type containerStep struct{ kind, rest string }

func containerSteps(t *testing.T) (steps []containerStep) {
	t.Helper()
	text := strings.ReplaceAll(string(read(t, root+"/.ci/Containerfile")), "\\\n", "")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			kind, rest, _ := strings.Cut(line, " ")
			steps = append(steps, containerStep{kind, rest})
		}
	}
	return steps
}

// goMod is the version of Go that go.mod asks for, without its last number.
func goMod(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(string(read(t, root+"/go.mod"))) {
		if v, ok := strings.CutPrefix(line, "go "); ok {
			return strings.Join(strings.Split(strings.TrimSpace(v), ".")[:2], ".")
		}
	}
	t.Fatal("go.mod names no version")
	return ""
}
