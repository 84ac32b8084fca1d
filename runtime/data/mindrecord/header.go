// Package mindrecord reads and writes MindRecord, MindSpore's row format: versions
// 2.0 and 3.0, in one file or several shards. Rows are located by the pages alone;
// the SQLite index next to a file belongs to another package. The package must not
// know what the columns mean.
//
// Format: MindSpore ccsrc/minddata/mindrecord (io/shard_writer.cc,
// io/shard_reader.cc, meta/shard_header.cc).
package mindrecord

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// Header is the JSON header of a shard. Fields are in the order of the file.
type Header struct {
	HeaderSize      int          `json:"header_size"`
	IndexFields     []IndexField `json:"index_fields"`
	Pages           []Page       `json:"page"`
	PageSize        int          `json:"page_size"`
	CompressionSize *int         `json:"compression_size,omitempty"` // bytes that packing integers saved; since 3.0
	Schemas         []Schema     `json:"schema"`
	ShardAddresses  []string     `json:"shard_addresses"`
	ShardID         int          `json:"shard_id"`
	Statistics      any          `json:"statistics"`
	Version         string       `json:"version"`
}

// IndexField is a column of the index.
type IndexField struct {
	Field    string `json:"index_field"`
	SchemaID int    `json:"schema_id"`
}

// Page describes a page. Its number is its index in the list.
type Page struct {
	EndRowID   int        `json:"end_row_id"` // exclusive; blob pages only
	PageID     int        `json:"page_id"`
	Used       int        `json:"page_size"`
	Type       string     `json:"page_type"` // RAW_DATA or BLOB_DATA
	TypeID     int        `json:"page_type_id"`
	RowGroups  []RowGroup `json:"row_group_ids"`
	ShardID    int        `json:"shard_id"`
	StartRowID int        `json:"start_row_id"`
}

// RowGroup is the offset of the scalars of the rows of a blob page.
type RowGroup struct {
	ID     int `json:"id"` // the blob page's TypeID
	Offset int `json:"offset"`
}

const (
	blobPage = "BLOB_DATA"
	rawPage  = "RAW_DATA"
)

// Schema names the columns.
type Schema struct {
	BlobFields []string         `json:"blob_fields"` // sorted
	Desc       string           `json:"desc"`
	Fields     map[string]Field `json:"schema"`
}

// Field is a column: a scalar, or an array of which one extent may be -1.
type Field struct {
	Shape []int  `json:"shape,omitempty"`
	Type  string `json:"type"` // string, bytes, int32, int64, float32, float64
}

// Blob reports whether the column is stored in the blob pages.
func (f Field) Blob() bool { return f.Type == "bytes" || f.Shape != nil }

// The limits of MindSpore.
const (
	minHeader, maxHeader = 16 << 10, 128 << 20
	minPage, maxPage     = 32 << 10, 256 << 20
	maxShards            = 1000
)

// parseHeader reads and validates the header of a shard with the bytes data.
func parseHeader(data []byte) (*Header, error) {
	if len(data) < 8 {
		return nil, errors.New("it has fewer than 8 bytes")
	}
	n := binary.LittleEndian.Uint64(data)
	if n > uint64(len(data)-8) || n > maxHeader {
		return nil, fmt.Errorf("the header has %d bytes, the file %d", n, len(data))
	}
	h := &Header{}
	if err := json.Unmarshal(data[8:8+n], h); err != nil {
		return nil, fmt.Errorf("the header is not MindRecord JSON: %w", err)
	}
	return h, h.check(int(n), len(data))
}

func (h *Header) check(n, size int) error {
	switch {
	case h.Version != "2.0" && h.Version != "3.0":
		return fmt.Errorf("version %q is not supported; 2.0 and 3.0 are", h.Version)
	case h.HeaderSize < minHeader || h.HeaderSize > maxHeader || n+8 > h.HeaderSize:
		return fmt.Errorf("header_size is %d", h.HeaderSize)
	case h.PageSize < minPage || h.PageSize > maxPage:
		return fmt.Errorf("page_size is %d", h.PageSize)
	case len(h.Schemas) != 1:
		return fmt.Errorf("it has %d schemas; one is supported", len(h.Schemas))
	case len(h.ShardAddresses) == 0 || len(h.ShardAddresses) > maxShards || h.ShardID < 0 || h.ShardID >= len(h.ShardAddresses):
		return fmt.Errorf("it is shard %d of %d", h.ShardID, len(h.ShardAddresses))
	}
	for i, a := range h.ShardAddresses {
		if a == "" || filepath.Base(a) != a {
			return fmt.Errorf("shard_addresses[%d] is %q, not a file name", i, a)
		}
	}
	for i := range h.Pages {
		if err := h.checkPage(i, size); err != nil {
			return fmt.Errorf("page %d: %w", i, err)
		}
	}
	return h.Schemas[0].check()
}

func (h *Header) checkPage(i, size int) error {
	p := &h.Pages[i]
	end := h.HeaderSize + i*h.PageSize + p.Used // at most 1e5 pages of 2^28 in a header of 2^27: no overflow
	switch {
	case p.PageID != i:
		return fmt.Errorf("the page number is %d", p.PageID)
	case p.Used < 0 || p.Used > h.PageSize || end > size:
		return fmt.Errorf("it uses %d bytes, the file ends %d bytes earlier", p.Used, end-size)
	case p.Type != blobPage && p.Type != rawPage:
		return fmt.Errorf("the page type is %q", p.Type)
	case p.Type == blobPage && (p.StartRowID < 0 || p.EndRowID < p.StartRowID || p.EndRowID-p.StartRowID > p.Used/8):
		return fmt.Errorf("rows %d to %d in %d bytes", p.StartRowID, p.EndRowID, p.Used)
	}
	for _, g := range p.RowGroups {
		if g.Offset < 0 || g.Offset > p.Used {
			return fmt.Errorf("row group %d begins at byte %d of %d", g.ID, g.Offset, p.Used)
		}
	}
	return nil
}

func (s *Schema) check() error {
	var blobs []string
	for name, f := range s.Fields {
		if _, err := f.size(); err != nil {
			return fmt.Errorf("column %q: %w", name, err)
		}
		open := 0
		for _, d := range f.Shape {
			if d < -1 || d == 0 {
				return fmt.Errorf("column %q: shape %v", name, f.Shape)
			}
			if d == -1 {
				open++
			}
		}
		if open > 1 {
			return fmt.Errorf("column %q: shape %v has more than one variable dimension", name, f.Shape)
		}
		if f.Blob() {
			blobs = append(blobs, name)
		}
	}
	slices.Sort(blobs)
	if !slices.Equal(blobs, slices.Sorted(slices.Values(s.BlobFields))) {
		return fmt.Errorf("blob_fields are %v, the schema has %v", s.BlobFields, blobs)
	}
	return nil
}

// size is the number of bytes of an element, 0 for text and bytes.
func (f Field) size() (int, error) {
	switch f.Type {
	case "int32", "float32":
		return 4, nil
	case "int64", "float64":
		return 8, nil
	case "string", "bytes":
		return 0, nil
	case "number", "integer": // of early drafts
		return 0, nil
	}
	return 0, fmt.Errorf("its type is %q; known are string, bytes, int32, int64, float32, float64", f.Type)
}

// packed reports whether integer arrays are compressed.
func (h *Header) packed() bool { return h.Version == "3.0" }

// marshal is the JSON of the header, as MindSpore writes it.
func (h *Header) marshal() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(h); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
