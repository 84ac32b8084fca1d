package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names of the files in a Hugging Face directory.
const (
	singleName = "model.safetensors"
	indexName  = "model.safetensors.index.json"
)

// Set is one checkpoint, stored in one file or in several shards.
type Set struct {
	Path  string // of the container or index that was opened
	files []*File
	index map[string]*File
}

// OpenSet opens a checkpoint: a container, an index of shards
// (….safetensors.index.json), or a directory with model.safetensors, an index, or
// a single container of another name.
func OpenSet(path string) (*Set, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if path, err = inDirectory(path); err != nil {
			return nil, err
		}
	}
	if strings.HasSuffix(path, ".json") {
		return openIndex(path)
	}
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	s := &Set{Path: path, index: map[string]*File{}}
	s.add(f)
	return s, nil
}

// inDirectory selects the file to open in a directory.
func inDirectory(dir string) (string, error) {
	for _, name := range []string{singleName, indexName} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var containers, others []string
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "."):
		case filepath.Ext(name) == ".safetensors":
			containers = append(containers, name)
		case slices.Contains([]string{".bin", ".pth", ".pt", ".ckpt", ".gguf"}, filepath.Ext(name)):
			others = append(others, name)
		}
	}
	switch {
	case slices.Contains(containers, "adapter_model.safetensors"):
		return "", fmt.Errorf("%s holds an adapter, not a model; give it as --load_adapter and the base model here", dir)
	case len(containers) == 1:
		return filepath.Join(dir, containers[0]), nil
	case len(containers) > 1:
		return "", fmt.Errorf("%s holds %s, and no %s (MindFormers: param_name_map.json) says which of them form a model; give one file, or add the index",
			dir, someOf(containers), indexName)
	case len(others) > 0:
		return "", fmt.Errorf("%s holds no safetensors file but %s; save the model as safetensors and give that directory",
			dir, someOf(others))
	}
	return "", noWeights(fmt.Sprintf("%s holds neither %s nor %s; give a Hugging Face directory or a .safetensors file", dir, singleName, indexName))
}

// noWeights is the error of a directory without weights of any kind: fs.ErrNotExist.
type noWeights string

func (e noWeights) Error() string { return string(e) }

// Is is for errors.Is.
func (e noWeights) Is(target error) bool { return target == fs.ErrNotExist }

// openIndex opens the shards of an index. A tensor must be in the shard the index
// names for it; shards must be below the index's directory.
func openIndex(path string) (*Set, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("%s is not an index of shards: %w", path, err)
	}
	if len(index.WeightMap) == 0 {
		return nil, fmt.Errorf("%s is not an index of shards: it has no `weight_map`", path)
	}
	s := &Set{Path: path, index: map[string]*File{}}
	if err := s.openShards(index.WeightMap); err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s *Set) openShards(weightMap map[string]string) error {
	shards := map[string]*File{}
	for _, name := range slices.Sorted(maps.Values(weightMap)) {
		if shards[name] != nil {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the shard %q is outside the index's directory", name)
		}
		f, err := Open(filepath.Join(filepath.Dir(s.Path), name))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the shard %s is missing; all shards must be in one directory", name)
		}
		if err != nil {
			return err
		}
		shards[name] = f
		s.add(f)
	}
	// If a name is in two shards, the index decides.
	for _, tensor := range slices.Sorted(maps.Keys(weightMap)) {
		f := shards[weightMap[tensor]]
		if _, ok := f.tensors[tensor]; !ok {
			return fmt.Errorf("the tensor %q is not in %s, which the index names for it", tensor, weightMap[tensor])
		}
		s.index[tensor] = f
	}
	return nil
}

func (s *Set) add(f *File) {
	s.files = append(s.files, f)
	for name := range f.tensors {
		s.index[name] = f
	}
}

// Names lists all tensors in alphabetical order.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.index)) }

// Tensor returns a tensor by name.
func (s *Set) Tensor(name string) (Tensor, bool) {
	f, ok := s.index[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensor(name)
}

// Files lists the containers.
func (s *Set) Files() []*File { return slices.Clone(s.files) }

// Close unmaps all files. No tensor may be used afterwards.
func (s *Set) Close() {
	for _, f := range s.files {
		f.Close() // an munmap error is not actionable
	}
	s.files, s.index = nil, nil
}

// someOf formats the first few elements of a list.
func someOf(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}
