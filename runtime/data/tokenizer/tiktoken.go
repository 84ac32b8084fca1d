package tokenizer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
)

// llama3Ranks is the number of ranks in Llama 3's tokenizer.model. Such a file says
// nothing of its pattern and its control tokens; they are known for this one.
const llama3Ranks = 128000

// llama3Controls is the number of ids after the ranks.
const llama3Controls = 256

// llama3Names are the control tokens by their offset from the ranks, as Llama 3.1 and
// those after it name them; the others are reserved.
var llama3Names = map[int]string{
	0: "<|begin_of_text|>", 1: "<|end_of_text|>", 4: "<|finetune_right_pad_id|>", 6: "<|start_header_id|>",
	7: "<|end_header_id|>", 8: "<|eom_id|>", 9: "<|eot_id|>", 10: "<|python_tag|>",
}

// looksLikeTiktoken tells a list of ranks (base64, a space, a number) from a
// SentencePiece model.
func looksLikeTiktoken(data []byte) bool {
	line, _, _ := bytes.Cut(data[:min(len(data), 1<<10)], []byte("\n"))
	_, rank, err := tiktokenLine(line)
	return err == nil && rank == 0
}

func tiktokenLine(line []byte) (text []byte, rank int, err error) {
	code, number, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\r")), []byte(" "))
	if !ok || len(code) == 0 {
		return nil, 0, errors.New("it is not base64, a space and a number")
	}
	text = make([]byte, base64.StdEncoding.DecodedLen(len(code)))
	n, err := base64.StdEncoding.Decode(text, code)
	if err != nil {
		return nil, 0, err
	}
	rank, err = strconv.Atoi(string(number))
	return text[:n], rank, err
}

// parseTiktoken reads Llama 3's tokenizer.model: its pieces in the order of their
// ranks, which are their ids. Two neighbours join where their bytes together are a
// piece, the lowest rank first.
func parseTiktoken(data []byte, ranks int) (*Tokenizer, error) {
	c, err := cuttingOf("llama-bpe")
	if err != nil {
		return nil, err
	}
	rules := &byText{ids: map[string]int32{}}
	t := &Tokenizer{rules: rules, unk: -1, level: c.level(), wholeWords: true}
	// As the model itself says it; llama.cpp's differs in letters that fold to s.
	t.level.cuts = []cut{mustPattern(`(?i:'s|'t|'re|'ve|'m|'ll|'d)` + llama3)}
	t.norm.keepSpaces = true
	for number := 1; len(data) > 0; number++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		text, rank, err := tiktokenLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of its ranks cannot be read: %w", number, err)
		}
		if rank != len(t.pieces) {
			return nil, fmt.Errorf("line %d has the rank %d, %d is due", number, rank, len(t.pieces))
		}
		if len(text) == 0 {
			return nil, fmt.Errorf("line %d has an empty piece", number)
		}
		p := piece{inAlphabet(string(text)), normal}
		if _, twice := rules.ids[p.text]; twice {
			return nil, fmt.Errorf("the piece of line %d is duplicated", number)
		}
		rules.ids[p.text] = int32(rank)
		t.pieces = append(t.pieces, p)
	}
	if len(t.pieces) != ranks {
		return nil, fmt.Errorf("it lists %d ranks and says nothing of the pattern that cuts its words; Llama 3's, with %d, is known; give the tokenizer.json of the model", len(t.pieces), ranks)
	}
	for b, c := range alphabet {
		if _, ok := rules.ids[c]; !ok {
			return nil, fmt.Errorf("it has no piece for the byte %02X", b)
		}
	}
	var added []hfAdded
	reserved := 0
	for i := range llama3Controls {
		name := llama3Names[i]
		if name == "" {
			name = fmt.Sprintf("<|reserved_special_token_%d|>", reserved)
			reserved++
		}
		added = append(added, hfAdded{ID: int64(ranks + i), Content: name, Special: true})
		t.pieces = append(t.pieces, piece{name, control})
	}
	rules.rank, rules.pieces = make([]int32, len(t.pieces)), t.pieces
	for i := range rules.rank {
		rules.rank[i] = int32(i)
	}
	t.bos, t.eos, t.pad = int32(ranks), int32(ranks+1), int32(ranks+4)
	if err := t.finish(); err != nil {
		return nil, err
	}
	t.setAdded(added)
	return t, nil
}
