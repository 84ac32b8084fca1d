// Command lorac-parquet writes the rows of a Parquet file as JSON lines for lorac. It is
// a program of its own because the library takes longer to compile than all of lorac.
// It knows columns and rows, not what they mean.
//
//	lorac-parquet 1 rows FILE   the rows to standard output, an object a line
//
// The number is that of the protocol.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

const protocol = "1"

func main() {
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	err := run(os.Args[1:], out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 || args[0] != protocol {
		return fmt.Errorf("lorac-parquet speaks protocol %s: it and lorac are of different releases", protocol)
	}
	if len(args) != 3 || args[1] != "rows" {
		return errors.New("usage: lorac-parquet 1 rows FILE")
	}
	return rows(args[2], out)
}

// rows writes all rows of a file. The library may panic on a damaged file.
func rows(path string, out io.Writer) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("%s is damaged (%v)%s", path, e, wayOut)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := ends(f, info.Size(), path); err != nil {
		return err
	}
	file, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("%s is damaged: its footer cannot be read (%w)%s", path, err, wayOut)
	}
	list := file.Metadata().Schema
	if len(list) == 0 {
		return fmt.Errorf("%s has no columns", path)
	}
	root, _ := tree(list, new(int))
	root.repetition = format.Required
	buffer := make([]parquet.Row, 64)
	var line bytes.Buffer
	n := int64(0)
	for _, group := range file.RowGroups() {
		reader := group.Rows()
		for {
			got, err := reader.ReadRows(buffer)
			for _, row := range buffer[:got] {
				line.Reset()
				if err := root.write(&line, columnsOf(row, root.to), 0, 0); err != nil {
					return fmt.Errorf("%s, row %d: %w", path, n+1, err)
				}
				line.WriteByte('\n')
				if _, err := out.Write(line.Bytes()); err != nil {
					return err
				}
				n++
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("%s is damaged: row %d cannot be read (%w)%s", path, n+1, err, wayOut)
			}
			if got == 0 {
				return fmt.Errorf("%s is damaged: nothing comes after row %d%s", path, n, wayOut)
			}
		}
		if err := reader.Close(); err != nil {
			return err
		}
	}
	if n != file.NumRows() {
		return fmt.Errorf("%s is damaged: it has %d rows, its footer says %d%s", path, n, file.NumRows(), wayOut)
	}
	return nil
}

// wayOut is what helps where a file cannot be read.
const wayOut = "\n  = help: fetch the file again; or, if another program reads it, write it as JSON lines there: pandas.read_parquet(FILE).to_json(OUT, orient=\"records\", lines=True)"

// ends checks that a file ends as Parquet files do: one that is cut short does not.
func ends(f io.ReaderAt, size int64, path string) error {
	tail := make([]byte, 4)
	if _, err := f.ReadAt(tail, max(size-4, 0)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case string(tail) == "PARE":
		return fmt.Errorf("%s is encrypted Parquet, which is not read; write it without encryption", path)
	case string(tail) != "PAR1" || size < 12:
		return fmt.Errorf("%s is cut short: a Parquet file ends with PAR1, and this one does not; is the download complete?%s", path, wayOut)
	}
	return nil
}

// node is a column, or a group of them: its leaves are the columns from and up to to.
type node struct {
	name       string
	repetition format.FieldRepetitionType
	element    *format.SchemaElement
	from, to   int
	children   []*node
}

// tree makes a node of the first elements of a schema, which lists all depth first. leaf
// counts the columns. The rest of the list is returned.
func tree(list []format.SchemaElement, leaf *int) (*node, []format.SchemaElement) {
	e := &list[0]
	n := &node{name: e.Name, element: e, from: *leaf}
	n.repetition, _ = e.RepetitionType.Get()
	list = list[1:]
	count, group := e.NumChildren.Get()
	if !group || count == 0 {
		*leaf++
	}
	for range count {
		var child *node
		child, list = tree(list, leaf)
		n.children = append(n.children, child)
	}
	n.to = *leaf
	return n, list
}

// columnsOf gives each column its values of a row.
func columnsOf(row parquet.Row, columns int) [][]parquet.Value {
	out := make([][]parquet.Value, columns)
	for i := 0; i < len(row); {
		c, from := row[i].Column(), i
		for i < len(row) && row[i].Column() == c {
			i++
		}
		out[c] = row[from:i]
	}
	return out
}

