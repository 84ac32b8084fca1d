package formats

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Logits that are no numbers are put down to the tensor of the base that holds one.
func TestNoNumbers(t *testing.T) {
	dir := t.TempDir()
	writeTiny(t, dir, "F32", true)
	s, err := Open(dir, nil)
	must(t, err)
	if err := s.noNumbers(); !strings.Contains(err.Error(), "though all weights are finite") {
		t.Errorf("%v", err)
	}
	s.Close()
	path := filepath.Join(dir, "model.safetensors")
	file, err := os.ReadFile(path)
	must(t, err)
	nan, err := Encode([]float32{float32(math.Inf(-1))}, "F32")
	must(t, err)
	must(t, os.WriteFile(path, append(file[:len(file)-4], nan...), 0o666))
	s, err = Open(dir, nil)
	must(t, err)
	defer s.Close()
	if err := s.noNumbers(); !strings.Contains(err.Error(), "of "+dir+" holds -Inf") {
		t.Errorf("%v", err)
	}
	if _, err := Expect(s, &Adapter{}, 4); err == nil || !strings.Contains(err.Error(), "holds -Inf") {
		t.Errorf("%v", err)
	}
}
