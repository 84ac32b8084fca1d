package rt

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lorac/runtime/comm"
	"lorac/runtime/comm/local"
	"lorac/runtime/train"
)

// A process of several draws a bar where lorac says that its output ends at a terminal,
// and writes lines under any other launcher.
func TestConsoleOfSeveral(t *testing.T) {
	dir := t.TempDir()
	plain := func(w *world) bool {
		r := train.NewReporter(&bytes.Buffer{})
		r.Plain = false
		w.console(r)
		return r.Plain
	}
	_, err := local.Run(2, func(tr comm.Transport) error {
		g, err := comm.New(tr, comm.Options{})
		if err != nil {
			return err
		}
		if g.Rank() == 0 {
			w := &world{g: g}
			t.Setenv(LaunchEnv, "")
			if plain(one()) || !plain(w) {
				t.Error("a process that is alone writes lines, or one of several does not")
			}
			t.Setenv(LaunchEnv, dir)
			if !plain(w) {
				t.Error("a bar where no terminal is")
			}
			if err := os.WriteFile(filepath.Join(dir, LaunchBar), nil, 0o600); err != nil {
				t.Error(err)
			}
			if plain(w) {
				t.Error("no bar at a terminal")
			}
		}
		return g.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}
