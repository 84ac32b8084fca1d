package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// A directory is there in full or not at all; one that holds files keeps them.
func TestWriteDir(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deep", "model")
	fill := func(stage string) error {
		put(t, filepath.Join(stage, "config.json"), "new")
		put(t, filepath.Join(stage, "rank_0", "a"), "new")
		return nil
	}
	cause := errors.New("no")
	if err := WriteDir(path, func(stage string) error { fill(stage); return cause }); err != cause {
		t.Errorf("%v", err)
	}
	if names := list(t, filepath.Dir(path)); len(names) != 0 {
		t.Errorf("a failed write leaves %q", names)
	}
	if err := WriteDir(path, fill); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(path, "notes"), "mine")
	put(t, filepath.Join(path, "config.json"), "old")
	if err := WriteDir(path, fill); err != nil {
		t.Fatal(err)
	}
	if read(t, filepath.Join(path, "config.json")) != "new" || read(t, filepath.Join(path, "notes")) != "mine" || read(t, filepath.Join(path, "rank_0", "a")) != "new" {
		t.Error("files were not moved into a directory that is there")
	}
	if names := list(t, filepath.Dir(path)); !slices.Equal(names, []string{"model"}) || Incomplete(path) {
		t.Errorf("left over: %q", names)
	}
}

// What a killed writer has left is known as such, and removed by the next.
func TestKilledWriteDir(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	put(t, filepath.Join(path, incompleteName), "model-00001-of-00002.safetensors\nmodel-00002-of-00002.safetensors\nconfig.json\n")
	put(t, filepath.Join(path, "model-00001-of-00002.safetensors"), "half")
	put(t, filepath.Join(path, "notes"), "mine")
	put(t, filepath.Join(dir, ".model.0"+tempSuffix, "config.json"), "half") // nobody holds it
	if !Incomplete(path) {
		t.Error("a directory that lacks files counts as complete")
	}
	if err := WriteDir(path, func(stage string) error { put(t, filepath.Join(stage, "config.json"), "new"); return nil }); err != nil {
		t.Fatal(err)
	}
	if names := list(t, path); !slices.Equal(names, []string{"config.json", "notes"}) {
		t.Errorf("the next writer leaves %q", names)
	}
	if names := list(t, dir); !slices.Equal(names, []string{"model"}) {
		t.Errorf("temporary directories of dead writers stay: %q", names)
	}
	put(t, filepath.Join(path, incompleteName), "../outside\n")
	put(t, filepath.Join(dir, "outside"), "mine")
	if err := WriteDir(path, func(string) error { return nil }); err == nil || read(t, filepath.Join(dir, "outside")) != "mine" {
		t.Errorf("a list that leads outside is followed: %v", err)
	}
}
