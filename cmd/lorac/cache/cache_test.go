//go:build unix

package cache

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// made is a directory of a mode, whatever the umask is.
func made(t *testing.T, mode os.FileMode, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

// root is a temporary directory without links on the way.
func root(t *testing.T) string {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// The directory is made for its user alone, and one of before is closed to others.
func TestPrivate(t *testing.T) {
	for _, mode := range []os.FileMode{0, 0o755, 0o700} {
		home := root(t)
		if mode != 0 {
			made(t, mode, home, "lorac")
		}
		t.Setenv("XDG_CACHE_HOME", home)
		dir, err := Dir()
		if err != nil || dir != filepath.Join(home, "lorac") {
			t.Fatal(dir, err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
}

// Without a private place there is an error that names the variable, and nothing is
// made in a directory that others share.
func TestNoPrivatePlace(t *testing.T) {
	shared := root(t)
	for name, x := range map[string]struct {
		prepare func(home string) string // gives XDG_CACHE_HOME
		want    string
	}{
		"nothing is set":   {func(string) string { return "" }, "neither $XDG_CACHE_HOME nor $HOME"},
		"relative":         {func(string) string { return "cache" }, "relative"},
		"open to all":      {func(home string) string { made(t, 0o777, home, "lorac"); return home }, "lorac may be written to by others (mode 0777)"},
		"parent is open":   {func(home string) string { return made(t, 0o777, home, "open") }, "open may be written to by others"},
		"through a link":   {func(home string) string { return linked(t, home, made(t, 0o777, home, "open")) }, "open may be written to by others"},
		"lorac is a link":  {func(home string) string { made(t, 0o777, home, "open"); return loracLinked(t, home, "open") }, "open may be written to by others"},
		"lorac is a file":  {func(home string) string { return fileAt(t, home, "lorac") }, "is no directory"},
		"a link to itself": {func(home string) string { return linked(t, home, filepath.Join(home, "link")) }, "leads nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", "")
			t.Setenv("XDG_CACHE_HOME", x.prepare(root(t)))
			t.Setenv("TMPDIR", shared)
			dir, err := Dir()
			if err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "XDG_CACHE_HOME") {
				t.Errorf("%s, %v; want %q", dir, err, x.want)
			}
			if list, _ := os.ReadDir(shared); len(list) > 0 {
				t.Errorf("the shared directory has %v", list)
			}
		})
	}
}

func linked(t *testing.T, home, to string) string {
	t.Helper()
	link := filepath.Join(home, "link")
	if err := os.Symlink(to, link); err != nil {
		t.Fatal(err)
	}
	return link
}

func loracLinked(t *testing.T, home, to string) string {
	t.Helper()
	if err := os.Symlink(to, filepath.Join(home, "lorac")); err != nil {
		t.Fatal(err)
	}
	return home
}

func fileAt(t *testing.T, home, name string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(home, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

// What belongs to another user is not used: root would run what they planted.
func TestOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	for _, part := range []string{"", "lorac"} {
		home := root(t)
		dir := made(t, 0o700, home, "cache", part)
		if err := os.Lchown(dir, 12345, 12345); err != nil {
			t.Skip(err)
		}
		t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
		if dir, err := Dir(); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
			t.Errorf("%s, %v", dir, err)
		}
	}
	home := root(t)
	link := linked(t, home, made(t, 0o700, home, "mine"))
	if err := os.Lchown(link, 12345, 12345); err != nil {
		t.Skip(err)
	}
	t.Setenv("XDG_CACHE_HOME", link)
	if dir, err := Dir(); err == nil || !strings.Contains(err.Error(), "link belongs to user 12345") {
		t.Errorf("a link of another user: %s, %v", dir, err)
	}
}

// A directory that others may write to is refused, sticky too: what lies there may
// be another's.
func TestStickyCache(t *testing.T) {
	at := root(t)
	shared := made(t, 0o777|os.ModeSticky, at, "shared")
	if err := os.Symlink(shared, filepath.Join(at, "lorac")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{shared, filepath.Join(at, "lorac")} {
		if _, err := private(dir); err == nil || !strings.Contains(err.Error(), "may be written to by others") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := private(filepath.Join(shared, "mine")); err != nil {
		t.Errorf("a directory of one's own in a sticky one: %v", err)
	}
}

// A directory that a link leads to keeps its mode, and is used only if it is closed.
func TestLinkedCache(t *testing.T) {
	at := root(t)
	real := made(t, 0o755, at, "real")
	loracLinked(t, at, real)
	t.Setenv("XDG_CACHE_HOME", at)
	if _, err := Dir(); err == nil || !strings.Contains(err.Error(), "real is open to others (mode 0755)") || !strings.Contains(err.Error(), "chmod 700 "+real) {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("its mode was changed to %v, %v", info.Mode(), err)
	}
	made(t, 0o700, real)
	if dir, err := Dir(); err != nil || dir != real {
		t.Errorf("%s, %v", dir, err)
	}
}
