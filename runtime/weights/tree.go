package weights

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"lorac/runtime/weights/sharded"
)

// Tree is a checkpoint of several ranks as one set.
type Tree struct{ *sharded.Tree }

// IsTree reports whether path is a directory of several ranks.
func IsTree(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	ranks, err := sharded.RankDirs(path)
	return err == nil && len(ranks) > 1
}

// Rank0 is the file that one process reads of a directory of ranks, as
// MindFormers: the one rank_0 wrote last. Whether it holds the whole model, its
// shapes show.
func Rank0(dir string) (string, error) {
	ranks, err := sharded.RankDirs(dir)
	if err != nil {
		return "", err
	}
	if ranks[0] == "" {
		return "", fmt.Errorf("%s has directories of ranks, but no rank_0", dir)
	}
	return sharded.Newest(ranks[0], 0)
}

// OpenTree opens a directory of several ranks, laid out as the strategy file
// (or directory of them) says. Without one, it takes the directory strategy
// beside the tree, where MindFormers leaves it. name picks one of several saves.
func OpenTree(path, strategyPath, name string) (*Tree, error) {
	if strategyPath == "" {
		strategyPath = filepath.Join(filepath.Dir(filepath.Clean(path)), "strategy")
		if info, err := os.Stat(strategyPath); err != nil || !info.IsDir() {
			ranks, _ := sharded.RankDirs(path)
			return nil, fmt.Errorf("%s holds the slices of %d ranks, and nothing says how they were cut\n  = help: --src_strategy_path_or_dir STRATEGY, the strategy directory of the job that saved it; --auto_trans_ckpt False if every rank holds the whole model (or convert it by its parallel_config: lorac convert layout --src %s --src_parallel model_parallel=… -o FILE.ckpt)", path, len(ranks), path)
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

// Head describes a tensor as one device would hold it.
func (t *Tree) Head(name string) (Head, bool) {
	dtype, shape, ok := t.Tree.Head(name)
	return Head{DType: dtype, Shape: shape}, ok
}

// Tensor joins the slices of a tensor, in memory of its own.
func (t *Tree) Tensor(name string) (Tensor, bool) {
	dtype, shape, ok := t.Tree.Head(name)
	if !ok {
		return Tensor{}, false
	}
	var b bytes.Buffer
	if err := t.Write(&b, name); err != nil {
		return Tensor{}, false
	}
	return Tensor{Name: name, DType: dtype, Shape: shape, Data: b.Bytes()}, true
}

// Hint is what to do about a tree of which rank 0 alone was read and does not
// fit, or "".
func Hint(path string) string {
	if !IsTree(path) {
		return ""
	}
	ranks, _ := sharded.RankDirs(path)
	return fmt.Sprintf("\n  = help: %s holds %d ranks, of which rank_0 was read; if they are slices of one model: --auto_trans_ckpt True --src_strategy_path_or_dir STRATEGY", path, len(ranks))
}
