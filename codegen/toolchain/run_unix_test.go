//go:build unix

package toolchain

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/cmd/test/testkit"
	"lorac/runtime/sys/signals"
)

// TestMain lets the test binary be what a signal ends.
func TestMain(m *testing.M) {
	if script := os.Getenv("TEST_RUN"); script != "" {
		signals.Prepare().Training(func(os.Signal) {})
		_, err := Run(exec.Command("sh", "-c", script))
		var ended *signals.Ended
		if errors.As(err, &ended) {
			fmt.Println(ended.Message)
			signals.Raise(ended.Signal)
		}
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A signal to this process alone ends what Go started, too, and is then what this
// process ends by; one of a batch system, too, where training is prepared.
func TestRunEnds(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1} {
		dir := t.TempDir()
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := testkit.Command(t, self)
		cmd.Env = append(os.Environ(), "TEST_RUN=cd "+dir+"; sleep 600 >/dev/null 2>&1 & echo $! > pid; mv pid child; wait")
		var said strings.Builder
		cmd.Stdout = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var text []byte
		for range 1000 {
			if text, err = os.ReadFile(filepath.Join(dir, "child")); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		child, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Process.Signal(sig)
		err = cmd.Wait()
		var e *exec.ExitError
		if !errors.As(err, &e) || e.Sys().(syscall.WaitStatus).Signal() != sig {
			t.Errorf("%v: ended by %v", sig, err)
		}
		if want := "ended by " + signals.Name(sig) + " while compiling; "; !strings.HasPrefix(said.String(), want) {
			t.Errorf("%q, want %q", said.String(), want)
		}
		gone := false
		for range 500 {
			if gone = isGone(child); gone {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !gone {
			syscall.Kill(child, syscall.SIGKILL)
			t.Errorf("%v: what it started is still there", sig)
		}
	}
}

// isGone reports that a process has ended, though nobody may have waited for it.
func isGone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(text), ") Z ")
}
