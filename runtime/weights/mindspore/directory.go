package mindspore

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Directory is a checkpoint that MindFormers keeps in several containers. It is
// one of two kinds:
//
//   - the parts that mindspore.unified_safetensors writes, with param_name_map.json
//     as their index and hyper_param.safetensors for counters;
//   - an iteration of MindFormers' Checkpoint 2.0 (mindformers/checkpoint/checkpoint.py,
//     save_checkpoint): PREFIX-model-RANK-RANKS.safetensors and -opt- beside it,
//     common.json for counters, and, of several ranks, metadata.json for the layout.
type Directory struct {
	Path  string   // of the directory that holds the containers
	Files []string // paths of the containers, by name
	Ranks int      // of Checkpoint 2.0: the ranks that saved it; 0 of the other kind

	index map[string]string // of the other kind: the file of each tensor
}

// Names of the files that tell the kind of a directory.
const (
	MapName      = "param_name_map.json"
	MetadataName = "metadata.json"
	hyperName    = "hyper_param.safetensors"
	commonName   = "common.json"
	trackerName  = "latest_checkpointed_iteration.txt"
	iterationDir = "iteration_"
)

var ofRank = regexp.MustCompile(`^(?:.+-)?(?:model|opt)-(\d{7})-(\d{7})\.safetensors$`)

// FindDirectory recognises such a directory, or one of Checkpoint 2.0 with its
// iterations, of which it takes the one that MindFormers noted as the last. It is
// nil for any other path.
func FindDirectory(path string) (*Directory, error) {
	list, err := os.ReadDir(path)
	if err != nil {
		return nil, nil // a file, or missing: for others to say
	}
	names := map[string]bool{}
	newest := ""
	containers := 0
	for _, e := range list {
		names[e.Name()] = true
		if e.IsDir() {
			if digits, ok := strings.CutPrefix(e.Name(), iterationDir); ok && len(digits) > 0 && strings.Trim(digits, "0123456789") == "" && len(digits) >= len(newest)-len(iterationDir) {
				newest = e.Name() // listed in order; more digits are more iterations
			}
		} else if filepath.Ext(e.Name()) == Suffix {
			containers++
		}
	}
	switch {
	case names["model.safetensors"] || names["model.safetensors.index.json"]:
		return nil, nil // Hugging Face's; MindFormers adds a param_name_map.json to such directories
	case names[MapName]:
		return unified(path)
	case containers == 0 && (names[trackerName] || newest != ""):
		return lastIteration(path, newest)
	}
	d := &Directory{Path: path}
	for _, e := range list {
		m := ofRank.FindStringSubmatch(e.Name())
		if m == nil || e.IsDir() {
			continue
		}
		rank, _ := strconv.Atoi(m[1])
		ranks, _ := strconv.Atoi(m[2])
		if rank >= ranks || d.Ranks != 0 && ranks != d.Ranks {
			return nil, fmt.Errorf("%s: %s is of %d ranks, another file of %d; keep the files of one save in the directory", path, e.Name(), ranks, d.Ranks)
		}
		d.Ranks = ranks
		d.Files = append(d.Files, filepath.Join(path, e.Name()))
	}
	if d.Ranks == 0 {
		return nil, nil
	}
	return d, nil
}

// lastIteration is the iteration that the tracker names; without a tracker the
// newest.
func lastIteration(path, newest string) (*Directory, error) {
	text, err := os.ReadFile(filepath.Join(path, trackerName))
	if err == nil && strings.TrimSpace(string(text)) != "" {
		n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 48)
		if err != nil {
			return nil, fmt.Errorf("%s holds %.40q, not the number of an iteration; give one of the directories %s… itself", filepath.Join(path, trackerName), text, iterationDir)
		}
		named := fmt.Sprintf("%s%08d", iterationDir, n)
		if info, err := os.Stat(filepath.Join(path, named)); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("%s names the iteration %d, but %s is missing (the newest is %s); give one of the directories itself", filepath.Join(path, trackerName), n, named, cmp.Or(newest, "none"))
		}
		newest = named
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if newest == "" {
		return nil, fmt.Errorf("%s is empty, and there is no directory %s…", filepath.Join(path, trackerName), iterationDir)
	}
	dir := filepath.Join(path, newest)
	d, err := FindDirectory(dir)
	if err == nil && d == nil {
		err = fmt.Errorf("%s holds no checkpoint (…-model-0000000-0000001.safetensors)", dir)
	}
	return d, err
}

