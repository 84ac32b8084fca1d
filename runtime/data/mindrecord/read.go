package mindrecord

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"

	"lorac/runtime/sys/mmap"
)

// Set is the shards of one data set, open for reading.
type Set struct {
	shards []*shard
	Rows   int
}

// shard is one file.
type shard struct {
	*Header
	file  *mmap.File
	blobs []Page         // in the order of their rows
	raws  map[int]rawLoc // by row group
}

// rawLoc is the location of the scalars of a row group.
type rawLoc struct{ page, from, to int }

// Open opens the data set that a file belongs to: all its shards, which must be in the
// same directory.
func Open(path string) (*Set, error) {
	first, err := openShard(path)
	if err != nil {
		return nil, err
	}
	defer first.file.Close()
	var paths []string
	for _, name := range first.ShardAddresses {
		paths = append(paths, filepath.Join(filepath.Dir(path), name))
	}
	if !slices.Contains(first.ShardAddresses, filepath.Base(path)) {
		return nil, fmt.Errorf("%s was renamed: according to its header it is one of %v; restore its name", path, first.ShardAddresses)
	}
	return OpenFiles(paths)
}

// OpenFiles opens only these files, as one set in the given order.
func OpenFiles(paths []string) (*Set, error) {
	s := &Set{}
	for _, path := range paths {
		sh, err := openShard(path)
		if errors.Is(err, fs.ErrNotExist) && len(paths) > 1 {
			err = fmt.Errorf("the shard %s is missing; all %d must be in one directory", path, len(paths))
		}
		if err == nil && len(s.shards) > 0 {
			err = sh.belongs(s.shards[0])
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		s.shards = append(s.shards, sh)
		for _, p := range sh.blobs {
			s.Rows += p.EndRowID - p.StartRowID
		}
	}
	return s, nil
}

func openShard(path string) (*shard, error) {
	return mmap.Parse(path, func(f *mmap.File) (*shard, error) {
		sh, err := newShard(f)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s as MindRecord: %w", path, err)
		}
		return sh, nil
	})
}

func newShard(f *mmap.File) (*shard, error) {
	sh := &shard{file: f, raws: map[int]rawLoc{}}
	var err error
	if sh.Header, err = parseHeader(f.Data); err != nil {
		return nil, err
	}
	return sh, sh.arrange()
}

// arrange indexes the pages of rows and of their scalars.
func (sh *shard) arrange() error {
	for _, p := range sh.Pages {
		if p.Type == blobPage {
			sh.blobs = append(sh.blobs, p)
			continue
		}
		for i, g := range p.RowGroups {
			to := p.Used
			if i+1 < len(p.RowGroups) {
				to = p.RowGroups[i+1].Offset
			}
			if _, twice := sh.raws[g.ID]; twice || to < g.Offset {
				return fmt.Errorf("page %d: row group %d is duplicated or out of order", p.PageID, g.ID)
			}
			sh.raws[g.ID] = rawLoc{p.PageID, g.Offset, to}
		}
	}
	sort.SliceStable(sh.blobs, func(i, j int) bool { return sh.blobs[i].StartRowID < sh.blobs[j].StartRowID })
	next := 0
	for _, p := range sh.blobs {
		if p.StartRowID != next {
			return fmt.Errorf("page %d holds rows from %d on, want %d", p.PageID, p.StartRowID, next)
		}
		next = p.EndRowID
	}
	return nil
}

// belongs checks that a shard has the same header as the first of its set.
func (sh *shard) belongs(first *shard) error {
	a, b := *first.Header, *sh.Header
	a.Pages, a.ShardID, b.Pages, b.ShardID = nil, 0, nil, 0
	x, err := a.marshal()
	if err != nil {
		return err
	}
	y, err := b.marshal()
	if err == nil && string(x) != string(y) {
		err = fmt.Errorf("%s and %s are not shards of one data set: their headers differ", first.file.Path, sh.file.Path)
	}
	return err
}

// Schema describes the columns.
func (s *Set) Schema() Schema { return s.shards[0].Schemas[0] }

// Headers are those of the shards.
func (s *Set) Headers() []*Header {
	var out []*Header
	for _, sh := range s.shards {
		out = append(out, sh.Header)
	}
	return out
}

// Paths are the files of the shards.
func (s *Set) Paths() []string {
	var out []string
	for _, sh := range s.shards {
		out = append(out, sh.file.Path)
	}
	return out
}

// Close unmaps the files.
func (s *Set) Close() {
	for _, sh := range s.shards {
		sh.file.Close()
	}
	s.shards = nil
}

// Record is one row. It is valid until the set is closed.
type Record struct {
	Shard, ID int // number of the file, and of the row in it
	Place     Place

	h         *Header
	blob, raw []byte
}

