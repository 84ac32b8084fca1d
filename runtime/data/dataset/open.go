package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// headSize is how much of a file tells its kind: what is none of the known kinds there
// is refused there, however long it is.
const headSize = 64 << 10

// maxRow bounds a row of JSON or CSV, in bytes: all of a row is in memory while it is
// read, and what has no end of a row would take as much as the file has.
const maxRow = 16 << 20

var errLongRow = fmt.Errorf("it is longer than %d MiB; is a bracket or a quotation mark missing?", maxRow>>20)

// known lists the kinds for messages.
const known = ".json, .jsonl, .ndjson, .csv, .tsv, .txt (each also as .gz), .parquet and mindrecord"

// kindByName are the kinds of files by their endings, in lower case.
var kindByName = map[string]string{
	".json": "json", ".jsonl": "json", ".ndjson": "json", ".txt": "text", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet",
}

// kindOfName is the kind that a name says, "" if none.
func kindOfName(name string) string {
	if IsMindRecord(name) {
		return "mindrecord"
	}
	name = strings.ToLower(name)
	return kindByName[filepath.Ext(strings.TrimSuffix(name, ".gz"))]
}

// input is a file that is being read.
type input struct {
	*bufio.Reader
	file   *os.File
	kind   string // json, text, csv or parquet
	head   []byte // the first bytes, decompressed
	packed bool   // by gzip
}

func (in *input) Close() error { return in.file.Close() }

