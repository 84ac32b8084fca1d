//go:build unix

package cache

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// variable says where the cache is.
const variable = "XDG_CACHE_HOME"

// checkPart refuses a part of the path that another user owns, root aside, or may
// write to. In a sticky directory, as /tmp is, only the owner of a part replaces it.
func checkPart(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	me := uint32(os.Geteuid())
	switch {
	case st.Uid != me && st.Uid != 0 && !isHostRoot(st.Uid):
		return &openToOthers{path, fmt.Sprintf("belongs to user %d, and this process is user %d", st.Uid, me), false, false}
	case info.Mode()&fs.ModeSymlink != 0:
		return nil
	case !info.IsDir():
		return fmt.Errorf("the cache cannot be made: %s is no directory", path)
	case writers(info, st) != 0 && info.Mode()&fs.ModeSticky == 0:
		return &openToOthers{path, fmt.Sprintf("may be written to by others (mode %#o)", info.Mode().Perm()), st.Uid == me, false}
	}
	return nil
}

// writers are the bits of those who may write to a directory besides its owner. A
// group of the owner alone has their number, as useradd gives it.
func writers(info fs.FileInfo, st *syscall.Stat_t) fs.FileMode {
	if st.Gid == st.Uid {
		return info.Mode().Perm() & 0o002
	}
	return info.Mode().Perm() & 0o022
}

// isHostRoot reports whether an owner stands for users that a container does not
// know: its own root directory is often theirs, and nobody inside can act as them.
func isHostRoot(uid uint32) bool {
	overflow, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil || strings.TrimSpace(string(overflow)) != fmt.Sprint(uid) {
		return false
	}
	users, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(users)), " ") != "0 0 4294967295"
}

// closeDir checks that a directory is this user's and closes it to all others. One that
// a link leads to must be closed already: it may be there for more than lorac, as /tmp
// is, and its mode is not changed.
func closeDir(dir string, linked bool) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if me := os.Geteuid(); ok && st.Uid != uint32(me) {
		return &openToOthers{dir, fmt.Sprintf("belongs to user %d, and this process is user %d", st.Uid, me), false, false}
	}
	if ok && writers(info, st) != 0 { // sticky or not: what lies there may be another's
		return &openToOthers{dir, fmt.Sprintf("may be written to by others (mode %#o)", info.Mode().Perm()), info.Mode()&fs.ModeSticky == 0, false}
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if linked {
		return &openToOthers{dir, fmt.Sprintf("is open to others (mode %#o), and a link leads there, so its mode is left as it is", info.Mode().Perm()), false, true}
	}
	return os.Chmod(dir, 0o700)
}
