package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/cmd/test/testkit"
)

// The tests below need a process of their own to kill or to starve; it is this
// test binary again, told by the environment what to do.
const roleVar = "LORAC_CHECKPOINT_TEST"

func TestMain(m *testing.M) {
	role, path, _ := strings.Cut(os.Getenv(roleVar), ":")
	switch role {
	case "":
		os.Exit(m.Run())
	case "write-forever":
		for n, end := byte(0), time.Now().Add(testkit.Limit); time.Now().Before(end); n++ {
			if err := writeBytes(path, version(n)); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
	case "write-slowly":
		RemoveOnSignal()
		writeFile := func(w io.Writer) error {
			for range 200 { // some seconds and 200 MB, unless a signal ends it
				fmt.Println("writing")
				w.Write(version(1))
				time.Sleep(20 * time.Millisecond)
			}
			return errors.New("no signal came")
		}
		fmt.Println(WriteFile(path, writeFile))
	case "full-disk":
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		err := writeBytes(path, make([]byte, 3<<20))
		if !errors.Is(err, syscall.EFBIG) {
			fmt.Println("no error from a file that does not fit:", err)
			os.Exit(1)
		}
		fmt.Println(err)
	}
	os.Exit(0)
}

// version n is n repeated, of a length that depends on n.
func version(n byte) []byte {
	return bytes.Repeat([]byte{n}, 1_000_000+int(n)*1000)
}

func role(t *testing.T, what, path string) *exec.Cmd {
	cmd := testkit.Command(t, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), roleVar+"="+what+":"+path)
	return cmd
}

// A process that is asked to end takes what is half-written with it, and ends by
// the signal; under nohup a terminal that goes is no such request.
func TestRemoveOnSignal(t *testing.T) {
	testkit.DeliverHangup(t)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, 0} {
		dir := t.TempDir()
		cmd := role(t, "write-slowly", filepath.Join(dir, "state.bin"))
		nohup := s == 0
		if nohup {
			cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`}, cmd.Args...)
			s = syscall.SIGTERM
		}
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		out.Read(make([]byte, 1)) // it has begun
		if nohup {
			cmd.Process.Signal(syscall.SIGHUP)
			if n, err := out.Read(make([]byte, 1)); n == 0 { // it continues
				t.Errorf("under nohup: %v", err)
			}
		}
		cmd.Process.Signal(s)
		var end *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &end) || end.Sys().(syscall.WaitStatus).Signal() != s {
			t.Errorf("%v: the process ended with %v", s, err)
		}
		if list, _ := os.ReadDir(dir); len(list) > 0 {
			t.Errorf("%v: %v is left", s, list)
		}
	}
}

func TestKilledAtAnyInstant(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.bin")
	if err := writeBytes(path, version(0)); err != nil {
		t.Fatal(err)
	}
	temps := 0
	for i := range 12 {
		cmd := role(t, "write-forever", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(15+7*i) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		got := read(t, path)
		if len(got) == 0 || !bytes.Equal([]byte(got), version(got[0])) {
			t.Fatalf("after kill %d: %d bytes that are no version", i, len(got))
		}
		temps += len(list(t, dir)) - 1
	}
	if err := writeBytes(filepath.Join(dir, "other"), nil); err != nil { // any write in the directory tidies up
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "other"))
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("temporary files of dead writers stay: %q", names)
	}
	t.Logf("%d temporary files were left by 12 killed writers, all removed", temps)
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.bin")
	if err := writeBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	out, err := role(t, "full-disk", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{path, "untouched"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("error %q lacks %q", out, want)
		}
	}
	if got := read(t, path); got != "old" {
		t.Errorf("found %d bytes instead of the old version", len(got))
	}
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("left over: %q", names)
	}
}
