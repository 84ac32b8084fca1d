package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// incompleteName is a file in a directory whose files are being put in place: it
// lists them, a path a line.
const incompleteName = ".lorac-incomplete"

// WriteDir fills a directory in one step: write puts files into an empty directory
// beside path, which is renamed to path when all are there. Where path holds files
// already, the new ones are moved into it one by one, those that make the others
// a model last; until then Incomplete reports true, also after a kill, and the next
// WriteDir removes what was moved.
func WriteDir(path string, write func(dir string) error) error {
	path = filepath.Clean(path)
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is a file; give the name of a directory", path)
	}
	if err := RemoveIncomplete(path); err != nil {
		return err
	}
	if path == "." || path == ".." || strings.HasSuffix(path, string(filepath.Separator)+"..") {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		path = absolute
	}
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	RemoveStaleTemps(parent)
	stage, lock, err := newStage(path)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	writing.Store(stage, nil)
	defer func() {
		os.RemoveAll(stage) // gone after a rename
		writing.Delete(stage)
		lock.Close()
	}()
	if err := write(stage); err != nil {
		return err
	}
	if err := place(stage, path); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return syncDir(parent)
}

// newStage makes a directory that this process holds.
func newStage(path string) (stage string, lock *os.File, err error) {
	for n := range 1000 {
		stage := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+strconv.Itoa(n)+tempSuffix)
		err := os.Mkdir(stage, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		lock, err := os.Open(stage)
		if err != nil {
			return "", nil, err
		}
		if claim(lock, stage) {
			return stage, lock, nil
		}
		lock.Close()
	}
	return "", nil, fmt.Errorf("too many temporary directories *%s beside it; remove them", tempSuffix)
}

// place makes stage the directory path, or moves its files there.
func place(stage, path string) error {
	if err := syncDir(stage); err != nil {
		return err
	}
	err := os.Rename(stage, path) // takes the place of an empty directory, too
	if err == nil || !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	var files []string
	err = filepath.WalkDir(stage, func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(stage, file)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(files, func(a, b string) int { return rank(a) - rank(b) })
	marker := filepath.Join(path, incompleteName)
	if err := WriteFile(marker, func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(files, "\n")+"\n")
		return err
	}); err != nil {
		return err
	}
	for _, file := range files {
		to := filepath.Join(path, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(stage, file), to); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(to)); err != nil {
			return err
		}
	}
	if err := os.Remove(marker); err != nil {
		return err
	}
	return syncDir(path)
}

// rank orders files: programs find a model by its config, and shards by their index.
func rank(file string) int {
	switch {
	case strings.HasSuffix(file, ".index.json"):
		return 1
	case filepath.Base(file) == "config.json" || filepath.Base(file) == "params.json" || filepath.Base(file) == "adapter_config.json":
		return 2
	}
	return 0
}

// Incomplete reports whether a WriteDir into a directory was killed while it put
// files in place.
func Incomplete(path string) bool {
	_, err := os.Lstat(filepath.Join(path, incompleteName))
	return err == nil
}

// RemoveIncomplete removes what such a WriteDir has moved.
func RemoveIncomplete(path string) error {
	marker := filepath.Join(path, incompleteName)
	text, err := os.ReadFile(marker)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, file := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if !filepath.IsLocal(file) {
			return fmt.Errorf("%s lists %q, which is outside its directory; remove it", marker, file)
		}
		if err := os.Remove(filepath.Join(path, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Remove(marker)
}
