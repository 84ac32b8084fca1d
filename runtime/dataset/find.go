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

// find lists the data files that a path means.
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
	return files, errors.Join(errs...)
}

func findIn(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the data set: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files, others []string
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".") && name != path:
			if d.IsDir() {
				return filepath.SkipDir
			}
		case d.IsDir():
		case slices.Contains([]string{".json", ".jsonl", ".txt"}, filepath.Ext(name)):
			files = append(files, name)
		default:
			others = append(others, d.Name())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the data set: %w", err)
	}
	if len(files) == 0 {
		hint := ""
		if i := slices.IndexFunc(others, isMindRecord); i >= 0 {
			hint = "; " + errMindRecord(others[i]).Error()
		}
		return nil, fmt.Errorf("the directory %s holds no .json, .jsonl or .txt file%s", path, hint)
	}
	slices.Sort(files)
	return files, nil
}

func isMindRecord(name string) bool {
	return strings.Contains(strings.ToLower(filepath.Base(name)), "mindrecord")
}

func errMindRecord(name string) error {
	return fmt.Errorf("%s: MindRecord is not read yet; give the JSON it was made from", name)
}

// read reads one file.
func (r *reader) read(file string) error {
	switch ext := filepath.Ext(file); {
	case isMindRecord(file) && ext != ".json" && ext != ".jsonl" && ext != ".txt":
		return errMindRecord(file)
	case ext == ".json" || ext == ".jsonl":
		return r.readJSON(file)
	case ext == ".txt":
		return r.readText(file)
	}
	return fmt.Errorf("%s: unknown kind of data set; known are .json, .jsonl and .txt", file)
}
