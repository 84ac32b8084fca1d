package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lorac/ir"
)

// What a build cannot write into is removed, and nothing else.
func TestMend(t *testing.T) {
	m := &ir.Module{Name: "x"}
	for name, whole := range map[string]bool{"": true, "x": true, ".built": true, "trainer": false} {
		c := cache(t.TempDir())
		dir := c.of(m)
		var err error
		if name == "" {
			err = os.WriteFile(dir, nil, 0o600)
		} else {
			err = os.MkdirAll(filepath.Join(dir, name, "in"), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := c.mend(m, "x"); err != nil || (kindOf(dir) == "") != whole {
			t.Errorf("%q: %v; it is a %s", name, err, kindOf(dir))
		}
	}
}

// A file in the place of the sources makes way; a directory stays, and a link to one.
func TestMendSources(t *testing.T) {
	m := &ir.Module{Name: "x"}
	for name, make := range map[string]func(path string) error{
		"file":      func(path string) error { return os.WriteFile(path, nil, 0o666) },
		"":          func(path string) error { return os.Symlink(path+".none", path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o777) },
		"link":      func(path string) error { return os.Symlink(filepath.Dir(path), path) },
	} {
		c := cache(t.TempDir())
		if err := make(c.sources()); err != nil {
			t.Fatal(err)
		}
		err := c.mend(m, "x")
		_, there := os.Lstat(c.sources())
		if stays := name == "directory" || name == "link"; err != nil || (there == nil) != stays {
			t.Errorf("%q: %v, %v", name, err, there)
		}
	}
}

// The trainers that were used last stay in the cache, and what lorac did not make.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	const hash = "000000000000000"
	for i, name := range []string{"mine", hash + "c", "rows-" + hash + "a", hash + "d", hash + "b"} { // from the oldest
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
	}{{9, "[b c d mine a]"}, {4, "[b c d mine a]"}, {2, "[b d mine]"}, {0, "[mine]"}} {
		cache(dir).prune(x.keep)
		list, _ := os.ReadDir(dir)
		names := []string{}
		for _, d := range list {
			names = append(names, strings.TrimPrefix(strings.TrimPrefix(d.Name(), "rows-"), hash))
		}
		if fmt.Sprint(names) != x.want {
			t.Errorf("of %d, %v are left, want %s", x.keep, names, x.want)
		}
	}
}
