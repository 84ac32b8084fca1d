package config

import (
	"bytes"
	"fmt"
)

// archive is a text file that holds several, in the txtar form: a comment,
// then each file after a line `-- name --`.
type archive struct {
	comment string
	files   []archived
}

type archived struct {
	name string
	data []byte
}

func parseArchive(text []byte) archive {
	var a archive
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		trimmed := bytes.TrimRight(line, "\n")
		if name, ok := bytes.CutPrefix(trimmed, []byte("-- ")); ok && bytes.HasSuffix(name, []byte(" --")) {
			a.files = append(a.files, archived{name: string(bytes.TrimSuffix(name, []byte(" --")))})
		} else if n := len(a.files); n > 0 {
			a.files[n-1].data = append(a.files[n-1].data, line...)
		} else {
			a.comment += string(line)
		}
	}
	return a
}

func (a archive) format() []byte {
	var b bytes.Buffer
	b.WriteString(a.comment)
	for _, f := range a.files {
		fmt.Fprintf(&b, "-- %s --\n%s", f.name, f.data)
	}
	return b.Bytes()
}
