// Package weights opens a checkpoint of any supported format as a set of named
// tensors. It holds the table of file formats and the rules for directories,
// shards and rank trees. It must not know configs, training, or what a tensor is
// used for.
package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/weights/kind"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/sharded"
)

// Tensor is a named tensor. Data is read-only and shared with the mapped file.
type Tensor = safetensors.Tensor

// Set is an open checkpoint. No tensor of it may be used after Close.
type Set interface {
	Names() []string
	Tensor(name string) (Tensor, bool)
	Close()
}

// format is what a file of an extension is opened by.
type format struct {
	suffix string
	open   func(path string) (Set, error)
}

// formats are those of single files.
var formats = []format{
	{".safetensors", openSafetensors},
	{".safetensors.index.json", openSafetensors},
	{".ckpt", openCkpt},
	{".gguf", openGGUF},
	{".pth", openOneTorch},
	{".pt", openOneTorch},
	{".bin", openBin},
}

func openSafetensors(path string) (Set, error) { return openSafetensorsAs(path, 0) }

// openSafetensorsAs opens safetensors of any naming scheme; headDim is the number of
// rows of a head, 0 for what stands beside the file.
func openSafetensorsAs(path string, headDim int) (Set, error) {
	s, err := safetensors.OpenSet(path)
	if err != nil {
		return nil, err
	}
	bare := Unwrap(s)
	scheme, ok := naming.SchemeOf(bare.Names())
	if !ok || scheme != naming.SchemeMeta && scheme != naming.SchemeTorchtune {
		return s, nil
	}
	if headDim == 0 {
		dir := path
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			dir = filepath.Dir(path)
		}
		if headDim, err = headDimNextTo(dir); err != nil {
			s.Close()
			return nil, err
		}
	}
	r, err := rename(bare, scheme, headDim)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func openCkpt(path string) (Set, error) {
	f, err := mindspore.Open(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Open opens a checkpoint: a file, or a directory in the layout of Hugging Face
// or MindFormers.
func Open(path string) (Set, error) {
	info, err := Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		s, err := openDir(path)
		if err != nil {
			return nil, refused(path, err)
		}
		return s, nil
	}
	if err := kind.Refuse(path); err != nil {
		return nil, err
	}
	for _, f := range formats {
		if !strings.HasSuffix(path, f.suffix) {
			continue
		}
		s, err := f.open(path)
		if err != nil {
			return nil, refused(path, err)
		}
		return s, nil
	}
	s, err := openSafetensors(path) // an unknown extension is read as safetensors, the most common format
	if err != nil {
		return nil, fmt.Errorf("%w; the format is chosen by the extension: %s", err, extensions())
	}
	return s, nil
}

// refused is the error for a path that could not be opened: that one of the files
// there is no weights at all, where that is so, says more than err.
func refused(path string, err error) error {
	info, statErr := os.Stat(path)
	if statErr != nil {
		return err
	}
	dir := path
	if !info.IsDir() {
		dir = filepath.Dir(path)
		if !strings.HasSuffix(path, ".index.json") {
			return err
		}
	}
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		ext := filepath.Ext(e.Name())
		if ext == ".json" || strings.HasPrefix(e.Name(), ".") || !slices.ContainsFunc(formats, func(f format) bool { return f.suffix == ext }) {
			continue
		}
		refuse := kind.Placeholder
		if ext != ".pt" && ext != ".pth" && ext != ".bin" { // which hold other things, too
			refuse = kind.Refuse
		}
		if why := refuse(filepath.Join(dir, e.Name())); why != nil {
			return why
		}
	}
	return err
}

// Stat is os.Stat; the error for a missing path says what a checkpoint looks like.
func Stat(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w\n  = help: weights are a directory in the layout of Hugging Face or MindFormers, a tree of rank_N directories, or a file with one of the extensions %s", err, extensions())
	}
	return info, err
}

func extensions() string {
	var list []string
	for _, f := range formats {
		list = append(list, f.suffix)
	}
	return strings.Join(list, ", ")
}

// openDir opens a directory: a model in safetensors; all .ckpt files in it as one
// set, as MindFormers loads base and adapter together; or the newest file of a
// single rank directory. OpenTree and Rank0 read several ranks.
func openDir(dir string) (Set, error) {
	if set, err := openMindFormers(dir); set != nil || err != nil {
		return set, err
	}
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
		return openUnion(ckpts)
	}
	if len(ggufs) == 1 {
		return openGGUF(ggufs[0])
	} else if len(ggufs) > 1 {
		return nil, fmt.Errorf("%s holds %d .gguf files; give the path of one of them", dir, len(ggufs))
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
		return nil, fmt.Errorf("%s holds %d ranks; merge them into one file: lorac convert layout --src %s --src_strategy STRATEGY -o FILE.ckpt", dir, len(ranks), dir)
	}
	path, err := Rank0(dir)
	if err != nil {
		return nil, err
	}
	return Open(path)
}

// union is several files read as one set.
type union struct {
	sets  []Set
	names []string
	owner map[string]Set
}

func openUnion(paths []string) (Set, error) {
	var sets []Set
	for _, path := range paths {
		s, err := openCkpt(path) // of either form
		if err != nil {
			closeAll(sets)
			return nil, err
		}
		sets = append(sets, s)
	}
	u, err := newUnion(sets, paths)
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

// newUnion merges sets whose parameter names are disjoint. A scalar, such as a
// step counter, may be in several of them; the first counts.
func newUnion(sets []Set, paths []string) (Set, error) {
	u := &union{owner: map[string]Set{}, sets: sets}
	from := map[string]string{}
	for i, s := range sets {
		for _, n := range s.Names() {
			if u.owner[n] == nil {
				u.names = append(u.names, n)
				u.owner[n], from[n] = s, paths[i]
			} else if h, _ := Describe(s, n); len(h.Shape) > 0 {
				return nil, fmt.Errorf("%s is in both %s and %s; keep only one of these files in the directory", n, from[n], paths[i])
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
