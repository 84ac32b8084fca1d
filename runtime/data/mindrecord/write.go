package mindrecord

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// The default sizes of MindSpore.
const (
	DefaultHeader = 1 << 24
	DefaultPage   = 1 << 25
)

// Writer writes a data set of one file, page by page as MindSpore does
// (io/shard_writer.cc). The file is created atomically by Close.
type Writer struct {
	path   string
	temp   *os.File
	h      *Header
	schema *Schema
	saved  int // bytes

	rows         int
	blob, raw    int // the last page of each kind, -1 before there is one
	lastGroup    int // number of the last row group
	groupStarted int // offset of the last row group in its raw page
	Index        []Place
	Scalars      []map[string]any
}

// Options of a writer; zero values are MindSpore's defaults.
type Options struct {
	HeaderSize, PageSize int
	Desc                 string
	Index                []string // columns of the index; nil is all scalars
	Shard                int      // this file's number in Shards
	Shards               []string // names of all files; nil is this one alone
}

// Row is the columns of one row: []int32, []int64, []float32, []float64 or
// []byte for arrays, string, int64 or float64 for scalars.
type Row map[string]any

// Create begins a data set.
func Create(path string, fields map[string]Field, o Options) (*Writer, error) {
	w := &Writer{path: path, blob: -1, raw: -1, lastGroup: -1}
	s := Schema{BlobFields: []string{}, Desc: o.Desc, Fields: fields}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name].Blob() {
			s.BlobFields = append(s.BlobFields, name)
		}
	}
	names := o.Shards
	if names == nil {
		names = []string{filepath.Base(path)}
	}
	zero := 0
	w.h = &Header{HeaderSize: orDefault(o.HeaderSize, DefaultHeader), PageSize: orDefault(o.PageSize, DefaultPage), CompressionSize: &zero,
		Schemas: []Schema{s}, ShardAddresses: names, ShardID: o.Shard, Version: "3.0"}
	w.schema = &w.h.Schemas[0]
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !fields[name].Blob() && (o.Index == nil || slices.Contains(o.Index, name)) {
			w.h.IndexFields = append(w.h.IndexFields, IndexField{name, 0})
		}
	}
	if err := w.h.check(0, 0); err != nil {
		return nil, err
	}
	var err error
	w.temp, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.lorac-tmp")
	return w, err
}

func orDefault(n, d int) int {
	if n == 0 {
		return d
	}
	return n
}

// encoded is an encoded row, including length fields.
type encoded struct {
	blob, raw []byte
	scalars   map[string]any
}

// Write adds rows. As in MindSpore, the page layout depends on the number of rows per
// call.
func (w *Writer) Write(rows ...Row) error {
	var enc []encoded
	for _, r := range rows {
		e, err := w.encode(r)
		if err != nil {
			return err
		}
		enc = append(enc, e)
	}
	groups := w.cut(enc)
	if err := w.writeBlobs(groups); err != nil {
		return err
	}
	return w.writeRaws(groups)
}

func (w *Writer) encode(r Row) (e encoded, err error) {
	e.scalars = map[string]any{}
	for name := range r {
		if _, ok := w.schema.Fields[name]; !ok {
			return e, fmt.Errorf("the schema has no column %q", name)
		}
	}
	var blobs [][]byte
	for _, name := range slices.Sorted(maps.Keys(w.schema.Fields)) {
		f := w.schema.Fields[name]
		v, ok := r[name]
		if !ok {
			return e, fmt.Errorf("the row has no column %q", name)
		}
		if !f.Blob() {
			e.scalars[name] = v
			continue
		}
		b, err := plainBytes(v)
		if err != nil {
			return e, fmt.Errorf("column %q: %w", name, err)
		}
		if f.Shape != nil && (f.Type == "int32" || f.Type == "int64") {
			size, _ := f.size()
			x, err := numbers(nil, b, size)
			if err != nil {
				return e, fmt.Errorf("column %q: %w", name, err)
			}
			p := pack(x)
			w.saved += len(b) - len(p)
			b = p
		}
		blobs = append(blobs, b)
	}
	e.blob = joinBlobs(blobs)
	scalars := e.scalars
	if len(scalars) == 0 {
		scalars = map[string]any{"id": int64(0)}
	}
	raw, err := encodeMap(scalars)
	e.raw = withLength(raw)
	if err == nil && max(len(e.blob), len(e.raw)) > w.h.PageSize {
		err = fmt.Errorf("a row of %d bytes is larger than a page of %d", len(e.blob), w.h.PageSize)
	}
	return e, err
}

func withLength(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(b))), b...)
}

func joinBlobs(blobs [][]byte) []byte {
	switch len(blobs) {
	case 0:
		return withLength(make([]byte, 4))
	case 1:
		return withLength(blobs[0])
	}
	var all []byte
	for _, b := range blobs {
		all = append(binary.BigEndian.AppendUint64(all, uint64(len(b))), b...)
	}
	return withLength(all)
}

// cut splits rows into those that fit the last blob page and groups that each begin a
// new page (CutRowGroup).
func (w *Writer) cut(rows []encoded) [][]encoded {
	groups := [][]encoded{nil}
	blob, raw := 0, 0
	if w.blob >= 0 {
		blob = w.h.Pages[w.blob].Used
	}
	if w.raw >= 0 {
		raw = w.h.Pages[w.raw].Used - w.groupStarted
	}
	for _, e := range rows {
		if blob == 0 || blob+len(e.blob) > w.h.PageSize || raw+len(e.raw) > w.h.PageSize {
			groups = append(groups, nil)
			blob, raw = 0, 0
		}
		blob, raw = blob+len(e.blob), raw+len(e.raw)
		groups[len(groups)-1] = append(groups[len(groups)-1], e)
	}
	return groups
}

