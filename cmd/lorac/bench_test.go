package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/cmd/test/testkit"
)

// A signal ends the trainer, too, and leaves nothing in the temporary directory,
// which may be given relative to where one is; nohup's has no effect.
func TestBenchInterrupted(t *testing.T) {
	testkit.Slow(t, "bench")
	if testing.Short() {
		t.Skip("builds a trainer")
	}
	testkit.DeliverHangup(t)
	for name, x := range map[string]struct {
		start   string
		signals []os.Signal
		said    string
	}{
		"alone": {`exec "$0" "$@"`, []os.Signal{syscall.SIGHUP}, "hangup signal received"},
		"nohup": {`trap "" HUP; exec "$0" "$@"`, []os.Signal{syscall.SIGHUP, syscall.SIGTERM}, "terminated signal received"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interruptBench(t, x.start, x.signals, x.said)
		})
	}
}

func interruptBench(t *testing.T, start string, signals []os.Signal, want string) {
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, dir)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := testkit.Command(t, "/bin/sh", "-c", start, self, "bench", "../../configs/stories260K/lora_stories260K.yaml", "--only", "step", "--rows", "96", "--steps", "100000")
	cmd.Env = append(os.Environ(), "LORAC_TEST_AS_LORAC=1", "TMPDIR="+relative)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for running := false; !running; { // until the trainer has done a step
		select {
		case err := <-ended:
			t.Fatalf("bench ended by itself: %v\n%s", err, said.String())
		case <-time.After(20 * time.Millisecond):
		}
		list, _ := filepath.Glob(filepath.Join(dir, "lorac-bench-*", "out", "metrics.jsonl"))
		running = len(list) > 0
	}
	trainers := processesOf(dir)
	for i, s := range signals {
		if i > 0 {
			time.Sleep(50 * time.Millisecond) // the one before is seen first, were it seen
		}
		cmd.Process.Signal(s)
	}
	err = <-ended
	var e *exec.ExitError
	if !errors.As(err, &e) || e.ExitCode() != 3 || !strings.Contains(said.String(), want) {
		t.Errorf("%v\n%s", err, said.String())
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
	if left := processesOf(dir); len(left) > 0 {
		t.Errorf("of the processes %v, %v are left", trainers, left)
	}
}

// processesOf are those whose command line names the directory, where /proc tells.
func processesOf(dir string) (ids []int) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range list {
		if line, _ := os.ReadFile(name); bytes.Contains(line, []byte(dir)) {
			id, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			ids = append(ids, id)
		}
	}
	return ids
}
