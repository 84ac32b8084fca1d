package dataset

import (
	"encoding/binary"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"

	"lorac/runtime/data/tokenizer"
)

// Ids and labels of real data, by a separate program in Python that follows
// MindFormers r1.3 llama_preprocess.py step by step (pad, mask, compare counts)
// with Google's SentencePiece: rows left, their numbers, and FNV-1a over tokens,
// then labels, of each row as little-endian int32.
func TestAsMindFormers(t *testing.T) {
	model := filepath.Join(sharedData, "tokenizer/llama2/tokenizer.model")
	if _, err := os.Stat(model); err != nil {
		t.Skip("the real data is not here:", err)
	}
	tok, err := tokenizer.Load(model)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file                        string
		seq, rows, tokens, answered int
		hash                        uint64
	}{
		{"alpaca/alpaca_en_demo.json", 2048, 999, 270395, 169795, 0x72b4357ef89ab91c},
		{"alpaca/alpaca_en_demo.json", 128, 916, 115196, 27069, 0x1e0b180295229393},
		{"alpaca/alpaca_fixture_litgpt.json", 128, 22, 2667, 683, 0x78ffcc671e291bdd},
		{"vicuna/dummy_conversation.json", 2048, 500, 46515, 17803, 0x742bf38cec9acea7},
		{"vicuna/dummy_conversation.json", 128, 500, 46480, 17768, 0x6d93f7a2e0433caf},
	} {
		s, err := Open(filepath.Join(sharedData, "datasets", c.file), Options{
			Tokenizer: tok, SeqLength: c.seq, BOS: tok.BOS(), EOS: tok.EOS(), PadID: 0, IgnoreID: -100})
		if err != nil {
			t.Fatal(err)
		}
		h := fnv.New64a()
		for i := range s.Len() {
			r := s.Row(i)
			binary.Write(h, binary.LittleEndian, r.Tokens)
			binary.Write(h, binary.LittleEndian, r.Labels)
		}
		if s.Len() != c.rows || s.Stats.Tokens != c.tokens || s.Stats.Supervised != c.answered || h.Sum64() != c.hash {
			t.Errorf("%s at %d: %d rows, %d tokens, %d supervised, hash %#x", c.file, c.seq, s.Len(), s.Stats.Tokens, s.Stats.Supervised, h.Sum64())
		}
	}
}

// Every data set of the usual kinds can be read as it was fetched.
func TestRealFiles(t *testing.T) {
	model := filepath.Join(sharedData, "models/stories260K/tok512.model")
	if _, err := os.Stat(model); err != nil {
		t.Skip("the real data is not here:", err)
	}
	tok, err := tokenizer.Load(model)
	if err != nil {
		t.Fatal(err)
	}
	for file, rows := range map[string]int{
		"gsm8k/train.jsonl": 7473, "wikisql_mlx/train.jsonl": 1000, "alpaca/identity.json": 91, "alpaca/alpaca_tiny_torchtune.json": 100, "text/tinystories_sample.txt": 0,
	} {
		s, err := Open(filepath.Join(sharedData, "datasets", file), Options{
			Tokenizer: tok, SeqLength: 1024, BOS: tok.BOS(), EOS: tok.EOS(), PadID: 0, IgnoreID: -100})
		if err != nil {
			t.Fatal(err)
		}
		if rows > 0 && s.Len()+len(s.Stats.Skipped) != rows {
			t.Errorf("%s: %d rows and %d left out, of %d", file, s.Len(), len(s.Stats.Skipped), rows)
		}
	}
}
