package safetensors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

func newTrimmed(header []byte) io.Reader { return bytes.NewReader(bytes.TrimRight(header, " ")) }

// Set is one checkpoint, of one file or several.
type Set struct {
	Path  string
	files []*File
	index map[string]*File
}

// OpenSet opens a file, an index file, or a Hugging Face directory.
func OpenSet(path string) (*Set, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		for _, name := range []string{"model.safetensors.index.json", "model.safetensors"} {
			if _, err := os.Stat(filepath.Join(path, name)); err == nil {
				return OpenSet(filepath.Join(path, name))
			}
		}
		return nil, fmt.Errorf("%s holds neither model.safetensors nor model.safetensors.index.json", path)
	}
	if strings.HasSuffix(path, ".json") {
		return openIndex(path)
	}
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	s := &Set{Path: path, files: []*File{f}, index: map[string]*File{}}
	for n := range f.tensors {
		s.index[n] = f
	}
	return s, nil
}

func openIndex(path string) (*Set, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var idx struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &idx); err != nil || len(idx.WeightMap) == 0 {
		return nil, fmt.Errorf("%s is no index of shards: it has no weight_map", path)
	}
	s := &Set{Path: path, index: map[string]*File{}}
	open := map[string]*File{}
	for _, name := range sortedKeys(idx.WeightMap) {
		shard := idx.WeightMap[name]
		if !filepath.IsLocal(shard) {
			s.Close()
			return nil, fmt.Errorf("%s: the shard %q lies outside its directory", path, shard)
		}
		f := open[shard]
		if f == nil {
			if f, err = Open(filepath.Join(filepath.Dir(path), shard)); err != nil {
				s.Close()
				return nil, err
			}
			open[shard] = f
			s.files = append(s.files, f)
		}
		if _, ok := f.tensors[name]; !ok {
			s.Close()
			return nil, fmt.Errorf("%s says %s holds %q, it does not", path, shard, name)
		}
		s.index[name] = f
	}
	return s, nil
}

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// Names lists all tensors in order.
func (s *Set) Names() []string {
	out := make([]string, 0, len(s.index))
	for n := range s.index {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Tensor returns an entry by name.
func (s *Set) Tensor(name string) (Tensor, bool) {
	f := s.index[name]
	if f == nil {
		return Tensor{}, false
	}
	return f.Tensor(name)
}

// Close unmaps all files.
func (s *Set) Close() {
	for _, f := range s.files {
		f.Close()
	}
}