// openInput opens a file and finds out its kind, by its name or its first bytes. What
// is none of the known kinds is an error, and so is what cannot be read twice.
func openInput(name string) (in *input, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the data set: %w", err)
	}
	switch mode := info.Mode(); {
	case mode&(fs.ModeNamedPipe|fs.ModeSocket) != 0:
		return nil, fmt.Errorf("%s is a pipe, and rows are read more than once (for the plan of memory, and on resuming); write them to a file first", name)
	case mode&(fs.ModeDevice|fs.ModeCharDevice) != 0:
		return nil, fmt.Errorf("%s is a device, not a file of rows", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the data set: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	in = &input{Reader: bufio.NewReaderSize(f, headSize), file: f, kind: kindOfName(name)}
	if in.head, err = in.Peek(headSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if bytes.HasPrefix(in.head, []byte("\x1f\x8b")) {
		z, err := gzip.NewReader(in.Reader)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		in.packed, in.Reader = true, bufio.NewReaderSize(z, headSize)
		if in.head, err = in.Peek(headSize); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("cannot read %s: %w; is the download complete?", name, err)
		}
	}
	if bytes.HasPrefix(in.head, []byte("PAR1")) {
		if in.packed {
			return nil, fmt.Errorf("%s is Parquet inside gzip; unpack it with gunzip: Parquet is compressed by itself", name)
		}
		in.kind = "parquet"
		return in, nil
	}
	if in.kind == "parquet" {
		in.kind = ""
		if err := in.notParquet(name); err != nil {
			return nil, err
		}
	}
	if err := in.strange(name); err != nil {
		return nil, err
	}
	if in.kind == "" && begins(in.head, "[{") {
		in.kind = "json"
	}
	if in.kind == "" {
		return nil, fmt.Errorf("%s: unknown data set format; supported are %s", name, known)
	}
	return in, nil
}

// begins reports whether the first character that is not blank is one of these.
func begins(head []byte, any string) bool {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	n := blanks(head)
	return n < len(head) && strings.IndexByte(any, head[n]) >= 0
}

// foreign are beginnings of files that are none of rows, and the way out.
var foreign = []struct{ begin, what string }{
	{"version https://git-lfs", "a Git LFS pointer, not the file; fetch it with `git lfs pull`"},
	{"<!DOCTYPE", "an HTML page; was the download refused?"},
	{"<!doctype", "an HTML page; was the download refused?"},
	{"<html", "an HTML page; was the download refused?"},
	{"PK\x03\x04", "a ZIP archive (or a spreadsheet); unpack it, or export it as CSV"},
	{"\x28\xb5\x2f\xfd", "compressed by zstd; `zstd -d` unpacks it"},
	{"BZh", "compressed by bzip2; `bunzip2` unpacks it"},
	{"\xfd7zXZ", "compressed by xz; `unxz` unpacks it"},
	{"ARROW1", "an Arrow file; Dataset.to_json of the library datasets writes JSONL"},
	{"\xff\xff\xff\xff", "an Arrow stream; Dataset.to_json of the library datasets writes JSONL"},
	{"SQLite format 3", "an SQLite database"},
	{"%PDF", "a PDF"},
	{"GGUF", "GGUF, weights of a model"},
	{"\x80\x02", "a Python pickle"},
	{"\x80\x04", "a Python pickle"},
}

// notParquet is the error of a file that is named .parquet and is not; JSON is read.
func (in *input) notParquet(name string) error {
	for _, f := range foreign {
		if bytes.HasPrefix(in.head, []byte(f.begin)) {
			return fmt.Errorf("%s is %s", name, f.what)
		}
	}
	switch {
	case begins(in.head, "[{"):
		return nil
	case len(in.head) == 0:
		return fmt.Errorf("%s is empty; is the download complete?", name)
	}
	return fmt.Errorf("%s is not Parquet, though it is named so: it begins with %q in place of PAR1; is the download complete?", name, in.head[:min(4, len(in.head))])
}

// strange is the error of a file that is no text in UTF-8, as far as its head shows.
func (in *input) strange(name string) error {
	head := in.head
	for _, f := range foreign {
		if bytes.HasPrefix(head, []byte(f.begin)) {
			return fmt.Errorf("%s is %s", name, f.what)
		}
	}
	if wide := wideText(head); wide != "" {
		return fmt.Errorf("%s is text in %s\n  = help: `iconv -f %s -t UTF-8 FILE > NEW` converts it", name, wide, wide)
	}
	if at := bytes.IndexByte(head, 0); at >= 0 {
		return fmt.Errorf("%s is no text: its byte %d is 0; supported are %s", name, at+1, known)
	}
	if at := firstInvalid(string(head)); at >= 0 && !(len(head) == headSize && at > len(head)-utf8.UTFMax) {
		return fmt.Errorf("%s:%d: %w", name, 1+bytes.Count(head[:at], []byte("\n")), notUTF8(around(string(head), at)))
	}
	if len(head) == headSize && blanks(head) == headSize {
		return fmt.Errorf("%s has nothing but white space in its first %d KiB", name, headSize>>10)
	}
	return nil
}

// wideText names text of two or four bytes a character, "" for other text: by its byte
// order mark, or because every other byte is 0.
func wideText(head []byte) string {
	for _, m := range []struct{ mark, name string }{{"\xff\xfe\x00\x00", "UTF-32"}, {"\x00\x00\xfe\xff", "UTF-32"}, {"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"}} {
		if bytes.HasPrefix(head, []byte(m.mark)) {
			return m.name
		}
	}
	var zeros [2]int
	for i, b := range head {
		if b == 0 {
			zeros[i%2]++
		}
	}
	most := len(head) / 2 * 2 / 5 // two fifths of the bytes at even or odd places
	switch {
	case len(head) < 4:
	case zeros[1] > most && zeros[0] <= most/10:
		return "UTF-16LE"
	case zeros[0] > most && zeros[1] <= most/10:
		return "UTF-16BE"
	}
	return ""
}

// unpack writes the decompressed text to a temporary file, which is removed by done.
func (in *input) unpack() (path string, done func(), err error) {
	f, err := os.CreateTemp("", "lorac-text-")
	if err != nil {
		return "", nil, err
	}
	_, err = io.Copy(f, in.Reader)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(f.Name())
		return "", nil, err
	}
	return f.Name(), func() { os.Remove(f.Name()) }, nil
}

// read reads one file.
func (r *reader) read(file string) error {
	if IsMindRecord(file) {
		return r.readMindRecord(file)
	}
	in, err := openInput(file)
	if err != nil {
		return err
	}
	defer in.Close()
	switch in.kind {
	case "json":
		return r.readJSON(file, in)
	case "csv":
		return r.readCSV(file, in)
	case "parquet":
		return fmt.Errorf("%s is Parquet, which a trainer does not read itself\n  = help: lorac finetune converts it before the run; for this trainer, `lorac convert rows --data_path %s -o rows.jsonl` does", file, file)
	}
	if begins(in.head, "{") && bytes.Contains(in.head, []byte(`":`)) {
		r.Stats.Notes = append(r.Stats.Notes, file+" is read as plain text for its name, though it begins like JSON; as .jsonl its rows would be read")
	}
	return r.readText(file, in)
}
