package weights

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/sharded"
)

// Tree is a checkpoint of several ranks read as one set.
type Tree struct{ *sharded.Tree }

// IsTree reports whether path is a directory with more than one rank_N directory.
func IsTree(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	ranks, err := sharded.RankDirs(path)
	return err == nil && len(ranks) > 1
}

// Sliced reports whether path is a directory of MindFormers' Checkpoint 2.0 that
// several ranks saved. Its layout is in its metadata.json, so that it needs no
// strategy file.
func Sliced(path string) bool {
	d, err := mindspore.FindDirectory(path)
	return err == nil && d != nil && d.Sliced()
}

// Rank0 is the path of the newest checkpoint of rank_0, which a single process
// reads, as in MindFormers. Only the shapes tell whether it holds full tensors.
func Rank0(dir string) (string, error) {
	ranks, err := sharded.RankDirs(dir)
	if err != nil {
		return "", err
	}
	if ranks[0] == "" {
		return "", fmt.Errorf("%s has rank_N directories, but no rank_0", dir)
	}
	return sharded.Newest(ranks[0], 0)
}

// OpenTree opens a directory of several ranks in the layout that the strategy file
// (or a directory of them) describes. Without strategyPath it reads the directory
// strategy next to the tree, where MindFormers writes it. name selects one of
// several saves; "" is the newest. A directory for which Sliced holds brings its layout.
func OpenTree(path, strategyPath, name string) (*Tree, error) {
	if Sliced(path) {
		t, err := sharded.Open(path, "", sharded.One())
		if err != nil {
			return nil, err
		}
		return &Tree{t}, nil
	}
	if strategyPath == "" {
		strategyPath = filepath.Join(filepath.Dir(filepath.Clean(path)), "strategy")
		if info, err := os.Stat(strategyPath); err != nil || !info.IsDir() {
			ranks, _ := sharded.RankDirs(path)
			return nil, fmt.Errorf("%s holds the slices of %d ranks, and no strategy file describes the layout\n  = help: --src_strategy_path_or_dir STRATEGY, the strategy directory of the job that saved it; --auto_trans_ckpt False if every rank holds the full model (or convert it by its parallel_config: lorac convert layout --src %s --src_parallel model_parallel=… -o FILE.ckpt)", path, len(ranks), path)
		}
	}
	spread, err := sharded.Load(strategyPath)
	if err != nil {
		return nil, err
	}
	t, err := sharded.Open(path, name, spread)
	if err != nil {
		return nil, err
	}
	return &Tree{t}, nil
}

// Header gives type and full shape of a tensor.
func (t *Tree) Header(name string) (Header, bool) {
	dtype, shape, ok := t.Tree.Header(name)
	return Header{DType: dtype, Shape: shape}, ok
}

// Tensor concatenates the slices of a tensor into new memory. It is false for an
// unknown name, and if a slice is missing.
func (t *Tree) Tensor(name string) (Tensor, bool) {
	dtype, shape, ok := t.Tree.Header(name)
	if !ok {
		return Tensor{}, false
	}
	var b bytes.Buffer
	if err := t.Write(&b, name); err != nil {
		return Tensor{}, false
	}
	return Tensor{Name: name, DType: dtype, Shape: shape, Data: b.Bytes()}, true
}

// Hint is a help line for a tree whose rank_0 was read alone and does not match
// the config's shapes; "" for any other path.
func Hint(path string) string {
	if !IsTree(path) {
		return ""
	}
	ranks, _ := sharded.RankDirs(path)
	return fmt.Sprintf("\n  = help: %s holds %d ranks, of which rank_0 was read; if they are slices of one model, use --auto_trans_ckpt True --src_strategy_path_or_dir STRATEGY", path, len(ranks))
}
