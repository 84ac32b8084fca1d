package sharded

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/mindspore"
)

// Tree shows a checkpoint that is sharded over ranks as one: tensors have their full
// shapes. Files are mapped; slices are not concatenated in memory.
type Tree struct {
	From   string
	Spread *Spread
	HasCRC bool // at least one file has a checksum

	files   map[int]*mindspore.File
	names   []string
	tensors map[string]*tensor
	layers  int
}

// tensor is a tensor of a tree.
type tensor struct {
	name, dtype string
	whole       []int
	parts       []int
	rowParts    int        // number of slices of the first dimension under model parallelism
	pieces      [][][]byte // chunks of each slice, nil if not found yet
	owner       []int      // the first rank that holds each slice
	copies      []copied
	known       bool // the layout lists it
	zeroDim     bool // see mindspore.Header
}

// copied is a replica of a slice on a further rank.
type copied struct {
	rank, piece int
	chunks      [][]byte
}

// Open opens a checkpoint in the layout spread: a file, a directory with one file, or
// a directory of rank_N directories, whose files are .ckpt or .safetensors. A
// directory of Checkpoint 2.0 brings its layout along. Of several saves it selects the newest that all
// ranks have, or the one of the given name. Ranks, names, shapes and types must match
// the layout; the data is not read.
func Open(path, name string, spread *Spread) (*Tree, error) {
	if d, err := mindspore.FindDirectory(path); err != nil {
		return nil, err
	} else if d != nil && d.Sliced() {
		return OpenIteration(d)
	} else if d != nil {
		path = d.Path
	}
	t := &Tree{From: path, Spread: spread, files: map[int]*mindspore.File{}, tensors: map[string]*tensor{}}
	paths, err := t.find(path, name)
	if err != nil {
		return nil, err
	}
	for _, rank := range slices.Sorted(maps.Keys(paths)) {
		f, err := mindspore.Open(paths[rank])
		if err != nil {
			t.Close()
			return nil, err
		}
		t.files[rank] = f
		t.HasCRC = t.HasCRC || f.HasCRC
	}
	if err := t.lay(); err != nil {
		t.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// find returns the path of each rank's file.
func (t *Tree) find(path, name string) (map[int]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	n := t.Spread.Ranks()
	if !info.IsDir() {
		if n > 1 {
			return nil, fmt.Errorf("%s is one file, its layout (%s) is of %d ranks", path, t.Spread.From, n)
		}
		return map[int]string{0: path}, nil
	}
	dirs, err := RankDirs(path)
	if err != nil {
		return nil, err
	}
	if d, err := mindspore.FindDirectory(path); err == nil && d != nil && n == 1 {
		return map[int]string{0: path}, nil
	}
	if len(dirs) == 0 {
		if n > 1 {
			return nil, fmt.Errorf("%s has no directories rank_0 … rank_%d, which its layout (%s) requires", path, n-1, t.Spread.From)
		}
		dirs = map[int]string{0: path}
	}
	for _, rank := range slices.Sorted(maps.Keys(dirs)) {
		if rank >= n {
			return nil, fmt.Errorf("%s has rank_%d, its layout (%s) is of %d ranks", path, rank, t.Spread.From, n)
		}
	}
	for stage := range t.Spread.Stages {
		from, to := stage*t.Spread.Devices, (stage+1)*t.Spread.Devices
		if !slices.ContainsFunc(slices.Sorted(maps.Keys(dirs)), func(r int) bool { return r >= from && r < to }) {
			return nil, fmt.Errorf("%s has none of rank_%d … rank_%d, which hold stage %d of the pipeline", path, from, to-1, stage)
		}
	}
	return choose(dirs, name)
}

// lay assigns the tensors of each file to slices.
func (t *Tree) lay() error {
	pieces, held := 0, 0 // each slice must be in at least one file
	for _, f := range t.files {
		held += len(f.Names())
	}
	var orders [][]string
	for _, rank := range slices.Sorted(maps.Keys(t.files)) {
		f := t.files[rank]
		stage := rank / t.Spread.Devices
		for _, name := range f.Names() {
			h, _ := f.Header(name)
			l, here, known, err := t.Spread.of(stage, name, len(h.Shape), nil, 0, 0)
			if err != nil {
				return err
			}
			if !here {
				return fmt.Errorf("rank_%d holds %s, which the layout (%s) has in another stage than %d", rank, name, t.Spread.From, stage)
			}
			x := t.tensors[name]
			whole, err := l.Whole(h.Shape)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if x == nil {
				x = &tensor{name: name, dtype: h.DType, whole: whole, parts: l.Parts(), known: known, zeroDim: h.ZeroDim, rowParts: 1}
				if len(l.Map) > 0 {
					x.rowParts = l.parts(l.Map[0])
				}
				n := 1
				for _, p := range x.parts {
					n *= p
				}
				if pieces += n; pieces > held+maxDevices {
					return fmt.Errorf("its layout (%s) splits the tensors into more slices than its %d files hold: ranks are missing", t.Spread.From, len(t.files))
				}
				x.pieces, x.owner = make([][][]byte, n), make([]int, n)
				t.tensors[name] = x
				t.layers = max(t.layers, layerOf(name)+1)
			}
			if x.dtype != h.DType || !slices.Equal(x.whole, whole) || !slices.Equal(x.parts, l.Parts()) {
				return fmt.Errorf("%s is %s %v of %v in rank_%d, but %s of %v in rank_%d", name, h.DType, h.Shape, whole, rank, x.dtype, x.whole, x.someOwner())
			}
			piece := 0
			for i, p := range l.Piece(rank % t.Spread.Devices) {
				piece = piece*x.parts[i] + p
			}
			if x.pieces[piece] == nil {
				x.pieces[piece], x.owner[piece] = h.Chunks, rank
			} else {
				x.copies = append(x.copies, copied{rank, piece, h.Chunks})
			}
		}
		orders = append(orders, f.Names())
	}
	t.names = mergeOrder(orders)
	if t.unordered() {
		slices.SortStableFunc(t.names, func(a, b string) int { return placeOf(a) - placeOf(b) })
	}
	for _, name := range t.names {
		if err := t.complete(t.tensors[name]); err != nil {
			return err
		}
	}
	return nil
}

// unordered reports whether the files are safetensors containers, whose order is
// not that of the network.
func (t *Tree) unordered() bool {
	for _, f := range t.files {
		if filepath.Ext(f.Path) == ".ckpt" {
			return false
		}
	}
	return len(t.files) > 0
}

func (x *tensor) someOwner() int {
	for i, p := range x.pieces {
		if p != nil {
			return x.owner[i]
		}
	}
	return -1
}

// complete reports missing slices with the ranks that hold them.
func (t *Tree) complete(x *tensor) error {
	for piece, chunks := range x.pieces {
		if chunks != nil {
			continue
		}
		var at []string
		for rank := range t.Spread.Ranks() {
			l, here, _, _ := t.Spread.of(rank/t.Spread.Devices, x.name, len(x.whole), nil, 0, 0)
			n := 0
			for i, p := range l.Piece(rank % t.Spread.Devices) {
				n = n*x.parts[i] + p
			}
			if here && n == piece && len(at) < 4 {
				missing := fmt.Sprintf("rank_%d", rank)
				if t.files[rank] != nil {
					missing = t.files[rank].Path
				}
				at = append(at, missing)
			}
		}
		return fmt.Errorf("a slice of %s is missing: %d of %d, which belongs in %s", x.name, piece+1, len(x.pieces), strings.Join(at, " or "))
	}
	return nil
}

// mergeOrder merges the names of all ranks, preserving the order of each rank where
// they agree.
func mergeOrder(orders [][]string) []string {
	var out []string
	place := map[string]bool{}
	for _, order := range orders {
		fresh := slices.ContainsFunc(order, func(n string) bool { return !place[n] })
		if !fresh {
			continue
		}
		before := map[string][]string{} // new names that precede a known one
		var run []string
		for _, n := range order {
			switch {
			case !place[n]:
				run = append(run, n)
			case len(run) > 0:
				before[n], run = append(before[n], run...), nil
			}
		}
		var next []string
		for _, n := range out {
			next = append(append(next, before[n]...), n)
		}
		out = append(next, run...)
		for _, n := range out {
			place[n] = true
		}
	}
	return out
}

// Names lists the tensors.
func (t *Tree) Names() []string { return slices.Clone(t.names) }

// Header is type and full shape of a tensor.
func (t *Tree) Header(name string) (dtype string, shape []int, ok bool) {
	x := t.tensors[name]
	if x == nil {
		return "", nil, false
	}
	return x.dtype, x.whole, true
}

// Write writes the full tensor in row-major order.
func (t *Tree) Write(w io.Writer, name string) error {
	x := t.tensors[name]
	lo := make([]int, len(x.whole))
	if x.rowParts > 1 {
		sections, err := t.sections(x)
		if err != nil {
			return err
		}
		for _, n := range sections {
			if n%x.rowParts != 0 {
				return fmt.Errorf("%s concatenates linears of %v rows, which are not divisible by %d devices", name, sections, x.rowParts)
			}
		}
		if sections != nil {
			return x.grid().writeJoined(w, lo, x.whole, sections, x.rowParts, 1)
		}
	}
	return x.grid().write(w, lo, x.whole)
}

func (x *tensor) grid() *grid {
	size, _ := mindspore.ElemSize(x.dtype)
	if x.dtype == "STR" { // a string has no shape
		size = 0
		for _, c := range x.pieces[0] {
			size += len(c)
		}
	}
	return &grid{whole: x.whole, parts: x.parts, size: size, pieces: func(i int) [][]byte { return x.pieces[i] }}
}

// Verify compares the checksums of files that have one, and the replicas of slices.
// Replicas differ if the tree mixes two saves, or the layout is wrong.
func (t *Tree) Verify() error {
	for _, rank := range slices.Sorted(maps.Keys(t.files)) {
		if err := t.files[rank].Verify(); err != nil {
			return err
		}
	}
	for _, name := range t.names {
		x := t.tensors[name]
		for _, c := range x.copies {
			if sameBytes(x.pieces[c.piece], c.chunks) {
				continue
			}
			why := "they should be the same: is the tree of one save, and is this its layout?"
			if d := t.Spread.degrees; d != nil && d.VocabDP && strings.Contains("model.tok_embeddings.embedding_weight lm_head.weight", name) {
				why = "was it saved with vocab_emb_dp: False?"
			}
			if !x.known {
				why = "the layout does not speak of it, so every rank should hold the same"
			}
			return fmt.Errorf("%s: %s differs between rank_%d and rank_%d; %s (layout: %s)", t.From, name, x.owner[c.piece], c.rank, why, t.Spread.From)
		}
		x.release()
	}
	return nil
}

// release releases the tensor's pages, since a tree may exceed the memory.
func (x *tensor) release() {
	for _, piece := range x.pieces {
		for _, chunk := range piece {
			mmap.Release(chunk)
		}
	}
	for _, c := range x.copies {
		for _, chunk := range c.chunks {
			mmap.Release(chunk)
		}
	}
}

func sameBytes(a, b [][]byte) bool {
	for {
		for len(a) > 0 && len(a[0]) == 0 {
			a = a[1:]
		}
		for len(b) > 0 && len(b[0]) == 0 {
			b = b[1:]
		}
		if len(a) == 0 || len(b) == 0 {
			return len(a) == len(b)
		}
		n := min(len(a[0]), len(b[0]))
		if !bytes.Equal(a[0][:n], b[0][:n]) {
			return false
		}
		a = append([][]byte{a[0][n:]}, a[1:]...)
		b = append([][]byte{b[0][n:]}, b[1:]...)
	}
}

// Files lists the files of the ranks.
func (t *Tree) Files() []string {
	var out []string
	for _, rank := range slices.Sorted(maps.Keys(t.files)) {
		out = append(out, filepath.Clean(t.files[rank].Path))
	}
	return out
}

// Close unmaps the files.
func (t *Tree) Close() {
	for _, f := range t.files {
		f.Close()
	}
	t.tensors = nil
}
