package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// digestOf is that of the ids of lines, as testdata/peers/tokens.py makes it.
func digestOf(tok *Tokenizer, lines []string) string {
	h, row := sha256.New(), []byte{}
	for _, line := range lines {
		row = row[:0]
		for i, id := range tok.Encode(line) {
			if i > 0 {
				row = append(row, ' ')
			}
			row = strconv.AppendInt(row, int64(id), 10)
		}
		h.Write(append(row, '\n'))
	}
	return hex.EncodeToString(h.Sum(nil))
}

type peerKind struct {
	Name, File, Vocab, Lacking string
	JSON                       map[string]json.RawMessage
	digests
}

// digests are those of the ids of the first lines, and of all.
type digests struct{ First, All string }

// firstLines are enough for the quick tier.
const firstLines = 400

// compare tells whether the ids are those of another tokenizer.
func (d digests) compare(t *testing.T, tok *Tokenizer) {
	t.Helper()
	count, want := firstLines, d.First
	if testkit.Wanted("tokens") {
		count, want = 10000, d.All
	}
	lines := seededLines(1, count)
	if got := digestOf(tok, lines); got != want {
		t.Errorf("digest of the ids of %d lines: %s, want %s", count, got, want)
		writeIDs(t, tok, lines)
	}
}

type peerVocabulary struct{ Pieces, Merges []string }

func readTestdata(t *testing.T, name string, to any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// without are the pieces and merges that a kind has.
func (v peerVocabulary) without(lacking string) (pieces, merges []string) {
	has := map[string]bool{}
	for _, p := range v.Pieces {
		gone := lacking != "" && strings.Contains(lacking, p)
		if lacking == "<0x" {
			_, gone = byteOf(p)
		}
		if !gone {
			has[p], pieces = true, append(pieces, p)
		}
	}
	for _, m := range v.Merges {
		left, right, _ := strings.Cut(m, " ")
		if has[left] && has[right] && has[left+right] {
			merges = append(merges, m)
		}
	}
	return pieces, merges
}

// assemble writes the tokenizer.json of a kind.
func (k peerKind) assemble(t *testing.T, v peerVocabulary) []byte {
	t.Helper()
	pieces, merges := v.without(k.Lacking)
	vocab := map[string]int{}
	for i, p := range pieces {
		vocab[p] = i
	}
	model := map[string]any{}
	if err := json.Unmarshal(k.JSON["model"], &model); err != nil {
		t.Fatal(err)
	}
	model["vocab"], model["merges"] = vocab, merges
	whole := map[string]any{"model": model}
	for key, part := range k.JSON {
		if key != "model" {
			whole[key] = part
		}
	}
	data, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The ids of seeded lines (10,000 in the slow tier) are those that the tokenizers library, SentencePiece and
// tiktoken give with the same vocabularies.
func TestSeededLines(t *testing.T) {
	var kinds []peerKind
	vocabularies := map[string]peerVocabulary{}
	readTestdata(t, "kinds.json", &kinds)
	readTestdata(t, "vocabularies.json", &vocabularies)
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) {
			var tok *Tokenizer
			var err error
			if k.File != "" {
				var data []byte
				if data, err = os.ReadFile(filepath.Join("testdata", k.File)); err == nil {
					tok, err = Parse(data)
				}
			} else {
				tok, err = ParseJSON(k.assemble(t, vocabularies[k.Vocab]), nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			if k.File != "" {
				tok = tok.SpecialAsText()
			}
			k.compare(t, tok)
		})
	}
}

// The same for byte-level vocabularies of GGUF, as llama.cpp reads them.
func TestSeededLinesGGUF(t *testing.T) {
	var kinds []struct {
		Name, Lacking string
		digests
	}
	vocabularies := map[string]peerVocabulary{}
	readTestdata(t, "gguf.json", &kinds)
	readTestdata(t, "vocabularies.json", &vocabularies)
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) {
			v := ByteVocabulary{Pre: k.Name, PAD: -1}
			v.Texts, v.Merges = vocabularies["bytes"].without(k.Lacking)
			v.BOS, v.EOS = len(v.Texts), len(v.Texts)
			v.Kinds = make([]int, len(v.Texts))
			for i := range v.Kinds {
				v.Kinds[i] = int(normal)
			}
			v.Texts, v.Kinds = append(v.Texts, "<|end|>", "<mark>"), append(v.Kinds, int(control), int(userDefined))
			tok, err := FromByteVocabulary(v)
			if err != nil {
				t.Fatal(err)
			}
			k.compare(t, tok)
		})
	}
}

// The same for vocabularies of real models, where they are: those of the shared data,
// and the others in the directory that LORAC_TOKENIZERS names, under the names of real.json.
func TestRealVocabularies(t *testing.T) {
	var table map[string]struct {
		SHA256 string
		digests
	}
	readTestdata(t, "real.json", &table)
	here := map[string]string{"llama2.model": llama2, "llama2.json": llama2JSON}
	for name, want := range table {
		if strings.HasSuffix(name, ".gguf") {
			continue // gguf_test.go
		}
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(os.Getenv("LORAC_TOKENIZERS"), name)
			if p := here[name]; p != "" {
				path = filepath.Join(sharedData, p)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Skip("the vocabulary is not here (LORAC_TOKENIZERS=DIR; testdata/peers/README.md):", err)
			}
			if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want.SHA256 {
				t.Skip("another file: its SHA-256 is not", want.SHA256)
			}
			tok, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, ".model") {
				tok = tok.SpecialAsText() // those libraries read no control pieces
			}
			want.compare(t, tok)
		})
	}
}

// writeIDs leaves the ids where LORAC_IDS says, to be compared with tokens.py lines.
func writeIDs(t *testing.T, tok *Tokenizer, lines []string) {
	dir := os.Getenv("LORAC_IDS")
	if dir == "" {
		return
	}
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintln(&b, strings.Trim(fmt.Sprint(tok.Encode(line)), "[]"))
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(filepath.Base(t.Name()), " ", "_")), []byte(b.String()), 0o666); err != nil {
		t.Error(err)
	}
}
