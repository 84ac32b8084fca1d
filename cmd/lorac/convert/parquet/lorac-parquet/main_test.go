package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

type message struct {
	Role    string   `parquet:"role"`
	Content *string  `parquet:"content,optional"`
	Weight  *int32   `parquet:"weight,optional"`
	Tags    []string `parquet:"tags,list"`
}

type conversation struct {
	ID       int64                `parquet:"id"`
	Messages []message            `parquet:"messages,list"`
	Scores   []float32            `parquet:"scores"`
	History  [][]string           `parquet:"history,list"`
	Done     *bool                `parquet:"done,optional"`
	Raw      []byte               `parquet:"raw"`
	Source   struct{ A, B int32 } `parquet:"source"`
}

func words(s string) *string { return &s }

// Every kind of nesting comes back as the JSON of the same rows, over several row groups.
func TestRows(t *testing.T) {
	weight := int32(0)
	yes := true
	path := filepath.Join(t.TempDir(), "a.parquet")
	var b bytes.Buffer
	w := parquet.NewGenericWriter[conversation](&b, parquet.MaxRowsPerRowGroup(2))
	list := []conversation{
		{ID: 1, Messages: []message{{Role: "user", Content: words("a <b> \"c\"\n")}, {Role: "assistant", Content: words("é"), Weight: &weight, Tags: []string{"x", ""}}}, Scores: []float32{1.5, 0.1}},
		{ID: 2, Raw: []byte{0xff}, History: [][]string{{"q", "a"}, {}}},
		{ID: 3, Messages: []message{{Role: "user"}}, Done: &yes},
	}
	list[2].Source.B = 7
	if _, err := w.Write(list); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run([]string{protocol, "rows", path}, &out); err != nil {
		t.Fatal(err)
	}
	want := `{"id":1,"messages":[{"role":"user","content":"a <b> \"c\"\n","weight":null,"tags":[]},{"role":"assistant","content":"é","weight":0,"tags":["x",""]}],"scores":[1.5,0.1],"history":[],"done":null,"raw":"","source":{"A":0,"B":0}}
{"id":2,"messages":[],"scores":[],"history":[["q","a"],[]],"done":null,"raw":{"bytes":1},"source":{"A":0,"B":0}}
{"id":3,"messages":[{"role":"user","content":null,"weight":null,"tags":[]}],"scores":[],"history":[],"done":true,"raw":"","source":{"A":0,"B":7}}
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	for n := 0; n < b.Len(); n += 1 + b.Len()/50 { // a file that is cut short anywhere
		if err := os.WriteFile(path, b.Bytes()[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run([]string{protocol, "rows", path}, &out); err == nil || !strings.Contains(err.Error(), path+" is cut short: ") || strings.Count(err.Error(), "\n  = help: ") != 1 {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	damaged := bytes.Clone(b.Bytes())
	copy(damaged[len(damaged)-40:], make([]byte, 30))
	encrypted := append(bytes.Clone(b.Bytes()[:b.Len()-4]), "PARE"...)
	for want, content := range map[string][]byte{" is damaged": damaged, " is encrypted Parquet, which is not read": encrypted} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run([]string{protocol, "rows", path}, &out); err == nil || !strings.HasPrefix(err.Error(), path+want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := run([]string{"0", "rows", path}, &out); err == nil || !strings.Contains(err.Error(), "different releases") {
		t.Error(err)
	}
}
