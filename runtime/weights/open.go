// Package weights opens a checkpoint of whatever format as a set of named
// tensors. A format is a row of the table below; what its tensors mean is not
// known here.
package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/sharded"
)

// Tensor is a named tensor: its bytes are read only and shared with the file.
type Tensor = safetensors.Tensor

// Set is an open checkpoint.
type Set interface {
	Names() []string
	Tensor(name string) (Tensor, bool)
	Close()
}

// formats is how single files are opened, by the ending of their names.
var formats = []struct {
	suffix string
	open   func(path string) (Set, error)
}{
	{".safetensors", openSafetensors},
	{".safetensors.index.json", openSafetensors},
	{".ckpt", openCkpt},
	{".gguf", openGGUF},
	{".pth", openOneTorch},
	{".pt", openOneTorch},
	{".bin", openBin},
}

func openSafetensors(path string) (Set, error) {
	s, err := safetensors.OpenSet(path)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func openCkpt(path string) (Set, error) {
	f, err := mindspore.Open(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Open opens a checkpoint: a file, or a directory as Hugging Face or
// MindFormers lays it out.
func Open(path string) (Set, error) {
	info, err := Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openDir(path)
	}
	for _, f := range formats {
		if strings.HasSuffix(path, f.suffix) {
			return f.open(path)
		}
	}
	s, err := openSafetensors(path) // files of no known ending are believed to be what most are
	if err != nil {
		return nil, fmt.Errorf("%w; files are known by their endings: %s", err, endings())
	}
	return s, nil
}

// Stat is os.Stat with a way out where there is no checkpoint.
func Stat(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w\n  = help: weights are a directory as Hugging Face or MindFormers lays it out, a tree of rank_N, or a file of one of the endings %s", err, endings())
	}
	return info, err
}

func endings() string {
	var list []string
	for _, f := range formats {
		list = append(list, f.suffix)
	}
	return strings.Join(list, ", ")
}

// openDir opens a directory: of one model in safetensors; with all .ckpt files
// in it as one set, as MindFormers loads base and adapter together; or of one
// rank, of which the file that was written last is read. Several ranks are
// OpenTree's, or Rank0's.
func openDir(dir string) (Set, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ckpts, ggufs []string
	for _, e := range list {
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case filepath.Ext(e.Name()) == ".safetensors" || e.Name() == "model.safetensors.index.json":
			return openSafetensors(dir)
		case filepath.Ext(e.Name()) == ".ckpt":
			ckpts = append(ckpts, filepath.Join(dir, e.Name()))
		case filepath.Ext(e.Name()) == ".gguf":
			ggufs = append(ggufs, filepath.Join(dir, e.Name()))
		}
	}
	if len(ckpts) > 0 {
		return openAll(ckpts)
	}
	if len(ggufs) == 1 {
		return openGGUF(ggufs[0])
	} else if len(ggufs) > 1 {
		return nil, fmt.Errorf("%s has %d .gguf files; name one of them", dir, len(ggufs))
	}
	ranks, err := sharded.RankDirs(dir)
	if err != nil {
		return nil, err
	}
	if len(ranks) == 0 {
		if files := torchFiles(dir); len(files) > 0 {
			return openTorch(files, 0)
		}
		return openSafetensors(dir)
	}
	if len(ranks) > 1 {
		return nil, fmt.Errorf("%s holds %d ranks; make one file of them: lorac convert layout --src %s --src_strategy STRATEGY -o FILE.ckpt", dir, len(ranks), dir)
	}
	path, err := Rank0(dir)
	if err != nil {
		return nil, err
	}
	return Open(path)
}

// union is several files as one set.
type union struct {
	sets  []Set
	names []string
	owner map[string]Set
}

func openAll(paths []string) (Set, error) {
	var sets []Set
	for _, path := range paths {
		s, err := openCkpt(path)
		if err != nil {
			closeAll(sets)
			return nil, err
		}
		sets = append(sets, s)
	}
	u, err := unite(sets, paths)
	if err != nil {
		closeAll(sets)
		return nil, err
	}
	return u, nil
}

func closeAll(sets []Set) {
	for _, s := range sets {
		s.Close()
	}
}

// unite makes one set of several whose names differ; what is a scalar may be
// in each.
func unite(sets []Set, paths []string) (Set, error) {
	u := &union{owner: map[string]Set{}, sets: sets}
	from := map[string]string{}
	for i, s := range sets {
		for _, n := range s.Names() {
			if u.owner[n] == nil {
				u.names = append(u.names, n)
				u.owner[n], from[n] = s, paths[i]
			} else if h, _ := Describe(s, n); len(h.Shape) > 0 {
				return nil, fmt.Errorf("%s is in %s and in %s; leave one of the files in the directory", n, from[n], paths[i])
			}
		}
	}
	slices.Sort(u.names)
	return u, nil
}

func (u *union) Names() []string { return slices.Clone(u.names) }

func (u *union) Tensor(name string) (Tensor, bool) {
	s := u.owner[name]
	if s == nil {
		return Tensor{}, false
	}
	return s.Tensor(name)
}

func (u *union) Close() { closeAll(u.sets) }
