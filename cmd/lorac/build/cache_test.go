package build

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The trainers that were used last stay in the cache.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i, name := range []string{"c", "a", "d", "b"} { // from the oldest
		if err := os.MkdirAll(filepath.Join(dir, name, "sub"), 0o777); err != nil {
			t.Fatal(err)
		}
		at := now.Add(time.Duration(i-9) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	cache(filepath.Join(dir, "none")).prune(1)
	for _, x := range []struct {
		keep int
		want string
	}{{9, "[a b c d]"}, {4, "[a b c d]"}, {2, "[b d]"}, {0, "[]"}} {
		cache(dir).prune(x.keep)
		list, _ := os.ReadDir(dir)
		names := []string{}
		for _, d := range list {
			names = append(names, d.Name())
		}
		if fmt.Sprint(names) != x.want {
			t.Errorf("of %d, %v are left, want %s", x.keep, names, x.want)
		}
	}
}
