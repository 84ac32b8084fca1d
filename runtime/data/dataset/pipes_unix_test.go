//go:build unix

package dataset

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Pipes and devices are refused without being read.
func TestNoFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "d.jsonl")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	for path, words := range map[string]string{fifo: "is a pipe", "/dev/zero": "is a device", "/dev/null": "is a device"} {
		if _, err := Open(path, options(t)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
