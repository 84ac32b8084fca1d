package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"math"
)

// Recognise names the kind of tokenizer that a file holds, by its content; "" is none.
func Recognise(data []byte) string {
	switch {
	case looksLikeJSON(data):
		var file struct {
			Model struct {
				Type  string
				Vocab json.RawMessage
			}
		}
		if json.Unmarshal(data, &file) == nil && len(file.Model.Vocab) > 0 {
			return "tokenizer.json"
		}
	case looksLikeTiktoken(data):
		return "a list of ranks"
	case looksLikeModel(data):
		return "a SentencePiece model"
	case looksLikeLlama2c(data):
		return "a tokenizer of llama2.c"
	}
	return ""
}

// looksLikeModel reports that data begin with a piece of SentencePiece: field 1, whose
// message has a text, and a score or (where that is 0, which may be left out) a type. A
// checkpoint of MindSpore differs in the second.
func looksLikeModel(data []byte) bool {
	if len(data) < 4 || data[0] != 0x0A || data[2] != 0x0A {
		return false
	}
	score := 4 + int(data[3])
	return data[1] < 0x80 && data[3] < data[1] && score < len(data) && (data[score] == 0x15 || data[score] == 0x18)
}

// looksLikeLlama2c reports that data are llama2.c's list: the longest length, then of
// each piece its score, its length and its bytes.
func looksLikeLlama2c(data []byte) bool {
	if len(data) < 4 {
		return false
	}
	longest, count := binary.LittleEndian.Uint32(data), 0
	for data = data[4:]; len(data) > 0; count++ {
		if len(data) < 8 {
			return false
		}
		n := binary.LittleEndian.Uint32(data[4:])
		if n > longest || longest > 1<<16 || int(n) > len(data)-8 {
			return false
		}
		data = data[8+n:]
	}
	return count > 2
}

// Llama2cPiece is a piece of llama2.c's list.
type Llama2cPiece struct {
	Text  string
	Score float32
}

// Llama2cPieces reads what Recognise calls a tokenizer of llama2.c, by id, and the longest
// piece that it says there is.
func Llama2cPieces(data []byte) (list []Llama2cPiece, longest int) {
	longest = int(binary.LittleEndian.Uint32(data))
	for data = data[4:]; len(data) >= 8; {
		score, n := math.Float32frombits(binary.LittleEndian.Uint32(data)), int(binary.LittleEndian.Uint32(data[4:]))
		list = append(list, Llama2cPiece{string(data[8 : 8+n]), score})
		data = data[8+n:]
	}
	return list, longest
}