// unified reads param_name_map.json: tensor to file, below weight_map since
// MindSpore 2.5.
func unified(path string) (*Directory, error) {
	file := filepath.Join(path, MapName)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var nested struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	d := &Directory{Path: path}
	if json.Unmarshal(text, &nested) == nil && nested.WeightMap != nil {
		d.index = nested.WeightMap
	} else if err := json.Unmarshal(text, &d.index); err != nil {
		return nil, fmt.Errorf("%s is not the index of a checkpoint: %w; write it again with mindspore.unified_safetensors, or join the ranks with lorac convert layout", file, err)
	}
	if len(d.index) == 0 {
		return nil, fmt.Errorf("%s names no tensor", file)
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Values(d.index)) {
		if seen[name] {
			continue
		}
		seen[name] = true
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("%s: the file %q is outside its directory", file, name)
		}
		if _, err := os.Stat(filepath.Join(path, name)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s names the file %s, which is missing; all parts must be in one directory", file, name)
		}
		d.Files = append(d.Files, filepath.Join(path, name))
	}
	if hyper := filepath.Join(path, hyperName); !seen[hyperName] {
		if _, err := os.Stat(hyper); err == nil {
			d.Files = append(d.Files, hyper)
		}
	}
	return d, nil
}

// Sliced reports whether the files hold slices of the tensors, laid out by
// metadata.json.
func (d *Directory) Sliced() bool { return d.Ranks > 1 }

// Open opens the containers as one checkpoint. They must not be sliced.
func (d *Directory) Open() (*File, error) {
	if d.Sliced() {
		return nil, fmt.Errorf("%s holds the slices of %d ranks; join them: lorac convert layout --src %s -o FILE.safetensors", d.Path, d.Ranks, d.Path)
	}
	var files []*File
	f, err := d.join(&files)
	if err != nil {
		for _, f := range files {
			f.Close()
		}
	}
	return f, err
}

func (d *Directory) join(files *[]*File) (*File, error) {
	for _, path := range d.Files {
		f, err := openContainer(path)
		if err != nil {
			return nil, err
		}
		*files = append(*files, f)
		if d.index != nil {
			f.keep(func(name string) bool {
				at, listed := d.index[name]
				return listed && at == filepath.Base(path) || !listed && filepath.Base(path) == hyperName
			})
		}
	}
	counters, err := d.Counters()
	if err != nil {
		return nil, err
	}
	f, err := Join(d.Path, *files, counters)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(d.index)) {
		if f.byName[name] == nil {
			return nil, fmt.Errorf("%s: %s is not in %s, which %s names for it", d.Path, name, d.index[name], MapName)
		}
	}
	return f, nil
}

// keep drops the entries that are not wanted.
func (f *File) keep(wanted func(name string) bool) {
	f.entries = slices.DeleteFunc(f.entries, func(e *entry) bool {
		if wanted(e.name) {
			return false
		}
		delete(f.byName, e.name)
		return true
	})
}

// Counters are those of common.json under the names they have in a .ckpt: none
// where there is no such file.
func (d *Directory) Counters() ([]Entry, error) {
	path := filepath.Join(d.Path, commonName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || d.Ranks == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var common map[string]any
	if err := json.Unmarshal(text, &common); err != nil {
		return nil, fmt.Errorf("%s, which counts the steps, is damaged: %w; take another iteration, or remove the file to use the weights alone", path, err)
	}
	var out []Entry
	for _, key := range []string{"epoch_num", "step_num", "global_step", "global_batch_size"} {
		x, ok := common[key].(float64)
		if common[key] == nil {
			continue
		}
		if !ok || x != math.Trunc(x) || x < 0 || x > math.MaxInt32 {
			return nil, fmt.Errorf("%s: `%s` is %v, a whole number is due", path, key, common[key])
		}
		out = append(out, Int(key, int(x)))
	}
	if x, ok := common["loss_scale"].(float64); ok {
		out = append(out, Float("loss_scale", float32(x)))
	}
	digits, ok := strings.CutPrefix(filepath.Base(d.Path), iterationDir)
	if n, err := strconv.Atoi(digits); ok && err == nil && common["step_num"] != nil && float64(n) != common["step_num"].(float64) {
		return nil, fmt.Errorf("%s says step_num %v, its directory is that of iteration %d; which of them is right?", path, common["step_num"], n)
	}
	return out, nil
}
