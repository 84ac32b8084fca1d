//go:build unix

package testkit

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"lorac/codegen/filelock"
)

func TestMain(m *testing.M) {
	LimitFiles()
	os.Exit(m.Run())
}

// A process that outlives its test is ended.
func TestCommandEnds(t *testing.T) {
	var cmd *exec.Cmd
	done := make(chan error, 1)
	t.Run("starts", func(t *testing.T) {
		cmd = Command(t, "sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { done <- cmd.Wait() }()
	})
	select {
	case err := <-done:
		var e *exec.ExitError
		if !errors.As(err, &e) || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		t.Error("the process lives on")
	}
}

// A child gets SIGHUP although this process ignores it.
func TestDeliverHangup(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	run := func(t *testing.T) error { return Command(t, "sh", "-c", "kill -HUP $$; exit 7").Run() }
	var e *exec.ExitError
	if err := run(t); !errors.As(err, &e) || e.ExitCode() != 7 {
		t.Fatalf("SIGHUP is not ignored: %v", err)
	}
	t.Run("delivered", func(t *testing.T) {
		DeliverHangup(t)
		if err := run(t); !errors.As(err, &e) || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGHUP {
			t.Errorf("the child ended with %v", err)
		}
	})
}

// No file of a child is larger than MaxFile.
func TestLimitFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large")
	if err := Command(t, "sh", "-c", `dd if=/dev/zero of="$0" bs=1 count=1 seek=2147483648 2>&1`, path).Run(); err == nil {
		t.Error("a file of 2 GiB was written")
	}
}

func TestWanted(t *testing.T) {
	for value, want := range map[string]bool{"": false, "crash": false, "bench,systems": true, "all": true} {
		t.Setenv("LORAC_SLOW", value)
		if got := Wanted("systems"); got != want {
			t.Errorf("LORAC_SLOW=%s: %v", value, got)
		}
	}
}

// The directory of a package's tests has one path, is one's own, and empty but for what
// is kept for some days.
func TestHome(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	first, done, err := Home()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"left", Kept + "/new", Kept + "/old"} {
		if err := os.MkdirAll(filepath.Join(first, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * keptFor)
	if err := os.Chtimes(filepath.Join(first, Kept, "old"), long, long); err != nil {
		t.Fatal(err)
	}
	other, doneOther, err := Home()
	if err != nil || other == first {
		t.Fatalf("two at once: %s, %v", other, err)
	}
	doneOther()
	done()
	again, done, err := Home()
	if err != nil || again != first {
		t.Errorf("then it is %s, %v; it was %s", again, err, first)
	}
	for dir, want := range map[string]string{again: Kept, filepath.Join(again, Kept): "new"} {
		if list, err := os.ReadDir(dir); err != nil || len(list) != 1 || list[0].Name() != want {
			t.Errorf("%s holds %v, %v, not %s alone", dir, list, err, want)
		}
	}
	done()
	if _, err := os.Stat(other); err == nil {
		t.Errorf("%s is left", other)
	}
}

// What a deleted clone left is removed; a directory whose tests still run is not.
func TestHomesOfDeletedClones(t *testing.T) {
	homes, clone := t.TempDir(), t.TempDir()
	for name, here := range map[string]string{"gone": filepath.Join(clone, "deleted"), "running": filepath.Join(clone, "deleted"), "there": clone} {
		if err := errors.Join(os.MkdirAll(filepath.Join(homes, name, Kept), 0o700), os.WriteFile(filepath.Join(homes, name+of), []byte(here), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	running := filelock.New(filepath.Join(homes, "running.lock"))
	if ok, err := running.TryLock(); err != nil || !ok {
		t.Fatal(err)
	}
	defer running.Unlock()
	forget(homes)
	for name, want := range map[string]bool{"gone": false, "running": true, "there": true} {
		if _, err := os.Stat(filepath.Join(homes, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
