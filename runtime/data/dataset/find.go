package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// find lists the data files of a path.
func find(path string) ([]string, error) {
	paths := []string{path}
	if _, err := os.Stat(path); err != nil && strings.Contains(path, ",") {
		paths = strings.Split(path, ",")
	}
	var files []string
	var errs []error
	for _, p := range paths {
		found, err := findIn(strings.TrimSpace(p))
		files, errs = append(files, found...), append(errs, err)
	}
	err := errors.Join(errs...)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w\n  = help: --train_dataset_dir and --eval_dataset_dir (dataset_dir in the config) take a file, a directory of .json, .jsonl, .txt or mindrecord files, or several separated by commas", err)
	}
	return files, err
}

func findIn(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the data set: %w", err)
	}
	if !info.IsDir() {
		if IsMindRecord(path) {
			return shardsOf(path)
		}
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".") && name != path:
			if d.IsDir() {
				return filepath.SkipDir
			}
		case d.IsDir():
		case slices.Contains([]string{".json", ".jsonl", ".txt"}, filepath.Ext(name)) || IsMindRecord(name):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the data set: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the directory %s holds no .json, .jsonl, .txt or mindrecord file", path)
	}
	slices.Sort(files)
	return files, nil
}

// read reads one file.
func (r *reader) read(file string) error {
	switch ext := filepath.Ext(file); {
	case IsMindRecord(file):
		return r.readMindRecord(file)
	case ext == ".json" || ext == ".jsonl":
		return r.readJSON(file)
	case ext == ".txt":
		return r.readText(file)
	}
	return fmt.Errorf("%s: unknown data set format; supported are .json, .jsonl, .txt and mindrecord", file)
}
