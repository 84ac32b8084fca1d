// Package parquet turns Parquet files into JSON lines, which trainers read. The library
// that reads them is linked by lorac-parquet, a program of its own. The package must
// not know what rows mean.
package parquet

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"lorac/cmd/lorac/cache"
	"lorac/cmd/lorac/program"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/disk"
)

//go:embed lorac-parquet/main.go lorac-parquet/module.mod lorac-parquet/module.sum
var sources embed.FS

func files() map[string][]byte {
	dir, err := fs.Sub(sources, "lorac-parquet")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return program.Files(dir)
}

var reader = program.Program{Name: "lorac-parquet", Protocol: "1", Needs: "Parquet", Sources: files}

// ErrProgram is the error when the program can be neither found nor built.
var ErrProgram = program.Err

// Is reports whether a file begins as Parquet files do.
func Is(path string) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 4)
	_, err = io.ReadFull(f, head)
	return err == nil && bytes.Equal(head, []byte("PAR1"))
}

// Rows writes the rows of a Parquet file to out, an object a line, at once or not at all.
// It returns an ErrProgram before it writes.
func Rows(path, out string) error {
	if _, err := reader.Find(); err != nil {
		return err
	}
	to := &checked{}
	var read error
	err := atomicfile.WriteFile(out, func(w io.Writer) error {
		to.w = w
		read = reader.Run(nil, to, "rows", path)
		return read
	})
	if read != nil && to.err == nil { // the file is at fault, not what is written
		return read
	}
	return err
}

// checked is a writer that knows whether it failed.
type checked struct {
	w   io.Writer
	err error
}

func (c *checked) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if err != nil {
		c.err = err
	}
	return n, err
}

// Cached is a file with the rows of a Parquet file in the user's cache, which is theirs
// alone: others may not be allowed to read the data. It is made, at once or not at all,
// where there is none of the same path, size and time of change.
func Cached(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(full)
	if err != nil {
		return "", err
	}
	home, err := cache.Dir()
	if err != nil { // its help is the last line
		return "", fmt.Errorf("cannot convert %s: %w, or convert it with `lorac convert rows --data_path %s -o rows.jsonl`", path, err, path)
	}
	key := sha256.Sum256(fmt.Appendf(nil, "1 %s\n%d\n%d", full, info.Size(), info.ModTime().UnixNano()))
	dir := filepath.Join(home, fmt.Sprintf("rows-%x", key[:8]))
	out := filepath.Join(dir, filepath.Base(full)+".jsonl")
	if !disk.IsFile(out) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
		if err := Rows(full, out); err != nil {
			return "", err
		}
		fmt.Fprintf(os.Stderr, "converted %s to %s\n", path, out)
	}
	cache.Used(dir)
	return out, nil
}
