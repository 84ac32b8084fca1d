package filelock

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file is one's until it is unlocked; who waits has it then.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".lock")
	a, b := New(path), New(path)
	if err := a.Lock(); err != nil {
		t.Fatal(err)
	}
	if free, err := b.TryLock(); free || err != nil {
		t.Fatalf("it is locked twice: %v", err)
	}
	got := make(chan error, 1)
	go func() { got <- b.Lock() }()
	select {
	case err := <-got:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	if err := a.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if free, _ := a.TryLock(); free {
		t.Error("it is locked twice")
	}
	if err := b.Unlock(); err != nil {
		t.Fatal(err)
	}
	if free, err := a.TryLock(); !free || err != nil {
		t.Errorf("it stays locked: %v", err)
	}
	a.Unlock()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if err := New(filepath.Join(path, "x")).Lock(); err == nil {
		t.Error("a file that cannot be made is locked")
	}
}
