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
	"testing"

	"lorac/cmd/test/testkit"
)

// TestMain lets the test binary be lorac itself, for scripts.
func TestMain(m *testing.M) {
	if os.Getenv("LORAC_TEST_AS_LORAC") != "" {
		os.Unsetenv("LORAC_TEST_AS_LORAC")
		os.Exit(run(os.Args[1:]))
	}
	testkit.LimitFiles()
	testkit.Generous()
	os.Exit(withCache(m.Run))
}

// trainers is where tests keep built trainers, so that each is built once: by the first
// run that needs it.
var trainers string

// withCache runs the tests with a user's cache of their own; what Go builds stays
// where it is.
func withCache(run func() int) int {
	os.Setenv("GOCACHE", goCache())
	cache, done, err := testkit.Home()
	if err != nil {
		panic(err)
	}
	defer done()
	os.Setenv("XDG_CACHE_HOME", cache)
	trainers = filepath.Join(cache, testkit.Kept)
	return run()
}

// selfCommand is lorac in a process of its own: this test binary.
func selfCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := testkit.Command(t, self, args...)
	cmd.Env = append(os.Environ(), "LORAC_TEST_AS_LORAC=1")
	return cmd
}

// TestScripts runs testdata/script/*.txtar, each in a directory of its own with
// the files of the archive. A line of the script is one of
//
//	lorac ARGS…            run it; it must end with code 0 unless `exit` follows
//	./PROGRAM ARGS…        the same for a program that was built
//	exit CODE              how the run before ended
//	stdout TEXT            what it wrote contains the text (rest of the line); also stderr, no-stdout, no-stderr
//	exists PATH…           also absent
//	same FILE FILE         byte for byte; also differ
//	env NAME=VALUE         for the runs that follow; $WORK is the directory
//	replace FILE OLD NEW   the only place where OLD stands
//	slow TIER              as the first line: the script is part of that slow tier
//
// Arguments stand in single quotes if they have spaces; $ROOT is this
// repository; # begins a comment.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob(root + "/testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if tier, ok := strings.CutPrefix(strings.SplitN(string(text), "\n", 2)[0], "slow "); ok {
				testkit.Slow(t, tier)
			}
			t.Parallel()
			s := &script{t: t, dir: t.TempDir()}
			commands := s.unpack(string(text))
			for i, line := range strings.Split(commands, "\n") {
				s.line = fmt.Sprintf("%s:%d: %s", filepath.Base(file), i+1, line)
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					s.do(line)
				}
			}
			s.settle()
		})
	}
}

type script struct {
	t              *testing.T
	dir            string
	env            []string
	line           string // where the script is
	ran            string // the line of the last run
	code           int
	judged         bool // the script said what the code was to be
	stdout, stderr bytes.Buffer
}

func (s *script) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n%s\nstdout:\n%s\nstderr:\n%s", s.line, fmt.Sprintf(format, args...), s.stdout.String(), s.stderr.String())
}

// unpack writes the files of the archive and returns what stands before them.
func (s *script) unpack(text string) string {
	commands, rest, _ := strings.Cut("\n"+text, "\n-- ")
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "\n-- ")
		name, content, ok := strings.Cut(part, " --\n")
		if !ok {
			s.t.Fatalf("a file of the archive has no name: %q", part)
		}
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.TrimSuffix(content, "\n")+"\n"), 0o666); err != nil {
			s.t.Fatal(err)
		}
	}
	return strings.TrimPrefix(commands, "\n")
}

// settle holds a run that the script did not judge to success.
func (s *script) settle() {
	s.t.Helper()
	if s.ran != "" && !s.judged && s.code != 0 {
		s.line = s.ran
		s.fatalf("exit code %d", s.code)
	}
}

func (s *script) do(line string) {
	s.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	args := s.words(rest)
	out := map[string]*bytes.Buffer{"stdout": &s.stdout, "stderr": &s.stderr}
	switch {
	case verb == "slow": // its tier has been looked at
	case verb == "lorac" || strings.HasPrefix(verb, "./"):
		s.settle()
		s.run(verb, args)
	case verb == "env":
		s.env = append(s.env, strings.ReplaceAll(rest, "$WORK", s.dir))
	case verb == "exit":
		want, err := strconv.Atoi(rest)
		if s.judged = true; err != nil || want != s.code {
			s.fatalf("exit code %d", s.code)
		}
	case verb == "stdout" || verb == "stderr":
		if !strings.Contains(out[verb].String(), rest) {
			s.fatalf("%s lacks this text", verb)
		}
	case verb == "no-stdout" || verb == "no-stderr":
		if strings.Contains(out[verb[3:]].String(), rest) {
			s.fatalf("%s has this text", verb[3:])
		}
	case verb == "exists" || verb == "absent":
		for _, name := range args {
			if _, err := os.Stat(filepath.Join(s.dir, name)); (err == nil) != (verb == "exists") {
				s.fatalf("%s: %v", name, err)
			}
		}
	case (verb == "same" || verb == "differ") && len(args) == 2:
		if (s.read(args[0]) == s.read(args[1])) != (verb == "same") {
			s.fatalf("%s", firstDifference(s.read(args[0]), s.read(args[1])))
		}
	case verb == "replace" && len(args) == 3:
		text := s.read(args[0])
		if n := strings.Count(text, args[1]); n != 1 {
			s.fatalf("%q stands there %d times", args[1], n)
		}
		if err := os.WriteFile(filepath.Join(s.dir, args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o666); err != nil {
			s.fatalf("%v", err)
		}
	default:
		s.fatalf("no such command")
	}
}

// words splits arguments at spaces, those in single quotes left whole.
func (s *script) words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	repo, err := filepath.Abs(root)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "$ROOT", repo)
	}
	return out
}

func (s *script) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.fatalf("%v", err)
	}
	return string(text)
}

func (s *script) run(program string, args []string) {
	s.t.Helper()
	env := append(append(os.Environ(), "LORAC_ACL="), s.env...) // other tests have a card answer
	if program == "lorac" {
		self, err := os.Executable()
		if err != nil {
			s.t.Fatal(err)
		}
		program = self
		env = append(env, "LORAC_TEST_AS_LORAC=1")
	}
	cmd := testkit.Command(s.t, program, args...)
	cmd.Dir, cmd.Env = s.dir, env
	s.stdout.Reset()
	s.stderr.Reset()
	cmd.Stdout, cmd.Stderr = &s.stdout, &s.stderr
	err := cmd.Run()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		s.fatalf("%v", err)
	}
	s.ran, s.code, s.judged = s.line, cmd.ProcessState.ExitCode(), false
	if strings.Contains(s.stderr.String(), "goroutine ") {
		s.fatalf("a stack trace instead of an error")
	}
}

// goCache is where the go command keeps what it built, which XDG_CACHE_HOME
// would move.
func goCache() string {
	out, _ := exec.Command("go", "env", "GOCACHE").Output()
	return strings.TrimSpace(string(out))
}