// Place is the location of a row as in the index: pages, and offsets in them from the
// length field to the end of the data.
type Place struct{ RowGroup, RawPage, RawFrom, RawTo, BlobPage, BlobFrom, BlobTo int }

// Each visits every row, shard by shard in order. Visited pages are released, since a
// data set may exceed the memory.
func (s *Set) Each(visit func(r *Record) error) error {
	for i, sh := range s.shards {
		if err := sh.each(i, visit); err != nil {
			return fmt.Errorf("%s: %w", sh.file.Path, err)
		}
	}
	return nil
}

func (sh *shard) each(number int, visit func(r *Record) error) error {
	for _, p := range sh.blobs {
		raw, ok := sh.raws[p.TypeID]
		if !ok {
			return fmt.Errorf("page %d: the scalars of its rows are missing", p.PageID)
		}
		blobAt, rawAt, seen := 0, raw.from, 0
		for id := p.StartRowID; id < p.EndRowID; id++ {
			r := &Record{Shard: number, ID: id, h: sh.Header}
			r.Place = Place{RowGroup: p.TypeID, RawPage: raw.page, RawFrom: rawAt, BlobPage: p.PageID, BlobFrom: blobAt}
			var err error
			if r.blob, blobAt, err = sh.piece(p.PageID, blobAt, p.Used); err != nil {
				return fmt.Errorf("row %d: %w", id, err)
			}
			if r.raw, rawAt, err = sh.piece(raw.page, rawAt, raw.to); err != nil {
				return fmt.Errorf("row %d: %w", id, err)
			}
			r.Place.RawTo, r.Place.BlobTo = rawAt, blobAt
			if err := visit(r); err != nil {
				return err
			}
			if blobAt-seen > 1<<20 || id+1 == p.EndRowID {
				mmap.Release(sh.page(p.PageID)[seen:blobAt])
				seen = blobAt
			}
		}
		if blobAt != p.Used || rawAt != raw.to {
			return fmt.Errorf("page %d: bytes after its last row", p.PageID)
		}
	}
	return nil
}

// page is the rest of the file from a page on.
func (sh *shard) page(number int) []byte { return sh.file.Data[sh.HeaderSize+number*sh.PageSize:] }

// piece is the data at an offset of a page, after its length field, and the offset of
// the next.
func (sh *shard) piece(page, at, end int) ([]byte, int, error) {
	b := sh.page(page)[at:end]
	if len(b) < 8 {
		return nil, 0, fmt.Errorf("page %d ends before it", page)
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(len(b)-8) {
		return nil, 0, fmt.Errorf("page %d, byte %d: the length is %d, %d bytes are left", page, at, n, len(b)-8)
	}
	return b[8 : 8+n : 8+n], at + 8 + int(n), nil
}

// Bytes is a blob column as it is stored.
func (r *Record) Bytes(column string) ([]byte, error) {
	fields := r.h.Schemas[0].BlobFields
	k := slices.Index(fields, column)
	if k < 0 {
		return nil, fmt.Errorf("there is no array or bytes column %q; there are %v", column, fields)
	}
	if len(fields) == 1 {
		return r.blob, nil
	}
	b := r.blob
	for i := 0; ; i++ {
		if len(b) < 8 || binary.BigEndian.Uint64(b) > uint64(len(b)-8) {
			return nil, fmt.Errorf("row %d: column %q is truncated", r.ID, fields[i])
		}
		n := int(binary.BigEndian.Uint64(b))
		if i == k {
			return b[8 : 8+n], nil
		}
		b = b[8+n:]
	}
}

// Ints is an array column of integers.
func (r *Record) Ints(column string) ([]int64, error) { return r.IntsInto(nil, column) }

// IntsInto is Ints, reusing the memory of dst if its capacity suffices.
func (r *Record) IntsInto(dst []int64, column string) ([]int64, error) {
	f := r.h.Schemas[0].Fields[column]
	b, err := r.Bytes(column)
	if err != nil {
		return nil, err
	}
	var x []int64
	switch size, _ := f.size(); {
	case f.Type != "int32" && f.Type != "int64":
		return nil, fmt.Errorf("column %q is %s, want integers", column, f.Type)
	case r.h.packed():
		x, err = unpack(dst, b)
	default:
		x, err = numbers(dst, b, size)
	}
	if err != nil {
		return nil, fmt.Errorf("row %d, column %q: %w", r.ID, column, err)
	}
	return x, nil
}

// Scalars are the scalar columns.
func (r *Record) Scalars() (map[string]any, error) {
	m, err := decodeMap(r.raw)
	if err != nil {
		return nil, fmt.Errorf("row %d: %w", r.ID, err)
	}
	return m, nil
}

// HasColumn reports whether there is such a column.
func (s *Set) HasColumn(name string) bool {
	_, ok := s.Schema().Fields[name]
	return ok
}
