package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Files lists the data files of a path, as Open reads them with the same options, and
// says of a directory which were left aside.
func Files(path string, o Options) (files, notes []string, err error) {
	paths := []string{path}
	if _, err := os.Stat(path); err != nil && strings.Contains(path, ",") {
		paths = strings.Split(path, ",")
	}
	var errs []error
	for _, p := range paths {
		found, said, err := findIn(strings.TrimSpace(p), &o)
		files, notes, errs = append(files, found...), append(notes, said...), append(errs, err)
	}
	err = errors.Join(errs...)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w\n  = help: --train_dataset_dir and --eval_dataset_dir (dataset_dir in the config) take a file, a directory, or several separated by commas; files are %s", err, known)
	}
	return files, notes, err
}

// EvalSplit reports whether a path is a directory with data for evaluation beside
// those for training.
func EvalSplit(path string) bool {
	train, _, err := Files(path, Options{Format: "auto"})
	if err != nil {
		return false
	}
	eval, _, err := Files(path, Options{Format: "auto", Eval: true})
	return err == nil && len(eval) > 0 && !slices.ContainsFunc(eval, func(f string) bool { return slices.Contains(train, f) })
}

func findIn(path string, o *Options) (files, notes []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the data set: %w", err)
	}
	if !info.IsDir() {
		if o.Split != "" && o.Split != "train" && splitOf(filepath.Base(path)) != o.Split {
			return nil, nil, fmt.Errorf("the split %s is asked for, but %s is a file; a directory has splits", o.Split, path)
		}
		if IsMindRecord(path) {
			files, err = shardsOf(path)
			return files, nil, err
		}
		return []string{path}, nil, nil
	}
	var noRows []string
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".") && name != path:
			if d.IsDir() {
				return filepath.SkipDir
			}
		case d.IsDir() || kindOfName(name) == "":
		case o.noRows(name):
			noRows = append(noRows, name)
		default:
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the data set: %w", err)
	}
	if len(noRows) > 0 {
		notes = append(notes, fmt.Sprintf("not read, as they hold no rows: %s", strings.Join(noRows, ", ")))
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("the directory %s holds no data file; those are %s", path, known)
	}
	slices.Sort(files)
	files, aside, err := splitFor(path, files, o)
	return files, append(notes, aside...), err
}

// splits are the words in names of files and directories that say what rows are for.
var splits = map[string]string{
	"train": "train", "training": "train",
	"valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "eval": "valid", "evaluation": "valid",
	"test": "test", "testing": "test",
}

// splitOf is train, valid or test, by a word of the file's name, else of the directories
// below the one that was given; "" if they say none, or several.
func splitOf(rel string) string {
	dir, base := filepath.Split(filepath.ToSlash(rel))
	for _, part := range []string{base, dir} {
		found := map[string]bool{}
		var last string
		for _, word := range strings.FieldsFunc(strings.ToLower(part), func(c rune) bool { return !unicode.IsLetter(c) }) {
			if s := splits[word]; s != "" {
				found[s], last = true, s
			}
		}
		if len(found) > 0 {
			if len(found) > 1 {
				return ""
			}
			return last
		}
	}
	return ""
}

// splitFor takes the files of a directory that are meant for training, or for
// evaluation: valid, else test; or those of the split that is asked for. Where no file is of another split, all are taken.
func splitFor(dir string, files []string, o *Options) (taken, notes []string, err error) {
	by := map[string][]string{}
	for _, f := range files {
		rel, err := filepath.Rel(dir, f)
		if err != nil {
			rel = f
		}
		s := splitOf(rel)
		by[s] = append(by[s], f)
	}
	purpose, order := "training", []string{"train", ""}
	if o.Split != "" {
		purpose, order = "the split "+o.Split, []string{o.Split}
	} else if o.Eval {
		purpose, order = "evaluation", []string{"valid", "test", ""}
	}
	if len(by) == 1 && len(by[""]) > 0 {
		return files, nil, nil
	}
	if o.Split == "" && !o.Eval && len(by["valid"])+len(by["test"]) == 0 {
		return files, nil, nil // what has no split is for training, too
	}
	for _, s := range order {
		if len(by[s]) == 0 {
			continue
		}
		var aside []string
		for _, f := range files {
			if !slices.Contains(by[s], f) {
				aside = append(aside, f)
			}
		}
		if len(aside) > 0 {
			notes = append(notes, fmt.Sprintf("%s has several splits; not read for %s: %s", dir, purpose, strings.Join(aside, ", ")))
		}
		return by[s], notes, nil
	}
	return nil, nil, fmt.Errorf("by its names, the directory %s holds nothing for %s (%s); give the files themselves to take them all the same", dir, purpose, strings.Join(files, ", "))
}

// metadata are files that describe data or models, in lower case.
var metadata = []string{
	"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "tokenizer.json", "tokenizer_config.json", "vocab.json",
	"config.json", "special_tokens_map.json", "added_tokens.json", "generation_config.json",
	"readme.txt", "license.txt", "licence.txt", "notice.txt", "changelog.txt", "requirements.txt", "vocab.txt", "merges.txt",
}

// noRows reports whether a file of a directory is none of rows: by its name, or because
// it is one JSON object without any row's keys.
func (o *Options) noRows(name string) bool {
	base := strings.ToLower(filepath.Base(name))
	if slices.Contains(metadata, base) || strings.HasSuffix(base, ".index.json") {
		return true
	}
	if filepath.Ext(base) != ".json" {
		return false
	}
	if info, err := os.Stat(name); err != nil || info.Size() > 1<<20 || !info.Mode().IsRegular() {
		return false
	}
	text, err := os.ReadFile(name)
	if err != nil || !begins(text, "{") || !json.Valid(text) {
		return false
	}
	text = text[blanks(text):]
	fs, err := membersOf(text, nil)
	if err != nil {
		return false
	}
	_, err = o.format(fs)
	return err != nil
}
