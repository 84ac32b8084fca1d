package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	j "github.com/dave/jennifer/jen"

	"lorac/cmd/test/testkit"
)

// The program of the templates of all goldens renders what transformers does.
func TestCompiledTemplates(t *testing.T) {
	testkit.Slow(t, "serve")
	all := readGoldens(t)
	f := j.NewFile("main")
	for i, source := range all.Templates {
		parsed, err := Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		parsed.Emit(f, fmt.Sprintf("template%d", i))
	}
	var cases []j.Code
	for i, x := range all.Goldens {
		if x.Name == "" {
			cases = append(cases, j.Line().Values(j.Lit(i), j.Id(fmt.Sprintf("template%d", x.Template))))
		}
	}
	f.Type().Id("golden").Struct(j.Id("at").Int(), j.Id("render").Add(lib("Func")))
	f.Var().Id("goldens").Op("=").Index().Id("golden").Values(append(cases, j.Line())...)
	var b bytes.Buffer
	if err := f.Render(&b); err != nil {
		t.Fatal(err)
	}
	const rest = `package main

import (
	"encoding/json"
	"fmt"
	"os"

	"lorac/runtime/data/chat"
)

func main() {
	var all struct {
		Conversations []struct {
			Messages []json.RawMessage
			Tools    json.RawMessage
		}
		Goldens []struct {
			Conversation           int
			Prompt                 bool
			BOS, EOS, Text, Error  string
		}
	}
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		panic(err)
	}
	for _, g := range goldens {
		x := all.Goldens[g.at]
		from := all.Conversations[x.Conversation]
		c := chat.Conversation{Tokens: chat.Tokens{BOS: x.BOS, EOS: x.EOS}}
		for _, raw := range from.Messages {
			m, err := chat.JSON(raw)
			if err != nil {
				panic(err)
			}
			c.Messages = append(c.Messages, m)
		}
		if len(from.Tools) > 0 {
			tools, err := chat.JSON(from.Tools)
			if err != nil {
				panic(err)
			}
			c.Tools = tools.([]any)
		}
		got, err := (&chat.Template{Render: g.render}).Write(c, x.Prompt)
		if (err != nil) != (x.Error != "") || err == nil && got.Text != x.Text {
			fmt.Printf("golden %d: %q, %v, want %q %s\n", g.at, got.Text, err, x.Text, x.Error)
		}
	}
	fmt.Println(len(goldens), "rendered")
}
`
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, overlay := t.TempDir(), map[string]string{}
	for name, text := range map[string]string{"main.go": rest, "templates.go": b.String()} {
		overlay[filepath.Join(root, "codegen", "jinja", "compiled", name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := testkit.Command(t, "go", "run", "-overlay", filepath.Join(dir, "overlay.json"), "./codegen/jinja/compiled", filepath.Join(root, "codegen/jinja/testdata/goldens.json"))
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("%d rendered\n", len(cases)); err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}
