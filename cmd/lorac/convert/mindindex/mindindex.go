// Package mindindex reads and writes the SQLite index that lies beside every
// MindRecord file (MindSpore ccsrc/minddata/mindrecord/io/shard_index_generator.cc).
// MindSpore finds rows by it and refuses a file without; lorac finds them by
// the pages, and only checks the index.
package mindindex

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"lorac/runtime/data/mindrecord"
)

// columns are those of every index, in order.
var columns = []string{"ROW_ID", "PAGE_ID_RAW", "PAGE_OFFSET_RAW", "PAGE_OFFSET_RAW_END", "ROW_GROUP_ID",
	"PAGE_ID_BLOB", "PAGE_OFFSET_BLOB", "PAGE_OFFSET_BLOB_END"}

// sqlTypes are the types of index columns by those of the data.
var sqlTypes = map[string]string{"string": "TEXT", "int32": "INTEGER", "int64": "INTEGER", "float32": "REAL", "float64": "REAL",
	"number": "NUMERIC", "integer": "INTEGER"}

// Write makes the index of a file, at once or not at all.
func Write(file string, h *mindrecord.Header, places []mindrecord.Place, scalars []map[string]any) (err error) {
	temp := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".db.lorac-tmp")
	os.Remove(temp)
	defer os.Remove(temp)
	db, err := sql.Open("sqlite", temp)
	if err == nil {
		err = fill(db, filepath.Base(file), h, places, scalars)
		err = errors.Join(err, db.Close())
	}
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

// fill creates the tables and writes all rows in one transaction.
func fill(db *sql.DB, name string, h *mindrecord.Header, places []mindrecord.Place, scalars []map[string]any) error {
	create, insert := statements(h)
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, s := range []string{create, "CREATE TABLE SHARD_NAME(NAME TEXT NOT NULL)"} {
		if _, err := tx.Exec(s); err != nil {
			return err
		}
	}
	if _, err := tx.Exec("INSERT INTO SHARD_NAME(NAME) VALUES(?)", name); err != nil {
		return err
	}
	add, err := tx.Prepare(insert)
	if err != nil {
		return err
	}
	for i, p := range places {
		row := []any{i, p.RawPage, p.RawFrom, p.RawTo, p.RowGroup, p.BlobPage, p.BlobFrom, p.BlobTo}
		for _, f := range h.IndexFields {
			row = append(row, 0, scalars[i][f.Field])
		}
		if _, err := add.Exec(row...); err != nil {
			return err
		}
	}
	return tx.Commit()
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
		return fmt.Errorf("%s: %w beside it; MindSpore would refuse it", file, ErrNone)
	}
	db, err := sql.Open("sqlite", "file:"+file+".db?mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer db.Close()
	var name string
	if err := db.QueryRow("SELECT NAME FROM SHARD_NAME").Scan(&name); err != nil {
		return fmt.Errorf("%s.db is no index of a MindRecord file: %w", file, err)
	}
	if name != filepath.Base(file) {
		return fmt.Errorf("%s.db is the index of %s; the files were renamed, give them their names back", file, name)
	}
	n := 0
	if err := db.QueryRow("SELECT COUNT(*) FROM INDEXES").Scan(&n); err != nil {
		return fmt.Errorf("%s.db is no index of a MindRecord file: %w", file, err)
	}
	if n != rows {
		return fmt.Errorf("%s.db has %d rows, the file %d: they do not belong together", file, n, rows)
	}
	return nil
}
