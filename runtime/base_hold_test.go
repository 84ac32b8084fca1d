package rt

import (
	"path/filepath"
	"testing"
	"time"
)

// Of processes that want the same directory, each waits for the one that holds it.
func TestHoldDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	first, err := holdDir(path)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		dir, err := holdDir(path)
		if err == nil {
			dir.Close()
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("two hold it: %v", err)
	case <-time.After(60 * time.Millisecond):
	}
	first.Close()
	if err := <-second; err != nil {
		t.Error(err)
	}
}
