package sharded

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/weights/mindspore"
)

// metadata is metadata.json of a checkpoint of MindFormers' Checkpoint 2.0
// (mindformers/checkpoint/metadata.py, save_metadata): the full shape and the
// slices of each tensor, and which files hold each slice.
type metadata struct {
	Tensors map[string]struct {
		Shape []int `json:"global_shape"`
		Parts []int `json:"axis_fragmentations"`
		Chunk []struct {
			Offset []int `json:"global_offset"`
			Shape  []int `json:"local_shape"`
		} `json:"chunk"`
	} `json:"state_dict_metadata"`
	// Storage maps "('NAME', (OFFSET,))" to the files.
	Storage map[string][]struct {
		File string `json:"file_name"`
	} `json:"storage_data"`
}

// OpenIteration opens a directory of Checkpoint 2.0 that several ranks saved.
// Every slice must be there; the data is not read.
func OpenIteration(d *mindspore.Directory) (*Tree, error) {
	path := filepath.Join(d.Path, mindspore.MetadataName)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s holds the slices of %d ranks, and their layout cannot be read: %w", d.Path, d.Ranks, err)
	}
	var m metadata
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s, which gives the layout of %d ranks, is damaged: %w; take another iteration", path, d.Ranks, err)
	}
	if len(m.Tensors) == 0 {
		return nil, fmt.Errorf("%s lists no tensor (state_dict_metadata)", path)
	}
	spread := One() // how it is shown; the slices are in the tensors
	spread.From = path
	t := &Tree{From: d.Path, Spread: spread, files: map[int]*mindspore.File{}, tensors: map[string]*tensor{}}
	if err := t.readIteration(d, &m); err != nil {
		t.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func (t *Tree) readIteration(d *mindspore.Directory, m *metadata) error {
	byName := map[string]int{}
	for i, path := range d.Files {
		f, err := mindspore.Open(path)
		if err != nil {
			return err
		}
		t.files[i], byName[filepath.Base(path)] = f, i
		t.HasCRC = t.HasCRC || f.HasCRC
	}
	stored := map[string][]string{} // name and offset, as in a key of Storage
	for key, list := range m.Storage {
		name, offset, err := shardID(key)
		if err != nil {
			return err
		}
		for _, at := range list {
			stored[fmt.Sprint(name, offset)] = append(stored[fmt.Sprint(name, offset)], at.File)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tensors)) {
		info := m.Tensors[name]
		if len(info.Parts) != len(info.Shape) {
			return fmt.Errorf("%s has shape %v and axis_fragmentations %v", name, info.Shape, info.Parts)
		}
		n, slice := 1, make([]int, len(info.Shape))
		for i, p := range info.Parts {
			if p < 1 || p > maxDevices || n*p > maxDevices || info.Shape[i]%p != 0 {
				return fmt.Errorf("%s of shape %v cannot be in %v slices", name, info.Shape, info.Parts)
			}
			n, slice[i] = n*p, info.Shape[i]/p
		}
		x := &tensor{name: name, whole: info.Shape, parts: info.Parts, rowParts: 1, pieces: make([][][]byte, n), owner: make([]int, n), known: true}
		if len(x.whole) == 0 {
			x.whole, x.parts = nil, nil
		} else {
			x.rowParts = x.parts[0]
		}
		var offsets [][]int
		for _, c := range info.Chunk {
			offsets = append(offsets, c.Offset)
		}
		numbered := sliceNumbers(offsets, len(slice), n)
		for _, c := range info.Chunk {
			if !slices.Equal(c.Shape, slice) {
				return fmt.Errorf("%s has a slice of shape %v, %v of %v has %v", name, c.Shape, info.Parts, info.Shape, slice)
			}
			piece, err := pieceAt(c.Offset, slice, info.Parts, numbered)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			files := stored[fmt.Sprint(name, c.Offset)]
			for _, file := range files {
				rank, there := byName[file]
				if !there {
					continue // a replica that was not copied along
				}
				h, ok := t.files[rank].Header(name)
				if !ok {
					continue // MindFormers lists the ranks that hold it, of which one saves it
				}
				if !slices.Equal(h.Shape, slice) && len(h.Shape)+len(slice) > 0 {
					return fmt.Errorf("%s is %v in %s, its layout makes it %v", name, h.Shape, file, slice)
				}
				switch {
				case x.dtype != "" && x.dtype != h.DType:
					return fmt.Errorf("%s is %s in one file and %s in %s", name, x.dtype, h.DType, file)
				case x.pieces[piece] == nil:
					x.dtype, x.pieces[piece], x.owner[piece] = h.DType, h.Chunks, rank
				case x.owner[piece] != rank:
					x.copies = append(x.copies, copied{rank, piece, h.Chunks})
				}
			}
			if x.pieces[piece] == nil {
				return fmt.Errorf("a slice of %s is missing: %d of %d, which belongs in %s", name, piece+1, n, strings.Join(files, " or "))
			}
		}
		for piece := range x.pieces {
			if x.pieces[piece] == nil {
				return fmt.Errorf("%s has no entry for slice %d of %d", name, piece+1, n)
			}
		}
		t.tensors[name] = x
		t.layers = max(t.layers, layerOf(name)+1)
		t.names = append(t.names, name)
	}
	counters, err := d.Counters()
	if err != nil {
		return err
	}
	if err := t.addCounters(counters); err != nil {
		return err
	}
	slices.SortStableFunc(t.names, func(a, b string) int { return placeOf(a) - placeOf(b) })
	for _, i := range slices.Sorted(maps.Keys(t.files)) {
		for _, name := range t.files[i].Names() {
			if t.tensors[name] == nil {
				return fmt.Errorf("%s is in %s, and not in the layout", name, t.files[i].Path)
			}
		}
	}
	return nil
}

// addCounters adds the numbers of common.json as tensors.
func (t *Tree) addCounters(list []mindspore.Entry) error {
	for _, e := range list {
		if t.tensors[e.Name] != nil {
			continue
		}
		var b strings.Builder
		if err := e.Write(&b); err != nil {
			return err
		}
		t.tensors[e.Name] = &tensor{name: e.Name, dtype: e.DType, rowParts: 1, pieces: [][][]byte{{[]byte(b.String())}}, owner: []int{0}}
		t.names = append(t.names, e.Name)
	}
	return nil
}

// sliceNumbers reports whether the offsets count slices in row-major order, as
// MindFormers has it, instead of elements in each dimension.
func sliceNumbers(offsets [][]int, dims, n int) bool {
	for _, o := range offsets {
		if len(o) != 1 || o[0] >= n {
			return dims == 0
		}
	}
	return true
}

// pieceAt is the slice at an offset.
func pieceAt(offset, slice, parts []int, numbered bool) (int, error) {
	n := 1
	for _, p := range parts {
		n *= p
	}
	if numbered {
		if len(offset) == 1 && offset[0] >= 0 && offset[0] < n {
			return offset[0], nil
		}
		if len(offset) == 0 && n == 1 {
			return 0, nil
		}
		return 0, fmt.Errorf("global_offset %v does not number one of %d slices", offset, n)
	}
	if len(offset) != len(parts) {
		return 0, fmt.Errorf("global_offset %v does not match %d dimensions", offset, len(parts))
	}
	piece := 0
	for i, o := range offset {
		if slice[i] == 0 || o < 0 || o%slice[i] != 0 || o/slice[i] >= parts[i] {
			return 0, fmt.Errorf("global_offset %v is no multiple of the slice %v", offset, slice)
		}
		piece = piece*parts[i] + o/slice[i]
	}
	return piece, nil
}

// shardID splits "('model.norm_out.weight', (0,))".
func shardID(key string) (name string, offset []int, err error) {
	inner, ok1 := strings.CutPrefix(key, "(")
	inner, ok2 := strings.CutSuffix(inner, ")")
	name, rest, ok3 := strings.Cut(inner, ",")
	name = strings.Trim(strings.TrimSpace(name), `'"`)
	if !ok1 || !ok2 || !ok3 || name == "" {
		return "", nil, fmt.Errorf("storage_data has the key %q, which is no name and offset", key)
	}
	for _, n := range strings.Split(strings.Trim(strings.TrimSpace(rest), "()"), ",") {
		if n = strings.TrimSpace(n); n == "" {
			continue
		}
		x, err := strconv.Atoi(n)
		if err != nil {
			return "", nil, fmt.Errorf("storage_data has the key %q, whose offset is no list of numbers", key)
		}
		offset = append(offset, x)
	}
	return name, offset, nil
}
