// Package mindindex reads and writes the SQLite index next to every MindRecord
// file (MindSpore ccsrc/minddata/mindrecord/io/shard_index_generator.cc).
// MindSpore finds rows by it and refuses a file without; lorac finds them by the
// pages, and only checks the index. The package knows the tables, not SQLite:
// that is linked by lorac-mindindex, a program it finds or builds (program.go).
package mindindex

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lorac/runtime/data/mindrecord"
)

// columns are those of every index, in order.
var columns = []string{"ROW_ID", "PAGE_ID_RAW", "PAGE_OFFSET_RAW", "PAGE_OFFSET_RAW_END", "ROW_GROUP_ID",
	"PAGE_ID_BLOB", "PAGE_OFFSET_BLOB", "PAGE_OFFSET_BLOB_END"}

// sqlTypes are the types of index columns by those of the data.
var sqlTypes = map[string]string{"string": "TEXT", "int32": "INTEGER", "int64": "INTEGER", "float32": "REAL", "float64": "REAL",
	"number": "NUMERIC", "integer": "INTEGER"}

// Write makes the index of a file, at once or not at all.
func Write(file string, h *mindrecord.Header, places []mindrecord.Place, scalars []map[string]any) error {
	temp := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".db.lorac-tmp")
	os.Remove(temp)
	defer os.Remove(temp)
	create, insert := statements(h)
	rows, sink := io.Pipe()
	go func() { sink.CloseWithError(send(sink, h, places, scalars)) }()
	_, err := call(rows, "write", temp, create, filepath.Base(file), insert, strconv.Itoa(len(columns)+2*len(h.IndexFields)))
	rows.Close()
	if err == nil {
		err = os.Chmod(temp, 0o600)
	}
	if err == nil {
		err = os.Rename(temp, file+".db")
	}
	if err != nil {
		return fmt.Errorf("cannot write the index %s.db: %w", file, err)
	}
	return nil
}

// send writes all rows as lorac-mindindex reads them.
func send(w io.Writer, h *mindrecord.Header, places []mindrecord.Place, scalars []map[string]any) error {
	b := bufio.NewWriter(w)
	for i, p := range places {
		for _, n := range []int{i, p.RawPage, p.RawFrom, p.RawTo, p.RowGroup, p.BlobPage, p.BlobFrom, p.BlobTo} {
			fmt.Fprintf(b, "i%d\n", n)
		}
		for _, f := range h.IndexFields {
			b.WriteString("i0\n")
			switch v := scalars[i][f.Field].(type) {
			case string:
				fmt.Fprintf(b, "s%q\n", v)
			case float64:
				fmt.Fprintf(b, "f%v\n", v)
			case int64:
				fmt.Fprintf(b, "i%d\n", v)
			case bool:
				fmt.Fprintf(b, "i%d\n", map[bool]int{true: 1}[v])
			case nil:
				b.WriteString("n\n")
			default:
				return fmt.Errorf("row %d: column %s holds a %T", i, f.Field, v)
			}
		}
	}
	b.WriteString("end\n")
	return b.Flush()
}

// statements are the definition of the table, letter by letter the original's,
// and the insertion of a row.
func statements(h *mindrecord.Header) (create, insert string) {
	var b strings.Builder
	b.WriteString("CREATE TABLE INDEXES( ")
	for i, c := range columns {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %-20s INT  NOT NULL", c)
	}
	names := append([]string(nil), columns...)
	key := "ROW_ID"
	for i, f := range h.IndexFields {
		inc := fmt.Sprintf("INC_%d", i)
		column := strings.NewReplacer("-", "_", ".", "_").Replace(f.Field) + fmt.Sprintf("_%d", f.SchemaID)
		fmt.Fprintf(&b, ",%s INT, %s %s", inc, column, sqlTypes[h.Schemas[0].Fields[f.Field].Type])
		names = append(names, inc, column)
		key += "," + inc
	}
	b.WriteString(", PRIMARY KEY(" + key + "))")
	return b.String(), fmt.Sprintf("INSERT INTO INDEXES(%s) VALUES(?%s)", strings.Join(names, ","), strings.Repeat(",?", len(names)-1))
}

// ErrNone is the error of a file without an index.
var ErrNone = errors.New("there is no index")

// Check makes the checks MindSpore makes before it reads a file: there is an
// index, it is that of a file of this name, and it has as many rows.
func Check(file string, rows int) error {
	if _, err := os.Stat(file + ".db"); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w next to it; MindSpore would refuse it", file, ErrNone)
	}
	text, err := call(nil, "read", file+".db")
	if errors.Is(err, ErrProgram) {
		return err
	}
	var name string
	n := 0
	if err == nil {
		_, err = fmt.Sscanf(text, "%q\n%d\n", &name, &n)
	}
	if err != nil {
		return fmt.Errorf("%s.db is no index of a MindRecord file: %w", file, err)
	}
	if name != filepath.Base(file) {
		return fmt.Errorf("%s.db is the index of %s; the files were renamed, give them their names back", file, name)
	}
	if n != rows {
		return fmt.Errorf("%s.db has %d rows, the file %d: they do not belong together", file, n, rows)
	}
	return nil
}
