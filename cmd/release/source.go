package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lorac/codegen/toolchain"
	"lorac/runtime/sys/version"
)

// source is what a release is made of.
type source struct {
	dir    string
	commit string    // "" where it is not known
	time   time.Time // of every file in an archive
}

// sourceIn is the checkout in a directory. Changed files are said in the commit, as Go
// would; without a repository there is none.
func sourceIn(dir string) (*source, error) {
	s := &source{dir: dir, time: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)} // the first that zip can say
	if _, err := os.Stat(filepath.Join(dir, "cmd", "lorac")); err != nil {
		return nil, fmt.Errorf("run it in a checkout of lorac: %w", err)
	}
	git := func(args ...string) (string, error) {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	head, err := git("log", "-1", "--format=%H %ct")
	hash, seconds, _ := strings.Cut(head, " ")
	if err != nil || len(hash) < 12 {
		fmt.Fprintln(os.Stderr, "note: git knows no commit here; lorac version will say unknown")
		return s, nil
	}
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, err
	}
	s.commit, s.time = hash[:12], time.Unix(at, 0).UTC()
	changed, err := git("status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changed != "" {
		s.commit += "+"
		fmt.Fprintln(os.Stderr, "note: files were changed after the commit; lorac version will say", s.commit)
	}
	return s, nil
}

// name is that of an archive and of the directory in it.
func (s *source) name(p toolchain.Platform) string {
	return fmt.Sprintf("lorac-%s-%s-%s", version.Release, p.OS, p.Arch)
}

// goCommand runs Go as trainers are built, modules fetched where they are not here.
func goCommand(p toolchain.Platform, dir string, args ...string) ([]byte, error) {
	path, err := toolchain.Path()
	if err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = dir, toolchain.Fetching(p.Environment(true))
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(fmt.Errorf("go %s: %w", args[0], err), errors.New(strings.TrimSpace(said.String())))
	}
	return out.Bytes(), nil
}

// lines are those of a listing of Go's.
func lines(p toolchain.Platform, dir string, args ...string) ([]string, error) {
	out, err := goCommand(p, dir, args...)
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' || r == '\r' }), err
}

// below names the programs: every package main below it is lorac or one that it calls.
const below = "./cmd/lorac/..."

// build builds lorac and its programs for a platform into a directory.
func (s *source) build(p toolchain.Platform, to string) error {
	programs, err := lines(p, s.dir, "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, below)
	if err != nil {
		return err
	}
	flags := "-s -w"
	if s.commit != "" {
		flags += " -X lorac/runtime/sys/version.commit=" + s.commit
	}
	_, err = goCommand(p, s.dir, append([]string{"build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=" + flags, "-o", to + string(filepath.Separator)}, programs...)...)
	return err
}