func (w *Writer) newPage(kind string, typeID int) int {
	w.h.Pages = append(w.h.Pages, Page{PageID: len(w.h.Pages), Type: kind, TypeID: typeID, ShardID: w.h.ShardID, RowGroups: []RowGroup{}})
	return len(w.h.Pages) - 1
}

// put appends bytes to a page.
func (w *Writer) put(page int, b []byte) error {
	p := &w.h.Pages[page]
	_, err := w.temp.WriteAt(b, int64(w.h.HeaderSize)+int64(page)*int64(w.h.PageSize)+int64(p.Used))
	p.Used += len(b)
	return err
}

func (w *Writer) writeBlobs(groups [][]encoded) error {
	for i, g := range groups {
		if i > 0 {
			typeID := 0
			if w.blob >= 0 {
				typeID = w.h.Pages[w.blob].TypeID + 1
			}
			w.blob = w.newPage(blobPage, typeID)
			p := &w.h.Pages[w.blob]
			p.RowGroups = []RowGroup{{0, 0}}
			p.StartRowID, p.EndRowID = w.rows, w.rows
		}
		for _, e := range g {
			from := w.h.Pages[w.blob].Used
			if err := w.put(w.blob, e.blob); err != nil {
				return err
			}
			w.rows++
			w.h.Pages[w.blob].EndRowID = w.rows
			w.Index = append(w.Index, Place{RowGroup: w.h.Pages[w.blob].TypeID, BlobPage: w.blob, BlobFrom: from, BlobTo: from + len(e.blob)})
			w.Scalars = append(w.Scalars, e.scalars)
		}
	}
	return nil
}

// writeRaws writes the scalars of the rows of each group (ShiftRawPage, WriteRawPage).
func (w *Writer) writeRaws(groups [][]encoded) error {
	row := w.rows
	for _, g := range groups {
		row -= len(g)
	}
	for i, g := range groups {
		if len(g) == 0 {
			continue
		}
		n := 0
		for _, e := range g {
			n += len(e.raw)
		}
		full := w.raw >= 0 && w.h.Pages[w.raw].Used+n > w.h.PageSize
		if i == 0 && full {
			if err := w.shift(row); err != nil {
				return err
			}
		} else if w.raw < 0 || full {
			typeID := 0
			if w.raw >= 0 {
				typeID = w.raw + 1 // the page's number, as in MindSpore
			}
			w.raw = w.newPage(rawPage, typeID)
		}
		if i > 0 {
			w.lastGroup++
			w.groupStarted = w.h.Pages[w.raw].Used
			w.h.Pages[w.raw].RowGroups = append(w.h.Pages[w.raw].RowGroups, RowGroup{w.lastGroup, w.groupStarted})
		}
		for _, e := range g {
			at := &w.Index[row]
			at.RawPage, at.RawFrom = w.raw, w.h.Pages[w.raw].Used
			at.RawTo = at.RawFrom + len(e.raw)
			if err := w.put(w.raw, e.raw); err != nil {
				return err
			}
			row++
		}
	}
	return nil
}

// shift moves the last row group, which grows beyond its page, to a new one;
// before is the first row that is not in it yet.
func (w *Writer) shift(before int) error {
	old := &w.h.Pages[w.raw]
	data := make([]byte, old.Used-w.groupStarted)
	if _, err := w.temp.ReadAt(data, int64(w.h.HeaderSize)+int64(w.raw)*int64(w.h.PageSize)+int64(w.groupStarted)); err != nil {
		return err
	}
	old.Used = w.groupStarted
	old.RowGroups = old.RowGroups[:len(old.RowGroups)-1]
	from := w.raw
	w.raw = w.newPage(rawPage, from+1)
	w.h.Pages[w.raw].RowGroups = []RowGroup{{w.lastGroup, 0}}
	for i := before - 1; i >= 0 && w.Index[i].RawPage == from && w.Index[i].RawFrom >= w.groupStarted; i-- {
		w.Index[i].RawPage = w.raw
		w.Index[i].RawFrom -= w.groupStarted
		w.Index[i].RawTo -= w.groupStarted
	}
	w.groupStarted = 0
	return w.put(w.raw, data)
}

// Saved is how many bytes packing integers has saved so far.
func (w *Writer) Saved() int { return w.saved }

// Header is the file's header, for writing its index.
func (w *Writer) Header() *Header { return w.h }

// Close writes the header and renames the file to its final name. saved is the number
// of bytes that compressing integers saved in all shards.
func (w *Writer) Close(saved int) error {
	*w.h.CompressionSize = max(saved, 0)
	text, err := w.h.marshal()
	if err == nil && len(text)+8 > w.h.HeaderSize {
		err = fmt.Errorf("the header takes %d bytes, header_size is %d", len(text)+8, w.h.HeaderSize)
	}
	size := int64(w.h.HeaderSize)
	if n := len(w.h.Pages); n > 0 {
		size += int64(n-1)*int64(w.h.PageSize) + int64(w.h.Pages[n-1].Used)
	}
	if err == nil {
		_, err = w.temp.WriteAt(withLength(text), 0)
	}
	err = errors.Join(err, w.temp.Truncate(size), w.temp.Chmod(0o600), w.temp.Sync(), w.temp.Close())
	if err == nil {
		err = os.Rename(w.temp.Name(), w.path)
	}
	if err != nil {
		os.Remove(w.temp.Name())
		return fmt.Errorf("cannot write %s: %w", w.path, err)
	}
	return nil
}

// Abort discards the file. After Close it does nothing.
func (w *Writer) Abort() {
	w.temp.Close()
	os.Remove(w.temp.Name())
}