// write writes what the columns from n.from up to n.to hold of a node, by the levels of
// the values: repetition says which list a value continues, definition how many of its
// optional and repeated ancestors are there.
func (n *node) write(b *bytes.Buffer, columns [][]parquet.Value, repetition, definition int) error {
	first := columns[0]
	if len(first) == 0 {
		return fmt.Errorf("column %s has no value", n.name)
	}
	switch n.repetition {
	case format.Optional:
		definition++
		if first[0].DefinitionLevel() < definition {
			b.WriteString("null")
			return nil
		}
	case format.Repeated:
		repetition, definition = repetition+1, definition+1
		return n.items(b, columns, repetition, definition, n.value)
	}
	return n.value(b, columns, repetition, definition)
}

// value writes one value of a node that is there.
func (n *node) value(b *bytes.Buffer, columns [][]parquet.Value, repetition, definition int) error {
	if len(n.children) == 0 {
		return n.leaf(b, columns[0][0])
	}
	if inner := n.listed(); inner != nil {
		return inner.list(b, columns, repetition, definition)
	}
	b.WriteByte('{')
	for i, child := range n.children {
		if i > 0 {
			b.WriteByte(',')
		}
		quote(b, child.name)
		b.WriteByte(':')
		part := append([][]parquet.Value(nil), columns[child.from-n.from:child.to-n.from]...)
		if err := child.write(b, part, repetition, definition); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// listed is the repeated child of a group that is a list, nil for other groups.
func (n *node) listed() *node {
	old, given := n.element.ConvertedType.Get()
	_, is := n.element.LogicalType.Value.(*format.ListType)
	if len(n.children) == 1 && n.children[0].repetition == format.Repeated && (is || given && old == deprecated.List) {
		return n.children[0]
	}
	return nil
}

// list writes the elements of a list. A repeated group of one column holds the element;
// older writers repeat the element itself.
func (n *node) list(b *bytes.Buffer, columns [][]parquet.Value, repetition, definition int) error {
	if len(n.children) != 1 || n.name == "array" {
		return n.write(b, columns, repetition, definition)
	}
	return n.items(b, columns, repetition+1, definition+1, n.children[0].write)
}

// items writes a list whose elements begin at this level of repetition.
func (n *node) items(b *bytes.Buffer, columns [][]parquet.Value, repetition, definition int, write func(*bytes.Buffer, [][]parquet.Value, int, int) error) error {
	b.WriteByte('[')
	for i := 0; len(columns[0]) > 0 && columns[0][0].DefinitionLevel() >= definition; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		item := make([][]parquet.Value, len(columns))
		for c, values := range columns {
			if len(values) == 0 {
				return fmt.Errorf("column %s has lists of different lengths", n.name)
			}
			end := 1
			for end < len(values) && values[end].RepetitionLevel() > repetition {
				end++
			}
			item[c], columns[c] = values[:end], values[end:]
		}
		if err := write(b, item, repetition, definition); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

// leaf writes a value. What is neither a number nor text becomes an object, so that
// nobody takes it for one of them.
func (n *node) leaf(b *bytes.Buffer, v parquet.Value) error {
	if v.IsNull() {
		b.WriteString("null")
		return nil
	}
	if kind, ok := n.element.ConvertedType.Get(); ok && kind == deprecated.Decimal {
		fmt.Fprintf(b, `{"decimal":%q}`, v.String())
		return nil
	}
	switch v.Kind() {
	case parquet.Boolean:
		fmt.Fprint(b, v.Boolean())
	case parquet.Int32:
		fmt.Fprint(b, v.Int32())
	case parquet.Int64:
		fmt.Fprint(b, v.Int64())
	case parquet.Float:
		return number(b, float64(v.Float()), 32)
	case parquet.Double:
		return number(b, v.Double(), 64)
	case parquet.ByteArray:
		if text := v.ByteArray(); utf8.Valid(text) {
			quote(b, string(text))
		} else {
			fmt.Fprintf(b, `{"bytes":%d}`, len(text))
		}
	default:
		fmt.Fprintf(b, `{"bytes":%d}`, len(v.Bytes()))
	}
	return nil
}

func number(b *bytes.Buffer, x float64, bits int) error {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		b.WriteString("null")
		return nil
	}
	var text []byte
	var err error
	if bits == 32 {
		text, err = json.Marshal(float32(x))
	} else {
		text, err = json.Marshal(x)
	}
	b.Write(text)
	return err
}

// quote writes text as JSON.
func quote(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	e.Encode(s)             // a buffer takes everything
	b.Truncate(b.Len() - 1) // the line break
}
