package rt

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lorac/runtime/train"
)

// A process of several draws a bar where lorac says that its output ends at a terminal,
// and writes lines under any other launcher.
func TestConsoleOfSeveral(t *testing.T) {
	dir := t.TempDir()
	check := func(what string, want bool) {
		t.Helper()
		r := train.NewReporter(&bytes.Buffer{})
		r.Plain = false
		if console(r); r.Plain != want {
			t.Errorf("%s: lines are %v", what, r.Plain)
		}
	}
	for _, name := range []string{LaunchEnv, "PMI_RANK", "OMPI_COMM_WORLD_RANK"} {
		t.Setenv(name, "")
	}
	check("alone", false)
	t.Setenv("OMPI_COMM_WORLD_RANK", "0")
	t.Setenv("OMPI_COMM_WORLD_SIZE", "2")
	check("a launcher of the user", true)
	t.Setenv(LaunchEnv, dir)
	check("lorac's, to a file", true)
	if err := os.WriteFile(filepath.Join(dir, LaunchBar), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check("lorac's, to a terminal", false)
}
